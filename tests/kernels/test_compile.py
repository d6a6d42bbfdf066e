"""Every CUDA kernel through NVIDIA's own compiler, which needs no GPU, and the resource usage that it reports."""

import importlib
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kernel_checks import ALEXNET
from tinynet import backend, optim, tensor
from tinynet import functional as F
from tinynet.kernels import conv2d, conv2d_filter_gradient, conv2d_input_gradient, loader
from tinynet.kernels.compile_report import ARCHITECTURES, TYPES, compile_file, files, section, variants
from tinynet.kernels.nvrtc import ALWAYS, NVRTC, Usage, resource_usage

pytestmark = pytest.mark.oracle
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "kernels.md"
TOY = """\
// The resources that each kernel uses can be told from its source.
extern "C" __global__ void __launch_bounds__(128) tile(T *x) {
    __shared__ T a[128];
    a[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = a[127 - threadIdx.x];
}

extern "C" __global__ void table(T *x, int n) {  // an array indexed by a variable cannot be in registers
    T a[64];
    for (int i = 0; i < 64; ++i) a[i] = x[i];
    a[n] = 1;
    for (int i = 0; i < 64; ++i) x[i] = a[n ^ i];
}

extern "C" __global__ void __launch_bounds__(1024) crowded_v1(T *x, const int *order) {
    T a[96];  // but a thread has only 64 registers
    #pragma unroll
    for (int i = 0; i < 96; ++i) a[i] = x[order[i]];
    __syncthreads();
    #pragma unroll
    for (int i = 0; i < 96; ++i) x[order[96 + i]] = a[i];
}
"""


@pytest.fixture(scope="session")
def nvrtc(request):
    """NVIDIA's compiler. Without it these tests are skipped, or fail with --require-oracle."""
    try:
        return NVRTC()
    except ImportError as error:
        if request.config.getoption("--require-oracle"):
            pytest.fail(f"--require-oracle, but {error}")
        pytest.skip(str(error))


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.cu"
    path.write_text(TOY)
    return path


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_every_kernel_compiles_without_spills_and_the_results_are_up_to_date(nvrtc, path):
    table, complaints = compile_file(nvrtc, path)
    assert not complaints, "\n".join(complaints)
    written = RESULTS.read_text()
    if f" NVRTC {nvrtc.version}. " in written:  # another version may use other numbers of registers
        assert section(path, table) in written, "run python benchmarks/kernels.py again"


def test_the_results_are_of_these_kernels_and_no_others():
    titles = [line[3:] for line in RESULTS.read_text().splitlines() if line.startswith("## ")]
    assert titles == [path.name for path in files()], "run python benchmarks/kernels.py again"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("T", TYPES)
def test_resource_usage_agrees_with_the_source_and_the_machine_code(nvrtc, toy, T, architecture):
    code, options = loader.source(toy, T)
    found, warnings = resource_usage(nvrtc, code, options, architecture)
    size = 4 if T == "float" else 8
    assert not warnings
    assert found["tile"].shared == 128 * size
    assert found["table"].shared == found["tile"].stack == found["tile"].spilled == 0
    assert found["table"].stack == 64 * size
    assert found["crowded_v1"].registers <= 64
    assert found["crowded_v1"].spilled > 0
    assert [found[name].threads for name in ("tile", "table", "crowded_v1")] == [128, None, 1024]

    cubin = nvrtc.compile(code, [*options, f"-arch={architecture}", *ALWAYS])[2]
    registers, stack, shared = usage_in_cubin(cubin)
    for name, usage in found.items():
        assert registers[name] == usage.registers
        assert stack[name] == usage.stack
        reserved = 1024 if architecture in ("sm_90", "sm_100") and usage.shared else 0
        assert shared.get(name, 0) == usage.shared + reserved


def usage_in_cubin(cubin):
    """({kernel: registers}, {kernel: stack}, {kernel: shared memory}) from a cubin, which is an ELF file."""
    REGISTERS, STACK = 0x2F, 0x12  # records of the section .nv.info
    start, entry, count, names = struct.unpack_from("<Q10xHHH", cubin, 0x28)
    headers = [struct.unpack_from("<IIQQQQII", cubin, start + i * entry) for i in range(count)]

    def text(table, offset):
        begin = headers[table][4] + offset
        return cubin[begin : cubin.index(b"\0", begin)].decode()

    sections = {text(names, header[0]): header for header in headers}
    symbols, info = sections[".symtab"], sections[".nv.info"]
    shared = {name[len(".nv.shared.") :]: header[5] for name, header in sections.items() if ".nv.shared." in name}
    found = {REGISTERS: {}, STACK: {}}
    at, end = info[4], info[4] + info[5]
    while at < end:
        form, record, length = struct.unpack_from("<BBH", cubin, at)
        if form == 4 and record in found:
            symbol, value = struct.unpack_from("<II", cubin, at + 4)
            name = text(symbols[6], struct.unpack_from("<I", cubin, symbols[4] + 24 * symbol)[0])
            found[record][name] = value
        at += 4 + (length if form == 4 else 0)
    return found[REGISTERS], found[STACK], shared


def test_complaints_name_the_file_and_the_kernel(nvrtc, toy):
    toy.write_text(TOY + "\n#ifdef __CUDA_ARCH__\n#if __CUDA_ARCH__ == 800\nint x = nonsense;\n#endif\n#endif\n")
    _, complaints = compile_file(nvrtc, toy)
    wrong = [complaint for complaint in complaints if "does not compile" in complaint]
    spills = [complaint for complaint in complaints if "local memory" in complaint]
    line = TOY.count("\n") + 4
    assert [complaint.partition(":")[0] for complaint in wrong] == ["toy.cu float sm_80", "toy.cu double sm_80"]
    assert all(f'toy.cu({line}): error: identifier "nonsense" is undefined' in complaint for complaint in wrong)
    assert [complaint.partition(" keeps")[0] for complaint in spills] == [
        f"toy.cu {T} {architecture}: table" for T in TYPES for architecture in ("sm_75", "sm_90", "sm_100")
    ]


@pytest.mark.parametrize("threads, registers, shared, blocks", [
    (256, 32, 0, 8),  # all 64 warps
    (32, 16, 0, 32),  # the limit on blocks
    (256, 128, 0, 2),  # 4096 registers per warp: 16 warps
    (160, 129, 0, 2),  # 4352 per warp: 15 warps, rounded down to 12, of which a block takes 5
    (128, 32, 48 * 1024, 4),  # 49 KiB each, of 228
])
def test_blocks_on_a_multiprocessor(threads, registers, shared, blocks):
    assert Usage(registers, shared, 0, 0, threads).blocks_on_sm90() == blocks


@pytest.fixture
def asked(monkeypatch):
    """Collects {(file, type, options)} of all kernels launched meanwhile. They are not compiled, and do nothing."""
    found = set()

    def module(xp, file, T, defines):
        found.add((file, T, defines))
        return SimpleNamespace(get_function=lambda name: lambda grid, block, args, shared_mem=0: None)

    loader._function.cache_clear()
    monkeypatch.setattr(loader, "_module", module)
    yield found
    loader._function.cache_clear()


@pytest.mark.parametrize("T", ["float32", "float64"])
def test_what_alexnet_launches_is_among_what_is_compiled(asked, monkeypatch, T):
    launcher = importlib.import_module("tinynet.kernels.conv2d")
    xp = backend.library("emu:0")
    for multiprocessors in (16, 40, 132):  # a small GPU, Tesla T4, H100
        monkeypatch.setattr(launcher, "multiprocessors", lambda device, xp, count=multiprocessors: count)
        for C, H, W, K, R, S, stride, padding, _, groups in ALEXNET.values():
            for N in (1, 128):
                x, w = xp.empty((N, C, H, W), T), xp.empty((K, C // groups, R, S), T)
                how = dict(stride=(stride, stride), padding=(padding, padding), groups=groups)
                for version in (1, 2, 3) + (4,) * (T == "float32"):
                    y = conv2d(x, w, **how, version=version)
                    conv2d_input_gradient(y, w, x.shape, **how, version=version)
                    conv2d_filter_gradient(y, x, w.shape, **how, version=version)
    with np.errstate(all="ignore"):  # outputs stay uninitialized
        other_kernels(T)
    names = {path.stem for path in files()}
    assert asked <= {
        (path.stem, kind, tuple(sorted(defines.items())))
        for path in files()
        for kind, defines in variants(path)
    }
    assert {file for file, *_ in asked} == (names if T == "float32" else names - {"conv2d_tensor_cores"})


def other_kernels(T):
    x = tensor(np.ones((2, 6, 20, 20), T), requires_grad=True, device="emu:0")
    y = F.local_response_norm(F.local_response_norm(F.relu(x), 5), 5, beta=0.5)
    y = F.max_pool2d(F.max_pool2d(F.avg_pool2d(F.dropout(y), 3, 1), 17, 1), 2)
    F.cross_entropy(y.reshape(2, 6), np.array([0, 1])).backward()
    optim.PaperSGD([x], 0.1, 0.9).step()
    optim.SGD([x], 0.1, 0.9).step()
