"""AlexNet on several ranks, its two halves split in two ways (Krizhevsky, "One weird trick for parallelizing
convolutional neural networks", 2014).

The convolutions have 4 % of AlexNet's weights and do 92 % of its work; the fully connected layers have 96 % of the
weights and do 8 % of the work. So each half is split in the way that moves fewer bytes:

    convolutions          data parallel:  each rank has all weights and its own images;
                          gradients are summed over the ranks (2.3 M numbers)
    fully connected       model parallel: each rank has its own rows of each weight, and sees all images;
                          activations travel, gradients of weights (58.6 M numbers) never do

Between the two, his scheme (b): the ranks take turns. In turn r, rank r broadcasts the last convolutional activations
of its images, and all ranks compute their rows of fc6, fc7 and fc8 for these images, gathering the outputs after each
layer. The next rank's activations travel meanwhile. Backward is the same in reverse: for each turn, rank r gets the
sum of all ranks' cotangents for its activations.

All turns' gradients are added up before one update, so the losses are those of one process.
"""

from tinynet import functional as F
from tinynet import nn
from tinynet.backend import generator, use_device
from tinynet.models.alexnet import AlexNet
from tinynet.ops.dropout import MaskSlice, draw_key
from tinynet.parallel.across_ranks import all_gather, all_rows, broadcast_each, offsets, own_rows, split_lengths


class HybridAlexNet(nn.Module):
    """images of this rank (N_r, 3, size, size) -> their logits (N_r, classes). All ranks call it together.

    model: an AlexNet on one device, the same on all ranks; its weights are taken over. ranks: a parallel.Ranks.
    state_dict() gives what this rank has; gather_state_dict() the whole network's arrays, as a checkpoint has them.
    Raises ValueError for a model on several devices.
    """

    def __init__(self, model, ranks):
        if len(model.devices) > 1:
            raise ValueError(f"HybridAlexNet: each rank has one device, got {', '.join(model.devices)}")
        if variant := model.arguments["variant"]:
            raise ValueError(f"HybridAlexNet: only figure 2 itself can be split, got the variant {variant}")
        self.devices, self.groups, self.image_size, self.ranks = model.devices, model.groups, model.image_size, ranks
        self.arguments, names = model.arguments, [name for name, _ in model.layers]
        self.layers = model.layers[: names.index("flatten5") + 1]
        for name, layer in self.layers:
            setattr(self, name, layer)
        self.widths = {}
        for name in ("fc6", "fc7", "fc8"):
            whole = getattr(model, name).parts[0]
            self.widths[name] = split_lengths(len(whole.weight), ranks.world_size)
            for parameter in (whole.weight, whole.bias):
                with use_device(parameter.device):
                    parameter.data = own_rows(parameter.data, ranks).copy()
            setattr(self, name, whole)
        self.dropout6, self.dropout7 = model.dropout6.parts[0], model.dropout7.parts[0]

    def forward(self, images):
        xs = [images]
        for _, layer in self.layers:
            xs = layer(xs)
        counts = self.ranks.all_gather_object(len(images))
        keys = {name: draw_key() if self.training else None for name in ("fc6", "fc7")}  # the same in all turns
        own_logits = []
        for turn, x in enumerate(broadcast_each(xs[0], self.ranks, counts)):
            first_image = offsets(counts)[turn]
            for name, dropout in (("fc6", self.dropout6), ("fc7", self.dropout7)):
                widths, dropout.first_row = self.widths[name], first_image
                first_column = offsets(widths)[self.ranks.rank]
                x = dropout(F.relu(getattr(self, name)(x)), MaskSlice(keys[name], sum(widths), first_column))
                x = all_gather(x, self.ranks, widths)
            logits = all_gather(self.fc8(x), self.ranks, self.widths["fc8"])
            # Of others' images none; yet their rows stay in the graph, for all must walk the same way back.
            own_logits.append(logits[: counts[turn] if turn == self.ranks.rank else 0])
        return F.concatenate(own_logits, dim=0)

    def whole(self):
        """An AlexNet with all weights, on this rank's device. All ranks call it together."""
        random = generator().bit_generator
        state, model = random.state, AlexNet(**self.arguments)
        random.state = state  # as if no weights had been drawn
        model.load_state_dict(self.gather_state_dict())
        return model

    def is_split(self, path):
        return path.partition(".")[0] in self.widths

    def split_parameters(self):
        """Those of which each rank has its own rows: their gradients are complete without the other ranks."""
        return [parameter for path, parameter in self.named_parameters() if self.is_split(path)]

    def gather_state_dict(self, of=lambda parameter: parameter.data):
        """The whole network's arrays, on each rank. All ranks call it together."""
        own = self.state_dict(of)
        return {path: all_rows(array, self.ranks) if self.is_split(path) else array for path, array in own.items()}

    def load_whole_state_dict(self, arrays, into=None, strict=True):
        """Take this rank's rows of the whole network's arrays. Nothing changes unless all of them fit."""
        for path, array in arrays.items():  # own_rows would cut any length
            if self.is_split(path) and len(array) != (rows := sum(self.widths[path.partition(".")[0]])):
                raise ValueError(f"load_whole_state_dict: {path} has {len(array)} rows, expected {rows}")
        own = {path: own_rows(array, self.ranks) if self.is_split(path) else array for path, array in arrays.items()}
        self.load_state_dict(own, into, strict)
