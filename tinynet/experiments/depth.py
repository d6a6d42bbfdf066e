"""Depth (sections 1, 3.5 and 7): figure 2 without one of its layers, and with a sixth convolution."""

CLAIM = "without any one of its middle layers the network loses about 2 points of top-1 (7)"
MIDDLE = ["conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]


def run(lab):
    without = {f"without {name}": {"variant": f"no-{name}"} for name in MIDDLE}
    runs = lab.train({"figure 2": {}} | without | {"sixth convolution": {"variant": "sixth-conv"}})
    lab.page.results(runs)
    for label in without:
        lab.page.difference(runs, label, "figure 2", "+2" if label[8:].startswith("conv") else "")
    lab.page.difference(runs, "sixth convolution", "figure 2", "")
    lab.page.curves(runs)
