"""Every operation under PyTorch's functional name. No code here: follow a name to its file."""

from tinynet.ops.relu import relu

__all__ = ["relu"]
