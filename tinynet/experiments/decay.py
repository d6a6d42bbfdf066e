"""Weight decay (section 5): does it lower even the *training* error?

Training errors here are of the trained network, without dropout and augmentation, so that they compare what was
learned and not the noise that was added. The loss tells more: an error can be 0.
"""

CLAIM = "weight decay of 0.0005 is more than a regularizer: it reduces the training error (5)"


def run(lab):
    runs = lab.train({"0.0005": {}, "none": {"weight_decay": 0.0}, "0.005": {"weight_decay": 0.005}})
    lab.page.results(runs)
    for label in ("none", "0.005"):
        for key, what in (("trained_error", "training error"), ("trained_loss", "training loss")):
            lab.page.difference(runs, label, "0.0005", "positive" if label == "none" else "", key, what)
    lab.page.difference(runs, "none", "0.0005")
    lab.page.curves(runs)
