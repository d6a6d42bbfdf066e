"""What NVIDIA's compiler makes of every CUDA kernel: registers, shared memory, spills. No GPU is needed.

    pip install nvidia-cuda-nvrtc==13.5.37
    python benchmarks/kernels.py             # every kernels/*.cu, and writes results/kernels.md
    python benchmarks/kernels.py conv2d      # one of them, printed

NVRTC is the compiler that CuPy takes on a GPU. It gets the source and the options that it gets there, for four
generations of GPUs, in float and in double. Exit code 1, and a line for each, if a kernel does not compile, or if
one that runs by default keeps some of its variables in local memory, which is slow memory (a spill).
"""

import argparse
import ctypes
import importlib.metadata
import math
import re
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tinynet.kernels import loader
from tinynet.kernels.conv2d import TILES

ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100"]
TYPES = ["float", "double"]
# The -D options that the launchers pass, for AlexNet and others like it: {file: {type: [defines, ...]}} ...
BY_DEFAULT = {
    "conv2d": {
        "float": [tile.defines for tile in TILES[3]],
        "double": [tile.defines for tile in TILES[3] if tile.M <= 64],
    },
    "conv2d_tensor_cores": {"float": [tile.defines for tile in TILES[4]], "double": []},
    "local_response_norm": {T: [{"SIZE": 5, "THREE_QUARTERS": 1}] for T in TYPES},
}
# ... and for other arguments. A file that is in neither has no options.
OTHERWISE = {
    "local_response_norm": [{"SIZE": 5}],  # any beta
    "max_pool2d": [{"WINNER": "int"}],  # windows of more than 256 cells
}
LESSON = re.compile(r"_v[12]$")  # steps on the way to the kernel that runs by default
# What CuPy 14 adds to the options of a RawModule, and the report that is read here.
ALWAYS = ["-std=c++17", "-ftz=true", "--device-as-default-execution-space", "--ptxas-options=-v"]
RESULTS = Path(__file__).parent / "results" / "kernels.md"


@dataclass(frozen=True)
class Usage:
    """What one kernel takes, on one architecture."""

    registers: int  # a thread
    shared: int  # bytes a block, without the dynamic part that a launch adds
    stack: int  # bytes of local memory a thread: arrays that are indexed by variables, and spills
    spilled: int  # bytes that spills store and load
    threads: int | None  # a block has at most, if __launch_bounds__ says so


# ---------------------------------------------------------------------------- the compiler


class CompileError(Exception):
    pass


class NVRTC:
    """The library of the wheel, through its C interface."""

    wheels = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")  # since CUDA 13; before it
    first = re.compile(r"libnvrtc\.so\.\d+|nvrtc64_\d+_0\.dll")
    second = re.compile(r"libnvrtc-builtins\.so\.[\d.]+|nvrtc-builtins64_\d+\.dll")

    def __init__(self):
        for wheel in self.wheels:
            try:
                paths = [path.locate() for path in importlib.metadata.files(wheel)]
            except importlib.metadata.PackageNotFoundError:
                continue
            # The second library is opened by the first one, which does not always know where to look for it.
            self.builtins = [ctypes.CDLL(str(path)) for path in paths if self.second.fullmatch(path.name)]
            (self.library,) = [ctypes.CDLL(str(path)) for path in paths if self.first.fullmatch(path.name)]
            major, minor = ctypes.c_int(), ctypes.c_int()
            self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
            self.version = f"{major.value}.{minor.value}"
            return
        raise ImportError("NVRTC is not installed: pip install nvidia-cuda-nvrtc==13.5.37")

    def compile(self, code, options):
        """(what the compiler says, PTX, cubin); CompileError, with what it says, for a mistake in the code."""
        program = ctypes.c_void_p()
        options = [option.encode() for option in options]
        self.library.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"source", 0, None, None)
        try:
            failed = self.library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
            log = self.text(program, "ProgramLog").decode()
            if failed:
                raise CompileError(log)
            return log, self.text(program, "PTX").decode(), self.text(program, "CUBIN")
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))

    def text(self, program, what):
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw.rstrip(b"\0") if what != "CUBIN" else buffer.raw


# ptxas, the last stage, reports a kernel like this (and then the functions that it calls):
#     ptxas info    : Compiling entry function 'relu_forward' for 'sm_90'
#     ptxas info    : Function properties for relu_forward
#     ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
#     ptxas info    : Used 10 registers, used 0 barriers, 2048 bytes smem, 16 bytes cumulative stack size
REPORT = re.compile(
    r"entry function '(?P<name>\w+)'[^\n]*\n[^\n]*Function properties for (?P=name)\n"
    r"[^\n]*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads\n"
    r"[^\n]*Used (?P<registers>\d+) registers(?P<rest>[^\n]*)"
)
BOUND = re.compile(r"\.entry (\w+)\([^)]*\)\s*\.maxntid ([\d, ]+)")  # __launch_bounds__ in PTX


def usages(nvrtc, code, options, architecture):
    """({kernel: Usage}, warnings) of a source text."""
    log, ptx, _ = nvrtc.compile(code, [*options, f"-arch={architecture}", *ALWAYS])
    threads = {name: math.prod(map(int, size.split(","))) for name, size in BOUND.findall(ptx)}
    found = {}
    for match in REPORT.finditer(log):
        def rest(unit, text=match["rest"]):
            number = re.search(rf"(\d+) bytes {unit}", text)
            return int(number[1]) if number else 0

        stack = max(int(match["stack"]), rest("cumulative stack size"))
        spilled = int(match["stores"]) + int(match["loads"])
        name = match["name"]
        found[name] = Usage(int(match["registers"]), rest("smem"), stack, spilled, threads.get(name))
    kernels = set(re.findall(r"\.entry (\w+)\(", ptx))
    assert found.keys() == kernels, f"the report of {sorted(kernels)} was not understood:\n{log}"
    return found, [line for line in log.splitlines() if "warning" in line]


def compile_file(nvrtc, path):
    """Compile a file in every type and for every architecture.

    Returns ({(kernel, type, options): {architecture: Usage}}, [complaint, ...]).
    """
    table, complaints, text = defaultdict(dict), [], path.read_text()
    for T in TYPES:
        for defines in by_default(path, T) + OTHERWISE.get(path.stem, []):
            options = " ".join(f"{key}={value}" for key, value in defines.items())
            for architecture in ARCHITECTURES:
                where = " ".join(filter(None, [path.name, T, options, architecture]))
                try:
                    found, warnings = usages(nvrtc, *loader.source(path, T, defines.items()), architecture)
                except CompileError as error:
                    complaints.append(f"{where}: does not compile\n{error}")
                    continue
                complaints += [f"{where}: {warning}" for warning in warnings]
                for name in sorted(found, key=lambda name: (text.find(name), name)):  # as in the file
                    usage = found[name]
                    table[name, T, options][architecture] = usage
                    runs = defines in by_default(path, T) and not LESSON.search(name)
                    if runs and (usage.stack or usage.spilled):
                        complaints.append(
                            f"{where}: {name} keeps {usage.stack} bytes a thread in local memory, "
                            f"and {usage.spilled} bytes of spills store and load"
                        )
    return table, complaints


def by_default(path, T):
    return BY_DEFAULT.get(path.stem, {}).get(T, [{}])


# ---------------------------------------------------------------------------- the report


def blocks_on_sm90(usage):
    """How many blocks fit on a multiprocessor of compute capability 9.0 (CUDA programming guide, technical
    specifications): 64 warps; 65,536 registers, given to a warp in units of 256, and to warps four by four;
    228 KiB of shared memory, of which each block costs 1 KiB more than it asks for; 32 blocks.
    """
    warps = -(-usage.threads // 32)
    registers_of_warp = -(-usage.registers * 32 // 256) * 256
    by_registers = 65536 // registers_of_warp // 4 * 4 // warps
    by_shared = 228 * 1024 // (-(-usage.shared // 128) * 128 + 1024)
    return min(64 // warps, by_registers, by_shared, 32)


HEADER = """\
# Every kernel, as NVRTC compiles it

`python benchmarks/kernels.py` with NVRTC {version}. This is compiled, not run: it needs no GPU, and says nothing
about speed. The columns:

- registers a thread, on {architectures} (one number where they agree);
- shared: bytes of static shared memory a block; what a launch adds dynamically is not in it;
- local: bytes of local memory a thread, with what spills store and load after a `+`. 0 wherever a kernel
  runs by default; versions 1 and 2 of a kernel are steps on the way to it;
- threads: a block has at most, where `__launch_bounds__` says so;
- blocks: as many fit on a multiprocessor of sm_90 by these numbers, and the share of its 64 warps.

Version 4 of the convolution is refused below sm_80, which has no TF32: its sm_75 is an empty shell.
"""


def header(nvrtc):
    return HEADER.format(version=nvrtc.version, architectures=", ".join(ARCHITECTURES))


def section(path, table):
    """The file's table in Markdown: the same for the same kernels and compiler."""
    titles = ["kernel", "type", "options", "registers", "shared", "local", "threads", "blocks on sm_90"]
    lines = ["", f"## {path.name}", "", row(titles), row(["---"] * len(titles))]
    for (name, T, options), by_architecture in table.items():
        usages, blocks = by_architecture.values(), "—"
        on_sm90 = by_architecture.get("sm_90")
        if on_sm90 and on_sm90.threads:
            count = blocks_on_sm90(on_sm90)
            blocks = f"{count} ({count * -(-on_sm90.threads // 32) / 64:.0%})"
        numbers = [
            each(usage.registers for usage in usages),
            each(usage.shared for usage in usages),
            each(f"{usage.stack} + {usage.spilled}" if usage.spilled else usage.stack for usage in usages),
            each(usage.threads or "—" for usage in usages),
        ]
        lines.append(row([f"`{name}`", T, f"`{options}`" if options else "", *numbers, blocks]))
    return "\n".join(lines) + "\n"


def each(values):
    """One value for all architectures, or all of them."""
    values = [str(value) for value in values]
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def row(cells):
    return f"| {' | '.join(map(str, cells))} |"


def files():
    return sorted(loader.FOLDER.glob("*.cu"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="kernels/<name>.cu; all of them if none is named")
    args = parser.parse_args()
    paths = [path for path in files() if path.stem in args.names or not args.names]
    if unknown := set(args.names) - {path.stem for path in paths}:
        parser.error(f"there is no kernels/{min(unknown)}.cu")
    try:
        nvrtc = NVRTC()
    except ImportError as error:
        parser.error(str(error))
    text, complaints = header(nvrtc), []
    for path in paths:
        start = time.perf_counter()
        table, wrong = compile_file(nvrtc, path)
        print(f"{path.name:30} {time.perf_counter() - start:5.1f} s")
        text += section(path, table)
        complaints += wrong
    if args.names:
        print(f"\n{text}")
    elif not complaints:
        RESULTS.write_text(text)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
