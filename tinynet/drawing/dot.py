"""A graph as text in the language of Graphviz (https://graphviz.org/doc/info/lang.html): dot -Tpdf graph.dot"""

from tinynet.drawing.rows import rows_of


def dot(graph):
    begin = len(graph.functions) + 1
    lines = ["digraph {", "  node [shape=box, fontname=monospace, fontsize=10]", "  edge [color=gray40]"]
    for box in graph.boxes:
        rows = [f"{row.left}  {row.right}".rstrip() for row in rows_of(box, begin)]
        style = "" if box.function is not None else ', style="rounded"' if box.needs_grad else ', style="dashed"'
        lines.append(f"  {box.number} [label={quoted(rows)}{style}]")
        lines += [f"  {source.number} -> {box.number}" for source, _ in box.inputs]
    return "\n".join([*lines, "}\n"])


def quoted(rows):
    r"""Lines in quotes, each ended by \l, which puts it on the left."""
    escaped = [row.replace("\\", "\\\\").replace('"', '\\"') for row in rows]
    return '"' + "".join(row + r"\l" for row in escaped) + '"'
