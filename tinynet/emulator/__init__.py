"""CUDA kernels without a GPU: the same .cu files, compiled for the processor."""

from tinynet.emulator import xp
from tinynet.emulator.device import transfers
from tinynet.emulator.launch import KernelError
from tinynet.emulator.modes import mode

__all__ = ["KernelError", "mode", "transfers", "xp"]
