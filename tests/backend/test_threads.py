import os
import signal
import threading
import time

import numpy as np
import pytest
import threadpoolctl

import tinynet
from tinynet import backend


@pytest.mark.parametrize("size", [0, 1, backend.SMALL - 1, backend.SMALL, backend.BLOCK, 3 * backend.BLOCK + 1])
def test_elementwise_fills_every_element_once(rng, size):
    x = rng.standard_normal(size)
    calls = []

    def body(y, x):
        calls.append(len(y))
        np.multiply(x, 2, out=y)

    np.testing.assert_array_equal(backend.elementwise(body, x), 2 * x)
    assert sum(calls) == size
    assert len(calls) > 3 if size > 3 * backend.BLOCK else len(calls) == 1


def test_elementwise_takes_arrays_that_are_not_contiguous(rng):
    x = rng.standard_normal((300, 400)).T
    np.testing.assert_array_equal(backend.elementwise(lambda y, x: np.negative(x, out=y), x), -x)


def test_parallel_for_covers_the_range_once_from_many_threads_at_once():
    on = np.zeros(backend.SMALL)
    counts = np.zeros((4, 1000), int)

    def caller(number):
        def body(start, stop):
            counts[number, start:stop] += 1
            backend.parallel_for(3, lambda a, b: None, on)  # inside a worker: no second pool, no deadlock

        backend.parallel_for(1000, body, on)

    threads = [threading.Thread(target=caller, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (counts == 1).all()


def test_an_exception_in_a_piece_reaches_the_caller_and_the_pool_lives_on():
    on = np.zeros(backend.SMALL)

    def body(start, stop):
        raise KeyError(start)

    for _ in range(3):
        with pytest.raises(KeyError):
            backend.parallel_for(100, body, on)
    done = []
    backend.parallel_for(100, lambda start, stop: done.append(stop - start), on)
    assert sum(done) == 100


def test_after_an_error_the_rest_is_not_begun():
    caller, others = threading.current_thread(), []

    def body(start, stop):
        if threading.current_thread() is caller:
            raise KeyError(start)
        time.sleep(0.05)
        others.append(start)

    with pytest.raises(KeyError):
        backend.parallel_for(100, body, np.zeros(backend.SMALL))
    # 4 pieces per worker; each of the others may have been working on one, or just begun the next
    assert len(others) <= 2 * (backend.num_threads() - 1)


@pytest.fixture
def threads_restored():
    """BLAS's limit is that of the whole process: the other tests want theirs back."""
    before = backend.num_threads()
    with threadpoolctl.threadpool_limits():
        yield
        tinynet.set_num_threads(before)


def threads_at_work():
    """How many threads take part in a parallel_for: each waits in its first piece until all are there."""
    came, all_here = set(), threading.Barrier(backend.num_threads())

    def body(start, stop):
        if threading.current_thread() not in came:
            came.add(threading.current_thread())
            all_here.wait(20)

    backend.parallel_for(100, body, np.zeros(backend.SMALL))
    return len(came)


def test_the_number_of_threads_can_change_after_the_pool_was_started(threads_restored):
    for n in (2, np.int64(5), 1, 3):
        tinynet.set_num_threads(n)
        assert tinynet.num_threads() == n
        assert threads_at_work() == n
        assert {blas["num_threads"] for blas in threadpoolctl.threadpool_info() if blas["user_api"] == "blas"} == {n}
        assert sum(thread.name.startswith("tinynet") for thread in threading.enumerate()) <= max(n - 1, 1)


@pytest.mark.parametrize("n", [0, -1, 1.0, 2.5, "2", None, True])
def test_the_number_of_threads_is_an_integer_of_at_least_1(n):
    before = tinynet.num_threads()
    with pytest.raises(ValueError, match=f"set_num_threads: n must be an integer of at least 1, got {n!r}"):
        tinynet.set_num_threads(n)
    assert tinynet.num_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own():
    on = np.zeros(backend.SMALL)
    backend.parallel_for(100, lambda start, stop: None, on)
    child = os.fork()
    if child == 0:
        done = []
        backend.parallel_for(100, lambda start, stop: done.append(stop - start), on)
        os._exit(0 if sum(done) == 100 else 1)
    assert exit_code(child) == 0


def exit_code(child):
    """Of a process that was forked here, which has 20 seconds to end."""
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    return os.waitstatus_to_exitcode(ended[1])


def blas_threads():
    return {blas["num_threads"] for blas in threadpoolctl.threadpool_info() if blas["user_api"] == "blas"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("ends", ["at once", "with an exception", "after the loop"])
def test_a_child_forked_inside_a_parallel_for_has_all_threads(threads_restored, ends):
    """There BLAS is held to one thread, and the pool's threads are the parent's."""
    tinynet.set_num_threads(3)
    on, before, parent, children = np.zeros(backend.SMALL), blas_threads(), os.getpid(), []
    assert before == {3}

    def check():
        a = np.ones((300, 300))
        return blas_threads() == before and (a @ a == 300).all() and threads_at_work() == 3

    forked = threading.Event()

    def body(start, stop):
        if threading.current_thread() is not threading.main_thread():
            forked.wait(20)  # so that the child's copy of this thread's future never ends
        elif not children:
            children.append(os.fork())
            forked.set()
            if children[0] == 0:
                if ends == "at once":
                    os._exit(0 if check() else 1)
                if ends == "with an exception":
                    raise KeyError

    try:
        backend.parallel_for(100, body, on)
    except KeyError:
        assert os.getpid() != parent
    finally:
        if os.getpid() != parent:
            os._exit(0 if check() else 1)
    assert blas_threads() == before
    assert exit_code(children[0]) == 0
    assert threads_at_work() == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_forked_while_another_thread_is_in_a_parallel_for(threads_restored):
    tinynet.set_num_threads(2)
    inside, over = threading.Event(), threading.Event()

    def body(start, stop):
        inside.set()
        over.wait(20)

    def fork():
        inside.wait(20)
        children.append(os.fork())
        if children[0] == 0:
            os._exit(0 if blas_threads() == {2} and threads_at_work() == 2 else 1)
        over.set()

    children, thread = [], threading.Thread(target=fork)
    thread.start()
    backend.parallel_for(100, body, np.zeros(backend.SMALL))
    thread.join(20)
    assert exit_code(children[0]) == 0
    assert blas_threads() == {2}


def test_every_thread_holds_blas_to_one_thread_whichever_set_their_number(threads_restored):
    """The thread that sets OpenBLAS's number is the only one that may, until threadpoolctl is told otherwise."""
    tinynet.set_num_threads(2)
    seen = []

    def caller():
        backend.parallel_for(10, lambda start, stop: seen.append(blas_threads()), np.zeros(backend.SMALL))

    thread = threading.Thread(target=caller)
    thread.start()
    thread.join(20)
    caller()
    assert seen and all(n == {1} for n in seen)
    assert blas_threads() == {2}


@pytest.mark.parametrize("shape", [(200, 300, 5), (5, 300, 200), (128, 256, 512), (1, 500, 900), (3, 0, 4)])
def test_matmul_is_the_product(rng, dtype, shape):
    rows, inner, columns = shape
    a = rng.standard_normal((rows, inner)).astype(dtype)
    b = rng.standard_normal((columns, inner)).astype(dtype).T
    expected = np.einsum("ij,jk->ik", a, b)
    for product in (backend.matmul(a, b), backend.matmul(a, b.copy())):  # b's columns or its rows are contiguous
        assert product.dtype == dtype and product.flags.c_contiguous
        np.testing.assert_allclose(product, expected, rtol=1e-3 if dtype == "f4" else 1e-10, atol=1e-4)


def test_gate(rng, dtype):
    x = rng.standard_normal(50).astype(dtype)
    x[:4] = np.inf, -np.inf, np.nan, -0.0
    for open_ in (np.zeros(50, bool), np.ones(50, bool), rng.random(50) < 0.5):
        out = np.empty_like(x)
        backend.gate(out, x, open_)
        np.testing.assert_array_equal(out, np.where(open_, x, 0))
