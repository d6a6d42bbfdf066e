"""Layers with one part a device. They take and return lists: one tensor a device.

The whole weight of a sharded layer is its parts' weights, one under the other along axis 0: filters
of a convolution, outputs of a fully connected layer. state_dict shows that whole, so a checkpoint
does not depend on how many devices wrote it.
"""

from tinynet.nn.module import Module, ModuleList
from tinynet.parallel.collectives import all_gather, gather


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


class AllGather(Module):
    """Every device sees the channels of all."""

    def forward(self, xs):
        return all_gather(xs)


class Gather(Module):
    """One device sees the channels of all; the list has one tensor from here on."""

    def __init__(self, device):
        self.device = device

    def forward(self, xs):
        return [gather(xs, self.device)]
