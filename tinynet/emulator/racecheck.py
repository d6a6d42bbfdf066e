"""Compiles a kernel so that each of its loads and stores is checked (racecheck.cpp), and explains what was found.

The check is named after that of NVIDIA's compute-sanitizer. It finds races, that is two accesses to the same memory by
different threads, at least one of them a write, with no barrier between them; and reads of shared memory that no
thread of the block has written. It needs no luck: it tracks what orders the accesses, not in which order they happen.

g++ and clang++ put a call before each load and store with -fsanitize=thread. Without this option at link time, their
own library is left out, and the calls reach the runtime's functions of the same names.
"""

import functools
import re
import shutil
import subprocess
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

from tinynet.emulator import compiler, runtime

FLAGS = ["-O1", "-gdwarf-4", "-fsanitize=thread"]  # addr2line 2.40 misreads the file names of DWARF 5
WHERE_KNOWN = (
    # What a thread reads of its own variables before it has set them is then not 0 by luck. (g++ 12, clang++ 8.)
    ["-ftrivial-auto-var-init=pattern"],
    # clang++ otherwise leaves out a load that a store to the same address follows.
    ["-mllvm", "-tsan-instrument-read-before-write=1"],
)


def load(text, original):
    """The library made from a translated .cu file. Raises RuntimeError without the tools that this mode needs."""
    object_ = compiler.build("kernel.o", text, flags(), original)
    return runtime.load("", [str(object_)], original)


@functools.cache
def flags():
    """For the compiler that there is."""
    found = [*compiler.FLAGS, *FLAGS, "-c"]
    try:
        compiler.build("empty.o", "", found)
    except compiler.CompileError as error:
        raise compiler.lacks("racecheck", "a compiler with -fsanitize=thread", error) from None
    if not shutil.which("addr2line"):
        raise RuntimeError("emulator.mode(racecheck=True) needs addr2line, of GNU binutils, to find the source's lines")
    for more in WHERE_KNOWN:
        with suppress(compiler.CompileError):
            compiler.build("empty.o", "", [*found, *more])
            found += more
    return found


def run(library, launch, arrays):
    """Runs a launch. Returns (printed text, error message or None).

    arrays: for each array among the arguments, (number of the argument, NumPy array, parameter).
    """
    counted = (runtime.ArgumentArray * len(arrays))(*((a.ctypes.data, a.nbytes) for _, a, _ in arrays))
    launch.arrays, launch.array_count = counted, len(counted)
    printed, error = runtime.run(launch)
    for (number, array, parameter), counts in zip(arrays, counted, strict=True):
        for what, size in zip(("load", "store", "atomic"), counts.accessed, strict=True):
            for counter in _counters if size else ():
                counter[name(number, parameter), what] += size // array.itemsize
    return printed, error and explain(error, library._name, arrays)


_counters = []  # one for each open `with accesses()`


@contextmanager
def accesses():
    """Counts the elements of arrays that kernels access meanwhile, in the mode racecheck.

    The counter's keys are (name of the kernel's parameter, "load" or "store" or "atomic"). A block's shared memory and
    a thread's own variables do not count.
    """
    counter = Counter()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters[:] = [other for other in _counters if other is not counter]


# ------------------------------------------------------------------------------ reports


def explain(error, library, arrays):
    """The runtime's message with the lines of the source and the names of the arguments."""
    error = re.sub(r"\{code (0x\w+)\}", lambda match: source_line(match[1], library), error)
    return re.sub(r"\{data (0x\w+)\}", lambda match: element(int(match[1], 16), arrays), error)


def source_line(address, library):
    """The line of the .cu file, "kernel.cu:5", that the code at this address of the library was compiled from."""
    command = ["addr2line", "--inlines", f"--exe={library}", address]
    calls = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split("\n")
    calls = [call.partition(" ")[0].rpartition(":") for call in calls]  # from the innermost one
    file, _, line = next((call for call in calls if Path(call[0]).name != "cuda_on_cpu.h"), calls[0])
    cache = compiler.cache_folder()
    if Path(file).is_relative_to(cache):  # in the folder of the library, where the compiler took the name to be
        file = Path(*Path(file).relative_to(cache).parts[1:]).as_posix()
    return f"{file}:{line}"


def element(address, arrays):
    """An address in words: "y[12]", counted along the flattened array."""
    for number, array, parameter in arrays:
        index, rest = divmod(address - array.ctypes.data, array.itemsize)
        if 0 <= index < array.size:
            return f"{name(number, parameter)}[{index}]" + (f", byte {rest}" if rest else "")
    return f"the memory at {address:#x}"


def name(number, parameter):
    """x for the parameter `const float *x`."""
    found = re.search(r"\w+$", parameter.text or "")
    return found[0] if found else f"argument {number}"
