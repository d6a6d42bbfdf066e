"""The size of a batch (section 5 trains with 128 images): what its noise does, at the same number of epochs.

The rate is proportional to the size, as is usual (Goyal et al., 2017). And the noise itself: at fixed weights, how much
the gradient of a batch differs from that of many, |g - mean|^2 / |mean|^2. It should be proportional to 1 / size.
"""

import numpy as np

import tinynet
from tinynet import backend
from tinynet import functional as F
from tinynet.experiments.fit import restored

CLAIM = "batches of 128 images (5); the paper does not say what other sizes would do"
SIZES = [16, 32, 64]
BATCHES = 12


def run(lab):
    base = lab.base
    runs = lab.train({f"{size}": {"batch_size": size, "lr": base.lr * size / base.batch_size} for size in SIZES})
    lab.page.results(runs)
    lab.page.difference(runs, str(SIZES[-1]), str(SIZES[0]))
    first = runs[str(base.batch_size)] if str(base.batch_size) in runs else runs[str(SIZES[0])]
    model, images = restored(first[0].folder, lab.source, first[0].setting)
    rows = [[str(size), f"{noise(model, images, size):.2f}"] for size in SIZES]
    lab.page.table(["images in a batch", "noise of its gradient"], rows)
    lab.page.curves(runs)


def noise(model, images, size):
    """|g - mean|^2 / |mean|^2 over BATCHES batches of `size` training images, drawn from all, without dropout."""
    model.eval()
    rng = np.random.default_rng(0)
    gradients = []
    pixels, labels = (np.concatenate(part) for part in zip(*images.trained(), strict=True))
    for _ in range(BATCHES):
        chosen = rng.choice(len(labels), min(size, len(labels)), replace=False)
        x = tinynet.tensor(pixels[chosen], device=next(iter(model.parameters())).device)
        F.cross_entropy(model(x), labels[chosen]).backward()
        gradients.append(np.concatenate([backend.to_device(p.grad, "cpu").ravel() for p in model.parameters()]))
        for parameter in model.parameters():
            parameter.grad = None
    gradients = np.array(gradients)
    mean = gradients.mean(0)
    # The mean itself is noisy: of |mean|^2, a part of 1 / BATCHES of the noise is not signal
    variance = ((gradients - mean) ** 2).sum(1).mean() * BATCHES / (BATCHES - 1)
    return variance / max((mean**2).sum() - variance / BATCHES, 1e-12)
