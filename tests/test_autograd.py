"""The engine: the graph, the walk back through it, and what it says when something is wrong."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet.autograd import Function, Tensor


class Double(Function):
    """y = 2 x, which counts how often it is walked back through."""

    arguments = ("input",)

    def __init__(self):
        self.backwards = 0

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        self.backwards += 1
        return 2 * dy


class Returns(Function):
    """Adds its inputs, and gives back from backward whatever it was told to."""

    def __init__(self, *dxs):
        self.dxs = dxs

    def forward(self, *xs):
        return sum(xs[1:], xs[0])

    def backward(self, dy):
        return self.dxs if len(self.dxs) > 1 else self.dxs[0]


class Parts(Function):
    """x, its square and, as an integer, its sign: three outputs."""

    def forward(self, x):
        self.save(x)
        return x.copy(), x * x, np.sign(x).astype(np.int64)

    def backward(self, dy, dsquare, dsign):
        self.received = dy, dsquare, dsign
        return dy + 2 * self.saved[0] * dsquare


def leaf(*values, dtype=np.float64):
    return tinynet.tensor(np.array(values, dtype), requires_grad=True)


# ---------------------------------------------------------------------------- the walk back


def test_one_tensor_used_twice():
    x = leaf(3.0)
    y = x * x + x
    y.backward()
    assert x.grad.tolist() == [7]


def test_diamond():
    """x feeds two branches that meet again; the shared part runs back once, with the sum."""
    x = leaf(3.0)
    shared = Double()
    s = shared(x)  # 6
    y = (s * s) * (s + 1.0)  # s^3 + s^2
    y.backward()
    assert x.grad.tolist() == [2 * (3 * 36 + 2 * 6)]
    assert shared.backwards == 1


def test_branches_of_different_length():
    for join in (lambda a, b: a + b, lambda a, b: b + a):
        x = leaf(1.0)
        short = long = Double()(x)
        for _ in range(10):
            long = Double()(long)
        join(short, long).backward()
        assert x.grad.tolist() == [2 + 2 * 1024]


def test_two_leaves_of_one_addition_have_separate_gradients():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).backward([1.0, 1.0])
    assert not np.shares_memory(a.grad, b.grad)
    a.grad += 5
    assert b.grad.tolist() == [1, 1]


def test_the_gradient_is_not_the_callers_array():
    x, v = leaf(1.0, 2.0), np.ones(2)
    for y in (x, x.reshape(2), x + 0.0):
        x.grad = None
        y.backward(v)
        assert not np.shares_memory(x.grad, v)
        x.grad += 1
        assert v.tolist() == [1, 1]


def test_views_of_one_cotangent_become_separate_gradients():
    a, b = leaf(1.0), leaf(2.0)
    F.stack((a, b)).backward([[1.0], [2.0]])
    assert not np.shares_memory(a.grad, b.grad)
    assert a.grad.base is None


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


def test_two_outputs_that_meet_again():
    x = leaf(3.0)
    y, square, _ = Parts()(x)
    (y * square).backward()
    assert x.grad.tolist() == [27]


def test_an_integer_output_is_a_constant():
    """Nothing flows back through it, also where it is the only output in use."""
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


def test_backward_of_a_leaf():
    x = leaf(2.0, 3.0)
    x.backward([1.0, 2.0])
    assert x.grad.tolist() == [1, 2]


def test_only_leaves_get_a_gradient():
    x = leaf(2.0)
    y = x * x
    (y * y).backward()
    assert y.grad is None
    assert x.grad.tolist() == [32]


def test_a_long_chain_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = -y
    y.backward()
    assert x.grad.tolist() == [1]


def test_a_long_chain_is_dropped_without_recursion():
    y = leaf(1.0)
    for _ in range(100_000):
        y = -y
    del y


def test_zero_dimensional_cotangents_are_arrays():
    """NumPy's sum of two 0-d arrays is a scalar, which has no item assignment."""

    class Fill(Function):
        def forward(self, x):
            return x + 0

        def backward(self, dy):
            assert isinstance(dy, np.ndarray)
            return dy

    x = tinynet.tensor(np.array(2.0), requires_grad=True)
    y = Fill()(x)
    (y + y).backward()
    assert isinstance(x.grad, np.ndarray)
    assert x.grad.item() == 2


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


def test_nothing_is_saved_where_nothing_flows_back():
    x = tinynet.tensor([1.0, 2.0])
    y = Tensor(np.ones(2, np.float32), requires_grad=True)
    assert F.exp(x).function is None
    function = F.mul(x, y).function
    assert function.sources[0] is None
    with tinynet.no_grad():
        assert F.exp(y).function is None


# ---------------------------------------------------------------------------- running twice


def test_second_backward():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"backward: mul was already .* forward pass again"):
        y.backward()
    assert x.grad.tolist() == [4]


def test_second_backward_through_a_shared_part():
    """The second loss has an operation of its own, which must not run before the error."""
    x = leaf(2.0)
    shared = F.exp(x)
    first, second = shared * 2.0, Double()
    y = second(shared)
    first.backward()
    before = x.grad.copy()
    with pytest.raises(RuntimeError, match="backward: exp was already walked through"):
        y.backward()
    assert second.backwards == 0
    np.testing.assert_array_equal(x.grad, before)


# ---------------------------------------------------------------------------- what needs a gradient


def test_no_grad_as_a_context():
    x = leaf(1.0)
    with tinynet.no_grad():
        y = x * 2.0
    assert not y.requires_grad
    assert y.function is None
    assert (x * 2.0).requires_grad


def test_no_grad_as_a_decorator():
    @tinynet.no_grad()
    def evaluate(x):
        """Doc."""
        return x * 2.0

    x = leaf(1.0)
    assert not evaluate(x).requires_grad
    assert evaluate.__name__ == "evaluate"
    assert (x * 2.0).requires_grad


def test_no_grad_nests_and_survives_errors():
    x = leaf(1.0)
    with tinynet.no_grad():
        with pytest.raises(ZeroDivisionError), tinynet.no_grad():
            1 / 0  # noqa: B018
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_counts_for_its_thread_only():
    x, results = leaf(1.0), []
    with tinynet.no_grad():
        thread = threading.Thread(target=lambda: results.append((x * 2.0).requires_grad))
        thread.start()
        thread.join()
    assert results == [True]


def test_detach():
    x = leaf(3.0)
    y = x * x
    (y.detach() * x).backward()
    assert x.grad.tolist() == [9]
    assert y.detach().data is y.data


def test_a_gradient_that_nobody_needs_is_not_computed():
    class Record(Function):
        def forward(self, x, z):
            return x + z

        def backward(self, dy):
            self.asked = self.needs_input_grad
            return dy if self.asked[0] else None, dy if self.asked[1] else None

    x, z = leaf(1.0), tinynet.tensor(np.array([2.0]))
    record = Record()
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


def test_dtype_stays_through_a_graph(dtype):
    x = tinynet.tensor(np.array([[1, 2], [3, 4]], dtype), requires_grad=True)
    y = ((x @ x).exp() * 1e-9 + x / 3 - 1).mean(0).var() ** 2
    assert y.dtype == dtype
    y.backward()
    assert x.grad.dtype == dtype


# ---------------------------------------------------------------------------- errors


def test_backward_without_a_gradient_needs_one_number():
    with pytest.raises(ValueError, match=r"backward: a tensor of shape \(2,\) needs gradient="):
        (leaf(1.0, 2.0) * 2.0).backward()
    x = leaf(1.0)
    x.reshape(1, 1).backward()  # one number, whatever its shape
    assert x.grad.tolist() == [1]


def test_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"backward: gradient has shape \(3,\), the tensor \(2,\)"):
        (leaf(1.0, 2.0) * 2.0).backward(np.ones(3))


def test_nothing_to_differentiate():
    with pytest.raises(RuntimeError, match="backward: this tensor does not require a gradient"):
        (tinynet.tensor(1.0) * 2).backward()


def test_only_floating_tensors_have_gradients():
    with pytest.raises(TypeError, match=r"only float32 and float64 .* gradients, got int64"):
        tinynet.tensor([1, 2], requires_grad=True)


def test_mixed_dtypes():
    x, z = tinynet.tensor(np.ones(2, np.float32)), tinynet.tensor(np.ones(2))
    with pytest.raises(TypeError, match="add: other is float64 but input is float32; convert one"):
        F.add(x, z)


def test_mixed_dtypes_behind_an_integer_input():
    """The first input does not decide: the floating ones must agree."""
    i = tinynet.tensor([1, 2])
    x, z = tinynet.tensor(np.ones(2, np.float32)), tinynet.tensor(np.ones(2))
    with pytest.raises(TypeError, match="returns: input 2 is float64 but input 1 is float32"):
        Returns(None)(i, x, z)


def test_not_a_tensor():
    message = r"double: input must be a tinynet.Tensor, got list; tinynet.tensor\(\.\.\.\) makes"
    with pytest.raises(TypeError, match=message):
        Double()([1.0])
    with pytest.raises(TypeError, match=r"returns: input 1 must be a tinynet.Tensor, got float"):
        Returns(None)(leaf(1.0), 2.0)


@pytest.mark.parametrize(
    ("dx", "message"),
    [
        (np.ones(3), r"returns.backward: input 0 .* \(2,\) .* its cotangent has shape \(3,\)"),
        (np.ones(()), r"its cotangent has shape \(\)"),
        (np.ones(2, np.float32), "input 0 .* is float64, its cotangent .* is float32"),
        (None, r"returns.backward: input 0 has shape \(2,\) .* its cotangent is None"),
    ],
)
def test_backward_that_returns_the_wrong_thing(dx, message):
    with pytest.raises(RuntimeError, match=message):
        Returns(dx)(leaf(1.0, 2.0)).backward(np.ones(2))


def test_backward_that_returns_too_many():
    with pytest.raises(RuntimeError, match=r"returns.backward: 1 inputs, 2 cotangents"):
        Returns(np.ones(2), np.ones(2))(leaf(1.0, 2.0)).backward(np.ones(2))


def test_len_and_item():
    assert len(leaf(1.0, 2.0)) == 2
    with pytest.raises(TypeError, match="no axes"):
        len(tinynet.tensor(1.0))
    assert tinynet.tensor(2.5).item() == float(tinynet.tensor([2.5])) == 2.5
    with pytest.raises(ValueError, match=r"item\(\) needs .* one element, got shape \(2,\)"):
        leaf(1.0, 2.0).item()


def test_tensor_copies_and_keeps_the_dtype():
    a = np.ones(2)
    x = tinynet.tensor(a)
    a[0] = 5
    assert x.numpy().tolist() == [1, 1]
    assert x.dtype == np.float64
    assert tinynet.tensor([1.0]).dtype == np.float32
    assert tinynet.tensor([1]).dtype == np.int64
    assert tinynet.tensor([1], dtype=np.float64).dtype == np.float64
    for bad in (1j, "a", np.ones(1, np.float16)):
        with pytest.raises(TypeError, match="tensor: data must be float32, float64, integer"):
            tinynet.tensor(bad)


def test_a_decorated_function_that_calls_itself_leaves_the_mode_as_it_was():
    @tinynet.no_grad()
    def down(n):
        return down(n - 1) if n else None

    down(3)
    x = tinynet.tensor([1.0], requires_grad=True)
    assert (x + x).requires_grad


def test_ready_is_called_once_for_each_leaf_and_not_before_its_gradient_is_whole():
    x, w, unused = (tinynet.tensor([a, a], requires_grad=True) for a in (2.0, 3.0, 5.0))
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
