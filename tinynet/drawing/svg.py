"""A graph as SVG, from its own layout: nothing to install, and any browser shows it.

Elements that are known from a step on say so in data-step, for the page that goes through the steps.
"""

from html import escape

from tinynet.drawing.layout import layout
from tinynet.drawing.rows import rows_of
from tinynet.drawing.source import place_of_call, place_of_class

CHARACTER, LINE = 7.3, 16  # of a monospaced font of 12 pixels
MARGIN, PADDING = 16, 8

STYLE = """
.tn text { font: 12px "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; fill: #1f2328 }
.tn rect { fill: #f6f8fa; stroke: #57606a }
.tn .paper { fill: #ffffff; stroke: none }
.tn .leaf rect { fill: #fff8e5; stroke: #9a6700 }
.tn .constant rect { stroke-dasharray: 4 3 }
.tn .edge { fill: none; stroke: #8c959f; stroke-width: 1.3 }
.tn .head { fill: #8c959f }
.tn .tail { display: none }
.tn .title { font-weight: bold }
.tn .shape, .tn .more, .tn .output { fill: #57606a; font-weight: normal }
.tn .value { fill: #0550ae }
.tn .cotangent { fill: #b3261e }
@media (prefers-color-scheme: dark) {
.tn text { fill: #e6edf3 }
.tn rect { fill: #1c2128; stroke: #8b949e }
.tn .paper { fill: #0d1117 }
.tn .leaf rect { fill: #2b2412; stroke: #d4a72c }
.tn .edge { stroke: #6e7681 }
.tn .head { fill: #6e7681 }
.tn .shape, .tn .more, .tn .output { fill: #9da7b3 }
.tn .value { fill: #79b8ff }
.tn .cotangent { fill: #ff9d94 }
}
"""


def svg(graph):
    begin = len(graph.functions) + 1
    rows = [rows_of(box, begin) for box in graph.boxes]
    roads = [(box, number) for box in graph.boxes for number in range(len(box.inputs))]
    edges = []
    for box, number in roads:
        source, output_index = box.inputs[number]
        edges.append((source.number, output_index, len(source.outputs), box.number))
    sizes = [box_size(found) for found in rows]
    places = layout(sizes, edges)
    legend = legend_of(graph)
    top = MARGIN + LINE * len(legend) + (PADDING if legend else 0)
    width = max([places.width, *(len(line) * CHARACTER for line, _ in legend)]) + 2 * MARGIN
    height = places.height + top + MARGIN
    inset = (width - places.width) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tn" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{escape(summary(graph))}">',
        f'<style>{STYLE}</style><rect class="paper" width="100%" height="100%"/>',
        *(text(line, MARGIN, MARGIN + LINE * (i + 0.5), kind) for i, (line, kind) in enumerate(legend)),
        f'<g transform="translate({inset:.1f} {top:.1f})">',
    ]
    for (box, number), route in zip(roads, places.routes, strict=True):
        parts.append(drawn_edge(route, box, number))
    for box, found in zip(graph.boxes, rows, strict=True):
        parts.append(drawn_box(box, found, places.corners[box.number], sizes[box.number]))
    return "\n".join([*parts, "</g></svg>\n"])


def box_size(rows):
    """(width, height) of a box with these rows."""
    longest = max(len(row.left) + (len(row.right) + 2 if row.right else 0) for row in rows)
    return longest * CHARACTER + 2 * PADDING, len(rows) * LINE + 2 * PADDING - 4


def summary(graph):
    n = len(graph.functions)
    return f"Graph of {n} operation" + ("" if n == 1 else "s")


def legend_of(graph):
    """[(line, kind)] above the graph: what the colors mean, or what is not known."""
    if graph.note:
        return [(graph.note, "more")]
    return [("value, from the forward pass", "value"), ("d: its cotangent, the slope of the result in it", "cotangent")]


def drawn_box(box, rows, corner, size):
    (x, y), (width, height) = corner, size
    kind = "op" if box.function is not None else "leaf" if box.needs_grad else "leaf constant"
    lines = [f'<g class="box {kind}" id="box{box.number}" data-step="{box.forward}" data-back="{box.backward}">',
             f"<title>{escape(about(box))}</title>",
             f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
             f'rx="{3 if box.function is not None else 10}"/>']  # fmt: skip
    for i, row in enumerate(rows):
        middle = y + PADDING - 2 + LINE * (i + 0.5)
        lines.append(text(row.left, x + PADDING, middle, row.kind, row.step))
        if row.right:
            kind = "shape" if row.kind in ("title", "output") else row.kind
            lines.append(text(row.right, x + width - PADDING, middle, kind, row.step, ' text-anchor="end"'))
    return "".join(lines) + "</g>"


def about(box):
    """What a pointer over the box shows."""
    if box.function is None:
        return box.title
    return "\n".join(filter(None, [box.title, place_of_class(type(box.function)), place_of_call(box.called_at)]))


def text(line, x, y, kind, step=0, more=""):
    return f'<text class="{kind}" data-step="{step}" x="{x:.1f}" y="{y + 4:.1f}"{more}>{escape(line)}</text>'


def drawn_edge(route, target, number):
    """The line to an input of a box, with one arrowhead down, and one up, for the page to show on the way back."""
    (from_x, from_y), (x, y) = route[0], route[-1]
    back = target.backward if target.dxs and target.dxs[number] is not None else 0
    return (f'<g class="road" data-step="{target.forward}" data-back="{back}">'
            f'<path class="edge" d="{path_through(route)}"/>'
            f'<path class="head" d="M{x:.1f} {y:.1f}l-3.5 -7h7z"/>'
            f'<path class="tail" d="M{from_x:.1f} {from_y:.1f}l-3.5 7h7z"/></g>')  # fmt: skip


def path_through(route):
    """Straight down within a rank, a curve between two."""
    (x, y), *rest = route
    path = [f"M{x:.1f} {y:.1f}"]
    for i, (to_x, to_y) in enumerate(rest):
        middle = (y + to_y) / 2
        curve = f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        path.append(curve if i % 2 else f"V{to_y:.1f}")
        x, y = to_x, to_y
    return "".join(path)
