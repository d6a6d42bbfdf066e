"""TF32: float32 products on a GPU's tensor cores, to about three digits. docs/kernels.md says how much faster."""

import importlib

import numpy as np

from tinynet.backend import cupy_loader

_allowed = False


def allow_tf32(on=True):
    """Let GPUs of compute capability 8.0 and later use their tensor cores for float32; off by default.

    They round the factors of convolutions and matrix products to TF32, which has 10 mantissa bits where float32 has
    23, and accumulate in float32. on=False turns it off again. On older GPUs nothing changes; `python -m tinynet
    doctor` tells.
    """
    global _allowed
    _allowed = bool(on)
    if cupy_loader.cupy.cache_info().currsize:  # otherwise when it is loaded
        configure_cublas(cupy_loader.cupy())


def tf32_allowed():
    return _allowed


def configure_cublas(cupy):
    """Apply the choice to CuPy's own matrix products (cuBLAS). CuPy has no public name for this.

    The choice holds for all GPUs, but CuPy asks the current one whether it can, and warns if not.
    """
    linalg = importlib.import_module("cupy._core._routines_linalg")
    if not _allowed:
        linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_DEFAULT)
        return
    gpus = map(cupy.cuda.Device, range(cupy.cuda.runtime.getDeviceCount()))
    able = next((gpu for gpu in gpus if int(gpu.compute_capability) >= 80), None)
    if able:
        with able:
            linalg.set_compute_type(np.float32, linalg.COMPUTE_TYPE_TF32)


cupy_loader.when_loaded.append(lambda cupy: configure_cublas(cupy) if _allowed else None)
