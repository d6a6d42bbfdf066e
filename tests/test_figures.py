"""The pages' figures: the scripts draw them, docs/figures has what they draw, and a page shows and describes each."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from redraw import FIGURES, redraw

DOCS = Path(__file__).resolve().parents[1] / "docs"
every_figure = pytest.mark.parametrize("name", sorted(FIGURES))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with all figures, drawn now."""
    folder = tmp_path_factory.mktemp("figures")
    redraw(folder)
    return folder


@every_figure
def test_a_figure_is_drawn_and_says_what_the_one_on_the_page_says(drawn, name):
    with Image.open(drawn / f"{name}.png") as fresh, Image.open(DOCS / "figures" / f"{name}.png") as kept:
        gray = np.asarray(fresh.convert("L"))
        assert fresh.width == 800 and (drawn / f"{name}.png").stat().st_size < 60_000
        assert 0.01 < (gray < 200).mean() < 0.5, "an empty picture, or a black one"
        assert min(gray[0].min(), gray[-1].min(), gray[:, 0].min(), gray[:, -1].min()) > 250, "cut off at an edge"
        assert kept.size == fresh.size and kept.text["Description"] == fresh.text["Description"], (
            f"{name}.png is not what its script draws now: python docs/figures/redraw.py"
        )


@every_figure
def test_one_page_shows_a_figure_and_describes_it(name):
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    shown = re.findall(rf"!\[([^]]+)\]\(figures/{name}\.png\)", text)
    assert len(shown) == 1 and len(shown[0]) > 60
