"""CuPy and a GPU that it can use, or one line that says why not; and whether copies between GPUs are intact.

CuPy is imported here, when it is first needed, and nowhere else. The NVIDIA driver is asked through its own
library, because CuPy cannot tell the causes apart: without any driver it reports "CUDA driver version is
insufficient", just as when the driver is too old for its CUDA.
"""

import contextlib
import ctypes
import functools
import importlib
import os
import sys
from pathlib import Path

import numpy as np

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"  # comes with the driver
OLDEST, NEWEST = 12, 13  # the CUDA versions that CuPy 14 is made for; OLDEST needs driver 525


when_loaded = []  # functions to call with CuPy once it is there


@functools.cache  # an error is not cached
def cupy():
    """The CuPy module. Raises NoGPU, a RuntimeError of one line, where it cannot be used."""
    module = load_cupy()
    for function in when_loaded:
        function(module)
    return module


def supported_cuda():
    """The newest CUDA that the installed driver can run, as (major, minor); None without a driver."""
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL(LIBRARY).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed or not version.value else (version.value // 1000, version.value % 1000 // 10)


def gpu_names():
    """The names of the GPUs that the driver sees; no CuPy needed."""
    names = []
    with contextlib.suppress(OSError, AttributeError):
        driver, count, name = ctypes.CDLL(LIBRARY), ctypes.c_int(), ctypes.create_string_buffer(256)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            for i in range(count.value):
                driver.cuDeviceGetName(name, len(name), i)
                names.append(name.value.decode())
    return names


def nvidia_card():
    """Whether Linux sees an NVIDIA card on the PCI bus, with or without a driver."""
    for card in Path("/sys/bus/pci/devices").glob("*"):
        with contextlib.suppress(OSError):
            vendor, kind = ((card / name).read_text("ascii").strip() for name in ("vendor", "class"))
            if vendor == "0x10de" and kind.startswith("0x03"):
                return True
    return False


def install_command(supported):
    """The command that installs the CuPy for a driver."""
    return f'pip install "tinynet-alexnet[cuda{min(supported[0], NEWEST)}]"'


class NoGPU(RuntimeError):
    """No cuda device can be used here: the reason, and what would help (None if nothing we know of does)."""

    def __init__(self, reason, remedy=None):
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason, self.remedy = reason, remedy


def load_cupy():
    """The CuPy module if it is installed and finds a GPU; otherwise raise NoGPU."""
    module = None
    try:
        module = importlib.import_module("cupy")
        count = module.cuda.runtime.getDeviceCount()
        if count:  # libraries of their own: the compiler; and cuBLAS, which a network would miss at fc6 only
            module.cuda.nvrtc.getVersion()
            _ = module.cuda.cublas
    except Exception as error:  # CuPy's own errors cannot be named before the import
        raise why_no_gpu(module, error) from error
    if not count:
        raise why_no_gpu(module)
    return module


def why_no_gpu(cupy=None, error=None):
    """The NoGPU to raise. cupy: the module, if it could be imported; error: what was raised, if anything."""
    supported = supported_cuda()
    if supported is None:
        remedy = "install the driver, or start the container with --gpus all" if nvidia_card() else None
        return NoGPU(f"a cuda device needs a GPU with NVIDIA's driver, and {LIBRARY} is not found here", remedy)
    has = f"the NVIDIA driver here supports CUDA {supported[0]}.{supported[1]}"
    install = install_command(supported)
    if supported[0] < OLDEST:
        return NoGPU(f"{has}, and CuPy 14 needs CUDA {OLDEST}", "install driver 525 or later")
    if cupy is None:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return NoGPU("a cuda device needs CuPy, which is not installed", install)
        return NoGPU(f"CuPy is installed but cannot be imported: {cause(error)}", install)
    made_for = cupy.cuda.runtime.runtimeGetVersion() // 1000
    if made_for > supported[0]:
        remedy = f"pip uninstall -y cupy-cuda{made_for}x && {install}"
        return NoGPU(f"{has}, and the CuPy installed is made for CUDA {made_for}", remedy)
    if not error or "cudaErrorNoDevice" in str(error):
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        note = "" if hidden is None else f" (CUDA_VISIBLE_DEVICES is {hidden!r})"
        return NoGPU(f"the NVIDIA driver finds no GPU{note}")
    if isinstance(error, ImportError) or type(error).__name__ == "DynamicLibNotFoundError":  # not in CuPy's wheel
        return NoGPU(f"CuPy does not find CUDA's libraries: {cause(error)}", install)
    return NoGPU(f"CuPy finds no usable GPU: {cause(error)}")


def cause(error):
    """The line of an error message that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    if "Original error:" in lines[:-1]:  # CuPy's advice comes before it
        return lines[lines.index("Original error:") + 1]
    return lines[0] if lines else type(error).__name__


def why_staged(cupy, source, target):
    """Why copies from GPU `source` to GPU `target` must be staged through the host, in a few words; else None."""
    if not cupy.cuda.runtime.deviceCanAccessPeer(source, target):  # CuPy asks the same
        return "the GPUs have no peer access"
    damaged, words = damaged_words(cupy, source, target)
    return f"peer copies are damaged, {damaged:,} of {words:,} words wrong" if damaged else None


def damaged_words(cupy, source, target, words=2**20 + 1):
    """(how many 32-bit words arrive wrong, out of how many) when GPU `target` copies them from GPU `source`.

    On some machines copies between GPUs deliver wrong bytes without an error.
    """
    pattern = np.random.default_rng([source, target]).integers(2**32, size=words, dtype=np.uint32)
    with cupy.cuda.Device(source) as device:
        x = cupy.asarray(pattern)
        device.synchronize()
    with cupy.cuda.Device(target):
        y = cupy.asarray(x)
        # From the host, and only now: any earlier, and y could be given memory that already holds the pattern.
        expected = cupy.asarray(pattern)
        return int((y != expected).sum()), words
