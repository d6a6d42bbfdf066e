"""The C++ compiler, the cache of what it compiled, and a debugger on the result."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emulator_checks import launch, zeros
from tinynet import emulator
from tinynet.emulator import compiler, runtime

PROGRAM = """
import sys
from tinynet.emulator import compiler, xp
compiler.FLAGS += sys.argv[1:]
code = '''
extern "C" __global__ void f(int *x) {
    __shared__ int s[64];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[63 - threadIdx.x] + __shfl_xor_sync(0xffffffff, 0, 1);
}'''
x = xp.arange(64, dtype="int32")
xp.RawKernel(code, "f")((1,), (64,), (x,))
print(x.tolist() == list(range(63, -1, -1)))
"""


def python(*flags, cache):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *flags], env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def assert_right(process):
    out, error = process.communicate()
    assert (out, error, process.returncode) == ("True\n", "", 0)


def libraries(cache):
    return sorted((cache / "tinynet" / "emulator").glob("*/library.so"))


def test_two_processes_compile_at_once(tmp_path):
    both = [python(cache=tmp_path) for _ in range(2)]
    for process in both:
        assert_right(process)
    assert len(libraries(tmp_path)) == 2  # the runtime and the kernel
    assert all(re.fullmatch("[0-9a-f]{32}", path.name) for path in (tmp_path / "tinynet" / "emulator").iterdir())


def test_damaged_files_are_made_again(tmp_path):
    assert_right(python(cache=tmp_path))
    for path in libraries(tmp_path):
        path.write_bytes(path.read_bytes()[:5000])
    assert_right(python(cache=tmp_path))
    assert all(path.stat().st_size > 5000 for path in libraries(tmp_path))


def test_the_c_librarys_way_to_switch_stacks(tmp_path):
    """What processors other than x86-64 and 64-bit ARM use."""
    assert_right(python("-DEMULATOR_UCONTEXT", cache=tmp_path))


def test_nothing_is_compiled_twice(tmp_path, monkeypatch):
    runtime.runtime()  # loaded once per process, so compiled before this test or in it
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    make = compiler.make
    monkeypatch.setattr(compiler, "make", lambda *args: made.append(args) or make(*args))
    code = 'extern "C" __global__ void f(int *x) { *x = N; }'

    def compiles(code=code, options=("-DN=1",)):
        before = len(made)
        launch(code, zeros(1, dtype="int32"), options=options)
        return len(made) - before

    assert [compiles(), compiles()] == [1, 0]
    assert compiles(options=("-DN=2",)) == 1
    assert compiles(code=code + "\n") == 1
    included = dict(code='#include "h.cuh"\n' + code, options=(f"-I{tmp_path}",))
    for N in (3, 4):
        (tmp_path / "h.cuh").write_text(f"#define N {N}\n")
        assert [compiles(**included), compiles(**included)] == [1, 0]
    with emulator.mode(debug=True):
        assert [compiles(), compiles()] == [1, 0]
    monkeypatch.setattr(compiler, "compiler", lambda: (["g++"], "another version"))
    assert compiles() == 1


@pytest.fixture
def fresh_search(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    compiler.compiler.cache_clear()
    yield
    compiler.compiler.cache_clear()


def test_no_compiler(monkeypatch, fresh_search):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RuntimeError, match=r"none of \$CXX, g\+\+, clang\+\+, python -m ziglang c\+\+"):
        launch('extern "C" __global__ void f() { /* never compiled before */ }')


def test_which_compiler(monkeypatch, fresh_search, tmp_path):
    for name in ("g++", "clang++", "mine"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} version 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = compiler.compiler.__wrapped__
    for CXX, expected in ((None, ["g++"]), ("mine -fast", ["mine", "-fast"]), ("not-there", ["g++"])):
        if CXX:
            monkeypatch.setenv("CXX", CXX)
        assert chosen() == (expected, f"{expected[0]} version 1\n")
    (tmp_path / "g++").write_text("#!/bin/sh\nexit 1\n")
    assert chosen() == (["clang++"], "clang++ version 1\n")


def test_a_compiler_without_sanitizers(monkeypatch):
    def build(*_):
        raise compiler.CompileError("in some file:\nfatal error: no sanitizer/asan_interface.h")

    monkeypatch.setattr(compiler, "build", build)
    with pytest.raises(RuntimeError, match=r"needs .* address sanitizer, g\+\+ or clang\+\+; .* says: fatal error: no"):
        emulator.sanitizer.build("", "")


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_a_debugger_finds_kernel_lines_and_variables(tmp_path):
    code = 'extern "C" __global__ void f(int *x) {\n    int mine = threadIdx.x * 10;\n    x[threadIdx.x] = mine;\n}\n'
    (tmp_path / "kernel.cu").write_text(code)
    (tmp_path / "run.py").write_text(
        f"import numpy as np\nfrom tinynet import emulator\nfrom tinynet.emulator import xp\n"
        f"with emulator.mode(debug=True):\n"
        f"    xp.RawKernel({code!r}, 'f')((1,), (4,), (xp.zeros(4, np.int32),))\n"
    )
    commands = "set breakpoint pending on", "break kernel.cu:3 if mine == 20", "run", "print threadIdx.x", "print mine"
    run = subprocess.run(
        ["gdb", "-nx", "-batch", *(f"-ex={c}" for c in commands), "--args", sys.executable, tmp_path / "run.py"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True,
    )  # fmt: skip
    if "ptrace" in run.stderr:
        pytest.skip("gdb may not trace processes here")
    assert "x[threadIdx.x] = mine;" in run.stdout, run.stdout + run.stderr
    assert re.findall(r"^\$\d = (\d+)$", run.stdout, re.M) == ["2", "20"], run.stdout
