"""CUDA kernels without a GPU: the same .cu files, compiled for the CPU."""

from tinynet.emulator import xp
from tinynet.emulator.device import transfers
from tinynet.emulator.launch import KernelError
from tinynet.emulator.modes import mode
from tinynet.emulator.racecheck import accesses
from tinynet.emulator.races import StreamError

__all__ = ["KernelError", "StreamError", "accesses", "mode", "transfers", "xp"]
