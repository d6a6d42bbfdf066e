"""The networks of the experiments: figure 2, and the small one of figure 1."""

from dataclasses import replace

import tinynet
from tinynet import functional as F
from tinynet import nn
from tinynet.errors import RunError
from tinynet.models import RECIPES, AlexNet
from tinynet.models.recipes import CODE_LRN, PHOTO_STD

LAST = {"alexnet": "fc8", "four-layers": "fc4"}
# He's rule in conv1, too: its windows are small here, and its inputs have unit deviation. Small first logits
FOUR_LAYERS = replace(RECIPES["he"], weight_std={"fc4": 0.01})

# LRN's constants are for pixels of 0 to 255. Where these are divided by PHOTO_STD, activations are smaller by that, and
# their squares by its square: with the same alpha, LRN would only multiply by a constant (in recipe he, it does).
LRN = dict(size=3, alpha=5e-5 * PHOTO_STD**2, beta=0.75, k=1.0)  # cuda-convnet's
SCALED_LRN = replace(RECIPES["he"], lrn=CODE_LRN | {"alpha": CODE_LRN["alpha"] * PHOTO_STD**2})


class FourLayers(nn.Module):
    """images (N, 3, size, size) -> logits (N, classes): three convolutions and a linear layer.

    The paper's figure 1 speaks of a four-layer convolutional network and says no more; this one has the sizes of
    cuda-convnet's example for CIFAR-10: 32, 32 and 64 kernels of 5 x 5, each layer with overlapping pooling.
    activation: a layer's class. lrn: normalize after the first two poolings. width: multiplies the numbers of kernels.
    """

    def __init__(self, classes, activation=nn.ReLU, lrn=False, width=1.0, image_size=32, device="cpu"):
        K1, K2, K3 = (max(round(K * width), 1) for K in (32, 32, 64))
        self.conv1, self.conv2 = nn.Conv2d(3, K1, 5, padding=2), nn.Conv2d(K1, K2, 5, padding=2)
        self.conv3 = nn.Conv2d(K2, K3, 5, padding=2)
        self.activation, self.pool = activation(), nn.MaxPool2d(3, 2, 1)
        self.norm = nn.LocalResponseNorm(**LRN) if lrn else nn.Identity()
        side = (((image_size + 1) // 2 + 1) // 2 + 1) // 2  # after three poolings
        self.fc4 = nn.Linear(K3 * side * side, classes)
        shapes = {name: parameter.shape for name, parameter in self.named_parameters()}
        self.load_state_dict(FOUR_LAYERS.initial_weights(shapes))
        self.devices = (device,)
        self.to(device)

    def forward(self, x):
        x = self.norm(self.pool(self.activation(self.conv1(x))))
        x = self.norm(self.pool(self.activation(self.conv2(x))))
        x = self.pool(self.activation(self.conv3(x)))  # (N, 64, size / 8, size / 8)
        return self.fc4(F.flatten(x, 1))


def make_network(setting, classes, device="cpu"):
    """The network of a Setting, with the initial weights of its seed. Raises RunError for sizes that cannot be."""
    tinynet.manual_seed(setting.seed)
    try:
        if setting.network == "four-layers":
            activation = nn.Tanh if setting.variant == "tanh" else nn.ReLU
            return FourLayers(classes, activation, setting.variant == "lrn", setting.width, setting.image_size, device)
        return AlexNet(classes, [device], width=setting.width, image_size=setting.image_size, recipe=recipe_of(setting),
                       dropout=setting.dropout, variant=setting.variant)
    except ValueError as error:
        raise RunError(str(error)) from error


def recipe_of(setting):
    if setting.network == "four-layers":
        return FOUR_LAYERS
    return SCALED_LRN if setting.recipe == "he, LRN scaled" else RECIPES[setting.recipe]


def take_weights(model, weights, but=None):
    """Begin with these weights ({name: array}), but leave the layer named `but` as it is."""
    own = model.state_dict()
    model.load_state_dict({name: own[name] if name.startswith(f"{but}.") else array for name, array in weights.items()})
