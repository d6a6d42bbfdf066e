"""The index maps of versions 3 and 4 of convolution: the struct and the table of taps that conv2d_maps.cuh reads.

Forward pass and input gradient are both correlations: at each position, the taps of a filter read an image. In the
forward pass the image is x and the taps are (c, r, s). In the input gradient the image is dy, the taps are (k, r, s),
and the positions are pixels of x. (The filter gradient reads x through the map of the forward pass.)
"""

import functools
from typing import NamedTuple

import numpy as np

from tinynet.kernels.loader import ceil_div

TILE_N, TILE_K = 128, 8  # as in conv2d_gemm.cuh
NOWHERE = -(2**30)  # this and the struct are as in conv2d_maps.cuh
STRUCT = np.dtype([
    ("image", np.int32, 3), ("PQ", np.int32, 2), ("stride", np.int32, 2), ("origin", np.int32, 2),
    ("out", np.int32, 3), ("out_stride", np.int32, 2), ("out_origin", np.int32, 2),
    ("positions", np.int32), ("groups", np.int32), ("tiles_m", np.int32),
    ("padded_taps", np.int32), ("table_length", np.int32), ("relu", np.int32),
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

    image: tuple  # (C, H, W) of the image that is read: x, or dy with its (K, P, Q)
    positions: tuple  # (P, Q) of one image
    stride: tuple  # from one position to the next, in pixels of the image that is read
    origin: tuple  # where the window of position (0, 0) begins
    out: tuple  # (M, H, W) of the image that is written: channels per group, rows, columns
    out_stride: tuple  # stride and origin in the image that is written
    out_origin: tuple
    m_stride: int  # from one m to the next in w, in elements
    taps: int
    table: object  # (4, table_length) on the device: offset, row, column and weight of each tap

    @property
    def padded_taps(self):
        """Rounded up to whole tiles; at least one, so that a pixel that no window covers gets a sum of zeros."""
        return max(round_up(self.taps, TILE_K), TILE_K)

    def struct(self, N, groups, tiles_m, relu=False):
        P, Q = self.positions
        return np.array((*self[:7], N * P * Q, groups, tiles_m, self.padded_taps, self.table.shape[1], relu), STRUCT)


@functools.lru_cache(maxsize=256)
def forward_map(g, xp, device):
    """The forward pass as a Correlation. g: a LaunchShape with N = 0, so that one table serves all batch sizes.

    device: the current one.
    """
    c, r, s = np.indices((g.C // g.groups, g.R, g.S)).reshape(3, -1)
    row, column = r * g.dilation[0], s * g.dilation[1]
    table = upload(xp, (c * g.H + row) * g.W + column, row, column, np.arange(c.size))
    out, origin = (g.K // g.groups, g.P, g.Q), (-g.padding[0], -g.padding[1])
    return Correlation((g.C, g.H, g.W), (g.P, g.Q), g.stride, origin, out, (1, 1), (0, 0), c.size, c.size, table)


@functools.lru_cache(maxsize=256)
def input_gradient_maps(g, xp, device):
    """The input gradient as Correlations, one per phase of the stride.

    For row p of y, row r of the filter reads row h = p * stride + r * dilation - padding of x. So the gradient of row
    h comes through those rows r for which p = (h + padding - r * dilation) / stride is a whole number. These rows are
    the same for h, h + stride, h + 2 * stride, ...: a phase. With h + padding = i * stride + a, row r reads row
    p = i + (a - r * dilation) / stride of dy. The same holds for columns.
    """
    found = []
    for h, P, origin_h, rows, up in axis_phases(g.H, g.R, g.stride[0], g.padding[0], g.dilation[0]):
        for v, Q, origin_v, columns, left in axis_phases(g.W, g.S, g.stride[1], g.padding[1], g.dilation[1]):
            k, r, s = np.indices((g.K // g.groups, len(rows), len(columns))).reshape(3, -1)
            weight = (k * (g.C // g.groups) * g.R + rows[r]) * g.S + columns[s]
            table = upload(xp, (k * g.P + up[r]) * g.Q + left[s], up[r], left[s], weight)
            image, out, origin = (g.K, g.P, g.Q), (g.C // g.groups, g.H, g.W), (origin_h, origin_v)
            found.append(Correlation(image, (P, Q), (1, 1), origin, out, g.stride, (h, v), g.R * g.S, k.size, table))
    return found


def axis_phases(size, taps, stride, padding, dilation):
    """The phases along one axis: [(first h, number of pixels, i, rows r, their (a - r * dilation) / stride), ...]."""
    found = []
    for h in range(min(stride, size)):
        i, a = divmod(h + padding, stride)
        steps, rest = np.divmod(a - np.arange(taps) * dilation, stride)
        rows = np.flatnonzero(rest == 0)
        found.append((h, ceil_div(size - h, stride), i, rows, steps[rows]))
    return found


def upload(xp, offset, row, column, weight):
    """The table on the current device, padded to whole tiles with taps that are outside every image."""
    table = np.zeros((4, max(round_up(len(offset), TILE_N), TILE_N)), np.int32)
    table[1], table[3] = NOWHERE, -1
    table[:, : len(offset)] = offset, row, column, weight
    table = xp.asarray(table)
    xp.cuda.get_current_stream().synchronize()  # from now on, work on any stream may use it
    return table


def round_up(size, step):
    return ceil_div(size, step) * step
