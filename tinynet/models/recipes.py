"""Recipes for training AlexNet: settings that only work together.

A bias of 1 keeps ReLUs from being dead at the start, but it also drowns the image: if the paper's text is taken
literally (standard deviation 0.01 everywhere, biases 1), about 1 % of the first logits depends on the image, the rest
on the biases. If the pixels are scaled to unit deviation as well, it is 0.03 %: such a network looks stuck at a loss
of log(1000) = 6.9. The recipes below are sets that are known to work together; `signal_share` in
tinynet/explain/signal_share.py measures how much of the signal they leave to the image.

| recipe  | sources |
|---------|---------|
| paper   | Krizhevsky, Sutskever & Hinton, 2012, sections 3.3 and 5 |
| chm2012 | the 2012 code (computerhistory/AlexNet-Source-Code), layer-params-145.cfg, src/layer.cu |
| caffe   | BVLC/caffe, models/bvlc_alexnet |
| he      | He et al., 2015, for all weights except conv1's; the rest as in the paper |

In `he`, too, conv1 keeps the paper's 0.01, on inputs of unit deviation. He's rule would give it 0.074, noise that a
short run cannot train out of its filters: at half width, on ten classes of 112 x 112 photographs, 10 epochs reached
50.8 % with it and 60.3 % with 0.01 (center crop).

LRN's constants are for pixels of 0 to 255. In `he`, activations are 58 times smaller, so the sum of squares hardly
counts beside k: its LRN multiplies everything by 2 ** -0.75 = 0.59 and does nothing else. docs/results.md has what a
larger alpha would do (at 64 x 64 pixels, nothing that shows).

Dropout belongs here, too. In 2012, units were zeroed in training, and all were halved in evaluation; today the kept
ones are doubled in training. The same initial weights then see inputs twice as large, so `paper` and `chm2012` scale as
in 2012 (`halve_in_evaluation`).
"""

import math
from dataclasses import dataclass

import numpy as np

from tinynet import backend


@dataclass(frozen=True)
class Recipe:
    """weight_std, bias: by layer name ("conv1" to "fc8"), `default` for those not named.

    A layer without a standard deviation uses He's rule, sqrt(2 / fan-in), or sqrt(1 / fan-in) if it is the last.
    lrn: size, alpha (as in the formula with alpha / size), beta and k. pixel_std: pixels (0 to 255, mean subtracted)
    are divided by it. lr: the initial learning rate at batch size 128. bias_lr: the biases' rate, as a multiple of lr.
    decay_biases: whether weight decay applies to them. halve_in_evaluation: dropout as in 2012.
    """

    name: str
    weight_std: dict
    bias: dict
    lrn: dict
    pixel_std: float
    lr: float
    bias_lr: float
    decay_biases: bool
    halve_in_evaluation: bool

    def initial_weights(self, shapes):
        """Draw weights for {name: shape} and return {name: array}. Whole layers, whatever the devices."""
        weights = {}
        for name, shape in shapes.items():
            layer, kind = name.rsplit(".", 1)
            if kind == "bias":
                value = self.bias.get(layer, self.bias["default"])
                weights[name] = np.full(shape, value, np.float32)
            else:
                weights[name] = backend.generator().standard_normal(shape, dtype=np.float32)
                weights[name] *= self.std(layer, math.prod(shape[1:]))
        return weights

    def std(self, layer, fan_in):
        he = math.sqrt((1 if layer == "fc8" else 2) / fan_in)
        return self.weight_std.get(layer, self.weight_std.get("default", he))

    def parameter_groups(self, model, lr, weight_decay):
        """Groups for an optimizer: weights, and biases with a learning rate and decay of their own."""
        named = list(model.named_parameters())
        biases = [p for name, p in named if name.endswith("bias")]
        weights = [p for name, p in named if not name.endswith("bias")]
        return [
            {"params": weights, "lr": lr, "weight_decay": weight_decay},
            {
                "params": biases,
                "lr": lr * self.bias_lr,
                "weight_decay": weight_decay if self.decay_biases else 0.0,
            },
        ]


def _biased(value):
    """Biases: `value` in conv2, conv4, conv5 and the hidden fully connected layers, 0 in the others."""
    return {"default": 0.0} | dict.fromkeys(["conv2", "conv4", "conv5", "fc6", "fc7"], value)


# The paper does not divide alpha = 1e-4 by the window's 5 channels. The operation does, so multiply by 5.
PAPER_LRN = dict(size=5, alpha=5e-4, beta=0.75, k=2.0)
CODE_LRN = dict(size=5, alpha=1e-4, beta=0.75, k=2.0)
PHOTO_STD = 58.0  # of photographs' pixels, 0 to 255, after the mean is subtracted

RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            "paper",
            weight_std={"default": 0.01},
            bias=_biased(1.0),
            lrn=PAPER_LRN,
            pixel_std=1.0,
            lr=0.01,
            bias_lr=1.0,
            decay_biases=True,
            halve_in_evaluation=True,
        ),
        Recipe(
            "chm2012",
            weight_std={"default": 0.01, "conv3": 0.03, "conv4": 0.03, "conv5": 0.03},
            bias=_biased(1.0),
            lrn=CODE_LRN,
            pixel_std=1.0,
            lr=0.01,
            bias_lr=2.0,
            decay_biases=False,
            halve_in_evaluation=True,
        ),
        Recipe(
            "caffe",
            weight_std={"default": 0.01, "fc6": 0.005, "fc7": 0.005},
            bias=_biased(0.1),
            lrn=CODE_LRN | {"k": 1.0},
            pixel_std=1.0,
            lr=0.01,
            bias_lr=2.0,
            decay_biases=False,
            halve_in_evaluation=False,
        ),
        Recipe(
            "he",
            weight_std={"conv1": 0.01},
            bias={"default": 0.0},
            lrn=CODE_LRN,
            pixel_std=PHOTO_STD,
            lr=0.01,
            bias_lr=1.0,
            decay_biases=True,
            halve_in_evaluation=False,
        ),
    ]
}
