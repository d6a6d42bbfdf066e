"""The wheel holds every kernel and header, and runs them from wherever it is unpacked; an editable install is found."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.oracle
ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys

import numpy as np

import tinynet
from tinynet import functional as F

assert tinynet.__file__.startswith(sys.argv[1]), tinynet.__file__
x = tinynet.tensor(np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)).to("emu:0")
print(F.max_pool2d(x, 2).to("cpu").data.tolist())
"""


@pytest.fixture
def checkout(request, tmp_path):
    """A copy of what the wheel is built from, named tinynet. Skipped, or failed, where setuptools is too old."""
    try:
        found = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        found = "0"
    if int(found.partition(".")[0]) < 77:
        reason = "a wheel is built with setuptools 77 or later: pip install setuptools"
        (pytest.fail if request.config.getoption("--require-oracle") else pytest.skip)(reason)
    copy = tmp_path / "tinynet"  # a build leaves files behind, and takes in those that an earlier one left
    shutil.copytree(ROOT / "tinynet", copy / "tinynet", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def wheel(checkout, tmp_path):
    """The wheel of this checkout, built without the network."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run = subprocess.run([*command, "--wheel-dir", tmp_path, checkout], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (path,) = tmp_path.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_and_runs_a_kernel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("tinynet/")}
        archive.extractall(tmp_path / "site")
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tinynet").rglob("*") if path.is_file()}
    here = {name for name in here if "/." not in name and "__pycache__" not in name}
    assert packed == here
    assert {Path(name).suffix for name in packed} >= {".py", ".cu", ".cuh", ".h"}

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cache = {"PYTHONPATH": str(tmp_path / "site"), "XDG_CACHE_HOME": str(elsewhere)}  # compiled anew
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "site"],
        cwd=elsewhere, env=os.environ | cache, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[[[[5.0, 7.0], [13.0, 15.0]]]]\n"


def test_a_script_beside_a_clone_imports_the_package(checkout, tmp_path):
    """The clone's folder, tinynet, has no __init__.py: to a script beside it, an empty namespace package.

    A package on sys.path goes before it; one behind setuptools' import hook, which is what an editable install gets
    without `package_dir` in setup.cfg, does not.
    """
    build = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", build, tmp_path], cwd=checkout, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "site")
    script = tmp_path / "script.py"
    script.write_text(
        "import importlib.util, site, sys\nsite.addsitedir(sys.argv[1])\n"
        "print(importlib.util.find_spec('tinynet').origin)\n", encoding="utf-8",
    )  # fmt: skip
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run([sys.executable, "-S", script, tmp_path / "site"], env=alone, capture_output=True, text=True)
    assert run.stdout.strip() == str(checkout / "tinynet" / "__init__.py"), run.stderr
