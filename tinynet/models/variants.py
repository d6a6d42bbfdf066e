"""Figure 2 with one thing changed, to see what that thing is good for.

A variant is a function from a list of layers to another list. `varied` applies several, from left to right:

    varied(figure_2(1000), "tanh,no-lrn")
"""

from tinynet import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "leaky_relu": nn.LeakyReLU}


def activation(kind):
    return lambda layers: [x._replace(name=f"{kind}{x.number}") if x.kind == "relu" else x for x in layers]


def without(*names):
    """Without these layers, and without the activations and dropout that follow one of them."""

    def change(layers):
        kept, dropping = [], False
        for layer in layers:
            dropping = layer.name in names or (dropping and layer.kind in (*ACTIVATIONS, "dropout"))
            kept += [] if dropping else [layer]
        return kept

    return change


def with_each(names, **change):
    return lambda layers: [layer._replace(**change) if layer.name in names else layer for layer in layers]


def with_sixth_convolution(layers):
    """One more convolution after the last pooling layer, as in the networks that the paper's table 2 marks with *."""
    names = [layer.name for layer in layers]
    if "conv5" not in names:
        return layers
    conv5, end = names.index("conv5"), names.index("flatten5")
    more = [layer._replace(name=f"{layer.kind}5_2") for layer in layers[conv5 : conv5 + 2]]  # and its activation
    return [*layers[:end], *more, *layers[end:]]


def for_one_device(layers):
    """The network for one GPU of section 3.2: no groups, and half the kernels in all convolutions but the last."""
    halved = {"conv1", "conv2", "conv3", "conv4"}
    return [layer._replace(K=layer.K // 2 if layer.name in halved else layer.K, grouped=False) for layer in layers]


VARIANTS = {
    "tanh": activation("tanh"),
    "sigmoid": activation("sigmoid"),
    "leaky-relu": activation("leaky_relu"),
    "no-lrn": without("lrn1", "lrn2"),
    "pool-2x2": with_each(["pool1", "pool2", "pool5"], kernel=2),  # windows that do not overlap
    "columns-apart": with_each(["conv3"], grouped=True),  # the columns first meet in fc6
    "one-device": for_one_device,
    "no-conv2": without("conv2", "lrn2"),
    "no-conv3": without("conv3"),
    "no-conv4": without("conv4"),
    "no-conv5": without("conv5"),
    "no-fc6": without("fc6"),
    "no-fc7": without("fc7"),
    "sixth-conv": with_sixth_convolution,
}


def varied(layers, names):
    """The layers, changed by the variants in `names`, separated by commas; "" changes nothing.

    Raises ValueError for an unknown name, one that comes twice, and one that changes nothing after those before it.
    """
    chosen = [name for name in names.split(",") if name]
    for i, name in enumerate(chosen):
        if name not in VARIANTS:
            raise ValueError(f"AlexNet: variants are {', '.join(VARIANTS)}; got {name}")
        before, layers = layers, VARIANTS[name](layers)
        if layers == before or name in chosen[:i]:
            raise ValueError(f"AlexNet: the variant {name} cannot follow {', '.join(chosen[:i])}")
    return layers
