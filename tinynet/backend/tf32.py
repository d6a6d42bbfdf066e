"""TF32: float32 products on a GPU's tensor cores, several times as fast, to about three digits."""

import importlib

import numpy as np

from tinynet.backend import cupy_loader

_allowed = False


def allow_tf32(on=True):
    """Let GPUs of compute capability 8.0 and later use their tensor cores for float32; off by default.

    They round the factors of convolutions and matrix products to TF32, which has 10 mantissa bits where
    float32 has 23, and accumulate in float32.
    """
    global _allowed
    _allowed = bool(on)
    if cupy_loader.cupy.cache_info().currsize:  # otherwise when it is loaded
        configure_cublas()


def tf32_allowed():
    return _allowed


def configure_cublas():
    """Apply the choice to CuPy's own matrix products (cuBLAS). CuPy has no public name for this."""
    linalg = importlib.import_module("cupy._core._routines_linalg")
    linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_TF32 if _allowed else linalg.COMPUTE_TYPE_DEFAULT)


cupy_loader.when_loaded.append(lambda: configure_cublas() if _allowed else None)
