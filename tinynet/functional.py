"""Every operation under PyTorch's functional name. No code here: follow a name to its file."""

from tinynet.ops.conv2d import conv2d
from tinynet.ops.dropout import dropout
from tinynet.ops.linear import linear
from tinynet.ops.local_response_norm import local_response_norm
from tinynet.ops.max_pool2d import max_pool2d
from tinynet.ops.relu import relu

__all__ = ["max_pool2d", "local_response_norm", "linear", "dropout", "conv2d", "relu"]
