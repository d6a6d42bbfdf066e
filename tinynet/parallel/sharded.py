"""Layers with one part a device. They take and return lists: one tensor a device.

The whole weight of a sharded layer is its parts' weights, one under the other along axis 0: filters
of a convolution, outputs of a fully connected layer. state_dict shows that whole, so a checkpoint
does not depend on how many devices wrote it.
"""

import math
from itertools import accumulate

from tinynet.nn.module import Module, ModuleList
from tinynet.ops.dropout import draw_key
from tinynet.parallel.collectives import all_gather, gather, halo


class Sharded(Module):
    """parts[i] works on the tensor of device i, and on nothing else."""

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
    """Throws the coins that one device would throw: one key for the layer, to each part those of its columns."""

    def forward(self, xs):
        key = draw_key() if self.training else None
        lengths = [math.prod(x.shape[1:]) for x in xs]  # of one image's row
        starts = accumulate(lengths[:-1], initial=0)
        return [
            part(x, key, sum(lengths), start) for part, x, start in zip(self.parts, xs, starts, strict=True)
        ]


class ShardedNorm(Sharded):
    """LocalResponseNorm where each run of `together` devices shares a group of channels.

    The windows of the channels at a device's edge reach into its neighbors: it borrows those
    channels, normalizes what it then has, and drops the borrowed ones, whose windows are cut off.
    """

    def __init__(self, parts, together=1):
        super().__init__(parts)
        self.together, self.width = together, parts[0].size // 2

    def forward(self, xs):
        if self.together == 1:
            return super().forward(xs)
        wider = [y for run in runs(xs, self.together) for y in halo(run, self.width)]
        ys = super().forward(wider)
        starts = [self.width * (d % self.together > 0) for d in range(len(xs))]
        return [y[:, a : a + x.shape[1]] for y, x, a in zip(ys, xs, starts, strict=True)]

    def sends(self, xs):
        runs_of = runs(range(len(xs)), self.together)
        next_to = [(i, j) for run in runs_of for i in run for j in run if abs(i - j) == 1]
        return {(i, j): self.width * xs[i].size // xs[i].shape[1] for i, j in next_to}


class AllGather(Module):
    """Every device sees the channels of all; or only of its group, if each run of `together` devices has one."""

    def __init__(self, together=None):
        self.together = together

    def forward(self, xs):
        if self.together == 1:
            return xs
        return [y for run in runs(xs, self.together) for y in all_gather(run)]

    def sends(self, xs):
        runs_of = runs(range(len(xs)), self.together)
        return {(i, j): xs[i].size for run in runs_of for i in run for j in run if i != j}


class Gather(Module):
    """The first device, `device`, sees the channels of all; the list has one tensor from here on."""

    def __init__(self, device):
        self.device = device

    def forward(self, xs):
        return [gather(xs, self.device)]

    def sends(self, xs):
        return {(i, 0): xs[i].size for i in range(1, len(xs))}


def runs(xs, length):
    """xs cut into runs of `length` each; None: one run."""
    length = length or len(xs)
    return [xs[i : i + length] for i in range(0, len(xs), length)]
