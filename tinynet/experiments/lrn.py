"""Local response normalization (section 3.3): figure 2 with and without it, and the four-layer network.

The paper's alpha is for pixels of 0 to 255. Recipe he divides them by 58, so that k outweighs the sum of squares: its
LRN multiplies all outputs by 0.59 and does nothing else. With alpha times 58 squared it is the paper's again.
"""

CLAIM = "LRN lowers the top-1 error by 1.4 and the top-5 error by 1.2 points; on CIFAR-10, from 13 to 11 % (3.3)"


def run(lab):
    scaled = {"recipe": "he, LRN scaled"} if lab.base.recipe == "he" else {}
    runs = lab.train({"with LRN": scaled, "without LRN": {"variant": "no-lrn"}})
    if scaled:
        runs |= lab.train({"LRN of recipe he": {}})
    lab.page.results(runs)
    lab.page.difference(runs, "without LRN", "with LRN", "+1.4")
    lab.page.difference(runs, "without LRN", "with LRN", "+1.2", "val_top5", "top-5 error")
    if scaled:
        lab.page.difference(runs, "LRN of recipe he", "with LRN")
    four = lab.train({
        "four layers with LRN": lab.four_layers(variant="lrn"), "four layers without LRN": lab.four_layers(),
    })
    lab.page.results(four)
    lab.page.difference(four, "four layers without LRN", "four layers with LRN", "+2")
    lab.page.curves(runs | four)
