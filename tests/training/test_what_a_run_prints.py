"""The lines that tell a newcomer what a number means: printed where they are true, and nowhere else."""

from types import SimpleNamespace

import pytest

from tinynet.parallel import Ranks
from tinynet.training import Progress
from tinynet.training.begin import signal_line


@pytest.mark.parametrize("share, recipe, says, silent", [
    (0.32, "he", "the loss can fall from the start", "--recipe"),
    (0.01, "paper", "can fall from the start", "--recipe"),
    (0.0099, "paper", "guessing, log(10) = 2.30, for long; if it does, try --recipe he", "from the start"),
    (0.0, "he", "below 1%: it hardly depends on the image yet", "--recipe"),
])
def test_how_much_of_the_scores_depends_on_the_image(share, recipe, says, silent):
    line = signal_line(share, recipe, 10)
    assert says in line and silent not in line


class Loader:
    epoch, dataset = 1, SimpleNamespace(classes="ab")

    def __len__(self):
        return 4


@pytest.mark.parametrize("validation, told", [(0.51, 1), (0.5, 0), (0.1, 0)])
def test_validation_above_training_is_explained_once(validation, told):
    written = []
    progress = Progress(Ranks(), Loader(), None, SimpleNamespace(devices=["cpu"]), 3)
    progress.bar = SimpleNamespace(write=written.append)
    means = {("top1", 4): 0.5}  # over the epoch's four steps
    progress.metrics = SimpleNamespace(add_evaluation=lambda **_: None, recent=lambda *of: means[of])
    for _ in range(2):
        progress.end_epoch({"loss": 0.5, "top1": validation, "top5": 0.9})
    assert len(written) == 2 + told and sum("better than in training (50.0%)" in line for line in written) == told
