"""What the figures of the pages share: one width, a few colors, boxes, arrows, and arrays of numbers.

A figure is 800 pixels wide and has to be readable at 375: so little text, and none smaller than SMALL. Blue is what
goes forward, orange what comes back; both also differ in place or in words, for those who cannot tell the colors.
"""

import io

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

INK, MUTED, LINE = "#222222", "#666666", "#9a9a9a"
FORWARD, BACKWARD, THIRD, FOURTH = "#0072b2", "#d55e00", "#007a5a", "#8a5a83"  # Okabe and Ito's, two a little darker
FORWARD_FILL, BACKWARD_FILL = "#d9eaf5", "#fbe2d0"
NORMAL, SMALL, DPI, INCHES = 10, 8.5, 160, 5


def canvas(height):
    """A figure that is only a drawing: axes without frames, 100 units wide and `height` units high, y downward."""
    figure = Figure(figsize=(INCHES, INCHES * height / 100))
    axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 100), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def plots(height, columns=1, **options):
    """A figure of plots side by side, `height` inches high."""
    figure = Figure(figsize=(INCHES, height), layout="constrained")
    panels = figure.subplots(1, columns, squeeze=False, **options)[0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=SMALL, colors=INK)
    return figure, panels


def write(axes, x, y, text, color=INK, size=NORMAL, ha="center", va="center", **options):
    return axes.text(x, y, text, color=color, fontsize=size, ha=ha, va=va, **options)


def box(axes, x, y, width, height):
    """A box with round corners around (x, y)."""
    corner, style = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=1.2"
    axes.add_patch(FancyBboxPatch(corner, width, height, style, fc="white", ec=INK, lw=1.3, zorder=2))


def arrow(axes, start, end, color=LINE, bend=0.0, over=False):
    """over: whether it is drawn over boxes and arrays, not under them."""
    look = dict(arrowstyle="-|>", color=color, lw=1.4, shrinkA=0, shrinkB=0, mutation_scale=11)
    look["connectionstyle"] = f"arc3,rad={bend}"
    axes.annotate("", end, start, arrowprops=look, zorder=5 if over else 1)


def number(value):
    """As on the pages: 3 and not 3.0, -0.04, 0.111."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def array(axes, x, y, values, cell, fills=None):
    """An array of numbers as a grid of squares whose top left corner is (x, y). Returns {(i, j): center}.

    fills: {(i, j): color} of cells that differ from the others.
    """
    centers = {}
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            corner = x + j * cell, y + i * cell
            fill = (fills or {}).get((i, j), "white")
            axes.add_patch(Rectangle(corner, cell, cell, fc=fill, ec=LINE, lw=0.8, zorder=2))
            centers[i, j] = corner[0] + cell / 2, corner[1] + cell / 2
            write(axes, *centers[i, j], number(value), zorder=3)
    return centers


def frame(axes, x, y, width, height, color, line=2.2, dashes="-", inset=0.0):
    corner = x + inset, y + inset
    size = width - 2 * inset, height - 2 * inset
    axes.add_patch(Rectangle(corner, *size, fill=False, ec=color, lw=line, ls=dashes, zorder=4))


def words(figure):
    """All texts in a figure but the axes' numbers, in order: what it says, whatever version of matplotlib draws it."""
    ticks = {label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())}
    texts = [text for text in figure.findobj(Text) if text not in ticks]
    return " | ".join(text.get_text().strip().replace("\n", " ") for text in texts if text.get_text().strip())


def save(figure, path):
    """As a PNG of 64 colors that holds its words too, so that a test can tell whether it is out of date."""
    drawn, said = io.BytesIO(), PngInfo()
    figure.savefig(drawn, dpi=DPI, facecolor="white")
    said.add_itxt("Description", words(figure))
    Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, pnginfo=said, optimize=True)
