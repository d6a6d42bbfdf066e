"""Backpropagation: the walk back through the graph that autograd.py records.

Each Function's backward is called once, after those of all users of its outputs: by then their cotangents are
complete, added up where an output had several users. A Function is freed as soon as it is done.
"""

import os
import threading
from collections import Counter

import numpy as np

from tinynet import anomaly, backend
from tinynet.modes import modes


def backpropagate(root, dy, on_grad_ready=None):
    """Walk from the Source `root`, whose cotangent is dy, to the leaves, and add to their .grad."""
    order = topological_order(root.function) if root.function else []
    count_down = countdown(root, order, on_grad_ready) if on_grad_ready else None
    cotangents = {}  # {Function: [the cotangent of each output, or None as long as none has arrived]}
    accumulate(root, dy, cotangents)
    if count_down:
        count_down([root])
    for function in reversed(order):
        sources = function.sources
        step_back(function, cotangents)
        if count_down:
            count_down(sources)


def topological_order(last):
    """Every Function that `last` depends on, each after all of its inputs' Functions.

    A depth-first walk with its own stack: a chain of 100,000 operations would not survive
    Python's recursion limit. Each stack entry keeps an iterator, which remembers how far it came.
    """
    order, seen = [], {last}
    stack = [(last, parents(last))]
    while stack:
        function, remaining = stack[-1]
        parent = next((p for p in remaining if p not in seen), None)
        if parent is None:
            order.append(function)
            stack.pop()
        else:
            seen.add(parent)
            stack.append((parent, parents(parent)))
    return order


def parents(function):
    if function.freed:
        raise RuntimeError(
            f"backward: {function.name} was already walked through and what it saved is freed; "
            "run the forward pass again for a second backward"
        )
    return iter([x.function for x in function.sources if x is not None and x.function])


def step_back(function, cotangents):
    """Turn the cotangents of a Function's outputs into those of its inputs, pass these on, and free it."""
    dys = cotangents.pop(function)
    for i, (shape, dtype, device) in enumerate(function.outputs):
        if dys[i] is None:  # nobody used this output
            with backend.use_device(device):
                dys[i] = backend.to_device(np.zeros(shape, dtype), device)
    dxs = function.checked_backward(dys)
    if modes.detecting:
        anomaly.check(function, dys, dxs)
    if modes.recorder:
        modes.recorder.stepped_back(function, dys, dxs)
    for x, dx in zip(function.sources, dxs, strict=True):
        if x is None:
            continue
        if x.leaf is not None and not is_own(dx, function, dys, dxs, x.leaf):
            with backend.use_device(backend.device_of(dx)):
                dx = dx.copy()
        accumulate(x, dx, cotangents)
    function.free()


def is_own(dx, function, dys, dxs, leaf):
    """Whether dx can become the .grad of a leaf, which is changed in place (by +=, by whoever clips it).

    Not if it is dy, a view, the leaf's own data, an array that backward returned twice, or one that was saved.
    """
    if dx.base is not None or dx is leaf.data or sum(dx is a for a in dxs) > 1 or any(dx is a for a in dys):
        return False
    return not any(dx is a or dx is getattr(a, "base", None) for a in vars(function).get("saved", ()))


def accumulate(x, dx, cotangents):
    """Add dx to what has arrived for the Source x before: in .grad if it is a leaf, else among the cotangents."""
    if x.leaf is None:
        slots = cotangents.get(x.function)
        if slots is None:
            slots = cotangents[x.function] = [None] * len(x.function.outputs)
        if slots[x.output_index] is not None:
            with backend.use_device(backend.device_of(dx)):
                dx = backend.as_array(slots[x.output_index] + dx)  # not in place: either may be in use elsewhere
        slots[x.output_index] = dx
    else:
        with _adding:
            if x.leaf.grad is None:
                x.leaf.grad = dx
            else:
                with backend.use_device(backend.device_of(dx)):
                    x.leaf.grad += dx  # in place: an optimizer or a bucket may hold the array


def _new_lock():
    global _adding
    _adding = threading.Lock()  # several threads may walk back to one leaf, and += is not atomic


_new_lock()
if hasattr(os, "register_at_fork"):  # a forked child must not wait for a thread of its parent
    os.register_at_fork(after_in_child=_new_lock)


def countdown(root, order, on_grad_ready):
    """A function to call with sources that have just received a cotangent: it reports leaves that expect no more."""
    all_sources = [root, *(x for function in order for x in function.sources)]
    left = Counter(x.leaf for x in all_sources if x is not None and x.leaf is not None)

    def count_down(sources):
        for x in sources:
            if x is not None and x.leaf is not None:
                left[x.leaf] -= 1
                if left[x.leaf] == 0:
                    on_grad_ready(x.leaf)

    return count_down
