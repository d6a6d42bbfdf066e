"""CUDA kernels: one .cu file per operation, and beside it the Python that launches it."""

from tinynet.kernels.avg_pool2d import avg_pool2d, avg_pool2d_backward
from tinynet.kernels.conv2d import conv2d, conv2d_filter_gradient, conv2d_input_gradient
from tinynet.kernels.dropout import dropout, uniforms
from tinynet.kernels.local_response_norm import local_response_norm, local_response_norm_backward
from tinynet.kernels.max_pool2d import max_pool2d, max_pool2d_backward
from tinynet.kernels.relu import relu, relu_backward
from tinynet.kernels.sgd import paper_sgd, sgd
from tinynet.kernels.softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_backward

__all__ = [
    "avg_pool2d", "avg_pool2d_backward", "conv2d", "conv2d_filter_gradient", "conv2d_input_gradient", "dropout",
    "local_response_norm", "local_response_norm_backward", "max_pool2d", "max_pool2d_backward", "paper_sgd", "relu",
    "relu_backward", "sgd", "softmax_cross_entropy", "softmax_cross_entropy_backward", "uniforms",
]
