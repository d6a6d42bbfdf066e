"""Broadcasting the bias forward, summing backward: the example by hand of linear.md, with one more image."""

import numpy as np

import tinynet
from drawing import BACKWARD, BACKWARD_FILL, FORWARD, FORWARD_FILL, MUTED, array, arrow, canvas, write


def broadcast_bias():
    xw = tinynet.tensor(np.array([[1.0, 0, 2], [3, 6, 0], [0, 1, 1]]))  # x @ w.T: (N, K)
    b = tinynet.tensor(np.array([1.0, 0, -1]), requires_grad=True)  # (K,)
    dy = np.array([[1.0, 0, 2], [0, 1, -1], [2, 0, 0]])
    (xw + b).backward(dy)
    figure, axes = canvas(56)
    copies = np.broadcast_to(b.data, dy.shape)
    for left, color, fill, names, one, many, down in (
        (15, FORWARD, FORWARD_FILL, ("forward: b is copied", "b", "b in y"), b.data, copies, True),
        (63, BACKWARD, BACKWARD_FILL, ("backward: dy is summed", "db", "dy"), b.grad, dy, False),
    ):
        write(axes, left + 12, 4, names[0], color)
        single = array(axes, left, 10, one[None], 8, fills={(0, k): fill for k in range(3)})
        centers = array(axes, left, 28, many, 8)
        write(axes, left - 2, 14, names[1], MUTED, ha="right")
        write(axes, left - 2, 40, names[2], MUTED, ha="right")
        for k in range(3):
            ends = (single[0, k][0], 18.6), (centers[0, k][0], 27.4)
            arrow(axes, *(ends if down else ends[::-1]), color)
    return figure


FIGURES = {"broadcast-bias": broadcast_bias}
