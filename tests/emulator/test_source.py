"""From the text of a .cu file to C++: includes, options, declarations of kernels, and errors with the right lines."""

import re

import numpy as np
import pytest

from emulator_checks import launch, zeros
from tinynet import emulator
from tinynet.emulator import xp

CompileException = xp.cuda.compiler.CompileException


def test_options_and_headers(tmp_path):
    (tmp_path / "scale.cuh").write_text(
        '#pragma once\n#include "scale.cuh"\n__device__ float scaled(float x) {\n'
        "    __shared__ float y[1];  // here too\n"
        "    y[0] = x * FACTOR;\n    return y[0];\n}\n"
    )
    (tmp_path / "list.h").write_text("ENTRY(1) ENTRY(2)\n")  # no #pragma once: it can be included twice
    code = r"""
    #include "scale.cuh"
    #include "scale.cuh"
    // #include "nothing.h" and __shared__ in comments, and "in strings", do not matter
    #ifdef UNKNOWN
    extern "C" __global__ void g(Nonsense x) {}
    #endif
    #define ENTRY(n) + n
    extern "C" __global__ void f(T *x, int line) {
        const char *text = "{ __shared__ float x[2]; // no";
        if (line) *x = __LINE__;
        else *x = text[0] == '{' ? scaled(10
    #include "list.h"
    #include "list.h"
        ) : 0;
    }"""
    options = (f"-I{tmp_path}", "-DFACTOR=2", "-DT=double", "-DN", "-std=c++17")
    line = 1 + [text.strip()[:9] for text in code.split("\n")].index("if (line)")
    for want_line, expected in ((0, 32), (1, line)):
        x = launch(code, zeros(1, dtype="float64"), np.int32(want_line), block=(1,), options=options)
        assert x == expected


def test_ways_to_declare_a_kernel():
    code = r"""
    constexpr int SIZE = 32;
    extern "C" __global__ void before(int *x);
    extern "C" {
    __global__ void __launch_bounds__(2 * (SIZE - 16), 2) in_block(int *x) { *x = 1; }
    }
    #define KERNEL(n) \
        extern "C" __global__ void made_v##n(int *x) { *x = n; }
    KERNEL(2)
    KERNEL(3)
    extern "C" __launch_bounds__(SIZE) __global__ void
    last(
        int *__restrict__ x) {
        if (1) { *x = 4; }
    }
    extern "C" __global__ void before(int *x) { *x = 5; }
    __global__ void mangled(int *x) { *x = 6; }
    template <class T> __global__ void general(T x) {}
    """
    for value, name in enumerate(("in_block", "made_v2", "made_v3", "last", "before"), 1):
        assert launch(code, zeros(1, dtype="int32"), name=name) == value
    with pytest.raises(AttributeError, match='no extern "C" __global__ function mangled, but in_block'):
        launch(code, zeros(1), name="mangled")
    for name in ("in_block", "last"):
        with pytest.raises(emulator.KernelError, match=r"block \(33, 1, 1\) has 33 threads, __launch_bounds__ says 32"):
            launch(code, zeros(1, dtype="int32"), name=name, block=(33,))


def test_compile_errors_have_the_lines_of_the_source(tmp_path):
    with pytest.raises(CompileException, match=r"kernel\.cu:3:\d+: error: .*nonsense"):
        launch('extern "C" __global__ void f(int *x) {\n    __shared__ int y[2];\n    nonsense;\n}')
    path = tmp_path / "mine.cu"
    path.write_text('#define A\n\nextern "C" __global__ void f(int *x) {\n    // hm\n    *x = oops;\n}\n')
    code = f'typedef float T;\n#line 1 "{path}"\n{path.read_text()}'
    with pytest.raises(CompileException, match=rf"{re.escape(str(path))}:5:\d+: error: .*oops") as caught:
        launch(code)
    assert "*x = oops;" in str(caught.value)  # the compiler shows the line itself
    (tmp_path / "part.cuh").write_text("\n\nint x = wrong;\n")
    with pytest.raises(CompileException, match=r"part\.cuh:3:\d+: error: .*wrong"):
        launch('#include "part.cuh"\n', options=(f"-I{tmp_path}",))


@pytest.mark.parametrize("code, message", [
    ("\n#include <cmath>\n", r"kernel\.cu:2: error: #include <cmath>: .*NVRTC.* has no headers"),
    ('#include "none.cuh"\n', r'kernel\.cu:1: error: #include "none.cuh": no such file'),
    ('extern "C" __global__ void f() { std::sort(0, 0); }', "sort"),
    ('extern "C" __global__ void f() { threadIdx.x = 1; }', "read-only|const"),
    ('extern "C" __global__ void f(float *x) { atomicMax(x, 1.f); }', "CUDA has no atomicMax for this type"),
])
def test_what_a_kernel_cannot_have(code, message):
    with pytest.raises(CompileException, match=message):
        launch(code)


def test_unknown_option():
    with pytest.raises(ValueError, match="supports the options -I, -D and -std, got '--use_fast_math'"):
        xp.RawModule(code="", options=("--use_fast_math",))
    with pytest.raises(TypeError, match="options must be a tuple, got list"):
        xp.RawModule(code="", options=["-DX"])
