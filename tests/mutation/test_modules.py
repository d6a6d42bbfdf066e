"""The lists of mutation testing fit the tree: what they name is there. The testing itself is run.py."""

import runpy
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = runpy.run_path(str(Path(__file__).with_name("modules.py")))


@pytest.mark.parametrize("path, old, new", LISTS["KNOWN"])
def test_a_known_mistake_can_still_be_made(path, old, new):
    assert (ROOT / path).read_text().count(old) == 1


@pytest.mark.parametrize("path", [path for paths in LISTS["GROUPS"].values() for path in paths])
def test_a_file_has_tests(path):
    assert (ROOT / path).exists()
    for stage in LISTS["tests_of"](path):
        named = [argument for argument in stage if argument.startswith("tests/")]
        assert named and all((ROOT / argument).exists() for argument in named)


def test_explained_survivors_stand_in_the_code():
    lines = Path(__file__).with_name("survivors.txt").read_text().splitlines()
    explained = [(path, old[2:]) for path, old in pairwise(lines) if old.startswith("- ")]
    assert explained
    for path, old in explained:
        assert old in [line.strip() for line in (ROOT / path).read_text().splitlines()], f"{path}: {old}"
