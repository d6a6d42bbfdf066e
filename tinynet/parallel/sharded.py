"""Layers with one part per device. They take and return lists: one tensor per device.

The whole weight of a sharded layer is its parts' weights, concatenated along axis 0: the filters of a convolution, the
outputs of a fully connected layer. state_dict shows that whole, so a checkpoint does not depend on the devices.
"""

import math

from tinynet.nn.module import Module, ModuleList
from tinynet.ops.dropout import MaskSlice, draw_key
from tinynet.parallel.across_ranks import offsets
from tinynet.parallel.collectives import all_gather, gather, halo


class Sharded(Module):
    """parts[i] computes on device i, from the tensor there, and sends nothing."""

    def __init__(self, parts):
        self.parts = ModuleList(parts)

    def named_arrays(self, prefix=""):
        """(name, [the parameter on each device]) for each parameter of the whole layer."""
        for same in zip(*(part.named_arrays(prefix) for part in self.parts), strict=True):
            names, pieces = zip(*same, strict=True)
            yield names[0], [parameter for piece in pieces for parameter in piece]

    def forward(self, xs):
        return [part(x) for part, x in zip(self.parts, xs, strict=True)]

    def sends(self, xs):
        """{(i, j): how many numbers device i sends to device j} in a forward pass; backward, j to i."""
        return {}


class ShardedDropout(Sharded):
    """Draws the mask that a single device would draw: one key for the layer, and each part takes its own columns.

    parts: a Dropout for each device.
    """

    def forward(self, xs):
        key = draw_key() if self.training else None
        columns = [math.prod(x.shape[1:]) for x in xs]
        return [
            part(x, MaskSlice(key, sum(columns), first))
            for part, x, first in zip(self.parts, xs, offsets(columns), strict=True)
        ]


class ShardedNorm(Sharded):
    """LocalResponseNorm (parts, one per device) where each `per_group` consecutive devices hold one group of channels.

    The windows of the channels at a device's edge reach into its neighbors: it borrows those channels, normalizes
    what it then has, and drops the borrowed ones, whose own windows are cut off.
    """

    def __init__(self, parts, per_group=1):
        super().__init__(parts)
        self.per_group, self.width = per_group, parts[0].size // 2

    def forward(self, xs):
        if self.per_group == 1:
            return super().forward(xs)
        wider = [y for group in groups_of(xs, self.per_group) for y in halo(group, self.width)]
        ys = super().forward(wider)
        starts = [self.width * (d % self.per_group > 0) for d in range(len(xs))]
        return [y[:, a : a + x.shape[1]] for y, x, a in zip(ys, xs, starts, strict=True)]

    def sends(self, xs):
        adjacent = [(i, j) for i, j in pairs_within(len(xs), self.per_group) if abs(i - j) == 1]
        return {(i, j): self.width * xs[i].size // xs[i].shape[1] for i, j in adjacent}


class AllGatherChannels(Module):
    """Every device gets the channels of all, or of its group where each `per_group` consecutive devices have one."""

    def __init__(self, per_group=None):
        self.per_group = per_group

    def forward(self, xs):
        return [y for group in groups_of(xs, self.per_group) for y in all_gather(group)]

    def sends(self, xs):
        return {(i, j): xs[i].size for i, j in pairs_within(len(xs), self.per_group)}


class GatherChannels(Module):
    """The first device, `device`, gets the channels of all; from here on the list has one tensor."""

    def __init__(self, device):
        self.device = device

    def forward(self, xs):
        return [gather(xs, self.device)]

    def sends(self, xs):
        return {(i, 0): xs[i].size for i in range(1, len(xs))}


def groups_of(xs, length):
    """xs in consecutive groups of `length`; None: one group."""
    length = length or len(xs)
    return [xs[i : i + length] for i in range(0, len(xs), length)]


def pairs_within(count, length):
    """(i, j) of all pairs of different devices that are in one group."""
    return [(i, j) for group in groups_of(range(count), length) for i in group for j in group if i != j]
