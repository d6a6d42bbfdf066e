"""What holds for every kernel: the same bits in every run, in every mode of the emulator, and for strided arrays."""

import numpy as np
import pytest

from kernel_checks import assert_same_bits_always, where_kernels_run
from tinynet import kernels
from tinynet.ops.max_pool2d import pool
from tinynet.windows import Windows

RNG = np.random.default_rng(12345)


def draw(*shape):
    return RNG.standard_normal(shape).astype("float32")


LRN = 3, 0.5, 0.75, 2.0, 1  # size, alpha, beta, k, groups
COLUMNS = dict(row_length=101, whole_row_length=250, first_column=51)
MAX_WINDOWS = Windows((3, 2), (1, 2), (1, 1), (2, 1), True)
AVG_WINDOWS = MAX_WINDOWS._replace(dilation=(1, 1))
IMAGES = draw(2, 9, 20, 37)  # several blocks, the last of them with threads to spare
DY, WINNER = pool(IMAGES, MAX_WINDOWS, True)
TARGET = RNG.integers(0, 300, (3, 2))
TARGET[0] = -100
CLASSES = draw(3, 300, 2), TARGET, RNG.uniform(0.5, 2, 300).astype("float32")  # ten warps' work for eight
HOW = -100, 0.1  # the ignored class, label smoothing


def sgd(w, g, v, start):
    kernels.sgd(w[start:], g[start:], v[start:], 0.1, 0.9, 0.01, nesterov=True)
    return w, v


LAUNCHES = {  # name: (launcher, arrays)
    "relu": (kernels.relu, draw(3, 7, 101)),
    "relu backward": (kernels.relu_backward, draw(7, 101), draw(7, 101)),
    "dropout": (lambda x: kernels.dropout(x, 0.4, 2**63), draw(7, 101)),
    "dropout of some columns": (lambda x: kernels.dropout(x, 0.4, 2**63, **COLUMNS), draw(7, 101)),
    "lrn": (lambda x: kernels.local_response_norm(x, *LRN), draw(2, 27, 5, 7)),  # runs of 24 channels and 3
    "lrn backward": (
        lambda dy, x: kernels.local_response_norm_backward(dy, x, *LRN), draw(2, 27, 5, 7), draw(2, 27, 5, 7)
    ),
    "max pool": (lambda x: kernels.max_pool2d(x, MAX_WINDOWS, True), IMAGES),
    "max pool backward": (
        lambda dy, winner: kernels.max_pool2d_backward(dy, winner, IMAGES.shape, MAX_WINDOWS), DY, WINNER
    ),
    "average pool": (lambda x: kernels.avg_pool2d(x, AVG_WINDOWS, True), IMAGES),
    "average pool backward": (
        lambda dy: kernels.avg_pool2d_backward(dy, IMAGES.shape, AVG_WINDOWS, False),
        draw(2, 9, *AVG_WINDOWS.places((20, 37))),
    ),
    "cross-entropy": (lambda x, *more: kernels.softmax_cross_entropy(x, *more, *HOW), *CLASSES),
    "cross-entropy backward": (
        lambda dl, x, *more: kernels.softmax_cross_entropy_backward(dl, x, *more, *HOW), draw(3, 2), *CLASSES
    ),
    "sgd": (lambda *arrays: sgd(*arrays, start=0), draw(1031), draw(1031), draw(1031)),
    "sgd not aligned": (lambda *arrays: sgd(*arrays, start=1), draw(1031), draw(1031), draw(1031)),
    "sgd of a matrix": (lambda *arrays: sgd(*arrays, start=0), draw(6, 9), draw(6, 9), draw(6, 9)),
}  # fmt: skip


@where_kernels_run
@pytest.mark.parametrize("name", LAUNCHES)
def test_same_bits_always(device, name):
    assert_same_bits_always(device, *LAUNCHES[name])
