"""Max-pooling: the winner takes all."""

import numpy as np

from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, Simpler, layer


def draw(rng, sizes):
    """Different numbers, most of them negative; or, for ties, few different ones."""
    shape = tuple(sizes[name] for name in "NCHW")
    count = int(np.prod(shape))
    x = rng.permutation(count) - 0.8 * count
    return {"x": (rng.integers(0, 3, count) if sizes["ties"] else x).reshape(shape).astype(np.float64)}


def call(module, a, sizes):
    window = sizes["R"], sizes["S"]
    return module.max_pool2d(a["x"], window, *(sizes[name] for name in ("stride", "padding", "dilation", "ceil_mode")))


def loops(arrays, sizes):
    """Without padding and dilation."""
    x, R, S, t = arrays["x"], sizes["R"], sizes["S"], sizes["stride"]
    N, C, H, W = x.shape
    y = np.zeros((N, C, (H - R) // t + 1, (W - S) // t + 1))
    for n, c, p, q in np.ndindex(y.shape):
        y[n, c, p, q] = max(x[n, c, p * t + r, q * t + s] for r in range(R) for s in range(S))
    return {"y": y}


ADD = "np.add.at(padded.reshape(-1), at.reshape(-1), dy[n].reshape(-1))"
CUT = "padded[..., top : top + H, left : left + W]"
EVERY_TIE = {
    "self.save(winner)": "self.save(winner, x, y)",
    "(winner,) = self.saved": "winner, x, y = self.saved",
    "return pool_backward(dy, winner, self.x_shape, self.windows)": """
        windows, (H, W) = self.windows, x.shape[2:]
        top, _, left, _ = windows.border((H, W))
        image = pad_image(x, windows.border((H, W)), -np.inf)
        padded = np.zeros_like(image)
        for _, seen in windows.cells(*y.shape[2:]):
            padded[seen] += dy * (image[seen] == y)
        return padded[..., top : top + H, left : left + W].copy()""",
}
SHARED = dict(EVERY_TIE)
SHARED["return pool_backward(dy, winner, self.x_shape, self.windows)"] = EVERY_TIE[
    "return pool_backward(dy, winner, self.x_shape, self.windows)"
].replace("dy * (image[seen] == y)", "dy / np.prod(windows.kernel)")

MAX_POOL2D = layer(
    call,
    name="max_pool2d",
    week=7,
    minutes=90,
    file="ops/max_pool2d.py",
    page="docs/max_pool2d.md",
    section="Backward, step by step",
    holes=("pool", "pool_backward"),
    removed=("sliding_max", "at_windows"),
    hide={
        """Backward. Moving any pixel but the largest a little changes nothing, so all of dy[n,c,p,q] goes to
the pixel that won, and the others get 0. Where windows overlap, a pixel that wins several of them gets
the sum. If pixels tie, the first""": "Backward. ... If pixels tie, the first",
        """

    The maximum of a window is the maximum of its rows' maxima: first over S pixels, then over R maxima. Both
    are taken for windows that start at every pixel, whatever the stride, because NumPy reads contiguous memory
    many times as fast as every t-th number. Only then are the windows that count picked out.
    """: "",
        '"""dx (N, C, H, W): each window\'s dy, added to the pixel that won it."""': '"""dx (N, C, H, W)."""',
    },
    given={
        "pool": [
            "P, Q = windows.places(x.shape[2:])",
            "# windows.cells(P, Q) gives (i, seen) for each pixel i = r * S + s of a window: image[seen] is pixel i of",
            "# all windows at once, (N, C, P, Q), where image is pad_image(x, windows.border(x.shape[2:]), value).",
            "# winner: of an integer dtype; None will do unless want_winner. Nans and infinities are not checked here.",
        ],
        "pool_backward": [
            "top, bottom, left, right = windows.border(x_shape[2:])  # of the padded image; cut off at the end",
        ],
    },
    sizes=dict(N=2, C=3, H=7, W=9, R=3, S=2, stride=2, padding=0, dilation=1, ceil_mode=False, ties=0),
    small=dict(N=1, C=2, H=5, W=6),
    smallest=dict(N=1, C=1, H=1, W=1, R=1, S=1, stride=1, padding=0, dilation=1, ceil_mode=False, ties=0),
    others={
        "stride=1": dict(stride=1),
        "windows side by side": dict(R=2, S=2, stride=2),
        "padding=1": dict(padding=1),
        "dilation=2": dict(dilation=2),
        "stride=(2, 1), padding=(0, 1), dilation=(1, 2)": dict(stride=(2, 1), padding=(0, 1), dilation=(1, 2)),
        "ceil_mode": dict(ceil_mode=True, H=8),
        "ties": dict(ties=1),
        "one image": dict(N=1),
        "no images": dict(N=0),
    },
    draw=draw,
    loops=loops,
    axes={"y": "NCPQ", "dx": "NCHW"},
    simpler=(
        Simpler("no ties", dict(ties=0), "Where pixels tie, the first in row-major order gets all of dy."),
        Simpler("padding=0", dict(padding=0), "The padding is minus infinity, and is cut off dx at the end."),
        Simpler(
            "dilation=1", dict(dilation=1), "Pixel (r, s) of a window is (r * dilation, s * dilation) from its start."
        ),
        Simpler(
            "ceil_mode=False", dict(ceil_mode=False), "windows.border counts what ceil_mode adds at the far edges."
        ),
        Simpler(
            "windows that do not overlap",
            lambda sizes: dict(stride=max(sizes["R"], sizes["S"]), dilation=1, padding=0),
            "A pixel that wins several windows gets the sum.",
        ),
        Simpler("stride=1", dict(stride=1), "Window (p, q) starts at pixel (p * stride, q * stride)."),
        Simpler("one image", dict(N=1), "Each image has winners of its own."),
        Simpler("one channel", dict(C=1), "Each channel has winners of its own."),
    ),
    hand=Hand(
        {
            "x": np.array(
                [[1.0, 0, 2, 4, 1], [0, 3, 9, 0, 2], [5, 1, 4, 3, 0], [2, 0, 1, 6, 7], [8, 1, 0, 2, 3]]
            ).reshape(1, 1, 5, 5),
            "dy": np.array([[[[1.0, 2], [3, 4]]]]),
        },
        {
            "y": [[[[9, 9], [8, 7]]]],
            "dx": [[[[0, 0, 0, 0, 0], [0, 0, 3, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 4], [3, 0, 0, 0, 0]]]],
        },
        dict(R=3, S=3, stride=2),
    ),
    twins=(
        Twin(
            "the padding is 0, and wins over negative pixels: it counts as minus infinity.",
            {"windows.border(x.shape[2:]), -np.inf)": "windows.border(x.shape[2:]), 0)"},
            "## Common mistakes",
        ),
        Twin(
            "y holds the smallest value of each window.",
            {
                "np.maximum(best, values[here], out=best if i > 1 else None)": "np.minimum(best, values[here])",
                "better = values[here] > best": "better = values[here] < best",
            },
            "## The formula",
        ),
        Twin(
            "the last of tied pixels wins; it should be the first in row-major order (> and not >=).",
            {"better = values[here] > best": "better = values[here] >= best"},
            "## Common mistakes",
        ),
        Twin(
            "every tied pixel gets dy: one pixel wins, the first in row-major order.", EVERY_TIE, "## Common mistakes"
        ),
        Twin("every pixel of a window gets an equal part of dy: that is average pooling.", SHARED, "Step 1"),
        Twin(
            "dx[winners] = dy, or += with an index array, keeps one dy per pixel: a pixel that won several windows "
            "gets the sum. np.add.at adds them all.",
            {ADD: "padded.reshape(-1)[at.reshape(-1)] = dy[n].reshape(-1)"},
            "Step 2",
        ),
        Twin("a pixel that won gets 1, not dy.", {ADD: ADD.replace("dy[n].reshape(-1)", "1")}, "Step 2"),
        Twin(
            "the stride is left out when the winners are looked up.",
            {"starts = p * windows.stride[0] * width + q * windows.stride[1]": "starts = p * width + q"},
            "Step 2",
        ),
        Twin(
            "the dilation is left out when the winners are looked up.",
            {"within = r * windows.dilation[0] * width + s * windows.dilation[1]": "within = r * width + s"},
            "Step 2",
        ),
        Twin(
            "the padding is not cut off at the right side: dx starts at row `top` and column `left`.",
            {CUT: "padded[..., :H, :W]"},
            "Step 2",
        ),
        Twin(
            "row and column within the window are exchanged: the winner's number is r * S + s.",
            {
                "r, s = np.indices(windows.kernel)": "s, r = np.indices(windows.kernel[::-1])",
            },
            "## By hand",
        ),
    ),
)
