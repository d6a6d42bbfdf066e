"""Runs a launch under the address and undefined-behavior sanitizers, in a separate process.

Python itself is not compiled with sanitizers, so a sanitized kernel cannot be loaded into it. The arrays are sent to
the process (sanitized.cpp) and back through pipes.
"""

import ctypes
import os
import re
import struct
import subprocess
from pathlib import Path

import numpy as np

from tinynet.emulator import compiler

FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer", "-DEMULATOR_SANITIZE"]
FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=0",
}


def build(text, original):
    """The program that runs the kernels of a translated .cu file."""
    try:
        runner = compiler.source_of("runtime.cpp", "sanitized.cpp")
        object_ = compiler.build("runner.o", runner, [*compiler.FLAGS, *FLAGS, "-c"])
    except compiler.CompileError as error:
        raise compiler.lacks("sanitize", "a compiler with an address sanitizer", error) from None
    return compiler.build("program", text, [*compiler.FLAGS, *FLAGS, "-rdynamic", str(object_), "-ldl"], original)


def run(program, kernel, launch, arguments, pointers):
    """Runs a launch of the kernel with this name. Returns (printed text, error message or None).

    pointers: for each array among the arguments, (the NumPy array, which is updated in place; the offset of its
    pointer in the bytes of `arguments`; its name in messages).
    """
    blocks, locations = memory_blocks([array for array, _, _ in pointers])
    parts = [packed(kernel.encode()), packed(bytes(launch)), packed(arguments), struct.pack("Q", len(blocks))]
    for block in blocks:
        parts += [struct.pack("QQ", block.ctypes.data % 256, block.nbytes), block.tobytes()]
    parts.append(struct.pack("Q", len(pointers)))
    parts += [struct.pack("QQQ", at, *location) for (_, at, _), location in zip(pointers, locations, strict=True)]
    done = subprocess.run([program], input=b"".join(parts), capture_output=True, env=os.environ | OPTIONS)
    if done.returncode:
        names = [[] for _ in blocks]
        for (_, _, name), (index, _) in zip(pointers, locations, strict=True):
            names[index].append(name)
        report = done.stderr.decode(errors="replace").replace(f"{program.parent}/", "")
        return "", explain(report, [" and ".join(views) for views in names])
    start = 0
    for block in blocks:
        block[...] = np.frombuffer(done.stdout, np.uint8, block.nbytes, start)
        start += block.nbytes
    return done.stdout[start:].decode(errors="replace"), None


def packed(data):
    return struct.pack("Q", len(data)) + data


def memory_blocks(arrays):
    """([the memory of the arrays as a NumPy array of bytes, ...], [(block index, offset) of each array, ...]).

    Arrays that overlap, as views of one array may, share a block.
    """
    spans = []
    for low, high in sorted(map(byte_bounds, arrays)):
        if spans and low < spans[-1][1]:
            spans[-1][1] = max(high, spans[-1][1])
        else:
            spans.append([low, high])
    blocks = [np.frombuffer((ctypes.c_uint8 * (high - low)).from_address(low), np.uint8) for low, high in spans]
    locations = []
    for a in arrays:
        low, high = byte_bounds(a)
        index = next(i for i, span in enumerate(spans) if span[0] <= low and high <= span[1])
        locations.append((index, a.ctypes.data - spans[index][0]))
    return blocks, locations


def byte_bounds(a):
    return np.lib.array_utils.byte_bounds(a) if a.size else (a.ctypes.data, a.ctypes.data)


# ------------------------------------------------------------------------------ reports


def explain(report, names):
    """The sanitizers' report as a message about the kernel. names: for each block of memory, the argument it is."""
    if found := re.search(r"KernelError: (.*)", report):
        return found[1]
    where = re.search(r"in thread .*", report)
    where = f" {where[0]}" if where else ""
    if found := re.search(r"(\S+:\d+):\d+: runtime error: (.*)", report):
        return f"{found[1]}{where}: {found[2]}"
    frames = stack_frames(report)
    line = frames[0].rpartition(" ")[2] if frames else "?"
    callers = "".join(f"\n    {frame}" for frame in frames)
    verbs = {"READ": "reads", "WRITE": "writes"}
    if found := re.search(r"AddressSanitizer: SEGV on unknown address (\w+) .*caused by a (READ|WRITE)", report, re.S):
        return f"{line}{where}: {verbs[found[2]]} at {int(found[1], 16):#x}, which is not mapped (SEGV){callers}"
    found = re.search(r"AddressSanitizer: (\S+) .*\n(READ|WRITE) of size (\d+) at (\w+)", report)
    if not found:
        return f"crashed{where}:\n{report}"
    error, access, size, address = found.groups()
    place = describe(int(address, 16), names, report)
    return f"{line}{where}: {verbs[access]} {size} bytes, {place} ({error}){callers}"


def stack_frames(report):
    """["in load at tiles.cuh:12", "in gemm at gemm.cu:30"], from the innermost call to the kernel."""
    found = []
    for function, file, line in re.findall(r"#\d+ \w+ in (.+) (\S+?):(\d+)(?::\d+)?$", report, re.M):
        if "emulator" in function:  # the kernel's caller
            break
        if Path(file).name != "cuda_on_cpu.h":
            found.append(f"in {function.partition('(')[0]} at {file}:{line}")
    return found


def describe(address, names, report):
    """Where an address is, in words: "4 bytes past the end of argument 2"."""
    region = re.search(r"\[(0x\w+),(0x\w+)\)", report)
    if not region:
        return f"at {address:#x}, which is not mapped"
    low, high = (int(text, 16) for text in region.groups())
    name = "shared memory" if "Worker::allocate_shared" in report else "some memory"
    for span, argument in zip(re.findall(r"^array (\w+) (\w+)$", report, re.M), names, strict=True):
        start, end = (int(text, 16) for text in span)
        if low <= start and end <= high:  # the array is in this memory, which may be a little larger
            low, high, name = start, end, argument
    if address >= high:
        return f"{address - high} bytes past the end of {name}"
    return f"{low - address} bytes before the start of {name}"
