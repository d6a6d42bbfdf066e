"""The engine: the graph, the walk back through it, and what it says when something is wrong."""

import gc
import os
import signal
import threading
import weakref

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet.autograd import Function, Tensor


class Double(Function):
    """y = 2 x; counts how often its backward runs."""

    arguments = ("input",)

    def __init__(self):
        self.backwards = 0

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        self.backwards += 1
        return 2 * dy


class Custom(Function):
    """Whatever a test needs. By default the sum of its inputs, each of which receives dy."""

    def __init__(self, forward=lambda self, *xs: sum(xs[1:], xs[0]), backward=lambda self, dy: dy):
        self.forward, self.backward = forward.__get__(self), backward.__get__(self)


def returning(*dxs):
    """An operation whose backward returns dxs."""
    return Custom(backward=lambda self, dy: dxs if len(dxs) > 1 else dxs[0])


class Parts(Function):
    """Three outputs: x, its square and, as an integer, its sign."""

    def forward(self, x):
        self.save(x)
        return x.copy(), x * x, np.sign(x).astype(np.int64)

    def backward(self, dy, dsquare, dsign):
        self.received = dy, dsquare, dsign
        return dy + 2 * self.saved[0] * dsquare


def leaf(*values, dtype=np.float64):
    return tinynet.tensor(np.array(values, dtype), requires_grad=True)


# ---------------------------------------------------------------------------- the walk back


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: x * x + x, 7),
        (lambda x: F.mul(*Parts()(x)[:2]), 27),  # two outputs that meet again
        (lambda x: (x * x).detach() * x, 9),
        (lambda x: F.mul(x * x, x * x), 4 * 27),
    ],
)
def test_slope_at_3(f, slope):
    x = leaf(3.0)
    f(x).backward()
    assert x.grad.tolist() == [slope]


def test_diamond():
    """x feeds two branches that meet again; the shared part runs back once, with the sum."""
    x = leaf(3.0)
    shared = Double()
    s = shared(x)  # 6
    y = (s * s) * (s + 1.0)  # s^3 + s^2
    y.backward()
    assert x.grad.tolist() == [2 * (3 * 36 + 2 * 6)]
    assert shared.backwards == 1
    assert s.grad is None, "only leaves get a gradient"


def test_branches_of_different_length():
    for join in (lambda a, b: a + b, lambda a, b: b + a):
        x = leaf(1.0)
        short = long = Double()(x)
        for _ in range(10):
            long = Double()(long)
        join(short, long).backward()
        assert x.grad.tolist() == [2 + 2 * 1024]


@pytest.mark.parametrize(
    "join", [F.add, lambda a, b: F.stack((a, b)), lambda a, b: returning(dx := np.ones(2), dx)(a, b)]
)
def test_leaves_that_receive_one_array_or_views_of_it_have_separate_gradients(join):
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = join(a, b)
    y.backward(np.ones(y.shape))
    assert not np.shares_memory(a.grad, b.grad)
    assert a.grad.base is None
    a.grad += 5
    assert (a.grad.tolist(), b.grad.tolist()) == ([6, 6], [1, 1])


def test_the_gradient_is_not_the_callers_array():
    x, v = leaf(1.0, 2.0), np.array([1.0, 2.0])
    for y in (x, x.reshape(2), x + 0.0):
        x.grad = None
        y.backward(v)
        assert x.grad.tolist() == [1, 2]
        assert not np.shares_memory(x.grad, v)
        x.grad += 1
        assert v.tolist() == [1, 2]
        v *= 1  # and stays the caller's to change


def test_an_unused_output_sends_zeros():
    x = leaf(1.0, 2.0)
    parts = Parts()
    _, square, _ = parts(x)
    square.backward([1.0, 10.0])
    assert x.grad.tolist() == [2, 40]
    dy, dsquare, dsign = parts.received
    assert dy.tolist() == [0, 0]
    assert dy.dtype == np.float64
    assert dsquare.tolist() == [1, 10]
    assert dsign.dtype == np.int64


def test_an_integer_output_is_a_constant():
    """No gradient flows back through it, not even if it is the only output in use."""
    x, w = leaf(-2.0, 3.0), leaf(1.0, 1.0)
    sign = Parts()(x)[2]
    assert not sign.requires_grad
    assert sign.function is None
    (w * sign).backward([1.0, 1.0])
    assert w.grad.tolist() == [-1, 1]
    assert x.grad is None


def test_gradients_add_up_over_two_backwards():
    x = leaf(2.0)
    (x * x).backward()
    kept = x.grad
    (x * x).backward()
    assert x.grad.tolist() == [8]
    assert x.grad is kept, "an optimizer or a bucket may hold the array: it is added to in place"


def test_a_long_chain_needs_no_recursion_forward_backward_or_when_it_is_dropped():
    for walk_back in (True, False):
        y = x = leaf(1.0)
        for _ in range(100_000):
            y = -y
        if walk_back:
            y.backward()
            assert x.grad.tolist() == [1]
        del y


def test_zero_dimensional_cotangents_are_arrays():
    """NumPy's sum of two 0-d arrays is a scalar, which has no item assignment."""

    def backward(self, dy):
        assert isinstance(dy, np.ndarray)
        return dy

    x = tinynet.tensor(np.array(2.0), requires_grad=True)
    y = Custom(lambda self, x: x + 0, backward)(x)
    (y + y).backward()
    assert isinstance(x.grad, np.ndarray)
    assert x.grad.item() == 2


def test_on_grad_ready_is_called_once_per_leaf_and_not_before_its_gradient_is_complete():
    x, w, unused = (leaf(a, a) for a in (2.0, 3.0, 5.0))
    then = {}

    def ready(leaf):
        assert leaf not in then
        then[leaf] = leaf.grad.tolist()

    (w * x * (x * x)).sum().backward(on_grad_ready=ready)  # the walk meets x * x first
    assert then == {w: [8, 8], x: [36, 36]}
    assert unused.grad is None
    then.clear()
    w.backward([1.0, 2.0], on_grad_ready=ready)  # a leaf that is its own graph
    assert then == {w: [9, 10]}


@pytest.mark.parametrize("keep", [lambda x: x, lambda x: x.T, lambda x: x[:1]])
def test_a_gradient_is_never_an_array_that_was_saved(keep):
    """Whoever adds to .grad, such as the next backward, would change what was saved: here the input's own data."""
    def forward(self, x):
        self.save(keep(x))
        self.whole = x
        return x * x / 2

    def backward(self, dy):
        return self.whole

    x = leaf(1.0, 2.0)
    for twice in (1, 2):
        Custom(forward, backward)(x).backward([1.0, 1.0])
        assert not np.shares_memory(x.grad, x.data)
        assert x.grad.tolist() == [twice, 2 * twice]
        assert x.data.tolist() == [1, 2]
    kept = np.array([3.0, 4.0])
    x.grad = None

    def save_another(self, x):
        self.save(kept)
        return x + 0

    Custom(save_another, lambda self, dy: self.saved[0])(x).backward([1.0, 1.0])
    x.grad += 1
    assert kept.tolist() == [3, 4]


def test_a_gradient_that_is_its_own_is_not_copied():
    class Double(Function):
        def forward(self, x):
            self.save(x)
            return 2 * x

        def backward(self, dy):
            self.dx = 2 * dy
            return self.dx

    x, double = tinynet.tensor([1.0, 2.0], requires_grad=True), Double()
    double(x).backward(np.ones(2))
    assert x.grad is double.dx


@pytest.mark.parametrize("size", [1, 300_000])
def test_gradients_of_many_threads_add_up_in_one_leaf(size):
    """NumPy releases Python's lock in the middle of grad += dx."""
    threads, rounds = 8, 30
    w = tinynet.tensor(np.zeros(size), requires_grad=True)
    ready = threading.Barrier(threads)

    def work():
        dy = np.ones(size)
        for _ in range(rounds):
            ready.wait(20)
            w.backward(dy)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert (w.grad == threads * rounds).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_forked_while_another_thread_adds_to_a_gradient_walks_back():
    class Slow(np.ndarray):
        def __iadd__(self, other):
            adding.set()
            over.wait(20)
            return self

    adding, over, w = threading.Event(), threading.Event(), leaf(1.0)
    w.grad = np.zeros(1).view(Slow)
    thread = threading.Thread(target=lambda: (w * 1.0).backward())
    thread.start()
    adding.wait(20)
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # kills the child if it hangs
        x = leaf(3.0)
        (x * x).backward()
        os._exit(0 if x.grad.tolist() == [6] else 1)
    over.set()
    thread.join(20)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---------------------------------------------------------------------------- memory


def test_backward_frees_the_graph():
    x = leaf(1.0, 2.0)
    y = F.exp(x * 2.0)
    saved = weakref.ref(y.function.saved[0])
    middle = weakref.ref(y.function.sources[0].function)
    loss = y.sum()
    gc.collect()
    assert saved() is not None
    assert middle() is not None
    loss.backward()
    data, y.data = y.data, None  # which is what exp saved
    del data
    gc.collect()
    assert saved() is None, "the saved array outlived backward"
    assert middle() is None, "an operation outlived backward"


def test_what_nobody_saved_is_freed_at_once():
    """The graph knows where its inputs came from, and does not hold their data."""
    x = leaf(1.0, 2.0)
    middle = x + 1.0
    data = weakref.ref(middle.data)
    y = F.relu(middle)  # saves its output only
    del middle
    gc.collect()
    assert data() is None
    y.backward([1.0, 1.0])
    assert x.grad.tolist() == [1, 1]


def test_nothing_is_saved_where_no_gradient_flows_back():
    x = tinynet.tensor([1.0, 2.0])
    y = Tensor(np.ones(2, np.float32), requires_grad=True)
    assert F.exp(x).function is None
    function = F.mul(x, y).function
    assert function.sources[0] is None
    with tinynet.no_grad():
        assert F.exp(y).function is None


def test_second_backward():
    """Of a second loss that shares a part with the first, its own operation must not run before the error."""
    x = leaf(2.0)
    shared = F.exp(x)
    first, second = shared * 2.0, Double()
    y = second(shared)
    first.backward()
    before = x.grad.copy()
    with pytest.raises(RuntimeError, match=r"backward: mul was already .* forward pass again"):
        first.backward()
    with pytest.raises(RuntimeError, match="backward: exp was already walked through"):
        y.backward()
    assert second.backwards == 0
    np.testing.assert_array_equal(x.grad, before)


# ---------------------------------------------------------------------------- what needs a gradient


def test_no_grad_as_a_context_nests_and_survives_errors():
    x = leaf(1.0)
    with tinynet.no_grad():
        y = x * 2.0
        assert not y.requires_grad
        assert y.function is None
        with pytest.raises(ZeroDivisionError), tinynet.no_grad():
            1 / 0  # noqa: B018
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_as_a_decorator():
    @tinynet.no_grad()
    def evaluate(x, again=3):
        """Doc."""
        return evaluate(x, again - 1) if again else x * 2.0

    x = leaf(1.0)
    assert not evaluate(x).requires_grad
    assert evaluate.__name__ == "evaluate"
    assert (x * 2.0).requires_grad, "a function that calls itself left the mode changed"


def steps(x):
    """A generator that tells, at each step, whether it records; what it is sent; and what is thrown into it."""
    try:
        sent = yield (x * 2.0).requires_grad
        while sent != "end":
            try:
                sent = yield (x * 2.0).requires_grad, sent
            except KeyError as error:
                sent = error.args[0]
        return (x * 2.0).requires_grad
    finally:
        seen_at_the_end.append((x * 2.0).requires_grad)


seen_at_the_end = []


def test_no_grad_as_a_decorator_covers_every_step_of_a_generator(torch):
    for library, x in ((tinynet, leaf(1.0)), (torch, torch.ones(1, requires_grad=True))):
        generator = library.no_grad()(steps)
        assert generator.__doc__ == steps.__doc__
        walk = generator(x)
        assert next(walk) is False
        assert (x * 2.0).requires_grad, "between its steps the caller records"
        assert walk.send("a") == (False, "a")
        assert walk.throw(KeyError("b")) == (False, "b")
        with library.no_grad():
            assert next(walk) == (False, None)
        with pytest.raises(StopIteration) as stopped:
            walk.send("end")
        assert stopped.value.value is False
        walk = generator(x)
        next(walk)
        walk.close()
        walk = generator(x)
        next(walk)
        with pytest.raises(ZeroDivisionError):
            walk.throw(ZeroDivisionError())
        assert seen_at_the_end == [False] * 3
        seen_at_the_end.clear()
        assert (x * 2.0).requires_grad


def test_no_grad_and_async_functions():
    async def coroutine():
        pass

    async def generator():
        yield

    for function in (coroutine, generator):
        for mode in (tinynet.no_grad, tinynet.detect_anomaly):
            with pytest.raises(TypeError, match=rf"^{mode.__name__}: {function.__name__} is async"):
                mode()(function)


def test_no_grad_affects_its_own_thread_only():
    x, results = leaf(1.0), []
    with tinynet.no_grad():
        thread = threading.Thread(target=lambda: results.append((x * 2.0).requires_grad))
        thread.start()
        thread.join()
    assert results == [True]


def test_a_gradient_that_nobody_needs_is_not_computed():
    def backward(self, dy):
        self.asked = self.needs_input_grad
        return dy if self.asked[0] else None, dy if self.asked[1] else None

    x, z = leaf(1.0), tinynet.tensor(np.array([2.0]))
    record = Custom(backward=backward)
    record(x, z).backward()
    assert record.asked == (True, False)
    assert x.grad.tolist() == [1]
    assert z.grad is None


def test_a_branch_that_needs_no_gradient_is_not_walked():
    constant = Double()
    y = constant(tinynet.tensor(np.array([1.0])))
    x = leaf(1.0)
    (x * y).backward()
    assert constant.backwards == 0
    # Nor is one that was cut off by hand.
    cut = Double()
    y = cut(x)
    y.requires_grad = False
    x.grad = None
    (x * y).backward()
    assert cut.backwards == 0
    assert x.grad.tolist() == [2]


def test_gradient_argument(dtype):
    x = tinynet.tensor(np.array([1, 2], dtype), requires_grad=True)
    array = np.array([1, 2])
    for gradient in ([1, 2], array, array.astype(np.float64), tinynet.tensor(array)):
        x.grad = None
        (x * 2).backward(gradient)
        assert x.grad.dtype == dtype
        assert x.grad.tolist() == [2, 4]
    x = leaf(1.0)
    x.reshape(1, 1).backward()  # one number, whatever its shape, needs no gradient
    assert x.grad.tolist() == [1]


def test_dtype_stays_through_a_graph(dtype):
    x = tinynet.tensor(np.array([[1, 2], [3, 4]], dtype), requires_grad=True)
    y = ((x @ x).exp() * 1e-9 + x / 3 - 1).mean(0).var() ** 2
    assert y.dtype == dtype
    y.backward()
    assert x.grad.dtype == dtype


def test_tensor_copies_and_keeps_the_dtype():
    a = np.ones(2)
    x = tinynet.tensor(a)
    a[0] = 5
    assert x.numpy().tolist() == [1, 1]
    assert x.detach().data is x.data
    assert len(x) == 2
    assert tinynet.tensor(2.5).item() == float(tinynet.tensor([2.5])) == 2.5
    assert x.dtype == np.float64
    assert tinynet.tensor([1.0]).dtype == np.float32
    assert tinynet.tensor([1]).dtype == np.int64
    assert tinynet.tensor([1], dtype=np.float64).dtype == np.float64


# ---------------------------------------------------------------------------- errors, each in one line


def twice(op):
    op(leaf(1.0))
    op(leaf(1.0))


def run(backward, forward=lambda self, x: 2 * x):
    """An operation on two elements, forward and backward."""
    Custom(forward, backward)(leaf(2.0, 1.0)).backward(np.ones(2))


def forward_returns(value):
    Custom(lambda self, x: value)(leaf(1.0))


def run_returning(*dxs):
    returning(*dxs)(leaf(1.0, 2.0)).backward(np.ones(2))


ones, single = tinynet.tensor(np.ones(2)), tinynet.tensor(np.ones(2, np.float32))
ERRORS = [
    # calls of the engine
    (lambda: (leaf(1.0, 2.0) * 2.0).backward(), ValueError, r"backward: a tensor of shape \(2,\) needs gradient="),
    (lambda: (leaf(1.0, 2.0) * 2.0).backward(np.ones(3)), ValueError,
     r"backward: gradient has shape \(3,\), the tensor \(2,\)"),
    (lambda: (tinynet.tensor(1.0) * 2).backward(), RuntimeError, "backward: this tensor does not require a gradient"),
    (lambda: tinynet.tensor([1, 2], requires_grad=True), TypeError, "only float32 and float64 .* gradients, got int64"),
    (lambda: tinynet.tensor(1j), TypeError, "tensor: data must be float32, float64, integer"),
    (lambda: tinynet.tensor("a"), TypeError, "tensor: data must be float32, float64, integer"),
    (lambda: tinynet.tensor(np.ones(1, np.float16)), TypeError, "tensor: data must be float32, float64, integer"),
    (lambda: len(tinynet.tensor(1.0)), TypeError, "no axes"),
    (lambda: leaf(1.0, 2.0).item(), ValueError, r"item\(\) needs .* one element, got shape \(2,\)"),
    # inputs of an operation
    (lambda: F.add(single, ones), TypeError, "add: other is float64 but input is float32; convert one"),
    (lambda: returning(None)(tinynet.tensor([1, 2]), single, ones), TypeError,  # the first one does not decide
     "custom: input 2 is float64 but input 1 is float32"),
    (lambda: Double()([1.0]), TypeError,
     r"double: input must be a tinynet.Tensor, got list; tinynet.tensor\(\.\.\.\) makes"),
    (lambda: returning(None)(leaf(1.0), 2.0), TypeError, "custom: input 1 must be a tinynet.Tensor, got float"),
    # mistakes in an operation
    (lambda: twice(Double()), RuntimeError, "double: this instance has already run; make a new one"),
    (lambda: forward_returns(ones), TypeError, r"custom.forward must return arrays: .* got Tensor"),
    (lambda: forward_returns(None), TypeError, r"custom.forward must return arrays: .* got NoneType"),
    (lambda: forward_returns([np.ones(1)]), TypeError, r"custom.forward must return arrays: .* got list"),
    (lambda: forward_returns(1.5), TypeError, r"custom.forward must return arrays: .* got float"),
    (lambda: forward_returns(1), TypeError, r"custom.forward must return arrays: .* got int"),
    (lambda: forward_returns((np.ones(1), 1.5)), TypeError, r"custom.forward must return arrays: .* got float"),
    (lambda: run(lambda self, dy: dy * self.saved[0]), RuntimeError, "custom.backward: forward saved nothing"),
    (lambda: run_returning(np.ones(3)), RuntimeError,
     r"custom.backward: input 0 .* \(2,\) .* its cotangent has shape \(3,\)"),
    (lambda: run_returning(np.ones(())), RuntimeError, r"its cotangent has shape \(\)"),
    (lambda: run_returning(np.ones(2, np.float32)), RuntimeError, "0 .* is float64, its cotangent .* is float32"),
    (lambda: run_returning(None), RuntimeError,
     r"custom.backward: input 0 has shape \(2,\) .* its cotangent is None"),
    (lambda: run_returning(np.ones(2), np.ones(2)), RuntimeError, "custom.backward: 1 inputs, 2 cotangents"),
    (lambda: run_returning(ones), TypeError, "custom.backward must return arrays: .* got Tensor"),
    (lambda: run_returning([np.ones(2)]), TypeError, "custom.backward must return arrays: .* got list"),
    (lambda: run(lambda self, dy: np.ones(2) + np.ones(3)), ValueError, "^operands could not be broadcast"),  # NumPy's
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_a_mistake_is_told_in_one_line(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda dy: dy.__imul__(2),
        lambda dy: dy.__setitem__(dy > 0, 0),
        lambda dy: np.add(dy, 1, out=dy),
        lambda dy: np.copyto(dy, 1),
        lambda dy: dy.fill(0),
        lambda dy: dy.sort(),
        lambda dy: dy.reshape(2, 1)[1:].__iadd__(1),
    ],
)
def test_backward_cannot_write_into_its_cotangent(write):
    """It may be another operation's as well: of this sum's other input, to begin with."""
    x, z = leaf(1.0, 2.0), leaf(1.0, 2.0)
    careless = Custom(backward=lambda self, dy: write(dy))
    with pytest.raises(RuntimeError, match=r"^custom.backward must not write into dy.*read-only$"):
        (careless(x) + z).backward([2.0, 1.0])
    assert z.grad is None or z.grad.tolist() == [2, 1]


def test_backward_may_save_nothing_on_purpose():
    def forward(self, x):
        self.save()
        return x + 0

    run(lambda self, dy: dy if self.saved == () else None, forward)
