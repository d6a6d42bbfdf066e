"""A small AlexNet that was never trained, and a run's folder around it."""

import base64
import dataclasses

import alexnet_imagenet as example
import numpy as np
from PIL import Image

import tinynet
from tinynet import data, optim, training
from tinynet.explain.page import record_picture
from tinynet.models import RECIPES, AlexNet

SIZE, CLASSES, WIDTH = 96, ["cat", "dog", "</script>"], 1 / 12
# With the usual alpha = 1e-4, LRN's path through the neighbors is too small to be seen in a test.
STRONG_LRN = dataclasses.replace(RECIPES["he"], lrn=dict(size=5, alpha=0.5, beta=0.75, k=2.0))


def model(recipe="he", outputs=0):
    tinynet.manual_seed(3)
    recipe = STRONG_LRN if recipe == "strong LRN" else RECIPES[recipe]
    return AlexNet(max(len(CLASSES), outputs), ("cpu", "cpu"), width=WIDTH, image_size=SIZE, recipe=recipe)


def picture(size=SIZE):
    """(image float32 (3, size, size), pixels uint8 (size, size, 3))"""
    pixels = np.random.default_rng(5).integers(0, 256, (size, size, 3), np.uint8)
    return data.Compose([data.Normalize(127.5, 58.0), data.to_chw])(pixels), pixels


def recorded(recipe="he", target=1):
    """The steps of the tiny network's passes, as the engine has them."""
    return record_picture(model(recipe), picture()[0], target)


def decoded(array):
    """(values, half a step of each), by the formula in quantize.py."""
    numbers = np.frombuffer(base64.b64decode(array["data"]), f"<u{array['bytes']}").astype(np.float64)
    scale = np.frombuffer(base64.b64decode(array["scale"]), np.float32).astype(np.float64)[:, None]
    zero = np.array(array["zero"])[:, None]
    values = scale * (numbers.reshape(len(scale), -1) - zero)
    return values.reshape(array["shape"]), (values * 0 + scale / 2).reshape(array["shape"])


def write_run(folder, outputs=0, **changes):
    """A run's folder and a picture: (folder, path of the picture). changes: of what the checkpoint says of its run."""
    folder.mkdir(exist_ok=True)
    network = model(outputs=outputs)
    options = example.Options(width=WIDTH, image_size=SIZE, outputs=outputs, data=str(folder / "gone"))
    side = round(SIZE * 256 / 224)
    statistics = data.Statistics(np.full((side, side, 3), 127.5, np.float32), data.PCAColor(np.ones(3), np.eye(3)))
    info = {"options": dataclasses.asdict(options), "classes": CLASSES, "files": "0", "threads": 1} | changes
    parts = {"model": network, "optimizer": optim.SGD(network.parameters(), lr=0.1), "statistics": statistics}
    training.Checkpoint(folder / "checkpoint.safetensors", **parts).save(**info)
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (90, 120, 3), np.uint8)).save(folder / "a picture.png")
    return folder, folder / "a picture.png"
