"""AlexNet on several ranks, its two halves split in two ways (Krizhevsky, "One weird trick for parallelizing
convolutional neural networks", 2014).

The convolutions have 4 % of AlexNet's weights and do 92 % of its work; the fully connected layers have
96 % of the weights and do 8 % of the work. So the two halves are shared out in the way that moves the fewer bytes:

    convolutions          data parallel:  each rank has all weights and its own images;
                          gradients are summed over the ranks (2.3 M numbers)
    fully connected       model parallel: each rank has its own rows of each weight, and sees all images;
                          activations travel, gradients of weights (58.6 M numbers) never do

Between the two, his scheme (b): the ranks take turns. In turn r rank r passes its images' last
convolutional activations to all others, and all compute their rows of fc6, fc7 and fc8 for these images,
joining the outputs after each layer. The next rank's activations travel meanwhile. Backward is the same in
reverse: for each turn, rank r gets the sum of the cotangents that the ranks have for its activations.

All turns' gradients are added up before one update, so the losses are those of one process.
"""

from tinynet import functional as F
from tinynet import nn
from tinynet.backend import use_device
from tinynet.ops.dropout import draw_key
from tinynet.parallel.across_ranks import all_rows, join, own_rows, pass_around, share_lengths, starts


class HybridAlexNet(nn.Module):
    """images of this rank (N_r, 3, size, size) -> their logits (N_r, classes). All ranks call it together.

    model: an AlexNet on one device, the same on all ranks; its weights are taken over. ranks: a
    parallel.Ranks. state_dict gives the whole network's arrays, so a checkpoint does not know of ranks; it
    and load_state_dict are called by all ranks together. Raises ValueError for a model on several devices.
    """

    def __init__(self, model, ranks):
        if len(model.devices) > 1:
            raise ValueError(f"HybridAlexNet: each rank has one device, got {', '.join(model.devices)}")
        self.devices, self.groups, self.image_size, self.ranks = model.devices, model.groups, model.image_size, ranks
        names = [name for name, _ in model.steps]
        self.steps = model.steps[: names.index("flat5") + 1]
        for name, layer in self.steps:
            setattr(self, name, layer)
        self.widths = {}
        for name in ("fc6", "fc7", "fc8"):
            whole = getattr(model, name).parts[0]
            self.widths[name] = share_lengths(len(whole.weight), ranks.size)
            for parameter in (whole.weight, whole.bias):
                with use_device(parameter.device):
                    parameter.data = own_rows(parameter.data, ranks).copy()
            setattr(self, name, whole)
        self.drop6, self.drop7 = model.drop6.parts[0], model.drop7.parts[0]

    def forward(self, images):
        xs = [images]
        for _, layer in self.steps:
            xs = layer(xs)
        counts = self.ranks.all_gather(len(images))
        keys = {name: draw_key() if self.training else None for name in ("fc6", "fc7")}  # the same in all turns
        own_logits = []
        for turn, x in enumerate(pass_around(xs[0], self.ranks, counts)):
            first_image = starts(counts)[turn]
            for name, dropout in (("fc6", self.drop6), ("fc7", self.drop7)):
                widths, dropout.first_row = self.widths[name], first_image
                first_column = starts(widths)[self.ranks.number]
                x = dropout(F.relu(getattr(self, name)(x)), keys[name], sum(widths), first_column)
                x = join(x, self.ranks, widths)
            logits = join(self.fc8(x), self.ranks, self.widths["fc8"])
            # Of others' images none; yet their rows stay in the graph, for all must walk the same way back.
            own_logits.append(logits[: counts[turn] if turn == self.ranks.number else 0])
        return F.concatenate(own_logits, dim=0)

    def is_split(self, path):
        return path.partition(".")[0] in self.widths

    def split_parameters(self):
        """Those of which each rank has its own rows: their gradients are complete without the other ranks."""
        return [parameter for path, parameter in self.named_parameters() if self.is_split(path)]

    def state_dict(self, of=lambda parameter: parameter.data):
        own = super().state_dict(of)
        return {path: all_rows(array, self.ranks) if self.is_split(path) else array for path, array in own.items()}

    def load_state_dict(self, arrays, into=None):
        for path, array in arrays.items():  # own_rows would cut any length
            if self.is_split(path) and len(array) != (rows := sum(self.widths[path.partition(".")[0]])):
                raise ValueError(f"load_state_dict: {path} has {len(array)} rows, expected {rows}")
        own = {path: own_rows(array, self.ranks) if self.is_split(path) else array for path, array in arrays.items()}
        super().load_state_dict(own, into)
