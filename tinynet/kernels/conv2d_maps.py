"""What versions 3 and 4 of convolution read and write: the struct and the table of cells for conv2d_maps.cuh.

Forward pass and input gradient are the same kind of sum, a correlation: through the cells of a filter, each place
looks at an image. In the forward pass the image is x and the cells are (c, r, s). In the input gradient the image is
dy, the cells are (k, r, s), and the places are pixels of x. (The filter gradient looks at x as the forward pass does.)
"""

import functools
from typing import NamedTuple

import numpy as np

from tinynet.kernels.loader import ceil_div

TILE_N, TILE_K = 128, 8  # as in conv2d_gemm.cuh
NOWHERE = -(2**30)  # as in conv2d_maps.cuh, and so is the struct:
STRUCT = np.dtype([
    ("image", np.int32, 3), ("places", np.int32, 2), ("step", np.int32, 2), ("first", np.int32, 2),
    ("out", np.int32, 3), ("out_step", np.int32, 2), ("out_first", np.int32, 2),
    ("count", np.int32), ("groups", np.int32), ("tiles_m", np.int32),
    ("cells", np.int32), ("length", np.int32), ("relu", np.int32),
])  # fmt: skip


class LaunchShape(NamedTuple):
    """Sizes, and how the filter moves. Pairs are (height, width)."""

    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    P: int
    Q: int
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int


class Correlation(NamedTuple):
    """The struct's fields that depend neither on the batch nor on the tiles, and the table."""

    image: tuple  # (C, H, W) of what is read: x, or dy with its (K, P, Q)
    places: tuple  # (P, Q)
    step: tuple  # from one place to the next, in pixels of what is read
    first: tuple  # where the window of the first place begins
    out: tuple  # (M, H, W) of what is written: channels of a group, rows, columns
    out_step: tuple  # the same two for what is written
    out_first: tuple
    m_step: int  # from a weight of one m to that of the next, in elements of w
    cells: int
    table: object  # (4, length) on the device: offset, row, column, weight of each cell

    @property
    def terms(self):
        """The cells in whole tiles, and at least one, if only of zeros: a pixel that no window covers gets 0."""
        return max(round_up(self.cells, TILE_K), TILE_K)

    def struct(self, N, groups, tiles_m, relu=False):
        P, Q = self.places
        return np.array((*self[:7], N * P * Q, groups, tiles_m, self.terms, self.table.shape[1], relu), STRUCT)


@functools.lru_cache(maxsize=256)
def forward_map(g, xp, device):
    """g: with N = 0, so that one table serves all sizes of batch. device: the current one."""
    c, r, s = np.indices((g.C // g.groups, g.R, g.S)).reshape(3, -1)
    row, column = r * g.dilation[0], s * g.dilation[1]
    table = upload(xp, (c * g.H + row) * g.W + column, row, column, np.arange(c.size))
    out, first = (g.K // g.groups, g.P, g.Q), (-g.padding[0], -g.padding[1])
    return Correlation((g.C, g.H, g.W), (g.P, g.Q), g.stride, first, out, (1, 1), (0, 0), c.size, c.size, table)


@functools.lru_cache(maxsize=256)
def phases(g, xp, device):
    """The input gradient, as one correlation for each phase of the stride.

    At place p, row r of the filter sees row h = p * stride + r * dilation - padding of x. So what flows back to row h
    came through those rows r for which p = (h + padding - r * dilation) / stride is a whole number. They are the same
    ones for h, h + stride, h + 2 * stride, ...: a phase. With h + padding = i * stride + a, row r reads row
    p = i + (a - r * dilation) / stride of dy. And so with the columns.
    """
    found = []
    for h, P, first_h, rows, up in axis_phases(g.H, g.R, g.stride[0], g.padding[0], g.dilation[0]):
        for v, Q, first_v, columns, left in axis_phases(g.W, g.S, g.stride[1], g.padding[1], g.dilation[1]):
            k, r, s = np.indices((g.K // g.groups, len(rows), len(columns))).reshape(3, -1)
            weight = (k * (g.C // g.groups) * g.R + rows[r]) * g.S + columns[s]
            table = upload(xp, (k * g.P + up[r]) * g.Q + left[s], up[r], left[s], weight)
            image, out, first = (g.K, g.P, g.Q), (g.C // g.groups, g.H, g.W), (first_h, first_v)
            found.append(Correlation(image, (P, Q), (1, 1), first, out, g.stride, (h, v), g.R * g.S, k.size, table))
    return found


def axis_phases(size, cells, stride, padding, dilation):
    """[(first pixel h, how many pixels, its i, the rows r, their (a - r * dilation) / stride), ...] along one axis."""
    found = []
    for h in range(min(stride, size)):
        i, a = divmod(h + padding, stride)
        steps, rest = np.divmod(a - np.arange(cells) * dilation, stride)
        rows = np.flatnonzero(rest == 0)
        found.append((h, ceil_div(size - h, stride), i, rows, steps[rows]))
    return found


def upload(xp, offset, row, column, weight):
    """The table on the current device, filled up to whole tiles with cells that are nowhere and weigh nothing."""
    table = np.zeros((4, max(round_up(len(offset), TILE_N), TILE_N)), np.int32)
    table[1], table[3] = NOWHERE, -1
    table[:, : len(offset)] = offset, row, column, weight
    table = xp.asarray(table)
    xp.cuda.get_current_stream().synchronize()  # work on any stream may use it from now on
    return table


def round_up(size, step):
    return ceil_div(size, step) * step
