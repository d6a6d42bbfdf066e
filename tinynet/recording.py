"""What went through the graph: every Function, with its inputs, outputs and cotangents, kept to be looked at.

    with tinynet.record() as recording:
        loss = (x * w).sum()
        loss.backward()
    recording.forward   the Nodes in the order in which they ran
    recording.backward  the same Nodes in the order in which backward walked through them

A graph that is not recorded forgets all of this on the way back. The pictures of the graph and the page of a run are
drawn from a recording, so that what they show is what the engine computed.
"""

from tinynet.backend import device_of, use_device
from tinynet.modes import Switch


class Value:
    """A tensor that a Function took or returned.

    data: its array when it was first seen. node, output_index: which Node made it (None, 0 for a leaf).
    received: [(Node, number of its input, dx)], the cotangents that arrived, in order; they add up to `cotangent`.
    """

    def __init__(self, tensor, node=None, output_index=0):
        self.tensor, self.node, self.output_index = tensor, node, output_index
        self.data = copied(tensor.data) if node is None else tensor.data  # an optimizer writes into leaves
        self.received = []
        self.users = []  # [(Node, number of its input)]

    @property
    def cotangent(self):
        """dL/dself as an array, or None: the sum of what was received; at the loss itself, where backward began."""
        if self.node and self.node.dys:
            return self.node.dys[self.output_index]
        if not self.received:
            return None
        with use_device(device_of(self.data)):
            return sum((dx for _, _, dx in self.received[1:]), start=self.received[0][2])


class Node:
    """One Function that ran.

    function: the Function, for its name and hyperparameters. inputs, outputs: Values. called_at: (file, line) of the
    user's call. number, backward_number: its places in Recording.forward and Recording.backward. dys, dxs: the
    cotangents of the outputs and of the inputs; dxs has None where an input needs none. These and backward_number are
    None until backward has passed.
    """

    def __init__(self, function, inputs, number):
        self.function, self.inputs, self.number = function, inputs, number
        self.called_at = function.called_at
        self.outputs, self.backward_number, self.dys, self.dxs = [], None, None, None


class Recording:
    def __init__(self):
        self.forward, self.backward = [], []
        self.values = {}  # {id(tensor): Value}, which keeps the tensor alive, so that no id comes twice

    def ran(self, function, inputs, outputs):
        node = function.node = Node(function, [self.value(x) for x in inputs], len(self.forward))
        for number, value in enumerate(node.inputs):
            value.users.append((node, number))
        for index, y in enumerate(outputs):
            self.values[id(y)] = Value(y, node, index)
            node.outputs.append(self.values[id(y)])
        self.forward.append(node)

    def value(self, tensor):
        if id(tensor) not in self.values:
            self.values[id(tensor)] = Value(tensor)
        return self.values[id(tensor)]

    def stepped_back(self, function, dys, dxs):
        node = function.node
        if node is None:  # it ran before the recording began
            return
        node.backward_number, node.dys = len(self.backward), list(dys)
        node.dxs = [None if x is None else copied(dx) for x, dx in zip(function.sources, dxs, strict=True)]
        for number, (value, dx) in enumerate(zip(node.inputs, node.dxs, strict=True)):
            if dx is not None:
                value.received.append((node, number, dx))
        self.backward.append(node)


class record(Switch):
    """Inside `with record() as recording:` the engine keeps what passes through it, forward and backward.

    All arrays stay in memory as long as the recording does, or a tensor from inside the block. For one thread.
    """

    mode = "recorder"

    def __init__(self):
        self.value = Recording()

    def __enter__(self):
        super().__enter__()
        return self.value


def copied(array):
    """A copy, since the engine adds to .grad in place, and an optimizer to the data of leaves."""
    with use_device(device_of(array)):
        return array.copy()
