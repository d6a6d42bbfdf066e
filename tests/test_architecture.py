"""The limits that keep files readable (docs/design.md)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "alexnet_imagenet.py"


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", sorted((ROOT / "tinynet").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_long_and_no_function(path):
    assert len(path.read_text().splitlines()) <= 350
    assert {name: lines for name, lines in functions(path) if lines > 60} == {}


def test_the_example_can_be_read_at_once():
    assert len(EXAMPLE.read_text().splitlines()) <= 250
    assert {name: lines for name, lines in functions(EXAMPLE) if lines > 40} == {}
    assert 40 <= len((ROOT / "examples" / "first_loop.py").read_text().splitlines()) <= 60
