"""Depth (sections 1, 3.5 and 7): figure 2 without one of its layers, and with a sixth convolution.

Without fc6 it is the same network as without fc7: one hidden layer of as many units.
"""

CLAIM = "without any one of its middle layers the network loses about 2 points of top-1 (7)"


def run(lab):
    without = {f"without conv{i}": {"variant": f"no-conv{i}"} for i in (2, 3, 4, 5)}
    without["without fc6 or fc7"] = {"variant": "no-fc6"}
    runs = lab.train({"figure 2": {}} | without | {"sixth convolution": {"variant": "sixth-conv"}})
    lab.page.results(runs)
    for label in without:
        lab.page.difference(runs, label, "figure 2", "+2")
    lab.page.difference(runs, "figure 2", "sixth convolution")
    lab.page.curves(runs)
