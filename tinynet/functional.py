"""Every operation under its PyTorch name. There is no code here: follow a name to its file."""

import tinynet.ops.indexing  # noqa: F401 (attaches Tensor.__getitem__)
from tinynet.ops.abs import abs
from tinynet.ops.adaptive_avg_pool2d import adaptive_avg_pool2d
from tinynet.ops.arithmetic import add, div, mul, neg, pow, sub
from tinynet.ops.avg_pool2d import avg_pool2d
from tinynet.ops.clip import clip
from tinynet.ops.concatenate import concatenate
from tinynet.ops.conv2d import conv2d
from tinynet.ops.cross_entropy import cross_entropy
from tinynet.ops.dropout import dropout
from tinynet.ops.exp import exp
from tinynet.ops.leaky_relu import leaky_relu
from tinynet.ops.linear import linear
from tinynet.ops.local_response_norm import local_response_norm
from tinynet.ops.log import log
from tinynet.ops.log_softmax import log_softmax
from tinynet.ops.matmul import matmul
from tinynet.ops.max import max
from tinynet.ops.max_pool2d import max_pool2d
from tinynet.ops.mean import mean
from tinynet.ops.min import min
from tinynet.ops.mse_loss import mse_loss
from tinynet.ops.nll_loss import nll_loss
from tinynet.ops.pad import pad
from tinynet.ops.permute import permute
from tinynet.ops.relu import relu
from tinynet.ops.reshape import flatten, reshape
from tinynet.ops.sigmoid import sigmoid
from tinynet.ops.softmax import softmax
from tinynet.ops.split import split
from tinynet.ops.sqrt import sqrt
from tinynet.ops.stack import stack
from tinynet.ops.sum import sum
from tinynet.ops.tanh import tanh
from tinynet.ops.to_device import to_device
from tinynet.ops.transpose import transpose
from tinynet.ops.var import var
from tinynet.ops.where import where

__all__ = [
    "abs",
    "adaptive_avg_pool2d",
    "add",
    "avg_pool2d",
    "clip",
    "concatenate",
    "conv2d",
    "cross_entropy",
    "div",
    "dropout",
    "exp",
    "flatten",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "mean",
    "min",
    "mse_loss",
    "mul",
    "neg",
    "nll_loss",
    "pad",
    "permute",
    "pow",
    "relu",
    "reshape",
    "sigmoid",
    "softmax",
    "split",
    "sqrt",
    "stack",
    "sub",
    "sum",
    "tanh",
    "to_device",
    "transpose",
    "var",
    "where",
]
