"""The network of Krizhevsky, Sutskever & Hinton (2012), figure 2, on one device or on several.

Its channels come in two groups that mostly ignore each other, because in 2012 each group had its own GPU. They
see each other's channels only in conv3 and in the fully connected layers:

                         device 0        device 1
    image 3 x 224 x 224 (both see all of it: it is not split)
    conv1 11x11/4           48              48        55 x 55: relu, LRN, pool 3x3/2 to 27 x 27
    conv2 5x5              128             128        27 x 27: relu, LRN, pool 3x3/2 to 13 x 13
            --------------- all_gather ---------------
    conv3 3x3              192             192        13 x 13: relu
    conv4 3x3              192             192        13 x 13: relu
    conv5 3x3              128             128        13 x 13: relu, pool 3x3/2 to 6 x 6, flatten
            --------------- all_gather ---------------
    fc6                   2048            2048        relu, dropout
            --------------- all_gather ---------------
    fc7                   2048            2048        relu, dropout
            ----------------- gather -----------------
    fc8                   1000                        (whole on the first device, as in 2012)

Images of 224 x 224 give conv1 55 x 55 output positions. The 2012 code found them by rounding up; here a padding of
2 does, as in PyTorch's AlexNet.

The file has two halves: figure_2 is the network, place_on_devices puts it on devices.
"""

from typing import NamedTuple

from tinynet import nn
from tinynet.models.recipes import RECIPES
from tinynet.models.variants import ACTIVATIONS, varied
from tinynet.nn.module import whole_shape
from tinynet.parallel import (
    AllGatherChannels,
    GatherChannels,
    Sharded,
    ShardedDropout,
    ShardedNorm,
    broadcast,
    check_devices,
)
from tinynet.windows import output_size


class Layer(NamedTuple):
    """name: its kind and a number, as in conv5 or conv5_2. K: outputs, of a layer with weights.

    kernel, stride, padding: of its window. grouped: it sees the channels of its own group only, and not all.
    """

    name: str
    K: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    grouped: bool = False

    @property
    def kind(self):
        return self.name.rstrip("_0123456789")

    @property
    def number(self):
        return self.name[len(self.kind) :]


def figure_2(classes):
    """The network at full width; the shapes are those for images of 224 x 224."""
    return [
        Layer("conv1", 96, kernel=11, stride=4, padding=2),  # 96 x 55 x 55
        Layer("relu1"), Layer("lrn1", grouped=True), Layer("pool1", kernel=3, stride=2),  # 96 x 27 x 27
        Layer("conv2", 256, kernel=5, padding=2, grouped=True),  # 256 x 27 x 27
        Layer("relu2"), Layer("lrn2", grouped=True), Layer("pool2", kernel=3, stride=2),  # 256 x 13 x 13
        Layer("conv3", 384, kernel=3, padding=1), Layer("relu3"),  # 384 x 13 x 13
        Layer("conv4", 384, kernel=3, padding=1, grouped=True), Layer("relu4"),  # 384 x 13 x 13
        Layer("conv5", 256, kernel=3, padding=1, grouped=True), Layer("relu5"),  # 256 x 13 x 13
        Layer("pool5", kernel=3, stride=2), Layer("flatten5"),  # 256 * 6 * 6 = 9216
        Layer("fc6", 4096), Layer("relu6"), Layer("dropout6"),
        Layer("fc7", 4096), Layer("relu7"), Layer("dropout7"),
        Layer("fc8", classes),
    ]  # fmt: skip


def widened(layers, width, groups):
    """The layers, all but the last with `width` times as many outputs, rounded so that the groups share them evenly."""
    *hidden, last = layers
    return [*(x._replace(K=max(round(x.K * width / groups), 1) * groups) if x.K else x for x in hidden), last]


def walk(layers, image_size):
    """(layer, channels before it, output positions after it) for each layer. Raises ValueError for too small images."""
    C, side, flat = 3, image_size, False
    for layer in layers:
        side = output_size(side, layer.kernel, layer.stride, layer.padding, 1) if layer.kernel else side
        if side < 1:
            raise ValueError(f"AlexNet: image_size must be at least 63, got {image_size}")
        yield layer, C, 1 if flat else side**2
        C, flat = (C * side**2, True) if layer.kind == "flatten" else (layer.K or C, flat)


def sizes(classes, groups=2, width=1.0, image_size=224, variant=""):
    """({name: shape} of the weights, how many numbers all layers put out for one image). Allocates nothing."""
    shapes, outputs = {}, 0
    layers = widened(varied(figure_2(classes), variant), width, groups)
    for layer, C, positions in walk(layers, image_size):
        outputs += (layer.K or C) * positions
        if layer.K:
            kernel = (layer.kernel, layer.kernel) if layer.kind == "conv" else ()
            shapes[f"{layer.name}.weight"] = (layer.K, C // groups if layer.grouped else C, *kernel)
            shapes[f"{layer.name}.bias"] = (layer.K,)
    return shapes, outputs


class AlexNet(nn.Module):
    """images (N, 3, size, size) -> logits (N, classes), on devices[0].

    classes: number of outputs. devices: one or more, of one kind. Their number must divide groups, or be a multiple of
    it (then several devices share a group), and divide the outputs of every layer. width: multiplies the outputs of
    all layers but fc8 (1.0: the paper's 60,965,224 parameters at 1000 classes). image_size: of the square crops.
    recipe: a Recipe; sets LRN's constants and the initial weights, which are drawn from the generator that
    tinynet.manual_seed seeds and do not depend on the number of devices. dropout: probability in fc6 and fc7.
    split_fc8: over the devices, like fc6 and fc7; else it is whole on devices[0]. variant: names from VARIANTS
    (variants.py), separated by commas.

    layers: [(name, module)] in order; modules take and return lists, one tensor per device. Raises ValueError.
    """

    def __init__(self, classes=1000, devices=("cpu",), groups=2, width=1.0, image_size=224, recipe=RECIPES["paper"],
                 dropout=0.5, split_fc8=False, variant=""):
        self.devices, self.groups, self.image_size = tuple(devices), groups, image_size
        self.arguments = dict(classes=classes, devices=devices, groups=groups, width=width, image_size=image_size,
                              recipe=recipe, dropout=dropout, split_fc8=split_fc8, variant=variant)
        layers = widened(varied(figure_2(classes), variant), width, groups)
        self.layers = place_on_devices(layers, self.devices, groups, image_size, recipe, dropout, split_fc8)
        for name, module in self.layers:
            setattr(self, name, module)  # where Module finds the parameters
        shapes = {name: whole_shape(parts) for name, parts in self.named_arrays()}
        self.load_state_dict(recipe.initial_weights(shapes))

    def forward(self, images, hook=None):
        """hook(name, tensors): called after each layer with its outputs, one per device."""
        size = self.image_size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(f"AlexNet: images must be (N, 3, {size}, {size}), got {images.shape}")
        xs = broadcast(images, self.devices)
        for name, module in self.layers:
            xs = module(xs)
            if hook:
                hook(name, xs)
        return xs[0]

    @property
    def columns(self):
        """The names of the columns of channels: one per device, or on a single device one per group."""
        if len(self.devices) > 1:
            return [f"device {i} ({device})" for i, device in enumerate(self.devices)]
        return [f"group {i}" for i in range(self.groups)]

    @property
    def last_hidden(self):
        """The name of the last activation: relu7 in figure 2."""
        return [name for name, _ in self.layers if Layer(name).kind in ACTIVATIONS][-1]

    def whole(self):
        """The network with all of its weights in this process: itself. (HybridAlexNet has a part of them.)"""
        return self

    def to(self, device):
        raise ValueError("AlexNet: its parts cannot move later; make it with devices=[...]")


class DropoutOf2012(nn.Dropout):
    """Zero units in training, scale all of them by 1 - p in evaluation (the paper, section 4.2).

    nn.Dropout scales by 1 / (1 - p) in training; times 1 - p, always, that is the same.
    """

    def forward(self, x, mask=None):
        return super().forward(x, mask) * (1 - self.p)


# ---------------------------------------------------------------------------- placement on devices


def place_on_devices(layers, devices, groups, image_size, recipe, dropout, split_fc8):
    """[(name, module)]: each layer with one part per device, and before it the exchange that it needs."""
    check_devices("AlexNet", devices)
    n, placed = len(devices), []
    if groups % n and n % groups:
        raise ValueError(f"AlexNet: {n} devices cannot share groups={groups} evenly")
    groups_per_device, devices_per_group = max(groups // n, 1), max(n // groups, 1)
    for layer, C, _ in walk(layers, image_size):
        on = devices[:1] if layer.name == "fc8" and not split_fc8 else devices
        if layer.K % len(on):
            raise ValueError(f"AlexNet: {n} devices cannot share the {layer.K} outputs of {layer.name} evenly")
        if layer.K and layer.name != "conv1":  # conv1 sees the image, which all have
            placed += exchange_before(layer, devices, on, devices_per_group)
        sees = C // groups * groups_per_device if layer.grouped else C
        K = layer.K // len(on)
        parts = [make_module(layer, sees, K, groups_per_device, recipe, dropout).to(device) for device in on]
        if layer.kind == "dropout":
            module = ShardedDropout(parts)
        elif layer.kind == "lrn":
            sharing = devices_per_group if layer.grouped else n
            check_neighbors(layer.name, parts[0].size // 2, C // n, n, sharing)
            module = ShardedNorm(parts, sharing)
        else:
            module = Sharded(parts)
        placed.append((layer.name, module))
    if split_fc8 and n > 1:
        placed.append(("gather_logits", GatherChannels(devices[0])))
    return placed


def exchange_before(layer, devices, on, devices_per_group):
    """[(name, module)] for what a layer with weights needs from other devices, or []. on: the devices that compute it.

    A layer that sees all channels needs an all_gather; a grouped one only where several devices share a group. fc8, if
    it is whole, needs all of fc7 on the first device.
    """
    if layer.grouped:
        return [(f"all_gather{layer.number}", AllGatherChannels(devices_per_group))] if devices_per_group > 1 else []
    if len(devices) == 1:
        return []
    if on == devices:
        return [(f"all_gather{layer.number}", AllGatherChannels())]
    return [(f"gather{layer.number}", GatherChannels(devices[0]))]


def check_neighbors(name, borrowed, own, n, sharing):
    if sharing > 1 and own < borrowed:
        have = f"{n} devices have {own} each: more width, or fewer devices"
        raise ValueError(f"AlexNet: {name} borrows {borrowed} channels from a neighbor, and {have}")


def make_module(layer, C, K, groups, recipe, dropout):
    """A layer's part on one device, which sees C channels, has `groups` groups and computes K outputs."""
    window = layer.kernel, layer.stride, layer.padding
    match layer.kind:
        case "conv":
            return nn.Conv2d(C, K, *window, groups=groups if layer.grouped else 1)
        case "fc":
            return nn.Linear(C, K)
        case kind if kind in ACTIVATIONS:
            return ACTIVATIONS[kind]()
        case "lrn":
            return nn.LocalResponseNorm(groups=groups if layer.grouped else 1, **recipe.lrn)
        case "pool":
            return nn.MaxPool2d(*window)
        case "flatten":
            return nn.Flatten()
        case "dropout":
            return (DropoutOf2012 if recipe.halve_in_evaluation else nn.Dropout)(dropout)
    raise ValueError(f"AlexNet: there is no kind of layer {layer.kind}")
