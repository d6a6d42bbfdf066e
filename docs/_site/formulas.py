"""Formulas as MathML, made while the site is built: browsers set it themselves, without a script and without a network."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError


def mathml(latex, display):
    markup = convert(latex, display=display)
    if "\\" in markup:  # what latex2mathml does not know it passes on as text
        raise ExtensionError(f"latex2mathml does not know a command in {latex!r}")
    return markup


def visit_math(self, node):
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_math_block(self, node):
    self.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
