"""The site: it builds without a warning, loads nothing from another host, and its links lead somewhere."""

import importlib
import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ["sphinx", "myst_parser", "furo", "latex2mathml"]
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f'{", ".join(MISSING)} not installed: pip install -e ".[docs]"')

LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "embed": "src",
         "object": "data", "link": "href"}  # fmt: skip


class Page(HTMLParser):
    """ids: what a link can lead to; links: hrefs of <a>; loads: what a browser fetches to show the page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loads, self.text = {""}, [], [], path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if LOADS.get(tag) in attributes:
            self.loads.append(attributes[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built without a warning."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", out / "html"]
    done = subprocess.run([*command, "-d", out / "doctrees"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (out / "html").resolve()


@pytest.fixture(scope="module")
def pages(site):
    """{path: Page}, path relative to the site."""
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def is_foreign(address):
    return re.match(r"(\w+:)?//", address) is not None


def test_nothing_is_loaded_from_another_host(site, pages):
    assert {address for page in pages.values() for address in page.loads if is_foreign(address)} == set()
    for style in site.rglob("*.css"):
        loaded = re.findall(r"(?:@import\s+|url\()\s*[\"']?([^\"')\s]+)", style.read_text(encoding="utf-8"))
        assert [address for address in loaded if is_foreign(address)] == [], style


def test_links_lead_somewhere(site, pages):
    broken = []
    for name, page in pages.items():
        for link in {*page.links, *page.loads}:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:", target):
                continue
            path = ((site / name).parent / target.partition("?")[0]).resolve() if target else site / name
            there = pages.get(path.relative_to(site).as_posix())
            if not path.exists() or (there and anchor not in there.ids):
                broken.append((name, link))
    assert broken == []


def test_links_to_files_are_links_to_their_pages(pages):
    links = pages["local_response_norm.html"].links
    assert "source/tinynet/ops/local_response_norm.py.html" in links
    assert "autograd.html" in links
    assert "source/tinynet/kernels/relu.cu.html" in pages["README.html"].links
    assert "source/tests/ops/index.html" in pages["README.html"].links
    assert "site/contributing.html#contributing" in pages["README.html"].links
    assert "README.html" in pages["index.html"].links


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda page: page.stem)
def test_every_formula_is_mathml(page, pages):
    built = pages[f"{page.stem}.html"].text
    assert built.count('<div class="formula">') == len(re.findall(r"(?m)^\$\$$", page.read_text())) // 2
    for formula in re.findall(r"<math.*?</math>", built, re.DOTALL):
        assert "\\" not in formula and "merror" not in formula, formula


@pytest.mark.parametrize("path", ["tinynet/ops/conv2d.py", "tinynet/kernels/relu.cu", "tinynet/kernels/pool2d.cuh",
                                  "tinynet/emulator/fiber.h", "examples/first_loop.py"])  # fmt: skip
def test_a_source_page_has_every_line_of_its_file(path, pages):
    page, lines = pages[f"source/{path}.html"], (ROOT / path).read_text(encoding="utf-8").splitlines()
    assert re.findall(r'class="line" id="L(\d+)"', page.text) == [str(n) for n in range(1, len(lines) + 1)]


@pytest.mark.parametrize("module", ["", ".functional", ".nn", ".optim", ".data", ".models", ".parallel", ".training",
                                    ".explain", ".emulator"])  # fmt: skip
def test_every_public_name_is_in_the_api(module, pages):
    exported = importlib.import_module(f"tinynet{module}")
    page = pages[f"api/{module[1:] or 'tinynet'}.html"]
    names = [name for name in exported.__all__ if callable(getattr(exported, name))]
    assert [name for name in names if f"tinynet{module}.{name}" not in page.ids] == []


def test_the_api_leads_to_the_line_of_the_source(pages):
    line = (ROOT / "tinynet/nn/layers.py").read_text().splitlines().index("class Conv2d(Module):") + 1
    assert f"../source/tinynet/nn/layers.py.html#L{line}" in pages["api/nn.html"].links


def test_the_sidebar_has_the_pages_in_reading_order():
    sidebar = re.findall(r"(?m)^(\w+)$", (ROOT / "docs/index.md").read_text())
    order = (ROOT / "docs/README.md").read_text().split("\n## The order\n")[1].split("\n## ")[0]
    linked = list(dict.fromkeys(re.findall(r"\]\((\w+)\.md\)", order)))
    assert [page for page in sidebar if page in linked] == linked
