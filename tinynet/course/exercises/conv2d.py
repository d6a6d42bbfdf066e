"""Convolution as a matrix product: im2col and col2im are given."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    N, C, H, W, K, R, S = (sizes[name] for name in "NCHWKRS")
    arrays = {"x": rng.standard_normal((N, C, H, W)), "w": rng.standard_normal((K, C // sizes["groups"], R, S))}
    return arrays | ({"b": rng.standard_normal(K)} if sizes["bias"] else {})


def call(module, a, sizes):
    how = (sizes[name] for name in ("stride", "padding", "dilation", "groups"))
    return module.conv2d(a["x"], a["w"], a.get("b"), *how)


def loops(arrays, sizes):
    """With stride 1, without padding."""
    x, w, b = arrays["x"], arrays["w"], arrays["b"]
    (N, C, H, W), (K, _, R, S) = x.shape, w.shape
    y = np.zeros((N, K, H - R + 1, W - S + 1))
    for n, k, p, q in np.ndindex(y.shape):
        y[n, k, p, q] = b[k]
        for c, r, s in np.ndindex(C, R, S):
            y[n, k, p, q] += w[k, c, r, s] * x[n, c, p + r, q + s]
    return {"y": y}


BIAS = "b = 0 if b is None else b[:, None, None]"
FILTERS = "w = w.reshape(G, K // G, -1)  # (G, K/G, C/G*R*S)"
DB = "pairwise_sum(pairwise_sum(dy, (2, 3)), (0,))"
DW = "return np.ascontiguousarray(sums.sum(0).swapaxes(1, 2)).reshape(w_shape)"
IMAGES = "    N, _, P, Q = dy.shape\n"
BY_COLUMNS = {"if rotated and K * H * W <= C * P * Q:": "if False:"}
COL2IM = "            col2im(dcols, padded, geometry.stride, geometry.dilation)\n"
ASSIGN = """            for r in range(R):
                for s in range(S):
                    h, v = r * geometry.dilation[0], s * geometry.dilation[1]
                    of_all = padded[..., h :: geometry.stride[0], v :: geometry.stride[1]][..., :P, :Q]
                    of_all[...] = dcols[:, r, s].swapaxes(0, 1)
"""
STEP_1, STEP_2 = "Input gradient, step 1: the columns", "Input gradient, step 2: col2im"

CONV2D = layer(
    call,
    name="conv2d",
    week=6,
    minutes=120,
    file="ops/conv2d.py",
    page="docs/conv2d.md",
    section="Backward, step by step",
    holes=("Conv2d.backward", "correlate", "filter_gradient", "input_gradient"),
    removed=("Geometry.rotated", "rotate_180", "chunks"),
    hide={
        "    db    = dy summed over n, p, q       (K,)": "    db    = ...                          (K,)",
        "dw    = dy @ cols.T        (K, C*R*S), summed over the images": "dw    = ...                (K, C*R*S)",
        "    dcols = w.T @ dy           (C*R*S, P*Q)": "    dcols = ...                (C*R*S, P*Q)",
        '"""dw = dy @ cols.T, summed over the images. dy:': '"""dw. dy:',
        "Computed as dw.T = cols @ dy.T: with the larger matrix first, BLAS is 6 to 17 % faster on AlexNet's layers.": (
            "It is a matrix product, within each group."
        ),
        '"""dx = col2im(w.T @ dy), or by rotated filters. dy:': '"""dx. dy:',
        "\nCOLUMNS = 384  # two images of conv3 to conv5; more would not stay in the cache\n\n\n": "\n",
    },
    given={
        "Conv2d.backward": [
            "x, w = self.saved",
            "# One cotangent for each input: dx, dw and db, or dx and dw if there was no bias:",
            "# len(self.needs_input_grad) inputs.",
        ],
        "correlate": [
            "G, K, kernel = geometry.groups, len(w), w.shape[2:]",
            "P, Q = geometry.places(x.shape[2:], kernel)",
            "cols = columns(x, kernel, P, Q, geometry)  # (G, C/G*R*S, N*P*Q); the next call reuses its memory",
        ],
        "filter_gradient": [
            "# columns() as in correlate; channel_rows(dy, G) is (G, K/G, N*P*Q), ordered as the columns are.",
        ],
        "input_gradient": [
            "# col2im(dcols, padded, geometry.stride, geometry.dilation) adds dcols, (C, R, S, N, P, Q), to padded:",
            "# zeros of dx's shape with geometry.border around, (top, bottom, left, right), cut off at the end.",
        ],
    },
    sizes=dict(N=3, C=4, H=6, W=5, K=6, R=3, S=2, stride=1, padding=0, dilation=1, groups=1, bias=1),
    small=dict(N=2, C=2, H=4, W=3, K=2),
    smallest=dict(N=1, C=1, H=1, W=1, K=1, R=1, S=1, stride=1, padding=0, dilation=1, groups=1),
    others={
        "one image": dict(N=1),
        "stride=2": dict(stride=2, H=7),
        "padding=1": dict(padding=1),
        "stride=(2, 1), padding=(0, 1), dilation=(1, 2)": dict(stride=(2, 1), padding=(0, 1), dilation=(1, 2)),
        "dilation=2": dict(dilation=2),
        "groups=2": dict(groups=2),
        "filters of 1 x 1": dict(R=1, S=1),
        "no bias": dict(bias=0),
    },
    draw=draw,
    loops=loops,
    axes={"y": "NKPQ", "dx": "NCHW", "dw": "KCRS", "db": "K"},
    simpler=(
        Simpler("one image", dict(N=1), "Is the sum over the images missing, or are images and channels mixed up?"),
        Simpler("stride=1", dict(stride=1), "Window (p, q) starts at pixel (p * stride, q * stride)."),
        Simpler(
            "padding=0", dict(padding=0), "Zeros are added around the image first, and their gradient cut off last."
        ),
        Simpler("dilation=1", dict(dilation=1), "Pixel r of a window is r * dilation from its start."),
        Simpler("groups=1", dict(groups=1), "Filters of group g see the channels of group g only."),
        Simpler(
            "windows that do not overlap",
            lambda sizes: dict(stride=max(sizes["R"], sizes["S"]), dilation=1, padding=0),
            "A pixel of several windows gets the sum: += and not =.",
        ),
        Simpler("filters of one pixel", dict(R=1, S=1), "Look at the order of r and s: a filter turned round?"),
        Simpler("one filter", dict(K=1, groups=1), "Every filter sends something back to x: their sum."),
        Simpler("one channel", dict(C=1, groups=1), "Every filter sees all channels: the sum over them."),
    ),
    hand=Hand(
        {
            "x": np.arange(1.0, 10).reshape(1, 1, 3, 3),
            "w": np.array([[[[1.0, 2], [0, -1]]]]),
            "b": np.zeros(1),
            "dy": np.array([[[[1.0, 0], [-1, 2]]]]),
        },
        {
            "y": [[[[0, 2], [6, 8]]]],
            "dx": [[[[1, 2, 0], [-1, -1, 4], [0, 1, -2]]]],
            "dw": [[[[7, 9], [13, 15]]]],
            "db": [2],
        },
    ),
    twins=(
        Twin("the bias is not added.", {BIAS: "b = 0"}, "## The formula"),
        Twin(
            "the filter is flipped. That is the convolution of mathematics; here it is correlation: not flipped.",
            {FILTERS: "w = w[..., ::-1, ::-1].reshape(G, K // G, -1)"},
            "## The formula",
        ),
        Twin(
            "reshape cannot exchange axes: w @ cols is (K, N*P*Q), so bring n before k by a transpose.",
            {
                "product.reshape(K, j - i, P, Q).swapaxes(0, 1)": "product.reshape(j - i, K, P, Q)",
                "step = max(1, COLUMNS // columns_per_image)": "step = stop - start or 1",
            },
            "## im2col: every window becomes a column",
        ),
        Twin(
            "db is summed over the batch only: a filter's bias is used at every position, too.",
            {DB: "dy.sum(0)"},
            "Bias",
        ),
        Twin(
            "db is summed over the positions only: a filter's bias is used in every image, too.",
            {DB: "dy.sum((2, 3))"},
            "Bias",
        ),
        Twin("db comes from the first image only.", {DB: "dy[:1].sum((0, 2, 3))"}, "Bias"),
        Twin("db is a mean, and should be a sum.", {DB: "dy.mean((0, 2, 3))"}, "Bias"),
        Twin("db is divided by N: the mean over a batch is the loss's business.", {DB: f"{DB} / len(dy)"}, "Bias"),
        Twin(
            "dw is that of the last image: add up those of all images (`+=`, not `=`).",
            {IMAGES: "    dy, x = dy[-1:], x[-1:]\n" + IMAGES},
            "Filter gradient",
        ),
        Twin(
            "dw is that of the first image: add up those of all images.",
            {IMAGES: "    dy, x = dy[:1], x[:1]\n" + IMAGES},
            "Filter gradient",
        ),
        Twin("dw is divided by N: a sum over the images, not a mean.", {DW: f"{DW} / N"}, "Filter gradient"),
        Twin(
            "dw is flipped: filter row r met the pixel r rows below the window's start.",
            {DW: f"{DW}[..., ::-1, ::-1].copy()"},
            "Filter gradient",
        ),
        Twin(
            "reshape cannot exchange axes: cols @ dy.T is (C*R*S, K), the transpose of dw.",
            {DW: "return sums.sum(0).reshape(w_shape)"},
            "Filter gradient",
        ),
        Twin("dw has the wrong sign.", {DW: DW.replace("return ", "return -")}, "Filter gradient"),
        Twin(
            "in col2im `=` stands for `+=`: a pixel in several windows gets the sum of what comes back.",
            BY_COLUMNS | {COL2IM: ASSIGN},
            STEP_2,
        ),
        Twin(
            "the border is cut off at the wrong side: dx starts at row `top` and column `left`.",
            BY_COLUMNS | {"padded[..., top : top + H, left : left + W]": "padded[..., :H, :W]"},
            STEP_2,
        ),
        Twin(
            "reshape cannot exchange axes: dcols = w.T @ dy needs the transpose of w.",
            BY_COLUMNS | {"w_t = w.reshape(G, K // G, -1).swapaxes(1, 2)": "w_t = w.reshape(G, -1, K // G)"},
            STEP_1,
        ),
        Twin(
            "the filter is flipped before col2im: flipped filters are for the second way, by correlation.",
            BY_COLUMNS | {"w_t = w.reshape(": "w_t = w[..., ::-1, ::-1].reshape("},
            STEP_1,
        ),
        Twin(
            "dx is by correlation, but the filters are not turned by 180 degrees.",
            {
                "if rotated and K * H * W <= C * P * Q:": "if rotated:",
                "w = w[..., ::-1, ::-1].reshape(G": "w = w.reshape(G",
            },
            "A second way, with stride 1",
        ),
        Twin(
            "dx has the wrong sign.",
            {"dx = input_gradient(dy, w, x.shape": "dx = -input_gradient(dy, w, x.shape"},
            STEP_1,
        ),
        Twin(
            "without a bias there are two inputs, so backward returns two cotangents.",
            {"if len(needs) == 2:": "if False:", "(0,)) if needs[2] else None": "(0,))"},
            "Bias",
        ),
    ),
)
