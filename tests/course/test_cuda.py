"""Exercises in CUDA: what a student gets, and what is said of a kernel that is wrong in no known way."""

import re

import pytest

from tinynet.course import cuda
from tinynet.course.__main__ import main
from tinynet.course.exercise import judge
from tinynet.course.exercises import by_name
from tinynet.emulator import compiler, racecheck

RELU, REDUCE, TILED = (by_name(name) for name in ("relu_kernel", "block_reduce", "conv2d_tiled"))


def wrong(exercise, *edits, path="work/mine.cu"):
    """The title of the step that fails, and what is said there."""
    text = exercise.source()
    for old, new in edits:
        assert text.count(old) == 1
        text = text.replace(old, new)
    verdict = judge(exercise, text, path)
    assert verdict.state == "wrong" and not verdict.hint
    return verdict.failed[1], " ".join(verdict.lines)


def test_a_stub_keeps_the_head_and_loses_the_body():
    text = TILED.stub("work/conv2d_tiled.cu")
    assert "python -m tinynet.course check work/conv2d_tiled.cu" in text.partition("// Convolution")[0]
    assert "Loads from global memory per multiply-add: 2/16" in text
    assert "const int m = tile % tiles_m * TILE + threadIdx.y" in text  # the first lines of the body are kept
    assert "__syncthreads" not in text and "sum += a" not in text
    assert text.count('assert(!"NotImplementedError: tiled_product");') == 1
    assert text.endswith(TILED.source().partition("struct Forward")[2])


def test_one_kernel_at_a_time(tmp_path, capsys):
    """The forward kernel is checked before the backward one is written."""
    assert main(["start", "relu_kernel", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "relu_kernel.cu"
    assert main(["check", str(path)]) == 1
    assert "not done yet: relu_forward" in capsys.readouterr().out
    body = RELU.source().partition("int size) {")[2].partition("\n}")[0]
    text = path.read_text().replace('    assert(!"NotImplementedError: relu_forward");  // yours', body)
    path.write_text(text)
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "not done yet: relu_backward" in said
    assert said.index("loads and stores  ok") < said.index("backward")


def test_the_compilers_error_in_one_line():
    step, said = wrong(RELU, ("y[i] = x[i] < 0", "y[j] = x[i] < 0"))
    line = RELU.source().splitlines().index("        y[i] = x[i] < 0 ? 0 : x[i];  // a NaN is not < 0, so it stays") + 1
    assert step == "compiles"
    assert said.startswith(f"work/mine.cu:{line}:") and "j" in said and "\n" not in said
    step, said = wrong(RELU, ("void relu_forward", "void my_forward"))
    assert step == "compiles" and "no extern \"C\" __global__ function relu_forward, but my_forward" in said


RIGHT = {  # written otherwise than in the library: {hole: what stands in place of the assertion}
    "relu_kernel": {
        "relu_forward": """
            int i = threadIdx.x + blockIdx.x * blockDim.x;
            while (i < size) {
                float value = x[i];
                if (value < 0) value = 0;
                y[i] = value;
                i += blockDim.x * gridDim.x;
            }""",
        "relu_backward": """
            for (int i = threadIdx.x + blockIdx.x * blockDim.x; i < size; i += blockDim.x * gridDim.x) {
                if (!(y[i] > 0)) dx[i] = 0;
                else dx[i] = dy[i];
            }""",
    },
    "block_reduce": {
        "block_reduce": """
            if (threadIdx.x == 0) per_warp[0] = neutral;
            __syncthreads();
            for (int turn = 0; turn < blockDim.x; turn++) {
                if (threadIdx.x == turn) per_warp[0] = combine(per_warp[0], value);
                __syncthreads();
            }
            T total = per_warp[0];
            __syncthreads();
            return total;""",
    },
    "conv2d_tiled": {
        "tiled_product": """
            T sum = 0;
            int t = threadIdx.x + TILE * threadIdx.y;
            for (int step = 0; step * TILE < map.terms; step++) {
                __syncthreads();
                int e = step * TILE + t % TILE, row = m - threadIdx.y + t / TILE;
                a[t / TILE][t % TILE] = e < map.terms && row < map.rows ? map.left(row, e) : 0;
                b[threadIdx.x][threadIdx.y] = 0;
                e = step * TILE + threadIdx.y;
                if (e < map.terms && j < map.columns) b[threadIdx.x][threadIdx.y] = map.right(e, j);
                __syncthreads();
                for (int i = TILE - 1; i >= 0; i--) sum = sum + b[threadIdx.x][i] * a[threadIdx.y][i];
            }
            if (m >= map.rows || j >= map.columns) return;
            map.store(m, j, sum);""",
    },
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_need_not_be_the_librarys(name):
    text = by_name(name).stub("work/mine.cu")
    for hole, code in RIGHT[name].items():
        text = text.replace(f'assert(!"NotImplementedError: {hole}");', code)
    verdict = judge(by_name(name), text, "work/mine.cu")
    assert verdict.state == "right", (verdict.failed, verdict.lines)


# name: (exercise, edits, the step that fails, what is said)
UNKNOWN = {
    "before the start": (
        RELU, [("y[i] = x[i] < 0", "y[i - 1] = x[i] < 0")], "runs, in bounds",
        r"work/mine.cu:\d+ in thread \(0,0,0\) of block \(0,0,0\): writes at 0x\w+, which is not mapped \(SEGV\)",
    ),
    "barriers in two places": (
        REDUCE, [("    __syncthreads();\n    value = lane", "    if (lane) __syncthreads();\n    value = lane")],
        "runs, in bounds", r"deadlock: thread .* wait in __shfl_xor_sync at work/mine.cu:\d+; thread .* __syncthreads",
    ),
    "a race": (
        REDUCE, [("if (lane == 0) per_warp[threadIdx.x / WARP]", "per_warp[lane]")], "no race",
        r"work/mine.cu:\d+ in thread .* race: writes per_warp\[31\], which thread \(31,0,0\) writes at work/mine.cu:",
    ),
    "the wrong number": (
        RELU, [("< 0 ? 0 : x[i]", "< 0 ? 0 : 3 * x[i]")], "same as NumPy", r"y\[\d+\]: expected .*, received",
    ),
    "too many loads": (
        TILED, [("? map.left(m, e)", "? map.left(m, e) + 0 * map.left(m, 0)")],
        "loads and stores", r"right, but there are 2\d+ loads of w; the head of the file says 1\d+",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_mistake_that_is_not_in_the_bank(name):
    exercise, edits, step, message = UNKNOWN[name]
    failed, said = wrong(exercise, *edits)
    assert failed == step
    assert re.search(message, said), said


def test_a_compiler_without_sanitizers_checks_less_and_says_so(monkeypatch):
    def build(name, text, flags, original="", real=compiler.build):
        if any("sanitize" in flag for flag in flags):
            raise compiler.CompileError("error: no sanitizer")
        return real(name, text, flags, original)

    monkeypatch.setattr(compiler, "build", build)
    for function in (cuda.lacking, racecheck.flags):
        function.cache_clear()
    try:
        verdict = judge(RELU, RELU.source(), "work/mine.cu")
    finally:
        for function in (cuda.lacking, racecheck.flags):
            function.cache_clear()
    assert verdict.state == "right"
    titles = [title for _, title in verdict.passed]
    assert titles[0] == "compiles (no sanitize nor racecheck: see docs/emulator.md)"
    assert "no race" not in titles and "other sizes" in titles


def test_a_kernel_that_never_ends(tmp_path, capfd):
    path = tmp_path / "relu_kernel.cu"
    text = RELU.source().replace("i < size; i += threads)\n        y[i]", "i < size;)\n        y[i]")
    text = text.replace("T *__restrict__ y, int size", "volatile T *__restrict__ y, int size")
    path.write_text(text)
    cuda.CudaAnswer(RELU, text, str(path)).compiles()  # so that the seconds are enough for this on any machine
    assert main(["check", str(path), "--seconds", "10"]) == 1
    said = " ".join(capfd.readouterr().out.split())
    assert "1 compiles ok" in said
    assert "was still running after 10 seconds: does a loop never end?" in said
