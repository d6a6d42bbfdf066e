"""Overlapping pooling (section 3.4): windows of 3 x 3 against 2 x 2, both 2 apart.

The paper adds that networks with overlapping pooling overfit a little less: the gap between training and validation
error, both of the trained network, is that.
"""

CLAIM = "windows of 3 x 3, 2 apart, lower the top-1 error by 0.4 and the top-5 error by 0.3 points against 2 x 2 (3.4)"


def run(lab):
    runs = lab.train({"3 x 3": {}, "2 x 2": {"variant": "pool-2x2"}})
    lab.page.results(runs)
    lab.page.difference(runs, "2 x 2", "3 x 3", "+0.4")
    lab.page.difference(runs, "2 x 2", "3 x 3", "+0.3", "val_top5", "top-5 error")
    lab.page.overfitting(runs, "2 x 2", "3 x 3", "positive")
    lab.page.curves(runs)
