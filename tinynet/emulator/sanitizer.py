"""Runs a launch under the address and undefined-behavior sanitizers, in a process of its own.

Python itself is not compiled for them, so a sanitized kernel cannot be loaded into it. The arrays travel
to the process (sanitized.cpp) and back through pipes.
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
        command = " ".join(compiler.compiler()[0])
        said = next((line for line in str(error).splitlines() if "error" in line), "nothing")
        raise RuntimeError(
            "emulator.mode(sanitize=True) needs a compiler with an address sanitizer, g++ or clang++; "
            f"{command} says: {said}"
        ) from None
    return compiler.build("program", text, [*compiler.FLAGS, *FLAGS, "-rdynamic", str(object_), "-ldl"], original)


def run(program, kernel, launch, arguments, pointers):
    """Runs a launch of the kernel of that name. Returns (what it printed, error or None).

    pointers: for each array among the arguments (the NumPy array, which is updated in place; where its pointer
    stands among the bytes of `arguments`; its name in messages).
    """
    blocks, places = memory_blocks([array for array, _, _ in pointers])
    parts = [packed(kernel.encode()), packed(bytes(launch)), packed(arguments), struct.pack("Q", len(blocks))]
    for block in blocks:
        parts += [struct.pack("QQ", block.ctypes.data % 256, block.nbytes), block.tobytes()]
    parts.append(struct.pack("Q", len(pointers)))
    parts += [struct.pack("QQQ", at, *place) for (_, at, _), place in zip(pointers, places, strict=True)]
    done = subprocess.run([program], input=b"".join(parts), capture_output=True, env=os.environ | OPTIONS)
    if done.returncode:
        names = [[] for _ in blocks]
        for (_, _, name), (number, _) in zip(pointers, places, strict=True):
            names[number].append(name)
        report = done.stderr.decode(errors="replace").replace(f"{program.parent}/", "")
        return "", explain(report, [" and ".join(those) for those in names])
    start = 0
    for block in blocks:
        block[...] = np.frombuffer(done.stdout, np.uint8, block.nbytes, start)
        start += block.nbytes
    return done.stdout[start:].decode(errors="replace"), None


def packed(data):
    return struct.pack("Q", len(data)) + data


def memory_blocks(arrays):
    """(blocks, places): the bytes that the arrays take up, as NumPy arrays; and for each array the number of its
    block, and how far into it it begins. Arrays that overlap, as views of one array may, lie in one block.
    """
    spans = []
    for low, high in sorted(map(byte_bounds, arrays)):
        if spans and low < spans[-1][1]:
            spans[-1][1] = max(high, spans[-1][1])
        else:
            spans.append([low, high])
    blocks = [np.frombuffer((ctypes.c_uint8 * (high - low)).from_address(low), np.uint8) for low, high in spans]
    places = []
    for a in arrays:
        low, high = byte_bounds(a)
        number = next(i for i, span in enumerate(spans) if span[0] <= low and high <= span[1])
        places.append((number, a.ctypes.data - spans[number][0]))
    return blocks, places


def byte_bounds(a):
    return np.lib.array_utils.byte_bounds(a) if a.size else (a.ctypes.data, a.ctypes.data)


# ------------------------------------------------------------------------------ reports

def explain(report, names):
    """What the sanitizers report, in the order in which whoever wrote the kernel wants to know it.

    names: for each block of memory, which argument of the kernel it is.
    """
    if found := re.search(r"KernelError: (.*)", report):
        return found[1]
    where = re.search(r"in thread .*", report)
    where = f" {where[0]}" if where else ""
    if found := re.search(r"(\S+:\d+):\d+: runtime error: (.*)", report):
        return f"{found[1]}{where}: {found[2]}"
    found = re.search(r"AddressSanitizer: (\S+) .*\n(READ|WRITE) of size (\d+) at (\w+)", report)
    if not found:
        return f"it crashed{where}:\n{report}"
    error, access, size, address = found.groups()
    verb = {"READ": "reads", "WRITE": "writes"}[access]
    frames = calls(report)
    place = frames[0].rpartition(" ")[2] if frames else "?"
    callers = "".join(f"\n    {frame}" for frame in frames)
    return f"{place}{where}: {verb} {size} bytes, {position(int(address, 16), names, report)} ({error}){callers}"


def calls(report):
    """["in load at tiles.cuh:12", "in gemm at gemm.cu:30"], from the innermost call to the kernel."""
    found = []
    for function, file, line in re.findall(r"#\d+ \w+ in (.+) (\S+?):(\d+)(?::\d+)?$", report, re.M):
        if "emulator" in function:  # where we call the kernel
            break
        if Path(file).name != "cuda_on_cpu.h":
            found.append(f"in {function.partition('(')[0]} at {file}:{line}")
    return found


def position(address, names, report):
    """Where an address lies, in words: 4 bytes behind the end of argument 2."""
    region = re.search(r"\[(0x\w+),(0x\w+)\)", report)
    if not region:
        return f"at {address:#x}, where nothing is"
    low, high = (int(text, 16) for text in region.groups())
    name = "shared memory" if "Worker::add_piece" in report else "some memory"
    for span, argument in zip(re.findall(r"^array (\w+) (\w+)$", report, re.M), names, strict=True):
        start, end = (int(text, 16) for text in span)
        if low <= start and end <= high:  # it lies in this piece of memory, which may be a little larger
            low, high, name = start, end, argument
    if address >= high:
        return f"{address - high} bytes behind the end of {name}"
    return f"{low - address} bytes before the beginning of {name}"
