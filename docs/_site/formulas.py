"""Formulas as MathML, made while the site is built: browsers set it themselves, without a script or a network."""

import re
import xml.etree.ElementTree as ET

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

ET.register_namespace("", "http://www.w3.org/1998/Math/MathML")
M = "{http://www.w3.org/1998/Math/MathML}"
WITH_SCRIPT = {f"{M}{tag}" for tag in ("msub", "msup", "msubsup")}


def mathml(node, display):
    tree = ET.fromstring(convert(node.astext(), display=display))
    if "\\" in "".join(tree.itertext()):  # what latex2mathml does not know it passes on as text
        logging.getLogger(__name__).warning("an unknown command in %r", node.astext(), location=node)
    for row in list(tree.iter(f"{M}mrow")):
        set_names(row, display)
    return tree


def set_names(row, display):
    """Functions as TeX sets them: a thin space before an argument without parentheses, the limits of max below it."""
    for i, symbol in reversed(list(enumerate(row))):
        name = symbol[0] if symbol.tag in WITH_SCRIPT else symbol
        if name.text in ("\u221e", "\u2202"):  # infinity and the sign of partial derivatives are no operators
            name.tag = f"{M}mi"
        if name.text not in ("exp", "log", "max", "min", "tanh"):
            continue
        name.tag = f"{M}mi"
        if display == "block" and symbol.tag == f"{M}msub" and name.text in ("max", "min"):
            symbol.tag = f"{M}munder"
        if i + 1 < len(row) and row[i + 1].text != "(":
            row.insert(i + 1, ET.Element(f"{M}mspace", width="0.167em"))


def lines(tree):
    """A long formula in a text is cut behind each `=` and `,`: browsers break lines between formulas, never within."""
    row = tree[0]
    symbols, start = list(row), 0
    if len(symbols) < 8:
        yield tree
        return
    for i, symbol in enumerate(symbols):
        cut = symbol.tag == f"{M}mo" and symbol.text in ("=", ",")
        if cut and symbol.text == "=":
            symbol.set("form", "infix")  # else it would have no space at its right, as the last symbol
        if cut or i == len(symbols) - 1:
            row[:] = symbols[start : i + 1]
            yield tree
            start = i + 1


def markup(tree):
    return ET.tostring(tree, encoding="unicode")


class TiePunctuation(SphinxPostTransform):
    """A parenthesis before a formula and the punctuation behind it stay on its line."""

    default_priority = 900
    formats = ("html",)

    def run(self):
        for formula in self.document.findall(nodes.math):
            siblings, i = formula.parent, formula.parent.index(formula)
            for j, pattern, side in ((i - 1, r"\($", "before"), (i + 1, r"^[.,;:?!)]+", "behind")):
                if 0 <= j < len(siblings) and isinstance(siblings[j], nodes.Text):
                    found = re.search(pattern, siblings[j])
                    formula[side] = found[0] if found else ""
                    siblings[j] = nodes.Text(re.sub(pattern, "", siblings[j]))


def visit_math(self, node):
    parts = [markup(line) for line in lines(mathml(node, "inline"))]
    parts[0] = node.get("before", "") + parts[0]
    parts[-1] += node.get("behind", "")
    self.body += [f'<span class="tied">{part}</span>' for part in parts]
    raise nodes.SkipNode


def visit_math_block(self, node):
    self.body.append(f'<div class="formula">{markup(mathml(node, "block"))}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_post_transform(TiePunctuation)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
