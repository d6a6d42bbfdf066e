"""What the launchers of max-pooling and average-pooling share: the struct that describes the windows, and the grid."""

import numpy as np

from tinynet.kernels.loader import ceil_div

SIZES = ["planes", "H", "W", "P", "Q", "R", "S"]
MOVES = ["stride_h", "stride_w", "padding_h", "padding_w", "dilation_h", "dilation_w"]
POOLING = np.dtype([(name, np.int32) for name in SIZES + MOVES])  # struct Pooling of pool2d.cuh
THREADS = 256
PLANES_PER_THREAD = 4


def pooling(x_shape, windows):
    """The struct that the kernels take. windows: a tinynet.windows.Windows."""
    N, C, *image = x_shape
    kernel, stride, padding, dilation, _ = windows
    return np.array((N * C, *image, *windows.places(image), *kernel, *stride, *padding, *dilation), POOLING)


def grid_and_block(shape):
    """((x, y), (x, y)) to fill an array (N, C, H, W): x counts the pixels of a plane, y the planes; see pool2d.cuh."""
    N, C, H, W = shape
    block = min(H * W, THREADS), max(THREADS // (H * W), 1)
    return (ceil_div(H * W, block[0]), min(ceil_div(N * C, block[1] * PLANES_PER_THREAD), 65535)), block
