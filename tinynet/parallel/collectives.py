"""The operations by which a network moves arrays between devices, each with its transpose for the way back.

Each is linear, and its backward pass is its transpose: where forward copies, backward adds up;
where forward concatenates, backward splits. So they come in pairs:

    forward                                              backward
    broadcast:   y_d = x on every device d               reduce:   dx = sum over d of dy_d
    reduce:      y = sum over d of x_d, on one device    broadcast:  dx_d = dy
    scatter:     y_d = part d of x                       gather:  dx = [dy_0 | dy_1 | ...]
    gather:      y   = [x_0 | x_1 | ...] on one device   scatter:  dx_d = part d of dy
    all_gather:  y_d = [x_0 | x_1 | ...] on every d      reduce-scatter:  dx_i = sum over d of (part i of dy_d)
    halo:        y_d = [end of x_(d-1) | x_d | start of x_(d+1)]
                                                         the dy of borrowed ends return to their owner and are added

The sum in all_gather's line is what two columns of AlexNet exchange in the backward pass of conv3: device 0 used
both halves of the channels, so it holds a part of the gradient of device 1's half.
What a forward pass sends from i to j, its transpose sends from j to i: the same number of bytes.

Devices are of one kind: all `cpu`, all `cuda`, or all `emu`. Duplicates are allowed.
"""

from itertools import accumulate, pairwise

from tinynet.autograd import Function
from tinynet.backend import array_module, check_device, device_of, to_device, use_device


class Broadcast(Function):
    crosses_devices = True

    def __init__(self, devices):
        self.devices = devices

    def forward(self, x):
        self.home = device_of(x)
        return copies(x, self.devices)

    def backward(self, *dys):
        return sum_on(dys, self.home)


class Reduce(Function):
    crosses_devices = True

    def __init__(self, device):
        self.device = device

    def forward(self, *xs):
        self.homes = [device_of(x) for x in xs]
        return sum_on(xs, self.device)

    def backward(self, dy):
        return copies(dy, self.homes)


class Scatter(Function):
    crosses_devices = True

    def __init__(self, devices, axis):
        self.devices, self.axis = devices, axis

    def forward(self, x):
        self.home = device_of(x)
        each = x.shape[self.axis] // len(self.devices)
        return split_onto(x, slices([each] * len(self.devices), self.axis), self.devices)

    def backward(self, *dys):
        return joined(dys, self.axis, self.home)


class Gather(Function):
    crosses_devices = True

    def __init__(self, device, axis):
        self.device, self.axis = device, axis

    def forward(self, *xs):
        self.slices, self.homes = slices(lengths(xs, self.axis), self.axis), [device_of(x) for x in xs]
        return joined(xs, self.axis, self.device)

    def backward(self, dy):
        return split_onto(dy, self.slices, self.homes)


class AllGather(Function):
    crosses_devices = True

    def __init__(self, axis):
        self.axis = axis

    def forward(self, *xs):
        self.slices, self.homes = slices(lengths(xs, self.axis), self.axis), [device_of(x) for x in xs]
        whole = {device: joined(xs, self.axis, device) for device in dict.fromkeys(self.homes)}
        return tuple(whole[device] for device in self.homes)

    def backward(self, *dys):
        return tuple(
            sum_on([piece(dy, where) for dy in dys], home)
            for where, home in zip(self.slices, self.homes, strict=True)
        )


class Halo(Function):
    crosses_devices = True

    def __init__(self, width, axis):
        self.axis = axis
        self.width, self.first, self.last = width, span(0, width, axis), span(-width, None, axis)

    def forward(self, *xs):
        ys, self.homes = [], [device_of(x) for x in xs]
        for d, x in enumerate(xs):
            left = [piece(y, self.last) for y in xs[:d][-1:]]  # none at the ends
            right = [piece(y, self.first) for y in xs[d + 1 :][:1]]
            ys.append(joined([*left, x, *right], self.axis, self.homes[d]))
        return tuple(ys)

    def backward(self, *dys):
        dxs = []
        for d, (dy, home) in enumerate(zip(dys, self.homes, strict=True)):
            start, stop = self.width * (d > 0), dy.shape[self.axis] - self.width * (d < len(dys) - 1)
            with use_device(home):
                dx = dy[span(start, stop, self.axis)].copy()
                if d > 0:
                    dx[self.first] += to_device(piece(dys[d - 1], self.last), home)
                if d < len(dys) - 1:
                    dx[self.last] += to_device(piece(dys[d + 1], self.first), home)
            dxs.append(dx)
        return tuple(dxs)


def span(start, stop, axis):
    """The slice from start to stop along `axis`."""
    return (*[slice(None)] * axis, slice(start, stop))


def lengths(xs, axis):
    return [x.shape[axis] for x in xs]


def slices(lengths, axis):
    """The slices that split the whole into pieces of these lengths."""
    return [span(a, b, axis) for a, b in pairwise(accumulate(lengths, initial=0))]


def piece(x, where):
    with use_device(device_of(x)):
        return x[where]


def copies(x, devices):
    return tuple(to_device(x, device) for device in devices)


def split_onto(x, slices, devices):
    """Each piece of x on its own device."""
    return tuple(to_device(piece(x, where), device) for where, device in zip(slices, devices, strict=True))


def joined(xs, axis, device):
    """The pieces concatenated along `axis`, on `device`."""
    with use_device(device):
        pieces = [to_device(x, device) for x in xs]
        return pieces[0] if len(pieces) == 1 else array_module(pieces[0]).concatenate(pieces, axis)


def sum_on(xs, device):
    """The sum of arrays from several devices, on `device`, always in the same order."""
    with use_device(device):
        total = to_device(xs[0], device)
        for x in xs[1:]:
            total = total + to_device(x, device)
        return total


# ------------------------------------------------------------------------------ public functions


def broadcast(x, devices):
    """The tensor x on each of `devices`: a list of tensors. Backward is reduce's forward: a sum."""
    check_devices("broadcast", [x.device, *devices])
    return list(Broadcast(devices)(x))


def reduce(xs, device):
    """The sum of the tensors xs, of one shape, one per device, on one `device`. Backward is broadcast's forward."""
    shapes = [x.shape for x in xs]
    if len(set(shapes)) != 1:
        raise ValueError(f"reduce: all must have one shape, got shapes {shapes}")
    check_devices("reduce", [device, *(x.device for x in xs)])
    return Reduce(device)(*xs)


def scatter(x, devices, axis=1):
    """Part d of x, split evenly along `axis`, on device d: a list of tensors. Backward is gather's forward.

    Raises ValueError unless the number of devices divides the axis's length.
    """
    check_devices("scatter", [x.device, *devices])
    if not 0 <= axis < x.ndim or x.shape[axis] % len(devices):
        raise ValueError(f"scatter: {len(devices)} devices cannot share axis {axis} of shape {x.shape} evenly")
    return list(Scatter(devices, axis)(x))


def gather(xs, device, axis=1):
    """All pieces xs concatenated along `axis` on one `device`. Backward is scatter's forward."""
    check_pieces("gather", xs, axis)
    check_devices("gather", [device, *(x.device for x in xs)])
    return Gather(device, axis)(*xs)


def all_gather(xs, axis=1):
    """Every device gets all pieces, concatenated along `axis`: [(N, C_i, ...)] -> [(N, sum C_i, ...)].

    xs: one tensor per device, of shapes that differ along `axis` only. Backward (a reduce-scatter) returns to each
    device the sum of all devices' cotangents for its piece. Raises ValueError if the shapes do not fit.
    """
    check_pieces("all_gather", xs, axis)
    check_devices("all_gather", [x.device for x in xs])
    return list(AllGather(axis)(*xs))


def halo(xs, width, axis=1):
    """Each piece with the nearest `width` entries along `axis` of the pieces next to it; both ends have one neighbor.

    xs: the pieces in order, one per device. For windows that reach past the edge of a piece. Backward sends the
    cotangents of borrowed entries back to their owner, which adds them. Raises ValueError if a piece is narrower than
    `width`.
    """
    check_pieces("halo", xs, axis)
    check_devices("halo", [x.device for x in xs])
    if any(x.shape[axis] < width for x in xs):
        raise ValueError(f"halo: width {width} is more than a piece has along axis {axis}, {lengths(xs, axis)}")
    return list(Halo(width, axis)(*xs)) if width else list(xs)


def check_pieces(op, xs, axis):
    shapes = [x.shape for x in xs]
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(others) != 1 or any(not 0 <= axis < len(shape) for shape in shapes):
        raise ValueError(f"{op}: pieces may differ along axis {axis} only, got shapes {shapes}")


def check_devices(op, devices):
    """Raise ValueError, in the name of op, unless all devices are of one kind: other copies go through the host."""
    kinds = {check_device(device).partition(":")[0]: device for device in reversed(devices)}
    if len(kinds) != 1:
        named = " and ".join(reversed(kinds.values())) or "none"
        raise ValueError(f"{op}: devices must be of one kind, got {named}")
