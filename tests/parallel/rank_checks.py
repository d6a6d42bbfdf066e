"""What must hold on several ranks: `mpiexec -n 4 python tests/parallel/rank_checks.py "losses data" transposes`. For
test_ranks.py.

Each rank also computes what one process would, and compares.
"""

import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import tinynet
from tinynet import emulator, nn, optim, parallel
from tinynet import functional as F
from tinynet.backend import bounds, to_device
from tinynet.errors import RunError
from tinynet.models import RECIPES, AlexNet, HybridAlexNet
from tinynet.parallel import across_ranks

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from alexnet_imagenet import train_epoch

SMALL = dict(classes=10, width=0.05, image_size=63, recipe=RECIPES["he"])


def model_on(ranks, kind, devices):
    tinynet.manual_seed(1)
    model = AlexNet(devices=devices, **SMALL)
    return HybridAlexNet(model, ranks) if kind == "hybrid" and ranks.world_size > 1 else model


def batches(ranks, count, size, dtype):
    """This rank's parts. The last images of each third batch are fewer than the ranks."""
    rng = np.random.default_rng(0)
    for number in range(count):
        n = size if number % 3 else 3
        images, labels = rng.standard_normal((n, 3, 63, 63)), rng.integers(0, 10, n)
        start, stop = bounds(n, ranks.world_size)[ranks.rank]
        yield images[start:stop].astype(dtype), labels[start:stop]


def train(ranks, kind, devices, steps, dtype, lr):
    """([loss of each step], {name: the last step's gradient}), by the example's own loop."""
    model = model_on(ranks, kind, devices)
    for parameter in model.parameters():
        with tinynet.backend.use_device(parameter.device):
            parameter.data = parameter.data.astype(dtype)
    optimizer, losses, gradients = optim.PaperSGD(model.parameters(), lr), [], {}
    zero_grad = optimizer.zero_grad

    def record(loss, *_):
        losses.append(sum(ranks.all_gather_object(loss.item())))

    def keep_gradients():
        gradients.update(whole(model, lambda parameter: parameter.grad))
        zero_grad()

    optimizer.zero_grad = keep_gradients
    data_parallel = parallel.DataParallel(model, ranks, bucket=2**14)  # several buckets, even here
    prefetcher = tinynet.data.Prefetcher(model.devices[0])
    train_epoch(batches(ranks, steps, 10, dtype), model, optimizer, data_parallel, prefetcher,
                SimpleNamespace(record=record), lambda: None)
    return losses, gradients


def whole(model, *of):
    return (model.gather_state_dict if isinstance(model, HybridAlexNet) else model.state_dict)(*of)


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
    own = ranks.rank
    assert ranks.all_gather_object({"rank": own, "text": "é" * own}) == [
        {"rank": r, "text": "é" * r} for r in range(ranks.world_size)
    ]
    each = [np.random.default_rng(r).standard_normal((3, 5)) for r in range(ranks.world_size)]
    array = to_device(each[own].copy(), device)
    first, second = ranks.all_reduce(array), ranks.all_reduce(other := to_device(2 * each[own], device))
    second.wait(), first.wait()
    close(to_device(array, "cpu"), sum(each), 1e-15)
    close(to_device(other, "cpu"), 2 * sum(each), 1e-15)
    for root in range(ranks.world_size):
        array = to_device(each[own].copy(), device)
        ranks.broadcast(array, root).wait()
        np.testing.assert_array_equal(to_device(array, "cpu"), each[root])
        array = to_device(each[own].copy(), device)
        ranks.reduce(array, root).wait()
        close(to_device(array, "cpu"), sum(each) if own == root else each[own], 1e-15)
    try:
        ranks.all_reduce(each[0].T)
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
        assert (size, number, backend, use_mpi) == (ranks.world_size, ranks.rank, "nccl", True)
        return imitation

    sys.modules["cupyx.distributed"] = None  # cannot be imported
    assert "cupyx" in ranks.use_nccl(["emu:0"]) and ranks.nccl is None
    sys.modules["cupyx.distributed"] = SimpleNamespace(init_process_group=make)
    emulator.xp.cuda.nccl = SimpleNamespace(available=False)
    assert ranks.use_nccl(["emu:0"], lambda device: f"host {ranks.rank} {device}") == "rank 0: this CuPy has no NCCL"
    emulator.xp.cuda.nccl.available = True
    assert ranks.use_nccl(["emu:0"], lambda device: "the same") == "ranks share a GPU"
    assert ranks.use_nccl(["emu:0", "emu:1", "emu:0"], lambda device: f"host {ranks.rank} {device}") is None
    assert set(ranks.nccl.groups) == {"emu:0", "emu:1"}
    with emulator.mode(streams=True):  # refuses what is used on two streams in no certain order
        collectives(ranks, "emu:0")
        losses(ranks, "data", "emu:0,emu:1")
        losses(ranks, "hybrid", "emu:1")
    assert set(imitation.calls) == {"all_reduce", "reduce", "broadcast"}


def transposes(ranks):
    """<v, A x> = <A^T v, x>, both sums over all ranks."""
    rng = np.random.default_rng(ranks.rank)
    counts = [3, 0, 2, 1][: ranks.world_size]
    n = counts[ranks.rank]

    def passed(x):
        return F.concatenate(list(across_ranks.broadcast_each(x, ranks, counts)), dim=0)

    def joined(x):
        return across_ranks.all_gather(x, ranks, counts)

    for forward, shape in ((passed, (n, 4)), (joined, (4, n))):
        x = tinynet.tensor(rng.standard_normal(shape), requires_grad=True)
        y = forward(x)
        v = rng.standard_normal(y.shape)
        y.backward(v)
        left, right = ((v * y.numpy()).sum(), (x.grad * x.numpy()).sum())
        left, right = (sum(ranks.all_gather_object(float(side))) for side in (left, right))
        np.testing.assert_allclose(left, right, rtol=1e-12)
        # A cotangent may be another's as well: backward must leave it as it is.
        other = tinynet.tensor(np.zeros(y.shape), requires_grad=True)
        (other * 1 + forward(x)).backward(v)
        np.testing.assert_array_equal(other.grad, v)
    rows = np.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(across_ranks.all_rows(across_ranks.own_rows(rows, ranks), ranks), rows)


def buckets(ranks):
    """Each gradient is summed once, in every step: of a leaf used twice, and of one laid out in columns too."""
    model = nn.Module()
    model.x = nn.Parameter(np.asfortranarray(np.full((3, 5), 2.0)))
    model.w = nn.Parameter(np.asfortranarray(np.ones((3, 5))))
    total = ranks.world_size * (ranks.world_size + 1) / 2
    for size in (1, 2**20):
        data_parallel = parallel.DataParallel(model, ranks, bucket=size)
        for _ in range(2):
            model.zero_grad()
            data_parallel.backward((model.w * (model.x * model.x)).sum() * float(ranks.rank + 1))
            assert not data_parallel.sent  # nor are the arrays of this step kept
            np.testing.assert_array_equal(model.x.grad, np.full((3, 5), 4 * total))
            np.testing.assert_array_equal(model.w.grad, np.full((3, 5), 4 * total))


def accumulation(ranks):
    """Two backward passes before an update: the sums of the first must not be summed again."""
    model = nn.Module()
    model.w, model.v = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(2))
    data_parallel = parallel.DataParallel(model, ranks, bucket=1)
    total = ranks.world_size * (ranks.world_size + 1) / 2
    data_parallel.backward(model.w.sum() * float(ranks.rank + 1) + model.v.sum())
    first = model.w.grad.copy()
    data_parallel.backward(model.w.sum() * 10.0 * float(ranks.rank + 1))  # v has no part in it
    np.testing.assert_array_equal(first, np.full(3, total))
    np.testing.assert_array_equal(model.w.grad, np.full(3, 11 * total))
    np.testing.assert_array_equal(model.v.grad, np.full(2, ranks.world_size))


def rows(ranks):
    """A hybrid network gathers the whole arrays, and takes them back only if they are whole."""
    hybrid, expected = model_on(ranks, "hybrid", ["cpu"]), model_on(ranks, "data", ["cpu"]).state_dict()
    if ranks.rank == 0:
        hybrid.state_dict()  # what this rank has: nobody else is asked
    random = tinynet.backend.generator().bit_generator.state
    arrays, as_one = hybrid.gather_state_dict(), hybrid.whole().state_dict()
    assert random == tinynet.backend.generator().bit_generator.state
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
        np.testing.assert_array_equal(as_one[name], array)
    hybrid.load_whole_state_dict({name: array + 1 for name, array in arrays.items()})
    np.testing.assert_array_equal(hybrid.gather_state_dict()["fc7.weight"], arrays["fc7.weight"] + 1)
    try:
        hybrid.load_whole_state_dict(arrays | {"fc7.weight": arrays["fc7.weight"][1:]})
    except ValueError as error:
        assert "fc7.weight has" in str(error)
    else:
        raise AssertionError("a row is missing")


def missing(ranks):
    """Rank 1 waits long for rank 0, says so, and then does not come: what it said then does not count now."""
    ranks.set_timeout(2)
    time.sleep(1.4 if ranks.rank == 0 else 0)
    ranks.all_gather_object("here")
    if ranks.rank == 1:
        time.sleep(2.5)
        return
    try:
        ranks.all_gather_object("here")
    except RunError as error:
        assert "no word from rank 1 for 2 s" in str(error)
    else:
        raise AssertionError("rank 1 was there")


def disagreement(ranks):
    """All ranks learn which of them differs, and in what; and of an error on one of them, also one without a text."""

    def fail(error):
        if ranks.rank == 1:
            raise error

    for cause, expected in (
        (lambda: ranks.check_equal({"lr": 0.1, "width": 1 + (ranks.rank == 1)}), "rank 1: width is 2, and 1 on rank 0"),
        (lambda: ranks.collectively(lambda: fail(OSError("no such disk"))), "rank 1: no such disk"),
        (lambda: ranks.collectively(lambda: fail(MemoryError())), "rank 1: MemoryError"),
    ):
        try:
            cause()
        except RunError as error:
            assert str(error) == expected
        else:
            raise AssertionError(expected)
    assert ranks.collectively(lambda: ranks.rank) == ranks.rank


if __name__ == "__main__":
    everyone = parallel.init(parallel=True)
    for line in sys.argv[1:]:
        name, *arguments = line.split()
        try:
            globals()[name](everyone, *arguments)
        except BaseException:
            traceback.print_exc()
            everyone.abort(1)
        print(f"rank {everyone.rank} of {everyone.world_size} is content: {line}.", flush=True)
