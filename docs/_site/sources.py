"""A page for every source file and every folder of them: links of the Markdown pages lead there, as on GitHub."""

import html
import importlib
import inspect
import os
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["tinynet", "examples", "tests", "benchmarks", "docs"]
SUFFIXES = {".py", ".cu", ".cuh", ".h", ".cpp"}
INCLUDE = re.compile(r"^```\{include\} (\S+)", re.MULTILINE)


@cache
def files():
    """All source files, in order, relative to the repository."""
    found = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES)
    return [path.relative_to(ROOT) for path in found]


@cache
def folders():
    """{folder: the files and folders in it that have pages}"""
    inside = {}
    for path in files():
        for inner, outer in pairwise([path, *path.parents][:-1]):
            inside.setdefault(outer, {})[inner] = None  # a dict keeps the order
    return inside


def page_name(path):
    """The page of a file or folder. path: relative to the repository."""
    return f"source/{path.as_posix()}/index" if (ROOT / path).is_dir() else f"source/{path.as_posix()}"


def where(module, name):
    """The address, from an API page, of the lines that define module.name; None if there are none."""
    try:
        value = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
        value = inspect.unwrap(value.fget if isinstance(value, property) else value)
        path = Path(inspect.getsourcefile(value)).resolve().relative_to(ROOT)
        return f"../{page_name(path)}.html#L{inspect.getsourcelines(value)[1]}"
    except (AttributeError, TypeError, ValueError, OSError):
        return None


# ------------------------------------------------------------------------------- links


@cache
def markdown_pages(docs):
    """{file: (page, anchor)} for the Markdown files in docs/, and for those outside that they include."""
    pages = {}
    for path in [*docs.glob("*.md"), *docs.glob("site/*.md")]:
        page = path.relative_to(docs).with_suffix("").as_posix()
        pages[path] = page, None
        for target in INCLUDE.findall(path.read_text(encoding="utf-8")):
            file = (path.parent / target).resolve()
            pages[file] = page, slug_of_title(file)
    return pages


def slug_of_title(path):
    title = re.search(r"^# (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)[1]
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


class LeadToPages(SphinxTransform):
    """Links to files of the repository become links to pages, and pictures are found, also in included files."""

    default_priority = 10

    def apply(self):
        for image in self.document.findall(nodes.image):
            if "://" not in image["uri"]:
                path = (origin(image).parent / image["uri"]).resolve()
                image["uri"] = "/" + os.path.relpath(path, self.env.srcdir)
        for link in list(self.document.findall(is_path)):
            target, _, anchor = link["reftarget"].partition("#")
            if link["refdomain"] == "doc":  # a Markdown file; its suffix is gone
                target, anchor = f"{target}.md", link["reftargetid"]
            if target:
                path = (origin(link).parent / target).resolve()
                link.replace_self(self.to_page(link, path, anchor))

    def to_page(self, link, path, anchor):
        page, title = markdown_pages(Path(self.env.srcdir).resolve()).get(path, (None, None))
        if page:
            new = addnodes.pending_xref(
                refdomain="doc", reftype="myst", refdoc=self.env.docname, refexplicit=True,
                reftarget=page, reftargetid=anchor or title,
            )  # fmt: skip
        elif ROOT in path.parents and (file := path.relative_to(ROOT)) in {*files(), *folders()}:
            up, anchor = "../" * self.env.docname.count("/"), f"#{anchor}" if anchor else ""
            new = nodes.reference(refuri=f"{up}{page_name(file)}.html{anchor}", internal=True)
        else:  # a notebook, for instance: Sphinx copies the file, or warns that there is none
            new = addnodes.download_reference(
                refdomain=None, reftype="myst", refdoc=self.env.docname, refexplicit=True,
                reftarget="/" + os.path.relpath(path, self.env.srcdir),
            )  # fmt: skip
        new.source, new.line = link.source, link.line
        new.extend(link.children)
        return new


def is_path(node):
    """Whether a node is a link of a Markdown page to anything but another page of docs/."""
    if not isinstance(node, addnodes.download_reference | addnodes.pending_xref) or node.get("reftype") != "myst":
        return False
    return node["refdomain"] is None or (node["refdomain"] == "doc" and Path(node["reftarget"]).is_absolute())


def origin(node):
    """The file that a node was written in, which is not the page's where one includes another."""
    while not node.source:
        node = node.parent
    return Path(node.source)


# ------------------------------------------------------------------------------- pages


def trail(app, page, path):
    """tinynet / ops / relu.py, each a link to its folder."""
    links = []
    for folder in list(path.parents)[-2::-1]:
        address = app.builder.get_relative_uri(page, page_name(folder))
        links.append(f'<a href="{address}">{folder.name}</a>')
    return " / ".join([*links, path.name])


def file_page(app, path):
    page, text = page_name(path), (ROOT / path).read_text(encoding="utf-8")
    try:
        language = get_lexer_for_filename(path.name).aliases[0]
    except ClassNotFound:
        language = "text"
    marked = app.builder.highlighter.highlight_block(text, language, force=True)
    head, code, tail = re.fullmatch(r"(.*?<pre>(?:<span></span>)?)(.*?)\n?(</pre>.*)", marked, re.DOTALL).groups()
    lines = [f'<a class="line" id="L{n}" href="#L{n}">{n:4}</a>  {line}' for n, line in enumerate(code.split("\n"), 1)]
    body = f"<h1>{trail(app, page, path)}</h1>{head}{chr(10).join(lines)}{tail}"
    return page, {"title": str(path), "body": body, "parents": []}, "page.html"


def folder_page(app, folder, inside):
    page = page_name(folder)
    items = []
    for path in inside:
        address = app.builder.get_relative_uri(page, page_name(path))
        slash = "/" if (ROOT / path).is_dir() else ""
        items.append(f'<li><a href="{address}">{html.escape(path.name)}{slash}</a></li>')
    body = f"<h1>{trail(app, page, folder)}</h1><ul>{''.join(items)}</ul>"
    return page, {"title": f"{folder}/", "body": body, "parents": []}, "page.html"


def pages(app):
    if app.builder.format != "html":
        return
    for path in files():
        yield file_page(app, path)
    for folder, inside in folders().items():
        yield folder_page(app, folder, inside)


def setup(app):
    app.add_transform(LeadToPages)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
