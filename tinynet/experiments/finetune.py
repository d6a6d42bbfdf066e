"""Fine-tuning (section 6 fine-tunes its networks with a *): what was learned on some classes, used for others.

A network is trained on the second half of the classes. For the first half, with FEW images each, its weights are kept
and only a new last layer is trained; after that all layers, at a tenth of the rate.
"""

CLAIM = "a trained network can be fine-tuned for other classes (6); how much of it has to change?"
FEW = 100
FEATURES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


def run(lab):
    lab.needs(classes=4)
    half, epochs = len(lab.classes) // 2, 3 * lab.base.epochs
    start = lab.train({"first": {"classes": (half, len(lab.classes))}})["first"]
    these = {"classes": (0, half), "per_class": FEW, "epochs": epochs}
    runs = lab.train({"from the start": these, "a new last layer": these | {"start": start, "frozen": FEATURES}})
    tenth = these | {"start": runs["a new last layer"], "lr": lab.base.lr / 10}
    runs |= lab.train({"then all, at a tenth": tenth, "all at once": these | {"start": start}})
    lab.page.results(runs)
    for label in list(runs)[1:]:
        lab.page.difference(runs, "from the start", label)
    lab.page.difference(runs, "a new last layer", "then all, at a tenth")
    lab.page.curves(runs)
