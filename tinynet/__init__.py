"""tinynet: a deep learning framework to learn backpropagation from."""

from tinynet import backend, functional
from tinynet.autograd import Function, Tensor, no_grad, tensor
from tinynet.backend import manual_seed
from tinynet.gradcheck import GradcheckError, gradcheck

__all__ = [
    "Function",
    "GradcheckError",
    "Tensor",
    "backend",
    "functional",
    "gradcheck",
    "manual_seed",
    "no_grad",
    "tensor",
]
__version__ = "0.1.0"
