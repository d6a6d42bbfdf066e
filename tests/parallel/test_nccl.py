"""Which runs touch CuPy's NCCL at all, and what they print. test_ranks.py has the arrays that travel by it."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tinynet import emulator, parallel
from tinynet.parallel import nccl


class Untouchable(ModuleType):
    def __getattr__(self, name):
        raise AssertionError(f"{self.__name__}.{name} was touched")


def test_one_rank_touches_neither_nccl_nor_mpi(monkeypatch):
    """CuPy alone would start a TCP server where mpi4py is missing, and wait for it forever at exit."""
    for name in ("cupy", "cupyx", "cupyx.distributed", "mpi4py", "mpi4py.MPI"):
        monkeypatch.setitem(sys.modules, name, Untouchable(name))
    ranks = parallel.init()
    assert ranks.use_nccl(["cuda:0"]) is None
    assert ranks.nccl is None


@pytest.fixture
def imitate_distributed(monkeypatch, tmp_path):
    """imitate_distributed(code): `import cupyx.distributed` runs the code, on emulated GPUs without NCCL."""

    def imitate(code):
        package = tmp_path / "cupyx"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "distributed.py").write_text(code)
        for name in ("cupyx", "cupyx.distributed"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(emulator.xp.cuda, "nccl", SimpleNamespace(available=False), raising=False)

    yield imitate
    for name in ("cupyx", "cupyx.distributed"):
        sys.modules.pop(name, None)


CUPYS_WARNING = """
nccl library could not be loaded.

Reason: ImportError (libnccl.so.2: cannot open shared object file: No such file or directory)

You can install the library by:
  $ pip install "nvidia-nccl-cu13>=2.27.7,<3"
"""
ALONE = SimpleNamespace(rank=0, world_size=2, all_gather_object=lambda value: [value])


def test_without_nccl_cupys_warning_is_not_printed_on_each_rank(imitate_distributed):
    imitate_distributed(f"import warnings\nwarnings.warn({CUPYS_WARNING!r})\nwarnings.warn('another')")
    with pytest.warns(UserWarning) as caught:
        found = nccl.connect(ALONE, ["emu:0"], gpu_name=str)
    assert found == (None, "rank 0: this CuPy has no NCCL")
    assert [str(warning.message) for warning in caught] == ["another"]
