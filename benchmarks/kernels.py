"""What NVIDIA's compiler makes of every CUDA kernel: registers, shared memory, spills. No GPU is needed.

    pip install nvidia-cuda-nvrtc==13.5.37
    python benchmarks/kernels.py             # every kernels/*.cu; writes results/kernels.md
    python benchmarks/kernels.py conv2d      # one of them; prints its table

NVRTC is the compiler that CuPy uses on a GPU. Here it gets the same source and options, for four generations of
GPUs, in float and in double. The exit code is 1, with a line for each reason, if a kernel does not compile, or if
one that runs by default keeps some of its variables in local memory, which is slow ("spills").
"""

import argparse
import sys
import time
from pathlib import Path

from tinynet.kernels.compile_report import ARCHITECTURES, compile_file, files, section
from tinynet.kernels.nvrtc import NVRTC

RESULTS = Path(__file__).parent / "results" / "kernels.md"
HEADER = """\
# Every kernel, as NVRTC compiles it

Made by `python benchmarks/kernels.py` with NVRTC {version}. The kernels were compiled, not run: this needs no GPU, and
says nothing about speed. The columns:

- registers: per thread, on {architectures} (a single number where they agree);
- shared: bytes of static shared memory per block, without the dynamic part that a launch adds;
- local: bytes of local memory per thread, and, after a `+`, the bytes that spills store and load. It is 0 wherever
  a kernel runs by default; versions 1 and 2 of a kernel are steps on the way to it;
- threads: at most this many per block, where `__launch_bounds__` says so;
- blocks: how many fit on a multiprocessor of sm_90 by these numbers, and their share of its 64 warps.

Version 4 of the convolution is refused below sm_80, which has no TF32, so its sm_75 is an empty shell.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="kernels/<name>.cu; all of them by default")
    args = parser.parse_args()
    paths = [path for path in files() if path.stem in args.names or not args.names]
    if unknown := set(args.names) - {path.stem for path in paths}:
        parser.error(f"there is no kernels/{min(unknown)}.cu")
    try:
        nvrtc = NVRTC()
    except ImportError as error:
        parser.error(str(error))
    text, complaints = HEADER.format(version=nvrtc.version, architectures=", ".join(ARCHITECTURES)), []
    for path in paths:
        start = time.perf_counter()
        table, new_complaints = compile_file(nvrtc, path)
        print(f"{path.name:30} {time.perf_counter() - start:5.1f} s")
        text += section(path, table)
        complaints += new_complaints
    if args.names:
        print(f"\n{text}")
    elif not complaints:
        RESULTS.write_text(text)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
