"""The network of Krizhevsky, Sutskever & Hinton (2012), on one device or on several.

Its channels come in two groups that mostly ignore each other, because in 2012 each group had its
own GPU. They see each other's channels only in conv3 and in the fully connected layers:

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

fc8 can be split as well: then fc7 ends in an all_gather, and a gather brings the logits together.

With one device the same network is a chain of *grouped* convolutions and normalizations: `groups`
runs of channels that ignore each other, just all in one place. The weights are the same arrays,
so a checkpoint of either loads into the other.

With more devices than groups (four for the two groups, say) each group has a run of devices, and each
of them a run of the group's filters. They need all channels of their group: so an all_gather within
the group goes before conv2, conv4 and conv5, and LRN borrows from the devices next to it the two
channels that its windows reach into.

Images of 224 x 224 give conv1 55 x 55 places. The 2012 code found them by rounding up; here a
padding of 2 does, as in PyTorch's AlexNet.
"""

from tinynet import nn
from tinynet.models.recipes import RECIPES
from tinynet.nn.module import whole_shape
from tinynet.parallel import AllGather, Gather, Sharded, ShardedDropout, ShardedNorm, broadcast, check_devices
from tinynet.windows import output_size


class DropoutOf2012(nn.Dropout):
    """Zero units in training, scale all of them by 1 - p in evaluation (the paper, section 4.2).

    nn.Dropout scales by 1 / (1 - p) in training; times 1 - p, always, that is the same.
    """

    def forward(self, x, *place):
        return super().forward(x, *place) * (1 - self.p)


class AlexNet(nn.Module):
    """images (N, 3, size, size) -> logits (N, classes), on devices[0].

    classes: number of outputs. devices: one or more, of one kind. Each holds groups / len(devices) groups,
    or len(devices) / groups of them share a group: one must divide the other, and their number
    the channels of each layer.
    width: multiplies every hidden layer's channels (1.0: the paper's 60,965,224 parameters at
    1000 classes). image_size: of the square crops. recipe: a Recipe; sets LRN's constants and the
    initial weights, which are drawn from the generator that tinynet.manual_seed seeds and do not
    depend on the number of devices. dropout: probability in fc6 and fc7. split_fc8: over the devices,
    like fc6 and fc7; else fc8 is whole on devices[0].
    """

    def __init__(
        self,
        classes=1000,
        devices=("cpu",),
        groups=2,
        width=1.0,
        image_size=224,
        recipe=RECIPES["paper"],
        dropout=0.5,
        split_fc8=False,
    ):
        check_devices("AlexNet", devices)
        n = len(devices)
        if groups % n and n % groups:
            raise ValueError(f"AlexNet: {n} devices cannot share groups={groups} evenly")
        self.devices, self.groups, self.image_size = tuple(devices), groups, image_size
        own, together = max(groups // n, 1), max(n // groups, 1)  # groups a device, devices a group
        columns = n // together  # that ignore each other
        c1, c2, c3, c4, c5 = (self.channels(c, width) for c in (96, 256, 384, 384, 256))
        f6 = f7 = self.channels(4096, width)
        side = self.final_side(image_size)

        shared = dict(conv1=c1, conv2=c2, conv3=c3, conv4=c4, conv5=c5, fc6=f6, fc7=f7)
        for name, K in (shared | {"fc8": classes} if split_fc8 else shared).items():
            if K % n:
                raise ValueError(f"AlexNet: {n} devices cannot share the {K} outputs of {name} evenly")

        def conv(C, K, kernel, groups, **geometry):
            return self.spread(lambda: nn.Conv2d(C, K // n, kernel, groups=groups, **geometry))

        def fully_connected(C, K):
            return self.spread(lambda: nn.Linear(C, K // n))

        def lrn():
            return ShardedNorm([nn.LocalResponseNorm(groups=own, **recipe.lrn) for _ in devices], together)

        def each(layer):
            return self.spread(lambda: layer)

        def drop():
            return ShardedDropout([(DropoutOf2012 if recipe.halve_in_evaluation else nn.Dropout)(dropout)] * n)

        meet = AllGather(together)  # of each group; with one device a group there is nothing to do
        relu, pool = nn.ReLU(), nn.MaxPool2d(3, stride=2)
        self.steps = [
            ("conv1", conv(3, c1, 11, 1, stride=4, padding=2)),
            ("relu1", each(relu)),
            ("lrn1", lrn()),
            ("pool1", each(pool)),
            ("meet1", meet),
            ("conv2", conv(c1 // columns, c2, 5, own, padding=2)),
            ("relu2", each(relu)),
            ("lrn2", lrn()),
            ("pool2", each(pool)),
            ("join2", AllGather()),
            ("conv3", conv(c2, c3, 3, 1, padding=1)),
            ("relu3", each(relu)),
            ("meet3", meet),
            ("conv4", conv(c3 // columns, c4, 3, own, padding=1)),
            ("relu4", each(relu)),
            ("meet4", meet),
            ("conv5", conv(c4 // columns, c5, 3, own, padding=1)),
            ("relu5", each(relu)),
            ("pool5", each(pool)),
            ("flat5", each(nn.Flatten())),
            ("join5", AllGather()),
            ("fc6", fully_connected(c5 * side * side, f6)),
            ("relu6", each(relu)),
            ("drop6", drop()),
            ("join6", AllGather()),
            ("fc7", fully_connected(f6, f7)),
            ("relu7", each(relu)),
            ("drop7", drop()),
        ]
        to_first = Gather(devices[0])
        if split_fc8:
            self.steps += [("join7", AllGather()), ("fc8", fully_connected(f7, classes)), ("join8", to_first)]
        else:
            self.steps += [("join7", to_first), ("fc8", Sharded([nn.Linear(f7, classes).to(devices[0])]))]
        for name, layer in self.steps:
            setattr(self, name, layer)  # where Module finds the parameters
        shapes = {name: whole_shape(parts) for name, parts in self.named_arrays()}
        self.load_state_dict(recipe.initial_weights(shapes))

    def forward(self, images, watch=None):
        """watch(name, tensors): called after each step with its outputs, one a device."""
        size = self.image_size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(f"AlexNet: images must be (N, 3, {size}, {size}), got {images.shape}")
        xs = broadcast(images, self.devices)
        for name, layer in self.steps:
            xs = layer(xs)
            if watch:
                watch(name, xs)
        return xs[0]

    def to(self, device):
        raise ValueError("AlexNet: its parts cannot move later; make it with devices=[...]")

    def spread(self, make):
        """A layer whose parts are made by make(), one on each device."""
        return Sharded([make().to(device) for device in self.devices])

    def channels(self, full, width):
        """`full` channels times `width`, rounded so that the groups share them evenly."""
        return max(round(full * width / self.groups), 1) * self.groups

    @staticmethod
    def final_side(image_size):
        """Height and width of pool5's output."""
        side = output_size(image_size, 11, 4, 2, 1)
        for _ in range(3):  # the other convolutions keep the size, the pools do not
            side = output_size(side, 3, 2, 0, 1)
        if side < 1:
            raise ValueError(f"AlexNet: image_size must be at least 63, got {image_size}")
        return side
