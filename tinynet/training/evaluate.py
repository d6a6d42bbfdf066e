"""How good a network is on pictures that it does not train on."""

import numpy as np

import tinynet
from tinynet import functional as F
from tinynet.errors import RunError
from tinynet.metrics import topk_correct


def result_lines(model, loaders, ranks):
    """The lines that a run ends with. loaders: {name: loader}."""
    return [result_line(name, evaluate(model, loader, ranks)) for name, loader in loaders.items()]


def result_line(name, result):
    return f"{name}: top-1 {100 * result['top1']:.1f} % top-5 {100 * result['top5']:.1f} %"


def evaluate(model, loader, ranks, after_batch=lambda count: None):
    """{"loss", "top1", "top5"}: means over the images of all ranks.

    after_batch(n): called after each batch of n images of this rank.
    """
    return score(softmaxes(model, loader), loader, ranks, after_batch)


def softmaxes(model, loader):
    """Each batch's (probabilities (N, outputs), labels (N,)). The softmaxes of several crops are averaged."""
    model.eval()
    loader.load_state_dict({"epoch": 0, "position": 0})
    for images, labels in loader:
        crops = images.shape[1] if images.ndim == 5 else 1
        single = images.reshape(-1, *images.shape[-3:])  # (N * crops, 3, H, W)
        with tinynet.no_grad():
            logits = model(tinynet.tensor(single, device=model.devices[0]))
            probabilities = F.softmax(logits, dim=1).numpy()  # (N * crops, outputs)
        yield probabilities.reshape(len(labels), crops, logits.shape[1]).mean(1), labels


def score(batches, loader, ranks, after_batch=lambda count: None):
    """As `evaluate`, of what softmaxes() yields for the loader's images."""
    losses, top1, top5 = [], [], []  # of this rank's images
    for probabilities, labels in batches:
        # The mean is of probabilities, so the logarithm comes last; clipped, because nothing flows back.
        losses.extend(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-30)))
        top1.extend(topk_correct(probabilities, labels, 1))
        top5.extend(topk_correct(probabilities, labels, 5))
        after_batch(len(labels))
    own = [len(losses), *(float(np.sum(x)) for x in (losses, top1, top5))]
    count, *sums = np.sum(ranks.all_gather_object(own), axis=0)
    if count == 0:  # a sharded loader cannot tell
        raise RunError(f"not one image of {loader.dataset.root} can be read")
    return dict(zip(("loss", "top1", "top5"), (total / count for total in sums), strict=True))
