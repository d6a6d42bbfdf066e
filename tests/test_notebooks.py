"""The notebooks are what make.py makes of the pages, and their code prints what they show."""

import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
jupytext = pytest.importorskip("jupytext", reason="notebooks need pip install '.[docs]'")
nbclient = pytest.importorskip("nbclient", reason="notebooks need pip install '.[docs]'")
sys.path.insert(0, str(NOTEBOOKS))
import make  # noqa: E402

each = pytest.mark.parametrize("name, page", make.PAGES.items(), ids=list(make.PAGES))


@each
def test_a_notebook_is_its_page(name, page):
    path = NOTEBOOKS / f"{name}.ipynb"
    assert path.read_text(encoding="utf-8") == make.as_text(NOTEBOOKS.parent / page), \
        "run: python docs/notebooks/make.py"  # fmt: skip


@each
def test_a_notebook_prints_what_it_shows(name, page, tmp_path):
    shown = make.notebook(NOTEBOOKS.parent / page)
    run = make.notebook(NOTEBOOKS.parent / page)
    nbclient.NotebookClient(run, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert printed(run.cells[1])[0].startswith(("cpu:", "a GPU is here:"))
    for number, (cell, promised) in enumerate(zip(run.cells, shown.cells, strict=True)):
        if cell.cell_type == "code" and number > 1:
            assert printed(cell) == printed(promised), cell.source


def printed(cell):
    text = "".join(output.get("text", "") for output in cell.outputs)
    return [line.rstrip() for line in text.rstrip().splitlines()]
