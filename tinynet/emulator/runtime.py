"""The C++ side as Python sees it: runtime.cpp, compiled and loaded, and the structs that both sides share."""

import ctypes
import functools
import os
import sys

from tinynet.emulator import compiler

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

MACOS = sys.platform == "darwin"


class ArgumentArray(ctypes.Structure):  # runtime.h explains the fields
    _fields_ = [("memory", ctypes.c_void_p), ("bytes", ctypes.c_ulong), ("accessed", ctypes.c_ulong * 3)]


class Launch(ctypes.Structure):  # likewise
    _fields_ = [
        ("enter", ctypes.c_void_p),
        ("arguments", ctypes.c_char_p),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("dynamic_bytes", ctypes.c_ulong),
        ("shared_limit", ctypes.c_ulong),
        ("workers", ctypes.c_int),
        ("shuffle", ctypes.c_int),
        ("seed", ctypes.c_ulonglong),
        ("print_now", ctypes.c_int),
        ("racecheck", ctypes.c_int),
        ("arrays", ctypes.POINTER(ArgumentArray)),
        ("array_count", ctypes.c_int),
        ("printed", ctypes.c_void_p),
        ("error", ctypes.c_char * 2048),
    ]


class Parameter(ctypes.Structure):  # the last section of cuda_on_cpu.h explains the fields
    _fields_ = [
        ("offset", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
        ("is_pointer", ctypes.c_bool),
        ("kind", ctypes.c_char),
        ("item_size", ctypes.c_size_t),
    ]


class Description(ctypes.Structure):  # likewise
    _fields_ = [
        ("count", ctypes.c_int),
        ("max_threads", ctypes.c_int),
        ("bytes", ctypes.c_size_t),
        ("parameters", ctypes.POINTER(Parameter)),
    ]


@functools.cache
def runtime():
    name = ["-install_name", "@rpath/library.so"] if MACOS else []
    flags = [*compiler.FLAGS, "-O2", "-g", "-shared", *name, "-ldl"]
    path = compiler.build("library.so", compiler.source_of("runtime.cpp", "racecheck.cpp"), flags)
    return ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)  # so that kernels find its functions


def load(text, flags, original):
    """The library made from a translated .cu file."""
    path = runtime()._name
    link = [path, f"-Wl,-rpath,{os.path.dirname(path)}"] if MACOS else []  # the linker must know where
    flags = [*compiler.FLAGS, *flags, "-shared", *link]
    return ctypes.CDLL(str(compiler.build("library.so", text, flags, original)))


def run(launch):
    """Runs a launch. Returns (printed text, error message or None)."""
    failed = runtime().emulator_launch(ctypes.byref(launch))
    printed = ""
    if launch.printed:
        printed = ctypes.string_at(launch.printed).decode(errors="replace")
        runtime().emulator_free(ctypes.c_void_p(launch.printed))
    return printed, launch.error.decode(errors="replace") if failed else None
