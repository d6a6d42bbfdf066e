"""NVIDIA's compiler without a GPU: what a CUDA source compiles to, and which resources its kernels use.

    usages, warnings = resource_usage(NVRTC(), code, options, "sm_90")      # usages: {kernel: Usage}

NVRTC is also what CuPy uses on a GPU: pip install nvidia-cuda-nvrtc==13.5.37
"""

import ctypes
import importlib.metadata
import math
import re
from dataclasses import dataclass

from tinynet.kernels.loader import ceil_div

# The options that CuPy 14 adds to those of a RawModule, and the one that asks for the report parsed below.
ALWAYS = ["-std=c++17", "-ftz=true", "--device-as-default-execution-space", "--ptxas-options=-v"]


class CompileError(Exception):
    """A mistake in the source, with what the compiler says about it."""


class NVRTC:
    """The library in NVIDIA's wheel, through its C interface. Raises ImportError if the wheel is not installed."""

    wheels = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")  # since CUDA 13; before
    compiler = re.compile(r"libnvrtc\.so\.\d+|nvrtc64_\d+_0\.dll")
    builtins = re.compile(r"libnvrtc-builtins\.so\.[\d.]+|nvrtc-builtins64_\d+\.dll")

    def __init__(self):
        for wheel in self.wheels:
            try:
                paths = [path.locate() for path in importlib.metadata.files(wheel)]
            except importlib.metadata.PackageNotFoundError:
                continue
            # The compiler opens its builtins itself, but does not always know where they are.
            self.loaded = [ctypes.CDLL(str(path)) for path in paths if self.builtins.fullmatch(path.name)]
            (self.library,) = [ctypes.CDLL(str(path)) for path in paths if self.compiler.fullmatch(path.name)]
            major, minor = ctypes.c_int(), ctypes.c_int()
            self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
            self.version = f"{major.value}.{minor.value}"
            return
        raise ImportError("NVRTC is not installed: pip install nvidia-cuda-nvrtc==13.5.37")

    def compile(self, code, options):
        """(log, PTX, cubin). Raises CompileError if the source does not compile."""
        program = ctypes.c_void_p()
        options = [option.encode() for option in options]
        self.library.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"source", 0, None, None)
        try:
            failed = self.library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
            log = self.output(program, "ProgramLog").decode()
            if failed:
                raise CompileError(log)
            return log, self.output(program, "PTX").decode(), self.output(program, "CUBIN")
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))

    def output(self, program, what):
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw.rstrip(b"\0") if what != "CUBIN" else buffer.raw


@dataclass(frozen=True)
class Usage:
    """The resources that one kernel uses on one architecture."""

    registers: int  # per thread
    shared: int  # bytes per block, without the dynamic part that a launch adds
    stack: int  # bytes of local memory per thread: arrays indexed by variables, and spills
    spilled: int  # bytes that spills store and load
    threads: int | None  # per block at most, if __launch_bounds__ says so

    def blocks_on_sm90(self):
        """How many blocks fit on a multiprocessor of compute capability 9.0.

        From the technical specifications in the CUDA programming guide: 64 warps; 65,536 registers, allocated to a
        warp in units of 256, and to four warps at a time; 228 KiB of shared memory, of which each block costs 1 KiB
        more than it asks for; 32 blocks.
        """
        warps = ceil_div(self.threads, 32)
        registers_per_warp = ceil_div(self.registers * 32, 256) * 256
        by_registers = 65536 // registers_per_warp // 4 * 4 // warps
        by_shared = 228 * 1024 // (ceil_div(self.shared, 128) * 128 + 1024)
        return min(64 // warps, by_registers, by_shared, 32)


# ptxas, the last stage, reports each kernel like this, followed by the functions that it calls:
#     ptxas info    : Compiling entry function 'relu_forward' for 'sm_90'
#     ptxas info    : Function properties for relu_forward
#     ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
#     ptxas info    : Used 10 registers, used 0 barriers, 2048 bytes smem, 16 bytes cumulative stack size
REPORT = re.compile(
    r"entry function '(?P<name>\w+)'[^\n]*\n[^\n]*Function properties for (?P=name)\n"
    r"[^\n]*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r"[^\n]*Used (?P<registers>\d+) registers(?P<rest>[^\n]*)"
)
LAUNCH_BOUNDS = re.compile(r"\.entry (\w+)\([^)]*\)\s*\.maxntid ([\d, ]+)")  # in PTX


def resource_usage(nvrtc, code, options, architecture):
    """({kernel: Usage}, warnings) of a source text."""
    log, ptx, _ = nvrtc.compile(code, [*options, f"-arch={architecture}", *ALWAYS])
    threads = {name: math.prod(map(int, size.split(","))) for name, size in LAUNCH_BOUNDS.findall(ptx)}
    found = {}
    for report in REPORT.finditer(log):
        name = report["name"]
        found[name] = Usage(
            registers=int(report["registers"]),
            shared=bytes_of("smem", report["rest"]),
            stack=max(int(report["stack"]), bytes_of("cumulative stack size", report["rest"])),
            spilled=int(report["stores"]) + int(report["loads"]),
            threads=threads.get(name),
        )
    kernels = set(re.findall(r"\.entry (\w+)\(", ptx))
    assert found.keys() == kernels, f"the report of {sorted(kernels)} could not be parsed:\n{log}"
    return found, [line for line in log.splitlines() if "warning" in line]


def bytes_of(what, text):
    number = re.search(rf"(\d+) bytes {what}", text)
    return int(number[1]) if number else 0
