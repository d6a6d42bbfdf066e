"""Pre-training (section 6, the networks with a * in table 2): learn on other classes first, then on these.

The paper trains a network with a sixth convolution on 22,000 classes of 15 million images, and then on the 1000. Here
it is the second half of the data's classes, and then the first half, of which only FEW images each are used.
"""

CLAIM = "a network with a sixth convolution, first trained on more classes, has a top-1 error of 39.0, not 40.7 % (6)"
FEW = 100


def run(lab):
    lab.needs(classes=4)
    half, sixth = len(lab.classes) // 2, {"variant": "sixth-conv"}
    start = lab.train({"first": sixth | {"classes": (half, len(lab.classes))}})["first"]
    these = sixth | {"classes": (0, half), "per_class": FEW, "epochs": 3 * lab.base.epochs}
    runs = lab.train({"from the start": these, "pre-trained": these | {"start": start}})
    lab.page.results(runs)
    both = "from the start", "pre-trained"
    lab.page.difference(runs, *both, "+1.7, with the sixth convolution")
    if half > 5:  # else nothing is wrong among the first five
        lab.page.difference(runs, *both, "+1.6, with the sixth convolution", "val_top5", "top-5 error")
    lab.page.curves(runs)
