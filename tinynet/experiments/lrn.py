"""Local response normalization (section 3.3): figure 2 with and without it, and the four-layer network.

The paper reports ImageNet, and CIFAR-10 with a four-layer network. Its gain is about a point of a hundred, which needs
thousands of validation images, or many seeds, to be told from chance.
"""

CLAIM = "LRN lowers the top-1 error by 1.4 and the top-5 error by 1.2 points; on CIFAR-10, from 13 to 11 % (3.3)"


def run(lab):
    runs = lab.train({"with LRN": {}, "without LRN": {"variant": "no-lrn"}})
    lab.page.results(runs)
    lab.page.difference(runs, "without LRN", "with LRN", "+1.4")
    lab.page.difference(runs, "without LRN", "with LRN", "+1.2", "val_top5", "top-5 error")
    four = lab.train({
        "four layers with LRN": lab.four_layers(variant="lrn"), "four layers without LRN": lab.four_layers(),
    })
    lab.page.results(four)
    lab.page.difference(four, "four layers without LRN", "four layers with LRN", "+2")
    lab.page.curves(runs | four)
