"""The kernels' part of gpu.py: each on the sizes that AlexNet has for it, beside its rival.

`bench` is gpu.py's Bench throughout: the device, its clock, and what tells right from wrong.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from common import table

import tinynet
from tinynet import functional as F
from tinynet import kernels
from tinynet.models import AlexNet
from tinynet.windows import Windows

FLOAT32, TF32 = 1e-5, 2e-3  # relative errors that are allowed


def layers(args):
    """The network on the CPU, and {name of a step: (shape of its input, of its output)}."""
    model = AlexNet(1000, width=args.width, image_size=args.image_size)
    image, seen = np.zeros((1, 3, args.image_size, args.image_size), np.float32), {}
    with tinynet.no_grad():
        model.forward(tinynet.tensor(image), hook=lambda name, xs: seen.update({name: xs[0].shape}))
    shapes = [(args.batch_size, *shape[1:]) for shape in (image.shape, *seen.values())]
    return model, dict(zip(seen, itertools.pairwise(shapes), strict=True))


def milliseconds(seconds, work=None, unit=1e12):
    """The time, and in brackets how much work a second; "-" where there is no time."""
    if not seconds:
        return "-"
    return f"{seconds * 1e3:.3f}" + (f" ({work / seconds / unit:.3g})" if work else "")


def share(part, whole, form):
    return format(part / whole, form) if part and whole and whole == whole else "-"


# --------------------------------------------------------------------------------- convolutions

PASSES = "forward", "input gradient", "filter gradient"


class Convolution(NamedTuple):
    x: tuple  # shapes: (N, C, H, W)
    w: tuple  # (K, C/G, R, S)
    dy: tuple  # (N, K, P, Q)
    stride: int
    padding: int
    groups: int

    def product(self, which):
        """(M, N, depth) of the matrix product, one for each group, that is the same work."""
        (N, _, H, W), (K, C, R, S), (_, _, P, Q) = self.x, self.w, self.dy
        K //= self.groups
        return {
            "forward": (K, N * P * Q, C * R * S),
            "input gradient": (C, N * H * W, K * R * S),  # for stride 1: conv1's is never asked for
            "filter gradient": (K, C * R * S, N * P * Q),
        }[which]

    def ours(self, which, version, x, w, dy):
        geometry = (self.stride,) * 2, (self.padding,) * 2, (1, 1), self.groups
        if which == "forward":
            return kernels.conv2d(x, w, None, *geometry, version=version)
        if which == "input gradient":
            return kernels.conv2d_input_gradient(dy, w, x.shape, *geometry, version=version)
        return kernels.conv2d_filter_gradient(dy, x, w.shape, *geometry, version=version)

    def cudnns(self, which, torch, x, w, dy):
        if which == "forward":
            return torch.nn.functional.conv2d(x, w, None, self.stride, self.padding, 1, self.groups)
        geometry = [self.stride] * 2, [self.padding] * 2, [1, 1], False, [0, 0], self.groups
        wanted = [which == "input gradient", which == "filter gradient", False]
        return torch.ops.aten.convolution_backward(dy, x, w, None, *geometry, wanted)[wanted.index(True)]

    def expected(self, x, w, dy):
        """{pass: what NumPy finds in float64}; no gradient for an image."""
        x, w = (tinynet.tensor(a, a.shape[1] != 3 or a is w, np.float64) for a in (x, w))
        y = F.conv2d(x, w, None, self.stride, self.padding, 1, self.groups)
        y.backward(dy.astype(np.float64))
        return {which: a for which, a in zip(PASSES, (y.data, x.grad, w.grad), strict=True) if a is not None}


def convolutions(bench):
    """conv1 to conv5: all versions, cuDNN, and cuBLAS on a product of the same size."""
    model, shapes = layers(bench.args)
    rows, ratios = {tf32: [] for tf32 in bench.modes}, {}
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        layer, (x, dy) = getattr(model, name).parts[0], shapes[name]
        convolution = Convolution(x, layer.weight.shape, dy, layer.stride, layer.padding, layer.groups)
        for which, tf32, times in compare_passes(bench, name, convolution):
            M, N, depth = convolution.product(which)
            work = 2 * convolution.groups * M * N * depth
            last, rival = times.get("version 4" if tf32 else "version 3"), times.get("cuDNN")
            cells = [milliseconds(times.get(f"version {version}"), work) for version in ([4] if tf32 else [1, 2, 3])]
            cells += [share(last and work / last, bench.ceiling[tf32], ".0%"), milliseconds(rival, work)]
            cells += [milliseconds(times.get("cuBLAS"), work), share(rival, last, ".2f")]
            if not tf32 and bench.torch:
                ratios[f"{name}, {which}"] = ratio = rival / last if rival and last else 0.0
                cells.append(bench.verdict(ratio, 0.6))
            rows[tf32].append([name, which, *cells])
        bench.free()
    if ratios:
        worst = min(ratios, key=ratios.get)
        bench.marks.append([f"version 3, TF32 off: cuDNN's time / ours, at worst ({worst})", 0.6, ratios[worst]])
    lines = ["Milliseconds (TFLOP/s). Of the ceiling: the last version's share of the fastest product."]
    for tf32, found in rows.items():
        versions = ["version 4"] if tf32 else ["version 1", "version 2", "version 3"]
        header = ["layer", "pass", *versions, "of the ceiling", "cuDNN", "cuBLAS, same size", f"cuDNN / {versions[-1]}"]
        header += ["at least 0.6"] if ratios and not tf32 else []
        lines += ["", f"TF32 {'on' if tf32 else 'off'}:", "", *table(header, found)]
    return lines


def compare_passes(bench, name, convolution):
    """Yields (pass, TF32, {contender: seconds})."""
    torch = bench.torch
    arrays = [bench.normal(*shape) for shape in (convolution.x, convolution.w, convolution.dy)]
    ours, theirs = bench.sets(*arrays)
    for (which, expected), tf32 in itertools.product(convolution.expected(*arrays).items(), bench.modes):
        M, N, depth = convolution.product(which)
        # In float32, adding up n random numbers in a row errs by some 2e-8 * sqrt(n).
        limit = TF32 if tf32 else max(FLOAT32, 6e-8 * math.sqrt(depth))
        contenders = {}
        for version in [4] if tf32 else [1, 2, 3]:
            calls = [partial(convolution.ours, which, version, *inputs) for inputs in ours]
            contenders[f"version {version}"] = calls, expected, limit
        if torch:
            calls = [partial(convolution.cudnns, which, torch, *inputs) for inputs in theirs]
            contenders["cuDNN"] = calls, expected, TF32  # the same problem? how exact it is, is its own affair
            device = theirs[0][0].device
            factors = (torch.randn(convolution.groups, *shape, device=device) for shape in ((M, depth), (depth, N)))
            contenders["cuBLAS"] = [partial(torch.matmul, *factors)], None, None
        with bench.tf32(tf32):
            times = bench.compare(f"{name} {which}", contenders)
        yield which, tf32, times


# ---------------------------------------------------------------------------- the other kernels


class Op(NamedTuple):
    forward: Callable  # x -> (y, what backward needs besides dy or None), by the kernels
    backward: Callable  # (dy, that) -> dx
    formula: Callable  # x -> y on tinynet's tensors
    torch: Callable  # x -> y on PyTorch's
    same: bool = True  # PyTorch's y is the same


def others(bench):
    """Pooling, LRN, dropout, loss and update: all of them wait for the memory."""
    model, shapes = layers(bench.args)
    ops = {"pool": max_pool2d, "lrn": local_response_norm, "dropout": dropout}
    names = "pool1", "pool2", "pool5", "lrn1", "lrn2", "dropout6"
    cases = [(name, ops[name[:-1]], shapes[name][0]) for name in names]
    cases.append(("loss", softmax_cross_entropy, (*shapes["fc8"][1], 1)))
    rows = []
    for name, op, x_shape in cases:
        try:
            rows += both_passes(bench, f"{op.__name__}, {name}", op(bench, x_shape), x_shape)
        except (MemoryError, RuntimeError) as problem:  # the other kernels may still succeed
            bench.complain(f"{op.__name__}, {name}: {problem}")
        bench.free()
    rows.append(paper_sgd(bench, model.fc6.parts[0].weight.shape))
    header = ["kernel", "pass", "ms (GB/s)", "of the copy's GB/s", "PyTorch, ms", "PyTorch / tinynet"]
    return ["GB/s: of the fewest bytes, each input read once and each output written once.", "", *table(header, rows)]


def max_pool2d(bench, x_shape):
    windows = Windows((3, 3), (2, 2), (0, 0), (1, 1), False)
    return Op(
        lambda x: kernels.max_pool2d(x, windows, True),
        lambda dy, winner: kernels.max_pool2d_backward(dy, winner, x_shape, windows),
        lambda x: F.max_pool2d(x, 3, 2),
        lambda x: bench.torch.nn.functional.max_pool2d(x, 3, 2),
    )


def local_response_norm(bench, x_shape):
    how = 5, 1e-4, 0.75, 2.0, 2  # size, alpha, beta, k, groups
    return Op(
        lambda x: (kernels.local_response_norm(x, *how), x),
        lambda dy, x: kernels.local_response_norm_backward(dy, x, *how),
        lambda x: F.local_response_norm(x, *how),
        lambda x: column_lrn(bench.torch, x),
    )


def column_lrn(torch, x):
    """PyTorch's LRN on each half of the channels."""
    N, C, H, W = x.shape
    return torch.nn.functional.local_response_norm(x.view(2 * N, C // 2, H, W), 5, 1e-4, 0.75, 2.0).view(x.shape)


def dropout(bench, x_shape):
    key = int(bench.rng.integers(2**63))
    mask = tinynet.tensor((kernels.uniforms(x_shape, key) >= 0.5) * 2.0)
    return Op(
        lambda x: (kernels.dropout(x, 0.5, key), None),
        lambda dy, _: kernels.dropout(dy, 0.5, key),
        lambda x: x * mask,
        lambda x: bench.torch.nn.functional.dropout(x, 0.5),
        same=False,
    )


def softmax_cross_entropy(bench, x_shape):
    N, classes, _ = x_shape
    target = bench.rng.integers(classes, size=(N, 1))
    ours, theirs = bench.xp.asarray(target), bench.tensor(target) if bench.torch else None
    how = ours, None, -100, 0.0  # target, weight, ignore_index, label_smoothing
    return Op(
        lambda x: (kernels.softmax_cross_entropy(x, *how), x),
        lambda dy, x: kernels.softmax_cross_entropy_backward(dy, x, *how),
        lambda x: F.cross_entropy(x, target, reduction="none"),
        lambda x: bench.torch.nn.functional.cross_entropy(x, theirs, reduction="none"),
    )


def both_passes(bench, what, op, x_shape):
    """Two rows of the table."""
    x = bench.normal(*x_shape)
    tensor = tinynet.tensor(x, True, np.float64)
    y = op.formula(tensor)
    dy = bench.normal(*y.shape)
    y.backward(dy.astype(np.float64))
    ours, theirs = bench.sets(x, dy)
    saved = [op.forward(x)[1] for x, _ in ours]
    forward = {"tinynet": ([lambda x=x: op.forward(x)[0] for x, _ in ours], y.data, FLOAT32)}
    calls = [partial(op.backward, dy, s) for (_, dy), s in zip(ours, saved, strict=True)]
    backward = {"tinynet": (calls, tensor.grad, FLOAT32)}
    if theirs:
        xs, dys = [x.requires_grad_() for x, _ in theirs], [dy for _, dy in theirs]
        graphs = [op.torch(x) for x in xs]
        grad = partial(bench.torch.autograd.grad, retain_graph=True)
        calls = [lambda x=x, dy=dy, y=y: grad(y, x, dy)[0] for x, dy, y in zip(xs, dys, graphs, strict=True)]
        forward["PyTorch"] = [partial(op.torch, x) for x in xs], y.data if op.same else None, TF32
        backward["PyTorch"] = calls, tensor.grad if op.same else None, TF32
    kept = saved[0].nbytes if saved[0] is not None else 0
    written = x.nbytes + dy.nbytes + (kept if saved[0] is not ours[0][0] else 0)  # a winner; x is there already
    return [
        row(bench, what, "forward", forward, written),
        row(bench, what, "backward", backward, x.nbytes + dy.nbytes + kept),
    ]


def paper_sgd(bench, shape):
    """One row: the update of the largest weight."""
    w, g, v = (bench.normal(*shape) for _ in range(3))
    ours, theirs = bench.sets(w, g, v)

    def update(w, g, v):
        kernels.paper_sgd(w, g, v, 0.01, 0.9, 0.0005)
        return w

    w, g, v = (a.astype(np.float64) for a in (w, g, v))
    expected = w + 0.9 * v - 0.01 * (g + 0.0005 * w)
    contenders = {"tinynet": ([partial(update, *arrays) for arrays in ours], expected, FLOAT32)}
    if theirs:
        steps = []
        for weight, gradient, _ in theirs:
            weight.requires_grad_().grad = gradient
            steps.append(bench.torch.optim.SGD([weight], 0.01, 0.9, weight_decay=0.0005).step)
        contenders["PyTorch"] = steps, None, None
    return row(bench, f"paper_sgd, fc6: {' x '.join(map(str, shape))}", "update", contenders, 5 * ours[0][0].nbytes)


def row(bench, what, which, contenders, size):
    times = bench.compare(f"{what} {which}", contenders)
    ours, theirs = times.get("tinynet"), times.get("PyTorch")
    of_copy = share(ours and size / ours, bench.ceiling["copy"], ".0%")
    return [what, which, milliseconds(ours, size, 1e9), of_copy, milliseconds(theirs), share(theirs, ours, ".2f")]
