"""Activations between ranks, for layers that are split over them. collectives.py has the same within a process.

Both operations are linear, and backward is the transpose:

    forward                                                      backward
    broadcast_each:  every rank gets the x of rank `root`        the root gets the sum of all ranks' dy
    all_gather:      y = [x_0 | x_1 | ...] on every rank         each rank gets the sum of all ranks' dy for its piece

All ranks call them in the same order, forward and so backward.
"""

from itertools import accumulate

from tinynet.autograd import Function
from tinynet.backend import array_module, bounds, use_device
from tinynet.parallel.collectives import slices


class Broadcast(Function):
    def __init__(self, ranks, root, arriving, array):
        self.ranks, self.root, self.arriving, self.array = ranks, root, arriving, array

    def forward(self, x):
        self.shape, self.dtype = x.shape, x.dtype
        self.arriving.wait()
        return self.array  # x itself on the root; elsewhere x only ties this rank into the graph

    def backward(self, dy):
        total = dy.copy()
        self.ranks.reduce(total, self.root).wait()
        if self.ranks.rank == self.root:
            return total
        return array_module(dy).zeros(self.shape, self.dtype)  # nothing came from here


class AllGather(Function):
    def __init__(self, ranks, lengths):
        self.ranks, self.lengths = ranks, lengths

    def forward(self, x):  # (N, own length)
        return gathered(x, self.ranks, self.lengths, axis=1)

    def backward(self, dy):  # (N, sum of lengths)
        pieces = [dy[where].copy() for where in slices(self.lengths, axis=1)]
        wait_for([self.ranks.reduce(piece, root) for root, piece in enumerate(pieces)])
        return pieces[self.ranks.rank]


def gathered(x, ranks, lengths, axis):
    """The arrays of all ranks concatenated along `axis`, on each rank. lengths: of that axis, on each rank."""
    xp = array_module(x)
    pieces = [xp.empty((*x.shape[:axis], length, *x.shape[axis + 1 :]), x.dtype) for length in lengths]
    pieces[ranks.rank] = xp.ascontiguousarray(x)
    wait_for([ranks.broadcast(piece, root) for root, piece in enumerate(pieces)])
    return xp.concatenate(pieces, axis=axis)


def wait_for(works):
    for work in works:
        work.wait()


# ------------------------------------------------------------------------------ public functions


def broadcast_each(x, ranks, counts):
    """Each rank's x in turn, as an iterator over tensors: (counts[0], C), then (counts[1], C), ...

    x: (counts[own rank], C). All transfers start at once, so the later ones overlap with what is computed from
    the earlier. Backward returns to each rank the sum of all ranks' cotangents for its x.
    """
    xp = array_module(x.data)
    with use_device(x.device):
        arrays = [x.data if r == ranks.rank else xp.empty((n, *x.shape[1:]), x.dtype) for r, n in enumerate(counts)]
    arriving = [ranks.broadcast(array, root) for root, array in enumerate(arrays)]
    for root, work in enumerate(arriving):
        yield Broadcast(ranks, root, work, arrays[root])(x)


def all_gather(x, ranks, lengths):
    """All ranks' columns side by side, on each rank: (N, lengths[own rank]) -> (N, sum of lengths)."""
    return AllGather(ranks, lengths)(x)


def own_rows(array, ranks):
    """This rank's rows of an array that is split over the ranks: row counts differ by at most one."""
    start, stop = bounds(len(array), ranks.world_size)[ranks.rank]
    return array[start:stop]


def all_rows(rows, ranks):
    """The inverse of own_rows, on the CPU: the whole array on each rank. All ranks call it together."""
    return gathered(rows, ranks, ranks.all_gather_object(len(rows)), axis=0)


def split_lengths(length, world_size):
    """How many of `length` rows each rank has: [own_rows' length on rank 0, on rank 1, ...]."""
    return [stop - start for start, stop in bounds(length, world_size)]


def offsets(lengths):
    """The start of each piece in the whole."""
    return list(accumulate(lengths[:-1], initial=0))
