"""What must hold on several ranks: `mpiexec -n 4 python tests/parallel/rank_checks.py losses data`. For test_ranks.py.

Each rank also computes what one process would, and compares.
"""

import sys
import time
import traceback
from types import SimpleNamespace

import numpy as np

import tinynet
from tinynet import emulator, nn, optim, parallel
from tinynet import functional as F
from tinynet.backend import bounds, to_device
from tinynet.models import RECIPES, AlexNet, HybridAlexNet
from tinynet.parallel import across_ranks

SMALL = dict(classes=10, width=0.05, image_size=63, recipe=RECIPES["he"])


def model_on(ranks, kind, devices):
    tinynet.manual_seed(1)
    model = AlexNet(devices=devices, **SMALL)
    return HybridAlexNet(model, ranks) if kind == "hybrid" and ranks.size > 1 else model


def batches(count, size):
    """The last images of each batch are fewer than the ranks."""
    rng = np.random.default_rng(0)
    for number in range(count):
        n = size if number % 3 else 3
        yield rng.standard_normal((n, 3, 63, 63)), rng.integers(0, 10, n)


def train(ranks, kind, devices, steps, dtype, lr):
    """([loss of each step], {name: the last step's gradient})"""
    model = model_on(ranks, kind, devices)
    for parameter in model.parameters():
        with tinynet.backend.use_device(parameter.device):
            parameter.data = parameter.data.astype(dtype)
    split = model.split_parameters() if isinstance(model, HybridAlexNet) else []
    buckets = parallel.Buckets(ranks, split, bucket=2**14)  # several of them, even here
    optimizer = optim.PaperSGD(model.parameters(), lr)
    losses = []
    for images, labels in batches(steps, 10):
        start, stop = bounds(len(labels), ranks.size)[ranks.number]
        images, labels = images[start:stop], labels[start:stop]
        counts = ranks.all_gather(len(images))
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.first_row = sum(counts[: ranks.number])
        logits = model(tinynet.tensor(images, dtype=dtype, device=model.devices[0]))
        loss = F.cross_entropy(logits, labels, reduction="sum")
        optimizer.zero_grad()
        (loss * (1 / sum(counts))).backward(on_grad_ready=buckets.ready)
        buckets.finish()
        optimizer.step()
        losses.append(sum(ranks.all_gather(loss.item())) / sum(counts))
    return losses, model.state_dict(of=lambda parameter: parameter.grad)


def losses(ranks, kind, devices="cpu"):
    devices = devices.split(",")
    # In float32 a rounding may tip a ReLU or a maximum. That grows from step to step, faster with a higher rate.
    for dtype, lr, tolerance in (("float32", 0.0002, 1e-5), ("float64", 0.01, 1e-12)):
        ours, our_gradients = train(ranks, kind, devices, 20, dtype, lr)
        one, gradients = train(parallel.Ranks(), kind, ["cpu"], 20, dtype, lr)
        assert len(set(one)) == 20
        np.testing.assert_allclose(ours, one, rtol=tolerance)
        if dtype == "float64":
            assert gradients.keys() == our_gradients.keys()
            for name, gradient in gradients.items():
                close(our_gradients[name], gradient, 1e-9)


def gradients(ranks, kind, devices="cpu"):
    """One step in float32: no rounding has had time to grow."""
    _, ours = train(ranks, kind, devices.split(","), 2, "float32", 0.0)
    _, one = train(parallel.Ranks(), kind, ["cpu"], 2, "float32", 0.0)
    for name, gradient in one.items():
        close(ours[name], gradient, 1e-6)


def close(ours, theirs, tolerance):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def collectives(ranks, device="cpu"):
    own = ranks.number
    assert ranks.all_gather({"rank": own, "text": "é" * own}) == [
        {"rank": r, "text": "é" * r} for r in range(ranks.size)
    ]
    each = [np.random.default_rng(r).standard_normal((3, 5)) for r in range(ranks.size)]
    array = to_device(each[own].copy(), device)
    first, second = ranks.sum(array), ranks.sum(other := to_device(2 * each[own], device))
    second.wait(), first.wait()
    close(to_device(array, "cpu"), sum(each), 1e-15)
    close(to_device(other, "cpu"), 2 * sum(each), 1e-15)
    for root in range(ranks.size):
        array = to_device(each[own].copy(), device)
        ranks.broadcast(array, root).wait()
        np.testing.assert_array_equal(to_device(array, "cpu"), each[root])
        array = to_device(each[own].copy(), device)
        ranks.sum_at(array, root).wait()
        close(to_device(array, "cpu"), sum(each) if own == root else each[own], 1e-15)
    try:
        ranks.sum(each[0].T)
    except ValueError as error:
        assert "contiguous" in str(error)
    else:
        raise AssertionError("an array with gaps was taken")


class ImitatedNccl:
    """cupyx.distributed's NCCLBackend, as far as it is used, over the hosts."""

    def __init__(self, comm):
        self.comm, self.calls = comm, []

    def all_reduce(self, source, target, stream):
        self.calls.append("all_reduce")
        target.set(self.comm.allreduce(source.get(stream=stream)), stream=stream)

    def reduce(self, source, target, root, stream):
        self.calls.append("reduce")
        total = self.comm.reduce(source.get(stream=stream), root=root)
        if self.comm.rank == root:
            target.set(total, stream=stream)

    def broadcast(self, array, root, stream):
        self.calls.append("broadcast")
        array.set(self.comm.bcast(array.get(stream=stream), root=root), stream=stream)


def nccl(ranks):
    """No GPU here: emulated ones, and an imitation of NCCL. What runs is all that comes before it and after."""
    imitation = ImitatedNccl(ranks.comm)

    def make(size, number, backend, use_mpi):
        assert (size, number, backend, use_mpi) == (ranks.size, ranks.number, "nccl", True)
        return imitation

    assert "cupyx" in ranks.use_nccl(["emu:0"])
    sys.modules["cupyx.distributed"] = SimpleNamespace(init_process_group=make)
    emulator.xp.cuda.nccl = SimpleNamespace(available=False)
    ranks.gpu = lambda device: f"host {ranks.number} {device}"
    assert ranks.use_nccl(["emu:0"]) == "rank 0: this CuPy has no NCCL"
    emulator.xp.cuda.nccl.available = True
    ranks.gpu = lambda device: "the same"
    assert ranks.use_nccl(["emu:0"]) == "ranks share a GPU"
    ranks.gpu = lambda device: f"host {ranks.number} {device}"
    assert ranks.use_nccl(["emu:0", "emu:1", "emu:0"]) is None and set(ranks.nccl) == {"emu:0", "emu:1"}
    with emulator.mode(streams=True):  # refuses what is used on two streams in no certain order
        collectives(ranks, "emu:0")
        losses(ranks, "data", "emu:0,emu:1")
        losses(ranks, "hybrid", "emu:1")
    assert set(imitation.calls) == {"all_reduce", "reduce", "broadcast"}


def transposes(ranks):
    """<v, A x> = <A^T v, x>, both sums over all ranks."""
    rng = np.random.default_rng(ranks.number)
    counts = [3, 0, 2, 1][: ranks.size]
    n = counts[ranks.number]

    def passed(x):
        return F.concatenate(list(across_ranks.pass_around(x, ranks, counts)), dim=0)

    def joined(x):
        return across_ranks.join(x, ranks, counts)

    for forward, shape in ((passed, (n, 4)), (joined, (4, n))):
        x = tinynet.tensor(rng.standard_normal(shape), requires_grad=True)
        y = forward(x)
        v = rng.standard_normal(y.shape)
        y.backward(v)
        left, right = ((v * y.numpy()).sum(), (x.grad * x.numpy()).sum())
        left, right = (sum(ranks.all_gather(float(side))) for side in (left, right))
        np.testing.assert_allclose(left, right, rtol=1e-12)
        # A cotangent may be another's as well: backward must leave it as it is.
        other = tinynet.tensor(np.zeros(y.shape), requires_grad=True)
        (other * 1 + forward(x)).backward(v)
        np.testing.assert_array_equal(other.grad, v)
    rows = np.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(across_ranks.all_rows(across_ranks.own_rows(rows, ranks), ranks), rows)


def buckets(ranks):
    """Each gradient is summed once, in every step: of a leaf that comes twice, and of one laid out in columns too."""
    x = tinynet.tensor(np.asfortranarray(np.full((3, 5), 2.0)), requires_grad=True)
    w = tinynet.tensor(np.asfortranarray(np.ones((3, 5))), requires_grad=True)
    for size in (1, 2**20):
        buckets = parallel.Buckets(ranks, bucket=size)
        for _ in range(2):
            x.grad = w.grad = None
            (w * (x * x)).sum().backward(np.float64(ranks.number + 1), on_grad_ready=buckets.ready)
            buckets.finish()
            assert not buckets.sent  # nor are the arrays of this step kept
            total = ranks.size * (ranks.size + 1) / 2
            np.testing.assert_array_equal(x.grad, np.full((3, 5), 4 * total))
            np.testing.assert_array_equal(w.grad, np.full((3, 5), 4 * total))


def rows(ranks):
    """A hybrid network gives the whole arrays, and takes them back only if they are whole."""
    hybrid, whole = model_on(ranks, "hybrid", ["cpu"]), model_on(ranks, "data", ["cpu"]).state_dict()
    arrays = hybrid.state_dict()
    for name, array in whole.items():
        np.testing.assert_array_equal(arrays[name], array)
    try:
        hybrid.load_state_dict(arrays | {"fc7.weight": arrays["fc7.weight"][1:]})
    except ValueError as error:
        assert "fc7.weight has" in str(error)
    else:
        raise AssertionError("a row is missing")


def missing(ranks):
    """Rank 1 waits long for rank 0, says so, and then does not come: what it said then does not count now."""
    ranks.patience = 2
    time.sleep(1.4 if ranks.number == 0 else 0)
    ranks.all_gather("here")
    if ranks.number == 1:
        time.sleep(2.5)
        return
    try:
        ranks.all_gather("here")
    except parallel.RankError as error:
        assert "no word from rank 1 for 2 s" in str(error)
        assert not error.together and error.speaks == (ranks.number == 0)
    else:
        raise AssertionError("rank 1 was there")


def disagreement(ranks):
    """All ranks learn which of them differs, and in what; and of an error on one of them."""

    def fail():
        if ranks.number == 1:
            raise OSError("no such disk")

    for cause, expected in (
        (lambda: ranks.agree({"lr": 0.1, "width": 1 + (ranks.number == 1)}), "rank 1: width is 2, and 1 on rank 0"),
        (lambda: ranks.together(fail), "rank 1: no such disk" if ranks.number == 1 else "no such disk"),
    ):
        try:
            cause()
        except parallel.RankError as error:
            assert str(error) == expected and error.together
        else:
            raise AssertionError(expected)
    assert ranks.together(lambda: ranks.number) == ranks.number


if __name__ == "__main__":
    everyone = parallel.join(parallel=True)
    try:
        globals()[sys.argv[1]](everyone, *sys.argv[2:])
    except BaseException:
        traceback.print_exc()
        everyone.abort(1)
    print(f"rank {everyone.number} of {everyone.size} is content", flush=True)
