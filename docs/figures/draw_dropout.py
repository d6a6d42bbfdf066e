"""One batch, three images, three networks: dropout.md."""

import numpy as np

import tinynet
from drawing import FORWARD, LINE, MUTED, canvas, write
from tinynet import functional as F


def dropout_masks():
    """Each image has masks of its own; a weight is used, and learns, where both of its units are kept."""
    tinynet.manual_seed(4)
    masks = [F.dropout(tinynet.tensor(np.ones((3, 6))), p=0.5).numpy() for _ in range(2)]  # fc6's, fc7's: 0 or 2
    figure, axes = canvas(52)
    for n in range(3):
        left = 6 + 32 * n
        write(axes, left + 12, 4, f"image {n}")
        columns = [(left + 3, masks[0][n]), (left + 21, masks[1][n])]
        rows = 10 + 5.6 * np.arange(6)
        for i, j in np.ndindex(6, 6):
            kept = masks[0][n, i] and masks[1][n, j]
            look = dict(color=FORWARD, lw=1.2) if kept else dict(color="#e2e2e2", lw=0.5)
            axes.plot([left + 3, left + 21], [rows[i], rows[j]], zorder=1 + bool(kept), **look)
        for x, mask in columns:
            for y, m in zip(rows, mask, strict=True):
                look = dict(mfc=FORWARD, mec=FORWARD) if m else dict(mfc="white", mec=LINE)
                axes.plot(x, y, "o", ms=11, mew=1.3, zorder=3, **look)
                if not m:
                    axes.plot(x, y, "x", ms=6, mec=LINE, mew=1.3, zorder=4)
        used = np.count_nonzero(np.outer(masks[0][n], masks[1][n]))
        write(axes, left + 12, 46.5, f"{used} of 36 weights", MUTED)
    return figure


FIGURES = {"dropout-masks": dropout_masks}
