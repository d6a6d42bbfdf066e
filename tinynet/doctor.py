"""What this machine has for tinynet, one fact per line; and what it lacks, with the command that installs it."""

import importlib.metadata
import itertools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import threadpoolctl

import tinynet
from tinynet import backend, emulator
from tinynet.backend import cupy_loader
from tinynet.emulator import compiler

SUM = r"""
extern "C" __global__ void sum(const float *x, float *y, int n) {  // one block of 256 threads
    __shared__ float part[256];
    float mine = 0;
    for (int i = threadIdx.x; i < n; i += 256) mine += x[i];
    part[threadIdx.x] = mine;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    }
    if (threadIdx.x == 0) y[0] = part[0];
}
"""


def main():
    """Print the report. The exit code is 0 if the CPU works, whatever else does not."""
    missing = []
    for probe in PROBES:
        try:
            for label, fact in probe(missing):
                line(label, fact)
        except Exception as error:  # this probe loses the rest of its lines, the others nothing
            line(probe.__name__, failed(error))
    print("\nmissing:" if missing else "\nmissing: nothing")
    for what, command in missing:
        print(f"    {what}:\n        {command}")
    return 0 if said(cpu_works) == "works" else 1


def line(label, fact):
    print(f"{label:<14}{fact}", flush=True)


def said(fact, *arguments):
    """What `fact` returns, or that it failed; the next fact is printed all the same."""
    try:
        return fact(*arguments)
    except Exception as error:
        return failed(error)


def failed(error):
    return f"FAILED: {cupy_loader.cause(error)} ({type(error).__name__})"


# ---------------------------------------------------------------------------- probes: each yields (label, fact)


def python(missing):
    yield "Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield "cores", f"{backend.usable_cores()} of {os.cpu_count()} usable"


def numpy(missing):
    yield "NumPy", np.__version__
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            architecture = f" for {library['architecture']}" if "architecture" in library else ""
            name = f"{library['internal_api']} {library['version']}{architecture}"
            yield "BLAS", f"{name}, threads: {library['num_threads']}"


def cpu(missing):
    yield "tinynet", tinynet.__version__
    yield "cpu", said(cpu_works)


def cuda(missing):
    supported = cupy_loader.supported_cuda()
    yield "CUDA driver", f"supports CUDA {supported[0]}.{supported[1]}" if supported else "not found"
    installed = {d.name or "": d.version for d in importlib.metadata.distributions()}
    wheels = [name for name in sorted(installed) if name == "cupy" or name.startswith("cupy-cuda")]
    yield "CuPy", ", ".join(f"{installed[name]} ({name})" for name in wheels) or "not installed"
    if len(wheels) > 1 and supported:
        remedy = f"pip uninstall -y {' '.join(wheels)} && {cupy_loader.install_command(supported)}"
        missing.append(("one CuPy instead of several, which overwrite each other's files", remedy))
    try:
        cupy = cupy_loader.load_cupy()
    except cupy_loader.NoGPU as no_gpu:
        yield "GPU", ", ".join(cupy_loader.gpu_names()) or "none"
        yield "cuda:0", f"cannot be used: {no_gpu.reason}"
        if no_gpu.remedy:
            missing.append((no_gpu.reason, no_gpu.remedy))
        return
    runtime, nvrtc = cupy.cuda.runtime.runtimeGetVersion(), cupy.cuda.nvrtc.getVersion()
    yield "CUDA runtime", f"{runtime // 1000}.{runtime % 1000 // 10}"
    yield "NVRTC", f"{nvrtc[0]}.{nvrtc[1]}"
    if nvrtc[0] > supported[0]:  # CuPy takes the newest one installed, and the driver may refuse its output
        missing.append(("an NVRTC that is not newer than the driver", "pip uninstall -y nvidia-cuda-nvrtc"))
    gpus = range(cupy.cuda.runtime.getDeviceCount())
    for i in gpus:
        yield f"cuda:{i}", said(describe_gpu, cupy, i)
        yield "", said(run_a_kernel, cupy, i)
        yield "", said(multiply, cupy, i)
    for i, j in itertools.permutations(gpus, 2):
        yield f"cuda:{i} -> {j}", said(describe_copy, cupy, i, j)


def emulated(missing):
    try:
        _, version = compiler.compiler()
    except RuntimeError as error:
        yield "emu:0", f"cannot be used: {error}"
        install = "sudo apt install g++" if shutil.which("apt") else "pip install ziglang"
        missing.append(("a C++ compiler, for emu:0", install))
        return
    yield "emu:0", f"compiles with {version.splitlines()[0]}"
    yield "", said(run_a_kernel, emulator.xp, 0)


def mpi(missing):
    try:
        mpi4py, works = f"mpi4py {importlib.metadata.version('mpi4py')} with {mpi_library()}", True
    except importlib.metadata.PackageNotFoundError:
        mpi4py, works = "mpi4py is not installed", False
    except Exception as error:
        mpi4py, works = f"mpi4py is installed, but its import {failed(error)}", False
    # The mpich wheel puts mpiexec next to Python, which is not on the PATH unless the environment is activated.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join(places))
    yield "MPI", mpi4py
    yield "", mpiexec or "mpiexec is not found"
    if not (works and mpiexec):
        missing.append(("MPI, for training on several machines", 'pip install "tinynet-alexnet[mpi]"'))


PROBES = [python, numpy, cpu, cuda, emulated, mpi]

# ---------------------------------------------------------------------------- single facts


def cpu_works():
    x = tinynet.tensor(np.float32([[1, 2], [3, 4]]), requires_grad=True)
    (x @ x).sum().backward()
    gradient = x.grad.tolist()
    return "works" if gradient == [[7, 11], [9, 13]] else f"WRONG gradient of a small product: {gradient}"


def describe_gpu(cupy, i):
    gpu = cupy.cuda.Device(i)
    name = cupy.cuda.runtime.getDeviceProperties(i)["name"].decode()
    free, total = (size / 2**30 for size in gpu.mem_info)
    capability = f"{gpu.compute_capability[:-1]}.{gpu.compute_capability[-1]}"
    capability += " (no TF32: it needs 8.0)" if int(gpu.compute_capability) < 80 else ""
    return f"{name}, compute capability {capability}, {total:.1f} GiB, {free:.1f} GiB free"


def run_a_kernel(xp, i):
    """xp: CuPy or the emulator."""
    numbers = np.arange(1000, dtype=np.float32)
    with xp.cuda.Device(i):
        x, y = xp.asarray(numbers), xp.zeros(1, np.float32)
        xp.RawModule(code=SUM).get_function("sum")((1,), (256,), (x, y, np.int32(x.size)))
        total = xp.asnumpy(y)[0]
    return f"a kernel compiles and gives {'the right' if total == numbers.sum() else f'a WRONG ({total})'} sum"


def multiply(xp, i):
    """The product of two matrices, by cuBLAS."""
    with xp.cuda.Device(i):
        x = xp.asarray(np.float32([[1, 2], [3, 4]]))
        product = xp.asnumpy(x @ x).astype(int).tolist()
    right = product == [[7, 10], [15, 22]]
    return f"a matrix product is {'right' if right else f'WRONG: {product}'}"


def describe_copy(cupy, i, j):
    reason = cupy_loader.why_staged(cupy, i, j)
    return f"staged through the host: {reason}" if reason else "peer copies arrive intact"


def mpi_library():
    """The MPI that mpi4py finds, asked in a separate process: a broken MPI may kill it."""
    program = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
    how = dict(capture_output=True, encoding="utf-8", errors="replace", timeout=60)
    answer = subprocess.run([sys.executable, "-c", program], **how)
    if answer.returncode:
        errors = [line for line in answer.stderr.splitlines() if "Error:" in line]
        raise RuntimeError(errors[-1].partition("Error: ")[2] if errors else f"exit code {answer.returncode}")
    return " ".join(answer.stdout.splitlines()[0].split())
