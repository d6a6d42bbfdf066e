"""Augmentation (section 4.1): what crops, flips and colors are worth, each left out; and ten crops in a test.

Rotation and contrast are later ideas, each added to the paper's three.
"""

from tinynet.experiments.fit import errors
from tinynet.experiments.page import spread

CLAIM = ("without augmentation the network overfits; color noise lowers the top-1 error by over 1 point; ten crops "
         "in a test by 1.5, the top-5 error by 1.3 (4.1)")
ALL = "crops,flips,colors"
CHOICES = {"all three": ALL, "none": "", "no crops": "flips,colors", "no flips": "crops,colors",
           "no colors": "crops,flips", "and rotation": f"{ALL},rotation", "and contrast": f"{ALL},contrast"}


def run(lab):
    runs = lab.train({label: {"augment": names} for label, names in CHOICES.items()})
    lab.page.results(runs)
    papers = {"none": "substantial", "no colors": "over +1"}
    for label in CHOICES:
        if label != "all three":
            lab.page.difference(runs, label, "all three", papers.get(label, ""))
    lab.page.overfitting(runs, "none", "all three", "substantial")
    ten_crops(lab, runs["all three"])
    lab.page.curves(runs)


def ten_crops(lab, runs):
    tested = []
    for crops in (1, 10):
        found, labels = lab.scores(runs, crops)
        tested.append([errors(scores, labels) for scores in found])
    rows = [[name, *(spread([100 * error[key] for error in own]) for key in ("error", "top5"))]
            for name, own in zip(("center", "ten crops"), tested, strict=True)]
    lab.page.table(["test", "top-1 error", "top-5 error"], rows)
    for key, what, paper in (("error", "top-1 error", "+1.5"), ("top5", "top-5 error", "+1.3")):
        values = [[100 * error[key] for error in own] for own in tested]
        lab.page.compare(f"{what}, center less ten crops", *values, " points", paper)
