"""Convolution on a GPU: the maths is in ops/conv2d.py, the kernels are in the .cu files, in four versions.

    version   file                       what it shows
    1         conv2d_direct.cu           one thread per output, the formula as loops
    2         conv2d_tiled.cu            a matrix product in tiles of shared memory
    3         conv2d.cu                  ... and in registers; runs by default
    4         conv2d_tensor_cores.cu     ... and on tensor cores, in TF32; runs by default after tinynet.allow_tf32()

docs/kernels.md walks from one to the next.
"""

import functools
from typing import NamedTuple

import numpy as np

from tinynet.backend import array_module, device_of, tf32_allowed, use_device
from tinynet.kernels.conv2d_maps import TILE_K, TILE_N, LaunchShape, forward_map, input_gradient_maps, round_up
from tinynet.kernels.loader import ceil_div, check, check_size, kernel

# ---------------------------------------------------------------------------- which version


def choose_version(op, x, version):
    """The version asked for, or the default one. Raises if it cannot run on the array x."""
    tensor_cores = compute_capability(array_module(x), device_of(x)) >= 80
    if version is None:
        return 4 if tf32_allowed() and tensor_cores and x.dtype == np.float32 else 3
    if version not in (1, 2, 3, 4):
        raise ValueError(f"{op}: version must be 1, 2, 3 or 4, or None for the default, got {version!r}")
    if version == 4 and x.dtype != np.float32:
        raise TypeError(f"{op}: version 4 computes in TF32, float32 with fewer mantissa bits; the arrays are {x.dtype}")
    if version == 4 and not tensor_cores:
        raise RuntimeError(f"{op}: version 4 needs the tensor cores of compute capability 8.0, {device_of(x)} is older")
    return version


@functools.cache
def compute_capability(xp, device):
    with use_device(device) as gpu:
        return int(gpu.compute_capability)


@functools.cache
def multiprocessors(xp, device):
    with use_device(device) as gpu:
        return gpu.attributes["MultiProcessorCount"]


# ---------------------------------------------------------------------------- the three passes


def conv2d(x, w, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, relu=False, version=None):
    """x: (N, C, H, W), w: (K, C/G, R, S), bias: (K,) or None -> y: (N, K, P, Q), clamped at 0 if relu."""
    x, w, bias = check("conv2d", x=x, w=w, bias=bias)
    g = launch_shape("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    if bias is not None:
        check_shape("conv2d", "bias", bias, (g.K,))
    version, xp, device = choose_version("conv2d", x, version), array_module(x), device_of(x)
    with use_device(device):
        y = xp.empty((g.N, g.K, g.P, g.Q), x.dtype)
        if y.size and version in LOOPS:
            loops(version, "forward", (x, w, bias, y), g, g.K // groups, g.N * g.P * g.Q, relu)
        elif y.size:
            launch_correlation(version, x, w, bias, y, g, forward_map(g._replace(N=0), xp, device), relu)
    return y


def conv2d_input_gradient(dy, w, x_shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, version=None):
    """dy: (N, K, P, Q), w: (K, C/G, R, S) -> dx, of shape x_shape = (N, C, H, W)."""
    op = "conv2d_input_gradient"
    dy, w = check(op, dy=dy, w=w)
    g = launch_shape(op, x_shape, w.shape, stride, padding, dilation, groups)
    check_shape(op, "dy", dy, (g.N, g.K, g.P, g.Q))
    version, xp, device = choose_version(op, dy, version), array_module(dy), device_of(dy)
    with use_device(device):
        dx = xp.empty(x_shape, dy.dtype)
        if dx.size and version in LOOPS:
            loops(version, "input_gradient", (dy, w, dx), g, g.C // groups, g.N * g.H * g.W)
        elif dx.size:
            for phase in input_gradient_maps(g._replace(N=0), xp, device):
                launch_correlation(version, dy, w, None, dx, g, phase)
    return dx


def conv2d_filter_gradient(dy, x, w_shape, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, version=None):
    """dy: (N, K, P, Q), x: (N, C, H, W) -> dw, of shape w_shape = (K, C/G, R, S)."""
    op = "conv2d_filter_gradient"
    dy, x = check(op, dy=dy, x=x)
    g = launch_shape(op, x.shape, w_shape, stride, padding, dilation, groups)
    check_shape(op, "dy", dy, (g.N, g.K, g.P, g.Q))
    version, xp, device = choose_version(op, dy, version), array_module(dy), device_of(dy)
    with use_device(device):
        if not g.N:
            return xp.zeros(w_shape, dy.dtype)
        dw = xp.empty(w_shape, dy.dtype)
        if version in LOOPS:
            loops(version, "filter_gradient", (dy, x, dw), g, g.K // groups, g.C // groups * g.R * g.S)
        else:
            filter_gradient(version, dy, x, dw, g, forward_map(g._replace(N=0), xp, device))
    return dw


def launch_shape(op, x_shape, w_shape, stride, padding, dilation, groups):
    (N, C, H, W), (K, channels, R, S) = x_shape, w_shape
    if channels * groups != C or K % groups:
        raise ValueError(f"{op}: filters {tuple(w_shape)} in {groups} groups do not fit images {tuple(x_shape)}")
    P, Q = (
        (size + 2 * pad - gap * (taps - 1) - 1) // step + 1
        for size, taps, step, pad, gap in zip((H, W), (R, S), stride, padding, dilation, strict=True)
    )
    if min(P, Q) < 1:
        raise ValueError(f"{op}: filters {tuple(w_shape)} are larger than images {tuple(x_shape)}, padding {padding}")
    for name, shape in (("x", x_shape), ("w", w_shape), ("y", (N, K, P, Q))):
        check_size(op, name, shape)
    return LaunchShape(N, C, H, W, K, R, S, P, Q, tuple(stride), tuple(padding), tuple(dilation), groups)


def check_shape(op, name, array, shape):
    if array.shape != shape:
        raise ValueError(f"{op}: {name} must be {shape}, got {array.shape}")


# ---------------------------------------------------------------------------- versions 1 and 2

LOOPS = {1: "conv2d_direct", 2: "conv2d_tiled"}
LAUNCH_SHAPE = np.dtype([  # struct LaunchShape of conv2d.cuh
    ("sizes", np.int32, 9), ("pairs", np.int32, 6), ("groups", np.int32), ("relu", np.int32)
])  # fmt: skip


def loops(version, which, arrays, g, rows, columns, relu=False):
    """Launches version 1 or 2. rows, columns: the size of each group's product."""
    out = arrays[-1]
    struct = np.array((g[:9], (*g.stride, *g.padding, *g.dilation), g.groups, relu), LAUNCH_SHAPE)
    if version == 1:
        blocks, block = ceil_div(out.size, 256), (256,)
    else:
        blocks, block = ceil_div(rows, 16) * ceil_div(columns, 16) * g.groups, (16, 16)
    kernel(out, LOOPS[version], f"conv2d_{which}_v{version}")((blocks,), block, (*arrays, struct))


# ---------------------------------------------------------------------------- versions 3 and 4

FILES = {3: "conv2d", 4: "conv2d_tensor_cores"}
THREADS = 128


def launch_correlation(version, image, w, bias, out, g, c, relu=False):
    """Writes `out`, or one phase of it. c: the Correlation."""
    M, (P, Q) = c.out[0], c.positions
    columns = ceil_div(g.N * P * Q, TILE_N)
    tile, _ = choose_tile(version, image, M, g.groups * columns, c.padded_taps)
    tiles_m = ceil_div(M, tile.M)
    struct = c.struct(g.N, g.groups, tiles_m, relu)
    shape = g.groups, c.padded_taps, tiles_m * tile.M
    check_size("conv2d", "w, padded to whole tiles,", shape)
    dtype = np.uint32 if version == 4 else w.dtype  # the bits of TF32 numbers
    packed = array_module(w).empty(shape, dtype)
    blocks = ceil_div(packed.size // TILE_K, THREADS)
    launch(version, tile, "pack_filters", (blocks,), w, c.table, packed, struct, w.size // g.groups, c.m_stride)
    launch(version, tile, "correlate", (tiles_m * g.groups * columns,), image, packed, c.table, bias, out, struct)


def filter_gradient(version, dy, x, dw, g, c):
    M, positions, columns = g.K // g.groups, g.N * g.P * g.Q, ceil_div(c.taps, TILE_N)
    tile, splits = choose_tile(version, x, M, g.groups * columns, positions, dw.size)
    tiles_m = ceil_div(M, tile.M)
    split_size = round_up(ceil_div(positions, splits), TILE_K)
    splits = ceil_div(positions, split_size)
    partials = dw if splits == 1 else array_module(dw).empty((splits, *dw.shape), dw.dtype)
    grid, struct = (tiles_m * g.groups * columns, splits), c.struct(g.N, g.groups, tiles_m)
    launch(version, tile, "filter_gradient", grid, dy, x, c.table, partials, struct, c.taps, split_size)
    if splits > 1:
        launch(version, tile, "sum_partials", (ceil_div(dw.size, THREADS),), partials, dw, dw.size, splits)


def launch(version, tile, name, grid, *args):
    args = [np.int32(a) if isinstance(a, int) else a for a in args]
    kernel(args[0], FILES[version], f"conv2d_{name}", **tile.defines)(grid, (THREADS,), args)


class Tile(NamedTuple):
    """A tile shape: M x TILE_N elements of the product."""

    M: int
    defines: dict
    cost: int  # instructions that each of its 4 warps issues per term, counted in NVIDIA's machine code for sm_90
    blocks: int  # resident on a multiprocessor at the same time


TILES = {
    3: [
        Tile(128, {"THREAD_M": 16, "THREAD_N": 8}, 150, 2),
        Tile(96, {"THREAD_M": 12, "THREAD_N": 8}, 117, 2),
        Tile(64, {"THREAD_M": 8, "THREAD_N": 8}, 83, 3),
        Tile(48, {"THREAD_M": 12, "THREAD_N": 4}, 67, 3),
        Tile(32, {"THREAD_M": 8, "THREAD_N": 4}, 50, 3),
    ],
    4: [  # an mma counts as 4 instructions, since it occupies the tensor cores for about that long
        Tile(128, {"WARP_M": 64, "WARP_N": 64}, 41, 2),
        Tile(96, {"WARP_M": 48, "WARP_N": 64}, 35, 2),
        Tile(64, {"WARP_M": 32, "WARP_N": 64}, 31, 3),
        Tile(48, {"WARP_M": 48, "WARP_N": 32}, 28, 3),
        Tile(32, {"WARP_M": 32, "WARP_N": 32}, 25, 3),
    ],
}
MAX_SPLITS = 128
OVERHEAD = 20  # per tile, in terms: loading the first operands and writing the sums take as long as this many terms
STALL = 0.4  # fraction of time a lone block stalls on memory
TRAFFIC = 200  # elements of partial sums that are written and read back in the time a warp issues one instruction


def choose_tile(version, x, M, columns, terms, split_elements=0):
    """(tile, splits): the tile shape and the number of splits of each sum that should take the least time.

    M: rows of the product. columns: tiles side by side, in all groups. terms: of each sum. split_elements: size of
    the result of one split; 0: do not split. This is an estimate: its constants have not been measured on a GPU.
    """
    sms = multiprocessors(array_module(x), device_of(x))
    return fastest(version, x.itemsize, M, columns, terms, split_elements, sms)


@functools.lru_cache(maxsize=1024)
def fastest(version, itemsize, M, columns, terms, split_elements, sms):
    """Assumes that a multiprocessor takes one tile after the other, so that 133 tiles on 132 take as long as 264."""

    def time(choice):
        tile, splits = choice
        rounds = ceil_div(ceil_div(M, tile.M) * columns * splits, sms)
        rounds += STALL * (rounds % tile.blocks == 1)
        traffic = (splits > 1) * splits * split_elements / TRAFFIC
        return rounds * tile.cost * (ceil_div(terms, splits) + OVERHEAD) + traffic

    tiles = [tile for tile in TILES[version] if itemsize == 4 or tile.M <= 64]  # a double takes two registers
    counts = range(1, MAX_SPLITS + 1 if split_elements else 2)
    return min(((tile, splits) for tile in tiles for splits in counts), key=time)
