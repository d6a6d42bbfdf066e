"""tinynet: a deep learning framework to learn backpropagation from."""

from tinynet import backend, functional, nn, optim
from tinynet.anomaly import detect_anomaly
from tinynet.autograd import Function, Tensor, no_grad, tensor
from tinynet.backend import allow_tf32, manual_seed, num_threads, set_num_threads
from tinynet.drawing import draw
from tinynet.gradcheck import GradcheckError, gradcheck
from tinynet.recording import record

__all__ = [
    "Function",
    "GradcheckError",
    "Tensor",
    "allow_tf32",
    "backend",
    "detect_anomaly",
    "draw",
    "functional",
    "gradcheck",
    "manual_seed",
    "nn",
    "no_grad",
    "num_threads",
    "optim",
    "record",
    "set_num_threads",
    "tensor",
]
__version__ = "0.1.0"
