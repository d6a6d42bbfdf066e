"""python -m tinynet doctor, on machines that a small imitation of CuPy plays."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from tinynet import __main__, backend, doctor, emulator
from tinynet.backend import cupy_loader, peer_copy
from tinynet.emulator import compiler


class Array(np.ndarray):
    device = None


class Error(RuntimeError):
    """What CuPy raises, in its words."""


class DynamicLibNotFoundError(RuntimeError):
    pass


def imitate_cupy(
    gpus=2, made_for=12090, damage=(), peers=(), count_error=None, nvrtc_error=None, nvrtc=(12, 9), cublas=None,
    total=None,
):
    """A module with the parts of CuPy that doctor calls. damage: the pairs (i, j) whose copies lose bits; cublas: what
    its import raises."""
    cupy, current = ModuleType("cupy"), [0]

    class Device:
        compute_capability, mem_info = "90", (3 * 2**29, 2**31)

        def __init__(self, i):
            self.id = i

        def __enter__(self):
            current.append(self.id)
            return self

        def __exit__(self, *error):
            current.pop()

        def synchronize(self):
            pass

    def asarray(x):
        y = np.array(x).view(Array)
        y.device = current[-1]
        if (getattr(x, "device", None), y.device) in damage:
            y[5::1000] ^= 1
        return y

    def launch(grid, block, args):
        x, y, n = args
        y[0] = x[:n].sum() if total is None else total

    runtime = SimpleNamespace(
        getDeviceCount=Mock(side_effect=count_error, return_value=gpus),
        runtimeGetVersion=lambda: made_for,
        getDeviceProperties=lambda i: {"name": b"Imitation %d" % i},
        deviceCanAccessPeer=lambda i, j: int((i, j) in peers),
    )
    compiler = SimpleNamespace(getVersion=Mock(side_effect=nvrtc_error, return_value=nvrtc))
    cupy.cuda = ModuleType("cupy.cuda")
    vars(cupy.cuda).update(runtime=runtime, Device=Device, nvrtc=compiler)
    cupy.cuda.__getattr__ = Mock(side_effect=cublas)  # CuPy loads cuBLAS when its name is first used
    cupy.asarray, cupy.asnumpy = asarray, np.asarray
    cupy.zeros = lambda n, dtype: np.zeros(n, dtype).view(Array)
    cupy.RawModule = lambda code: SimpleNamespace(get_function=lambda name: launch)
    return cupy


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """machine(supported, cupy): the CUDA that a driver supports, or None; CuPy, or what its import raises."""

    def build(supported, cupy, card=False):
        monkeypatch.setattr(cupy_loader, "supported_cuda", lambda: supported)
        monkeypatch.setattr(cupy_loader, "nvidia_card", lambda: card)
        monkeypatch.setattr(cupy_loader, "gpu_names", list)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if isinstance(cupy, ImportError):
            monkeypatch.delitem(sys.modules, "cupy", raising=False)
            (tmp_path / "cupy.py").write_text(f"raise ImportError({str(cupy)!r})")
            monkeypatch.syspath_prepend(tmp_path)
        else:
            monkeypatch.setitem(sys.modules, "cupy", cupy)  # None: as if it were not installed
        backend.cupy.cache_clear()
        peer_copy.why_staged.cache_clear()

    yield build
    backend.cupy.cache_clear()
    peer_copy.why_staged.cache_clear()


INSUFFICIENT = Error("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")
NO_DEVICE = Error("cudaErrorNoDevice: no CUDA-capable device is detected")
BROKEN_IMPORT = ImportError(
    "\n================\nFailed to import CuPy.\n\nIf you installed CuPy via wheels ...\n\n"
    "Original error:\n  ImportError: libcublas.so.12: cannot open shared object file\n================\n"
)
NO_NVRTC = DynamicLibNotFoundError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file\nand so on')
NO_CUBLAS = ImportError(
    'Failure finding "libcublasLt.so.13 or libcublasLt.so.12": No such file: libcublasLt.so.13\n  listdir("/lib"):\n'
)
STATES = {
    "no driver": (
        None, imitate_cupy(count_error=INSUFFICIENT),
        f"a cuda device needs a GPU with NVIDIA's driver, and {cupy_loader.LIBRARY} is not found here", None,
    ),
    "driver too old": (
        (11, 4), imitate_cupy(count_error=INSUFFICIENT),
        "the NVIDIA driver here supports CUDA 11.4, and CuPy 14 needs CUDA 12", "install driver 525 or later",
    ),
    "driver too old, and no CuPy": ((11, 8), None, "supports CUDA 11.8, and", "install driver 525 or later"),
    "no CuPy": ((12, 4), None, "needs CuPy, which is not installed", 'pip install "tinynet-alexnet[cuda12]"'),
    "no CuPy, newest driver": (
        (14, 0), None, "needs CuPy, which is not installed", 'pip install "tinynet-alexnet[cuda13]"'),
    "import fails": (
        (13, 0), BROKEN_IMPORT, "cannot be imported: ImportError: libcublas.so.12: cannot open shared object file",
        'pip install "tinynet-alexnet[cuda13]"',
    ),
    "CuPy of a newer CUDA": (
        (12, 4), imitate_cupy(made_for=13020, count_error=INSUFFICIENT),
        "driver here supports CUDA 12.4, and the CuPy installed is made for CUDA 13",
        'pip uninstall -y cupy-cuda13x && pip install "tinynet-alexnet[cuda12]"',
    ),
    "no GPU": ((12, 4), imitate_cupy(count_error=NO_DEVICE), "the NVIDIA driver finds no GPU", None),
    "no GPU, counted": ((12, 4), imitate_cupy(gpus=0), "the NVIDIA driver finds no GPU", None),
    "no NVRTC": ((13, 0), imitate_cupy(nvrtc_error=NO_NVRTC), "CuPy does not find CUDA's libraries: Failure finding "
                 '"libnvrtc.so.13 or libnvrtc.so.12": No such file', 'pip install "tinynet-alexnet[cuda13]"'),
    "no cuBLAS": ((12, 4), imitate_cupy(cublas=NO_CUBLAS), "CuPy does not find CUDA's libraries: Failure finding "
                  '"libcublasLt.so.13 or libcublasLt.so.12": No such file: libcublasLt.so.13',
                  'pip install "tinynet-alexnet[cuda12]"'),
    "no GPU and no cuBLAS": ((12, 4), imitate_cupy(gpus=0, cublas=NO_CUBLAS), "the NVIDIA driver finds no GPU", None),
    "something else": (
        (12, 4), imitate_cupy(count_error=Error("cudaErrorSystemDriverMismatch: reboot\nnow")),
        "CuPy finds no usable GPU: cudaErrorSystemDriverMismatch: reboot", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_one_line_says_why_there_is_no_cuda_device(machine, capsys, state):
    supported, cupy, reason, remedy = STATES[state]
    machine(supported, cupy)
    with pytest.raises(RuntimeError) as raised:
        backend.cupy()
    line = str(raised.value)
    assert reason in line
    assert line.endswith(remedy or "")
    assert "\n" not in line

    assert doctor.main() == 0  # the CPU works
    report, _, missing = capsys.readouterr().out.partition("\nmissing:")
    assert f"cuda:0        cannot be used: {raised.value.reason}\n" in report
    assert remedy is None or f"    {raised.value.reason}:\n        {remedy}\n" in missing


def test_a_card_without_a_driver_and_gpus_that_are_hidden(machine, monkeypatch):
    machine(None, None, card=True)
    with pytest.raises(cupy_loader.NoGPU, match="install the driver, or start the container with --gpus all"):
        cupy_loader.load_cupy()
    machine((13, 0), imitate_cupy(gpus=0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(cupy_loader.NoGPU, match=r"finds no GPU \(CUDA_VISIBLE_DEVICES is ''\)"):
        cupy_loader.load_cupy()


def test_gpus_whose_copies_arrive_intact_damaged_or_not_at_all(machine, capsys):
    machine((12, 4), imitate_cupy(gpus=3, damage=[(0, 1), (0, 2)], peers=[(0, 1), (1, 0)]))
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    damaged = len(range(5, 2**20 + 1, 1000))
    for line in (
        "CUDA driver   supports CUDA 12.4",
        "CUDA runtime  12.9",
        "NVRTC         12.9",
        "cuda:1        Imitation 1, compute capability 9.0, 2.0 GiB, 1.5 GiB free",
        f"cuda:0 -> 1   staged through the host: peer copies are damaged, {damaged:,} of 1,048,577 words wrong",
        "cuda:1 -> 0   peer copies arrive intact",
        "cuda:0 -> 2   staged through the host: the GPUs have no peer access",
    ):
        assert line in lines
    whys = {(i, j): peer_copy.why_staged(backend.cupy(), i, j) for i in range(3) for j in range(3) if i != j}
    assert [pair for pair, why in whys.items() if why is None] == [(1, 0)]  # training acts on the same answers
    kernel = "              a kernel compiles and gives the right sum"
    second = lines.index("cuda:1        Imitation 1, compute capability 9.0, 2.0 GiB, 1.5 GiB free")
    assert lines[second + 1 : second + 3] == [kernel, "              a matrix product is right"]


def test_packages_that_do_harm(machine, monkeypatch, capsys):
    wheels = [SimpleNamespace(name=name, version="14.2.0") for name in ("cupy-cuda13x", "numpy", None, "cupy-cuda12x")]
    monkeypatch.setattr(doctor.importlib.metadata, "distributions", lambda: wheels)
    machine((12, 4), imitate_cupy(gpus=1, nvrtc=(13, 5)))
    assert doctor.main() == 0
    report, _, missing = capsys.readouterr().out.partition("\nmissing:\n")
    assert "CuPy          14.2.0 (cupy-cuda12x), 14.2.0 (cupy-cuda13x)\n" in report
    assert '        pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install "tinynet-alexnet[cuda12]"\n' in missing
    assert "        pip uninstall -y nvidia-cuda-nvrtc\n" in missing


def test_a_wrong_sum_shows(machine):
    assert doctor.run_a_kernel(imitate_cupy(total=7), 1) == "a kernel compiles and gives a WRONG (7.0) sum"
    assert doctor.run_a_kernel(emulator.xp, 3) == "a kernel compiles and gives the right sum"


def test_matrix_products_that_are_wrong_or_fail(machine, capsys):
    assert doctor.multiply(emulator.xp, 3) == "a matrix product is right"
    cupy = imitate_cupy(gpus=2)
    cupy.asarray = lambda x: 0 * x
    assert doctor.multiply(cupy, 1) == "a matrix product is WRONG: [[0, 0], [0, 0]]"
    cupy.asarray = Mock(side_effect=RuntimeError("CUBLAS_STATUS_ARCH_MISMATCH\nand so on"))
    machine((12, 4), cupy)
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    for i in range(2):
        line = next(n for n, line in enumerate(lines) if line.startswith(f"cuda:{i} "))
        assert lines[line + 2] == "              FAILED: CUBLAS_STATUS_ARCH_MISMATCH (RuntimeError)"


def test_a_gpu_without_tf32_says_so():
    cupy = imitate_cupy()
    cupy.cuda.Device.compute_capability = "75"
    assert "Imitation 1, compute capability 7.5 (no TF32: it needs 8.0), 2.0 GiB" in doctor.describe_gpu(cupy, 1)


def test_what_fails_costs_one_line(machine, monkeypatch, capsys):
    cupy = imitate_cupy()
    cupy.cuda.runtime.getDeviceProperties = lambda i: 1 / i
    machine((13, 0), cupy)
    monkeypatch.setattr(doctor.threadpoolctl, "threadpool_info", lambda: [{}])
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"NumPy         {np.__version__}" in lines
    assert "numpy         FAILED: 'user_api' (KeyError)" in lines
    assert "cuda:0        FAILED: division by zero (ZeroDivisionError)" in lines
    assert "cuda:1 -> 0   staged through the host: the GPUs have no peer access" in lines
    assert any(line.startswith("emu:0         compiles with ") for line in lines)


def test_exit_code_1_only_if_the_cpu_does_not_work(machine, monkeypatch, capsys):
    machine(None, None)
    monkeypatch.setattr(doctor.tinynet, "tensor", lambda *x, **more: 1 / 0)
    assert __main__.main(["doctor"]) == 1
    assert "cpu           FAILED: division by zero (ZeroDivisionError)\n" in capsys.readouterr().out


@pytest.mark.parametrize("apt, command", [(None, "pip install ziglang"), ("/usr/bin/apt", "sudo apt install g++")])
def test_no_compiler_and_no_mpi(machine, monkeypatch, capsys, apt, command):
    machine(None, None)
    monkeypatch.setattr(compiler, "compiler", Mock(side_effect=RuntimeError("the emulator needs a C++ compiler")))
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: apt if name == "apt" else None)
    absent = doctor.importlib.metadata.PackageNotFoundError("mpi4py")
    monkeypatch.setattr(doctor.importlib.metadata, "version", Mock(side_effect=absent))
    assert doctor.main() == 0
    report, _, missing = capsys.readouterr().out.partition("\nmissing:\n")
    assert "emu:0         cannot be used: the emulator needs a C++ compiler\n" in report
    assert "MPI           mpi4py is not installed\n              mpiexec is not found\n" in report
    assert missing == (
        f"    a C++ compiler, for emu:0:\n        {command}\n"
        '    MPI, for training on several machines:\n        pip install "tinynet-alexnet[mpi]"\n'
    )


@pytest.mark.parametrize(
    "code, stdout, stderr, line",
    [
        (0, "MPICH Version:      5.0.2\nMPICH Release date\n", "", "mpi4py 4.1.2 with MPICH Version: 5.0.2"),
        (1, "", "Traceback\nRuntimeError: cannot load MPI library\nlibmpi.so: cannot open\n",
         "mpi4py is installed, but its import FAILED: cannot load MPI library (RuntimeError)"),
        (-11, "", "", "mpi4py is installed, but its import FAILED: exit code -11 (RuntimeError)"),
    ],
)  # fmt: skip
def test_mpi_that_loads_and_that_does_not(monkeypatch, code, stdout, stderr, line):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "4.1.2")
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: "/bin/mpiexec")
    answer = subprocess.CompletedProcess([], code, stdout, stderr)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *command, **options: answer)
    missing = []
    assert list(doctor.mpi(missing)) == [("MPI", line), ("", "/bin/mpiexec")]
    assert len(missing) == (code != 0)


def test_the_drivers_own_library_is_asked(tmp_path, monkeypatch):
    library = tmp_path / "libcuda.so.1"
    source = tmp_path / "driver.cpp"
    source.write_text("""\
#include <cstring>
extern "C" int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
extern "C" int cuInit(unsigned flags) { return flags; }
extern "C" int cuDeviceGetCount(int *count) { *count = 2; return 0; }
extern "C" int cuDeviceGetName(char *name, int size, int i) { strcpy(name, i ? "Second" : "First"); return 0; }
""")
    subprocess.run([*compiler.compiler()[0], "-shared", "-fPIC", source, "-o", library], check=True)
    monkeypatch.setattr(cupy_loader, "LIBRARY", str(library))
    assert cupy_loader.supported_cuda() == (12, 4)
    assert cupy_loader.gpu_names() == ["First", "Second"]
    monkeypatch.setattr(cupy_loader, "LIBRARY", str(tmp_path / "none"))
    assert cupy_loader.supported_cuda() is None
    assert cupy_loader.gpu_names() == []


@pytest.mark.parametrize("i, j", [(0, 1), (1, 0)])
def test_emulated_devices_deliver_what_they_copy(i, j):
    with emulator.mode(streams=True):
        assert cupy_loader.damaged_words(emulator.xp, i, j) == (0, 2**20 + 1)
    assert cupy_loader.why_staged(emulator.xp, i, j) is None


def test_the_command_line():
    command = [sys.executable, "-m", "tinynet"]
    run = subprocess.run([*command, "doctor"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    for start in ("Python        3.", "NumPy         2.", "BLAS ", "tinynet       0.", "cpu           works", "emu:0 "):
        assert f"\n{start}" in f"\n{run.stdout}"
    assert "\nmissing:" in run.stdout
    wrong = subprocess.run(command, capture_output=True, text=True)
    assert (wrong.returncode, "required: command" in wrong.stderr) == (2, True)
