"""How good a network is on pictures that it does not train on."""

import numpy as np

import tinynet
from tinynet import functional as F
from tinynet.errors import RunError
from tinynet.metrics import topk_correct


def result_lines(model, loaders, ranks, after_batch=lambda count: None):
    """The lines that a run ends with. loaders: {name: loader}."""
    all_results = {name: evaluate(model, loader, ranks, after_batch) for name, loader in loaders.items()}
    return [f"{name}: top-1 {100 * r['top1']:.1f} % top-5 {100 * r['top5']:.1f} %" for name, r in all_results.items()]


@tinynet.no_grad()
def evaluate(model, loader, ranks, after_batch=lambda count: None):
    """{"loss", "top1", "top5"}: means over the images of all ranks. The softmaxes of several crops are averaged.

    after_batch(n): called after each batch of n images of this rank.
    """
    model.eval()
    losses, top1, top5 = [], [], []  # of this rank's images
    loader.load_state_dict({"epoch": 0, "position": 0})
    for images, labels in loader:
        crops = images.shape[1] if images.ndim == 5 else 1
        single = images.reshape(-1, *images.shape[-3:])  # (N * crops, 3, H, W)
        logits = model(tinynet.tensor(single, device=model.devices[0]))
        scores = F.softmax(logits, dim=1).numpy().reshape(len(labels), crops, logits.shape[1]).mean(1)
        # The mean is of probabilities, so the logarithm comes last; clipped, because nothing flows back.
        losses.extend(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-30)))
        top1.extend(topk_correct(scores, labels, 1))
        top5.extend(topk_correct(scores, labels, 5))
        after_batch(len(labels))
    own = [len(losses), *(float(np.sum(x)) for x in (losses, top1, top5))]
    count, *sums = np.sum(ranks.all_gather_object(own), axis=0)
    if count == 0:  # a sharded loader cannot tell
        raise RunError(f"not one image of {loader.dataset.root} can be read")
    return dict(zip(("loss", "top1", "top5"), (total / count for total in sums), strict=True))
