"""The lines of tinynet that compute a layer, forward and backward, to be shown beside its numbers."""

import inspect
import textwrap
from pathlib import Path

from tinynet.ops import conv2d, cross_entropy, dropout, linear, local_response_norm, max_pool2d, relu, reshape
from tinynet.parallel import collectives

ROOT = Path(__file__).parents[2]

# kind of layer: what computes it forward and backward, and in each the beginning of the line that does.
SHOWN = {
    "images": (collectives.Broadcast.forward, "return copies", collectives.Broadcast.backward, "return sum_on"),
    "conv": (conv2d.correlate, "np.matmul(w, cols", conv2d.input_gradient, "col2im(dcols"),
    "relu": (relu.Relu.forward, "y = elementwise", relu.Relu.backward, "return elementwise"),
    "lrn": (local_response_norm.LocalResponseNorm.normalize, "return x *",
            local_response_norm.LocalResponseNorm.normalize_backward, "return direct - through_s"),
    "pool": (max_pool2d.sliding_max, "best = np.maximum", max_pool2d.pool_backward, "np.add.at"),
    "flatten": (reshape.Reshape.forward, "return", reshape.Reshape.backward, "return"),
    "fc": (linear.Linear.forward, "y = matmul", linear.Linear.backward, "dx = matmul"),
    "dropout": (dropout.Dropout.masked, "y = x * (", dropout.Dropout.backward, "return self.masked"),
    "all_gather": (collectives.AllGather.forward, "whole =", collectives.AllGather.backward, "sum_on"),
    "gather": (collectives.Gather.forward, "return joined", collectives.Gather.backward, "return split_onto"),
    "loss": (cross_entropy.CrossEntropy.losses, "losses = -q_true",
             cross_entropy.CrossEntropy.slopes, "dx[self.positions"),
}  # fmt: skip


def sources():
    """{kind: {"forward", "backward": {"file", "first", "marked", "text"}}}; lines are counted from 1."""
    return {
        kind: {"forward": excerpt(forward, line), "backward": excerpt(backward, back)}
        for kind, (forward, line, backward, back) in SHOWN.items()
    }


def excerpt(function, marked):
    lines, first = inspect.getsourcelines(function)
    (at,) = [i for i, line in enumerate(lines) if line.strip().startswith(marked)]
    file = Path(inspect.getsourcefile(function)).relative_to(ROOT).as_posix()
    return {"file": file, "first": first, "marked": first + at, "text": textwrap.dedent("".join(lines)).rstrip()}
