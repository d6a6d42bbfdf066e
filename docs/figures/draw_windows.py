"""im2col and col2im, the last windows of 224 and 227 pixels, a pool's winners. For conv2d.md and max_pool2d.md."""

import numpy as np
from matplotlib.patches import Rectangle

import tinynet
from drawing import (
    BACKWARD,
    BACKWARD_FILL,
    FORWARD,
    FORWARD_FILL,
    FOURTH,
    LINE,
    MUTED,
    SMALL,
    THIRD,
    array,
    arrow,
    canvas,
    frame,
    write,
)
from tinynet import functional as F
from tinynet.windows import col2im, im2col, output_size

ONE, STEP = (1, 1), (2, 2)


def window_to_column():
    """A 3 x 3 image, 2 x 2 windows: window (0, 1) becomes the second column."""
    image = np.arange(1.0, 10).reshape(3, 3)
    columns = np.empty((1, 2, 2, 1, 2, 2))  # (C, R, S, B, P, Q)
    im2col(image[None, None], (2, 2), 2, 2, ONE, ONE, columns)
    shades = [FORWARD_FILL, "#b3d5ea", "#8fc1df", "#6aaed4"]
    cells = [(0, 1), (0, 2), (1, 1), (1, 2)]  # of window (0, 1), in the image
    figure, axes = canvas(54)
    write(axes, 18, 5, "image x")
    array(axes, 6, 13, image, 8, fills=dict(zip(cells, shades, strict=True)))
    frame(axes, 14, 13, 16, 16, FORWARD)
    write(axes, 69, 5, "its four windows as columns")
    for j, name in enumerate(("(0,0)", "(0,1)", "(1,0)", "(1,1)")):
        write(axes, 59.5 + 9 * j, 10.5, name, FORWARD if j == 1 else MUTED, SMALL)
    array(axes, 55, 13, columns.reshape(4, 4), 9, fills={(i, 1): shade for i, shade in enumerate(shades)})
    frame(axes, 64, 13, 9, 36, FORWARD)
    for i, name in enumerate(("(0,0)", "(0,1)", "(1,0)", "(1,1)")):
        write(axes, 53, 17.5 + 9 * i, name, MUTED, SMALL, ha="right")
    arrow(axes, (31, 21), (43.5, 21), FORWARD)
    write(axes, 18, 44, "window (0,1)", FORWARD)
    return figure


def overlaps():
    """col2im of ones counts the windows over each pixel, which are the terms that its gradient is a sum of."""
    figure, axes = canvas(56)
    for left, size, kernel, stride, places, cell in ((6, 3, 2, ONE, 2, 8), (50, 7, 3, STEP, 3, 6.2)):
        counts = np.zeros((1, 1, size, size))
        col2im(np.ones((1, kernel, kernel, 1, places, places)), counts, stride, ONE)
        fills = {1: "white", 2: BACKWARD_FILL, 4: "#f0b48a"}
        shade = {(i, j): fills[int(counts[0, 0, i, j])] for i, j in np.ndindex(size, size)}
        write(axes, left + size * cell / 2, 4, f"{kernel} × {kernel}, stride {stride[0]}")
        array(axes, left, 9, counts[0, 0], cell, fills=shade)
        edge = kernel * cell
        frame(axes, left, 9, edge, edge, FORWARD, dashes=(0, (3, 1.5)))
        frame(axes, left + stride[0] * cell, 9 + stride[0] * cell, edge, edge, THIRD, inset=0.5)
    write(axes, 18, 39.5, "dashed and solid:", MUTED, SMALL)
    write(axes, 18, 43.5, "two of the windows", MUTED, SMALL)
    return figure


def edges():
    """The last two windows of conv1, 11 wide in steps of 4: what 55 positions need at the right edge."""
    figure, axes = canvas(70)
    first, cell = 204, 3.35  # the column of pixels at the left of the drawing; a pixel's width

    def place(column):
        return 6 + (column - first) * cell

    rows = [
        ("2012, rounding up", 224, 0, True, "the last window reads zeros from outside"),
        ("Caffe, 227 pixels", 227, 0, False, "the last window just fits"),
        ("tinynet, padding 2", 224, 2, False, "2 zeros at each side, the last of them unused"),
    ]
    for number, (name, size, padding, ceil_mode, remark) in enumerate(rows):
        top = 4 + 22.5 * number
        count = output_size(size, 11, 4, padding, 1, ceil_mode)
        write(axes, 4, top, f"{name}: windows 0 to {count - 1}", ha="left")
        for column in range(first, max(4 * (count - 1) - padding + 11, size + padding)):
            look = dict(fc=FORWARD_FILL) if column < size else dict(fc="white", hatch="////")
            axes.add_patch(Rectangle((place(column), top + 3.5), cell, 4, ec=LINE, lw=0.7, **look))
        for window, color in ((count - 2, MUTED), (count - 1, FORWARD)):
            start, height = 4 * window - padding, top + (9.4 if window == count - 2 else 11.8)
            axes.plot([place(start), place(start + 11)], [height, height], color=color, lw=3, solid_capstyle="butt")
            write(axes, place(start) - 1.5, height, f"window {window}", color, SMALL, ha="right")
        write(axes, place(size - 0.5), top + 1.2, size - 1, MUTED, SMALL)
        write(axes, 4, top + 15.6, remark, MUTED, SMALL, ha="left")
    return figure


def winners():
    """The example by hand of max_pool2d.md: each window's dy goes to the pixel that won it."""
    pixels = [[1, 0, 2, 4, 1], [0, 3, 9, 0, 2], [5, 1, 4, 3, 0], [2, 0, 1, 6, 7], [8, 1, 0, 2, 3]]
    x = tinynet.tensor(np.array([[pixels]], float), requires_grad=True)
    y = F.max_pool2d(x, 3, stride=2)
    winner = y.function.saved[0][0, 0]
    dy = np.array([[1.0, 2], [3, 4]])
    y.backward(dy[None, None])
    colors = {(0, 0): FORWARD, (0, 1): BACKWARD, (1, 0): THIRD, (1, 1): FOURTH}
    figure, axes = canvas(60)
    write(axes, 26, 4, "x, and where dx is not 0")
    write(axes, 81, 4, "dy")
    won = {(i, j): BACKWARD_FILL for i, j in zip(*np.nonzero(x.grad[0, 0]), strict=True)}
    centers = array(axes, 6, 8, x.data[0, 0], 8, fills=won)
    array(axes, 71, 17, dy, 10)
    for (p, q), color in colors.items():
        look = dict(inset=0.9, dashes=(0, (3, 1.5))) if p != q else dict(inset=0.4)
        frame(axes, 6 + 16 * q, 8 + 16 * p, 24, 24, color, **look)
        frame(axes, 71 + 10 * q, 17 + 10 * p, 10, 10, color, **look)
        r, s = divmod(int(winner[p, q]), 3)
        h, v = centers[2 * p + r, 2 * q + s]
        start, end, bend = {
            (0, 0): ((71, 22), (h + 2.8, v), 0.05),
            (0, 1): ((86, 17), (h + 2, v - 2.2), 0.4),
            (1, 0): ((76, 37), (h + 2.4, v + 1.6), -0.32),
            (1, 1): ((86, 37), (h + 2.8, v), -0.22),
        }[p, q]
        arrow(axes, start, end, color, bend, over=True)
    sums = ", ".join(f"the {pixels[i][j]} gets {x.grad[0, 0, i, j]:.0f}" for i, j in won)
    write(axes, 50, 55, f"dx: {sums}", MUTED)
    return figure


FIGURES = {"im2col": window_to_column, "col2im": overlaps, "edges-224": edges, "pool-winners": winners}
