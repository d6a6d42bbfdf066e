"""The engine: in which order the walk back goes, and how gradients add up on the way."""

from collections import Counter

import numpy as np

from tinynet import functional as F
from tinynet.autograd import Source, Tensor
from tinynet.course.exercise import Twin
from tinynet.course.python import Hand, PythonExercise, Simpler


def draw(rng, sizes):
    """The leaves; gradient: what the first of them has in .grad already."""
    arrays = {f"x{i}": rng.standard_normal(3) for i in range(sizes["leaves"])}
    return arrays | {"gradient": rng.standard_normal(3)}


def build(leaves, sizes):
    """The last of many results, of which each uses two that were made before it."""
    if sizes["by_hand"]:
        a = leaves[0] * 2
        return a * (a + 1)
    nodes, rng = list(leaves), np.random.default_rng(3)
    for i in range(sizes["operations"]):
        a, b = nodes[-1], nodes[rng.integers(max(len(nodes) - 3, 0), len(nodes))]
        if sizes["chain"]:
            nodes.append(a * 0.999)
        elif i % 3 == 0:
            nodes.append(a * b)
        elif i % 3 == 1:
            first, second, third = F.split(a, 1)  # a Function of three outputs
            nodes.append(F.concatenate([second, third, first], 0) + b)
        else:
            nodes.append(a + b * a)
    return nodes[-1]


def run(module, part, arrays, sizes):
    leaves = [Tensor(arrays[f"x{i}"], requires_grad=True) for i in range(sizes["leaves"])]
    root = build(leaves, sizes)
    if part == "topological_order":
        return describe(module.topological_order(root.function), root.function)
    held = leaves[0].grad = arrays["gradient"].copy()
    module.backpropagate(Source(root), np.linspace(1, 2, root.size))
    results = {f"dx{i}": np.zeros(x.shape) if x.grad is None else x.grad for i, x in enumerate(leaves)}
    return results | {"the first leaf's .grad is the array that it was": np.array([int(leaves[0].grad is held)])}


def describe(order, last):
    """What makes an order a right one: there may be several of them."""
    functions, seen = [last], {last}
    for function in functions:  # grows meanwhile
        new = [p for p in inputs(function) if p not in seen]
        functions += dict.fromkeys(new)
        seen |= set(new)
    times, place = Counter(order), {function: i for i, function in enumerate(order)}
    after = [all(place.get(p, len(order)) < place.get(f, -1) for p in inputs(f)) for f in reversed(functions)]
    return {
        "how often each Function is in the list": np.array([times[f] for f in reversed(functions)]),
        "each comes after its inputs' Functions": np.array(after, int),
        "the list's length": np.array(len(order)),
    }


def inputs(function):
    return [x.function for x in function.sources if x is not None and x.function]


WALK = """    while stack:
        function, remaining = stack[-1]
        parent = next((p for p in remaining if p not in seen), None)
        if parent is None:
            order.append(function)
            stack.pop()
        else:
            seen.add(parent)
            stack.append((parent, parents(parent)))
    return order
"""
BY_LEVELS = """    order = [last]
    for function in order:
        for p in parents(function):
            if p not in seen:
                seen.add(p)
                order.append(p)
    return order[::-1]
"""
AS_TAKEN = """    order, seen, stack = [], set(), [last]
    while stack:
        function = stack.pop()
        if function not in seen:
            seen.add(function)
            order.append(function)
            stack += parents(function)
    return order[::-1]
"""
RECURSIVE = """    def visit(function):
        for p in parents(function):
            if p not in seen:
                seen.add(p)
                visit(p)
        order.append(function)

    visit(last)
    return order
"""
AT_FIRST_SIGHT = WALK.replace("            order.append(function)\n", "").replace(
    "            seen.add(parent)\n", "            seen.add(parent)\n            order.append(parent)\n"
)
SLOT, ADDED = "if slots[x.output_index] is not None:", "dx = backend.as_array(slots[x.output_index] + dx)"
KEPT, LEAF = "slots[x.output_index] = dx", "x.leaf.grad += dx"

GRAPH = PythonExercise(
    parts=("topological_order", "accumulate"),
    run=run,
    in_float32=False,
    name="graph",
    week=1,
    minutes=75,
    file="backpropagation.py",
    page="docs/autograd.md",
    section="Step 4: the order of the walk, and why gradients add",
    holes=("topological_order", "accumulate"),
    hide={
        "    A depth-first walk with its own stack: a chain of 100,000 operations would not survive\n"
        "    Python's recursion limit. Each stack entry keeps an iterator, which remembers how far it came.\n": (
            "    Mind a chain of 100,000 operations: it would not survive Python's recursion limit.\n"
        )
    },
    given={
        "topological_order": ["# parents(function) goes through the Functions of its inputs."],
        "accumulate": [
            "# A leaf has its gradient in x.leaf.grad, an array or None, which others may hold: add to it in place.",
            "# Else x.function made it, as its output number x.output_index, one of len(x.function.outputs).",
            "# cotangents[x.function] is a list with one place per output, None where nothing has arrived; it is not",
            "# there at first.",
            "# with _adding: around the += (threads); the checker does not ask for it.",
        ],
    },
    sizes=dict(leaves=2, operations=6, chain=0, by_hand=0),
    smallest=dict(leaves=1, operations=1, chain=0, by_hand=0),
    others={
        "one operation": dict(operations=1),
        "one leaf": dict(leaves=1),
        "more operations": dict(operations=9, leaves=3),
        "a chain of 1200": dict(operations=1200, chain=1),
    },
    draw=draw,
    hand=Hand(
        {"x0": np.array([3.0]), "gradient": np.zeros(1)},
        {"how often each Function is in the list": [1, 1, 1], "dx0": [26]},
        dict(leaves=1, by_hand=1),
        ("x0 = 3, a = x0 * 2, y = a * (a + 1): three Functions; the first has two users",),
    ),
    sentences={
        "how often each Function is in the list": "a Function is missing in the list, or is in it more than once",
        "each comes after its inputs' Functions": "a Function comes in the list before one that made an input of it",
        "the list's length": "the list is too long, or too short",
        "the first leaf's .grad is the array that it was": "the first leaf's .grad is another array than before",
    },
    simpler=(
        Simpler("a chain", dict(chain=1), "It goes wrong where a result has several users."),
        Simpler("one operation", dict(operations=1), "It goes wrong where a result has several users."),
    ),
    twins=(
        Twin(
            "the list is the wrong way round: inputs come first; backpropagate reverses it.",
            {"    return order\n": "    return order[::-1]\n"},
        ),
        Twin(
            "a Function is listed as soon as it is met: it has to wait until all of its inputs' Functions are listed.",
            {WALK: AT_FIRST_SIGHT, "order, seen = [], {last}": "order, seen = [last], {last}"},
        ),
        Twin(
            "a Function is listed as soon as it is met (then the list is reversed): one that two others use, at "
            "different distances from the end, comes too late.",
            {WALK: BY_LEVELS},
        ),
        Twin(
            "a Function is listed as soon as it is taken from the stack (then the list is reversed): another user of "
            "it may be listed later, and then comes before it.",
            {WALK: AS_TAKEN},
        ),
        Twin(
            "a Function with two users is listed twice: remember which were seen.",
            {"parent = next((p for p in remaining if p not in seen), None)": "parent = next(remaining, None)"},
        ),
        Twin(
            "only the first input of each Function is followed.",
            {"stack.append((parent, parents(parent)))": "stack.append((parent, iter([*parents(parent)][:1])))"},
        ),
        Twin("the last Function itself is missing.", {"    return order\n": "    return order[:-1]\n"}),
        Twin("the recursion is too deep for Python: keep a stack of your own.", {WALK: RECURSIVE}),
        Twin(
            "a second cotangent replaces the first: `=` for `+=`. All users' cotangents are added.", {SLOT: "if False:"}
        ),
        Twin("a leaf's .grad is replaced: add to what it holds.", {"if x.leaf.grad is None:": "if True:"}),
        Twin(
            "a leaf's .grad becomes a new array: an optimizer may hold the old one, so add in place.",
            {LEAF: "x.leaf.grad = x.leaf.grad + dx"},
        ),
        Twin(
            "cotangents are added in place, into an array that others use as well.",
            {ADDED: "slots[x.output_index] += dx\n                dx = slots[x.output_index]"},
        ),
        Twin(
            "a Function with two outputs has two cotangents: x.output_index says which.",
            {SLOT: "if slots[0] is not None:", ADDED: "dx = slots[0] + dx", KEPT: "slots[0] = dx"},
        ),
        Twin(
            "there is one place per output, len(x.function.outputs) of them.",
            {"[None] * len(x.function.outputs)": "[None]"},
        ),
        Twin("cotangents are averaged, and should be added.", {ADDED: "dx = (slots[x.output_index] + dx) / 2"}),
    ),
)
