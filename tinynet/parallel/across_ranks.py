"""Activations between ranks, for layers that are split over them. collectives.py has the same within a process.

Both are linear, and backward is the transpose:

    forward                                                backward
    pass_around:  everyone gets the x of rank `root`       the root gets the sum of all ranks' dy
    join:         y = [x_0 | x_1 | ...] on every rank      each rank gets the sum of all dy's for its own piece

All ranks call them in the same order, forward and so backward.
"""

from itertools import accumulate

from tinynet.autograd import Function
from tinynet.backend import array_module, bounds, use_device
from tinynet.parallel.collectives import cuts


class PassAround(Function):
    def __init__(self, ranks, root, arriving, array):
        self.ranks, self.root, self.arriving, self.array = ranks, root, arriving, array

    def forward(self, x):
        self.shape, self.dtype = x.shape, x.dtype
        self.arriving.wait()
        return self.array

    def backward(self, dy):
        total = dy.copy()
        self.ranks.sum_at(total, self.root).wait()
        if self.ranks.number == self.root:
            return total
        return array_module(dy).zeros(self.shape, self.dtype)  # nothing came from here


class Join(Function):
    def __init__(self, ranks, lengths):
        self.ranks, self.lengths = ranks, lengths

    def forward(self, x):  # (N, own length)
        return side_by_side(x, self.ranks, self.lengths, axis=1)

    def backward(self, dy):  # (N, sum of lengths)
        pieces = [dy[cut].copy() for cut in cuts(self.lengths, axis=1)]
        wait_for([self.ranks.sum_at(piece, root) for root, piece in enumerate(pieces)])
        return pieces[self.ranks.number]


def side_by_side(x, ranks, lengths, axis):
    """The arrays of all ranks joined along `axis`, on each rank. lengths: of that axis, on each rank."""
    xp = array_module(x)
    pieces = [xp.empty((*x.shape[:axis], length, *x.shape[axis + 1 :]), x.dtype) for length in lengths]
    pieces[ranks.number] = xp.ascontiguousarray(x)
    wait_for([ranks.broadcast(piece, root) for root, piece in enumerate(pieces)])
    return xp.concatenate(pieces, axis=axis)


def wait_for(transfers):
    for transfer in transfers:
        transfer.wait()


# ------------------------------------------------------------------------------ public functions


def pass_around(x, ranks, counts):
    """Each rank's x in turn, as an iterator over tensors: (counts[0], C), then (counts[1], C), ...

    x: (counts[own number], C). All transfers start at once, so the later ones overlap with what is computed on
    the earlier. Backward returns to each rank the sum of what all ranks send back for its x.
    """
    xp = array_module(x.data)
    with use_device(x.device):
        arrays = [x.data if r == ranks.number else xp.empty((n, *x.shape[1:]), x.dtype) for r, n in enumerate(counts)]
    arriving = [ranks.broadcast(array, root) for root, array in enumerate(arrays)]
    for root, transfer in enumerate(arriving):
        yield PassAround(ranks, root, transfer, arrays[root])(x)


def join(x, ranks, lengths):
    """All ranks' columns side by side, on each rank: (N, lengths[own number]) -> (N, sum of lengths)."""
    return Join(ranks, lengths)(x)


def own_rows(array, ranks):
    """This rank's rows of an array of which each rank has a part: their numbers differ by one at most."""
    start, stop = bounds(len(array), ranks.size)[ranks.number]
    return array[start:stop]


def all_rows(rows, ranks):
    """The whole array on each rank, from the rows that each of them has. The inverse of own_rows, on the CPU."""
    return side_by_side(rows, ranks, ranks.all_gather(len(rows)), axis=0)


def share_lengths(length, size):
    """How many of `length` rows each of `size` ranks has: [own_rows' length on rank 0, on rank 1, ...]."""
    return [stop - start for start, stop in bounds(length, size)]


def starts(lengths):
    """Where each of the pieces of these lengths begins in the whole."""
    return list(accumulate(lengths[:-1], initial=0))
