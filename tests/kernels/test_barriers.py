"""Every barrier of the kernels is needed: without it, the emulator's racecheck reports a race."""

import re
import shutil

import pytest

from tinynet import emulator, kernels
from tinynet.backend import to_device
from tinynet.kernels import loader

BARRIER = "__syncthreads();"
BARRIERS = [
    (path.name, i) for path in sorted(loader.FOLDER.glob("*.cu*")) for i in range(path.read_text().count(BARRIER))
]


@pytest.fixture
def without_barrier(request, tmp_path, monkeypatch):
    """The kernels without one of their barriers. Returns the file that it was in."""
    name, which = request.param
    folder = shutil.copytree(loader.FOLDER, tmp_path / "kernels")
    text = (folder / name).read_text()
    at = [match.start() for match in re.finditer(re.escape(BARRIER), text)][which]
    (folder / name).write_text(text[:at] + ";" + text[at + len(BARRIER) :])
    cached = loader._function, loader._module, loader._headers
    monkeypatch.setattr(loader, "FOLDER", folder)
    for function in cached:
        function.cache_clear()
    yield name
    for function in cached:
        function.cache_clear()


def launch(name, rng):
    """A launch in which the file's barriers matter: of several steps in a block, or of several reductions."""
    draw = lambda *shape: to_device(rng.standard_normal(shape).astype("float32"), "emu:0")  # noqa: E731
    if name == "softmax_cross_entropy.cu":
        target = to_device(rng.integers(0, 70, (2, 1)), "emu:0")
        kernels.softmax_cross_entropy(draw(2, 70, 1), target, None, -100, 0.1)
    else:
        version = {"conv2d_tiled.cu": 2, "conv2d_gemm.cuh": 3}[name]
        kernels.conv2d(draw(1, 5, 6, 6), draw(20, 5, 3, 3), version=version)


@pytest.mark.parametrize("without_barrier", BARRIERS, indirect=True, ids=str)
def test_a_barrier_fewer_is_a_race(without_barrier, rng):
    with emulator.mode(racecheck=True), pytest.raises(emulator.KernelError, match=": race: "):
        launch(without_barrier, rng)


@pytest.mark.parametrize("name", sorted({name for name, _ in BARRIERS}))
def test_with_all_barriers_there_is_none(name, rng):
    with emulator.mode(racecheck=True):
        launch(name, rng)
