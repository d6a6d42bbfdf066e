"""Optimizers, which update parameters from their gradients, and learning rate schedules."""

from tinynet.optim.adam import Adam
from tinynet.optim.optimizer import Optimizer
from tinynet.optim.schedules import (
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)
from tinynet.optim.sgd import SGD, PaperSGD

__all__ = [
    "SGD",
    "Adam",
    "CosineAnnealingLR",
    "LinearWarmup",
    "MultiStepLR",
    "Optimizer",
    "PaperSGD",
    "ReduceLROnPlateau",
    "StepLR",
]
