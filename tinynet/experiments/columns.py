"""Two columns on two GPUs (section 3.2), against one column of half the kernels, and against two that never talk.

The network for one GPU keeps all kernels of its last convolution and all units of the fully connected layers, as the
paper's does: so it is the larger of the two there, and the comparison favors it. Columns that first meet in fc6 are
not in the paper, but in the logs of 2012 (docs/alexnet.md).
"""

CLAIM = "against one column of half the kernels, two lower the top-1 error by 1.7 and the top-5 by 1.2 points (3.2)"


def run(lab):
    runs = lab.train({"two columns": {}, "one column": {"variant": "one-device"},
                      "never talk": {"variant": "columns-apart"}})
    lab.page.results(runs)
    lab.page.difference(runs, "one column", "two columns", "+1.7")
    lab.page.difference(runs, "one column", "two columns", "+1.2", "val_top5", "top-5 error")
    lab.page.difference(runs, "never talk", "two columns", "no figure; its logs +1.2")
    lab.page.curves(runs)
