"""From a tensor to the boxes of its picture: the Functions that made it, their values and their cotangents.

A graph that was recorded (recording.py) has all of them. One that was not, and is not freed yet, still knows its
Functions, their shapes and its leaves.

Boxes also know when something happens. Step 0 is the leaves; steps 1 to n are the n Functions forward; in step n + 1
backward begins with dL/dL; then come the same Functions, in the order in which backward walked through them.
"""

from dataclasses import dataclass, field
from functools import cached_property

from tinynet.autograd import Tensor
from tinynet.backpropagation import topological_order
from tinynet.drawing.numbers import numbers
from tinynet.drawing.source import printable

RECORD = "`with tinynet.record():`"


@dataclass(eq=False)
class Output:
    """One value. data, cotangent: arrays, or None if unknown. received: [(Box, number of its input, dx)], in order."""

    shape: tuple
    data: object = None
    cotangent: object = None
    received: list = field(default_factory=list)
    name: str = ""

    @cached_property
    def value_lines(self):
        return [] if self.data is None else numbers(self.data)

    @cached_property
    def cotangent_lines(self):
        return [] if self.cotangent is None else numbers(self.cotangent)


@dataclass(eq=False)
class Box:
    """A Function, or a leaf (function is None). inputs: [(Box, output_index)].

    number: its place in Graph.boxes. forward, backward: its steps. dxs: what backward returned, or None.
    """

    function: object
    inputs: list
    outputs: list
    needs_grad: bool = True
    number: int = 0
    forward: int = 0
    backward: int = 0
    called_at: tuple = None
    dxs: list = None

    @property
    def title(self):
        if self.function is None:
            return self.outputs[0].name or ("leaf" if self.needs_grad else "constant")
        return f"{self.forward} {self.function.name}"


@dataclass
class Graph:
    """boxes: each after those of its inputs; the last one made the tensor. note: what is not known, and why."""

    boxes: list
    note: str

    @property
    def functions(self):
        return [box for box in self.boxes if box.function is not None]


def graph_of(tensor, names=None):
    """The Graph behind a tensor. names: a module, or {tensor: name}. Raises TypeError, ValueError, RuntimeError."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"draw: loss must be a tinynet.Tensor, got {type(tensor).__name__}")
    names = names_by_place(names)
    function = tensor.function
    if function is None:
        raise ValueError("draw: this tensor has no graph: it is no result of operations on tensors that require grad")
    graph = recorded_graph(function.node, names) if function.node else graph_without_values(function, names)
    for number, box in enumerate(graph.boxes):
        box.number = number
    for step, box in enumerate(graph.functions, 1):
        box.forward = step
    return graph


def names_by_place(names):
    """{(Function or leaf, output_index): name}, for results and for leaves."""
    if hasattr(names, "named_parameters"):
        names = {parameter: name for name, parameter in names.named_parameters()}
    names = {} if names is None else names
    if not isinstance(names, dict) or not all(isinstance(x, Tensor) for x in names):
        what = "a dictionary with other keys" if isinstance(names, dict) else type(names).__name__
        raise TypeError(f"draw: names must be a module or a dictionary {{tensor: name}}, got {what}")
    return {(x.function or x, x.output_index): printable(str(name)) for x, name in names.items()}


# ---------------------------------------------------------------------------- recorded


def recorded_graph(last, names):
    boxes, box_of, place_of = [], {}, {}  # {Node: Box}, {Value: (Box, output_index)}
    nodes = nodes_behind(last)
    for node in nodes:
        for x in node.inputs:
            if x not in place_of:
                name = names.get((x.tensor.function or x.tensor, x.tensor.output_index), "")
                boxes.append(Box(None, [], [output_of(x, name)], needs_grad=x.tensor.requires_grad))
                place_of[x] = boxes[-1], 0
        outputs = [output_of(y, names.get((node.function, y.output_index), "")) for y in node.outputs]
        box = Box(node.function, [place_of[x] for x in node.inputs], outputs, called_at=node.called_at, dxs=node.dxs)
        boxes.append(box)
        box_of[node] = box
        place_of |= {y: (box, y.output_index) for y in node.outputs}
    for value, (box, index) in place_of.items():
        box.outputs[index].received = [(box_of.get(node), number, dx) for node, number, dx in value.received]
    back = sorted((node for node in nodes if node.dys), key=lambda node: node.backward_number)
    for step, node in enumerate(back, len(nodes) + 2):
        box_of[node].backward = step
    note = "" if back else f"No cotangents: backward has not run inside {RECORD}."
    return Graph(boxes, note)


def nodes_behind(last):
    """`last` and every Node that it depends on, in the order in which they ran."""
    found, to_visit = {last}, [last]
    while to_visit:
        new = {x.node for x in to_visit.pop().inputs if x.node} - found
        found |= new
        to_visit += new
    return sorted(found, key=lambda node: node.number)


def output_of(value, name):
    return Output(value.data.shape, value.data, value.cotangent, name=name)


# ---------------------------------------------------------------------------- not recorded


def graph_without_values(last, names):
    """The same from what the engine itself remembers until backward: no values but those of leaves."""
    try:
        order = topological_order(last)
    except RuntimeError:
        what = f"run the forward pass and backward inside {RECORD}"
        raise RuntimeError(f"draw: backward has freed this graph, and it was not recorded; {what}") from None
    boxes, box_of = [], {}  # {Function or leaf: Box}
    for function in order:
        sources = [x for x in function.sources if x is not None]
        for x in sources:
            if x.leaf is not None and x.leaf not in box_of:
                name = names.get((x.leaf, 0), "")
                boxes.append(Box(None, [], [Output(x.shape, x.leaf.data, name=name)]))
                box_of[x.leaf] = boxes[-1]
        outputs = [Output(y[0], name=names.get((function, i), "")) for i, y in enumerate(function.outputs)]
        inputs = [(box_of[x.function if x.leaf is None else x.leaf], x.output_index) for x in sources]
        boxes.append(Box(function, inputs, outputs, called_at=function.called_at))
        box_of[function] = boxes[-1]
    note = f"Shapes only, and no inputs that need no gradient. For values, run both passes inside {RECORD}."
    return Graph(boxes, note)
