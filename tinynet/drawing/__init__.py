"""The graph, drawn: draw(loss, "graph.svg").

graph    from a tensor to boxes, and the step in which each of their numbers is known
numbers  an array as a line of text
rows     what stands in a box
source   where the code of an operation stands
layout   where the boxes and the edges go
svg, dot, page   the three formats; page is HTML that goes through the steps
"""

from html import escape
from pathlib import Path

from tinynet.drawing.dot import dot
from tinynet.drawing.graph import graph_of
from tinynet.drawing.page import page
from tinynet.drawing.svg import svg
from tinynet.files import replacing

FORMATS = {".svg": svg, ".html": page, ".dot": dot}


class Drawing:
    """text: the whole file. A notebook shows SVG as a picture, and HTML in a frame."""

    def __init__(self, text, suffix):
        self.text, self.suffix = text, suffix

    def _repr_svg_(self):
        return self.text if self.suffix == ".svg" else None

    def _repr_html_(self):
        frame = '<iframe style="width: 100%; height: 700px; border: 0" srcdoc="{}"></iframe>'
        return frame.format(escape(self.text)) if self.suffix == ".html" else None


def draw(loss, path=None, names=None):
    """Draw the graph that computed `loss`: operations, shapes, values and, after backward, cotangents.

    path: graph.svg, graph.html (steps forward and back, one operation at a time) or graph.dot (for Graphviz); without
    it nothing is written. names: a module, for the names of its parameters, or a dictionary {tensor: name}. For values
    and cotangents, run the forward pass and backward inside `with tinynet.record():`.

    Returns a Drawing, SVG if there is no path. Raises TypeError for what is no tensor, ValueError for a tensor without
    a graph or another suffix, RuntimeError if the graph is freed and was not recorded.
    """
    suffix = ".svg" if path is None else Path(path).suffix
    if suffix not in FORMATS:
        raise ValueError(f"draw: the file's name must end in .svg, .html or .dot, got {str(path)!r}")
    drawing = Drawing(FORMATS[suffix](graph_of(loss, names)), suffix)
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(drawing.text, encoding="utf-8")
    return drawing
