"""Pages as notebooks, with what their code prints: python docs/notebooks/make.py writes them anew.

A page is the source and its notebook a copy, which tests/test_notebooks.py executes.
"""

import re
from pathlib import Path

import jupytext
import nbformat

HERE = Path(__file__).resolve().parent
PAGES = {  # notebook: page
    "backprop_by_hand": "autograd.md",
    "convolution": "conv2d.md",
    "a_cuda_kernel_on_the_emulator": "emulator.md",
    "alexnet_on_two_devices": "two_devices.md",
}
FIRST_CELL = '''\
# Installs tinynet if it is not here yet, and says which device it found.
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""  # in a hosted notebook: the address that you would clone tinynet from

try:
    import tinynet
except ModuleNotFoundError:
    clone = next((folder for folder in Path.cwd().parents if (folder / "tinynet" / "__init__.py").exists()), None)
    if not clone and not REPOSITORY:
        raise SystemExit("tinynet is not installed, and this is no clone: set REPOSITORY to its address") from None
    source = ["-e", str(clone)] if clone else [f"git+{REPOSITORY}"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *source], check=True)
    sys.path.append(str(clone))
    import tinynet

try:
    print("a GPU is here:", tinynet.backend.check_device("cuda:0"))
except ValueError as error:
    print("cpu:", error)
'''


def notebook(page):
    """The page as a notebook: a cell for each block of Python, and as its output what the page says it prints."""
    made = jupytext.reads(with_links_from_here(page.read_text(encoding="utf-8")), fmt="md")
    for before, cell in zip(made.cells, made.cells[1:], strict=False):
        promised = re.match(r"```text\n(.*?)```\n*", cell.source, re.DOTALL)
        if before.cell_type == "code" and cell.cell_type == "markdown" and promised:
            before.outputs = [nbformat.v4.new_output("stream", name="stdout", text=promised[1])]
            cell.source = cell.source[promised.end() :]
    cells = [as_markdown(cell) for cell in made.cells if cell.source]
    cells.insert(1, nbformat.v4.new_code_cell(FIRST_CELL))
    for number, cell in enumerate(cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def as_markdown(cell):
    """Jupytext makes a cell of a block in another language, too, which would run it; undo that."""
    other = re.match(r"%%(\w+)\n", cell.source) if cell.cell_type == "code" else None
    return nbformat.v4.new_markdown_cell(f"```{other[1]}\n{cell.source[other.end() :]}\n```") if other else cell


def with_links_from_here(text):
    """Links to files beside the page, as they are from this folder."""
    return re.sub(r"\]\((?![a-z]+:|#)", "](../", text)


def as_text(page):
    return nbformat.writes(notebook(page)) + "\n"


if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / f"{name}.ipynb").write_text(as_text(HERE.parent / page), encoding="utf-8")
