"""The operations that move arrays between devices. Nothing else does.

Each is linear, and its backward pass is its transpose: where forward copies, backward adds up;
where forward puts pieces side by side, backward cuts.

    forward                                              backward
    broadcast:   y_d = x on every device d               dx = sum over d of dy_d
    all_gather:  y_d = [x_0 | x_1 | ...] on every d      dx_i = sum over d of (part i of dy_d)
    gather:      y   = [x_0 | x_1 | ...] on one device   dx_i = part i of dy

The sum in all_gather's second line is what two columns of AlexNet send each other before conv3:
device 0 used both halves of the channels, so it holds a part of the gradient of device 1's half.
"""

from itertools import accumulate, pairwise

from tinynet.autograd import Function
from tinynet.backend import array_module, device_of, to_device, use_device


class Broadcast(Function):
    crosses_devices = True

    def __init__(self, devices):
        self.devices = devices

    def forward(self, x):
        self.home = device_of(x)
        return tuple(to_device(x, device) for device in self.devices)

    def backward(self, *dys):
        return add_up(dys, self.home)


class AllGather(Function):
    crosses_devices = True

    def __init__(self, axis):
        self.axis = axis

    def forward(self, *xs):
        self.cuts, self.homes = cuts(xs, self.axis), [device_of(x) for x in xs]
        whole = {device: join(xs, self.axis, device) for device in dict.fromkeys(self.homes)}
        return tuple(whole[device] for device in self.homes)

    def backward(self, *dys):
        return tuple(
            add_up([piece(dy, cut) for dy in dys], home)
            for cut, home in zip(self.cuts, self.homes, strict=True)
        )


class Gather(Function):
    crosses_devices = True

    def __init__(self, device, axis):
        self.device, self.axis = device, axis

    def forward(self, *xs):
        self.cuts, self.homes = cuts(xs, self.axis), [device_of(x) for x in xs]
        return join(xs, self.axis, self.device)

    def backward(self, dy):
        return tuple(
            to_device(piece(dy, cut), home) for cut, home in zip(self.cuts, self.homes, strict=True)
        )


def cuts(xs, axis):
    """The slices that take the whole apart into pieces shaped like `xs`."""
    edges = list(accumulate((x.shape[axis] for x in xs), initial=0))
    before = (slice(None),) * axis
    return [(*before, slice(a, b)) for a, b in pairwise(edges)]


def piece(x, cut):
    with use_device(device_of(x)):
        return x[cut]


def join(xs, axis, device):
    """The pieces side by side along `axis`, on `device`."""
    with use_device(device):
        pieces = [to_device(x, device) for x in xs]
        return pieces[0] if len(pieces) == 1 else array_module(pieces[0]).concatenate(pieces, axis)


def add_up(xs, device):
    """The sum of arrays from several devices, on `device`, always in the same order."""
    with use_device(device):
        total = to_device(xs[0], device)
        for x in xs[1:]:
            total = total + to_device(x, device)
        return total


# ------------------------------------------------------------------------------ public functions


def broadcast(x, devices):
    """The tensor x on each of `devices`: a list of tensors. Backward adds up their cotangents."""
    return list(Broadcast(devices)(x))


def all_gather(xs, axis=1):
    """Every device gets all pieces, joined along `axis`: [(N, C_i, ...)] -> [(N, sum C_i, ...)].

    xs: one tensor a device, alike but for the length of `axis`. Backward returns to each device
    the sum of what all of them send back for its piece. ValueError where shapes do not fit.
    """
    check_pieces("all_gather", xs, axis)
    whole = AllGather(axis)(*xs)
    return list(whole) if isinstance(whole, tuple) else [whole]


def gather(xs, device, axis=1):
    """All pieces joined along `axis` on one `device`. Backward returns each piece of the cotangent."""
    check_pieces("gather", xs, axis)
    return Gather(device, axis)(*xs)


def check_pieces(op, xs, axis):
    shapes = [x.shape for x in xs]
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(others) != 1 or any(len(shape) <= axis for shape in shapes):
        raise ValueError(f"{op}: pieces may differ along axis {axis} only, got shapes {shapes}")
