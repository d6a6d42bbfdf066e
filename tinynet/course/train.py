"""AlexNet, trained side by side with the library's layer and with an answer's in its place.

It is the example's network on drawn shapes (examples/alexnet_imagenet.py: a quarter of the width, 64 x 64 pixels, two
devices), for a few steps and in float64: there, two right layers give the same losses to many digits, and a wrong one
is seen at the second step.
"""

import contextlib
import importlib
import time

import numpy as np

from tinynet import backend, optim
from tinynet import functional as F
from tinynet.autograd import Tensor
from tinynet.course.bench import at_line, load
from tinynet.data.shapes import CLASSES, draw
from tinynet.errors import RunError
from tinynet.models import RECIPES, AlexNet

PLACES = {  # where the library looks up what an exercise is about: a module, and a name in it
    "graph": ("tinynet.autograd", "backpropagate"),
    "relu": ("tinynet.functional", "relu"),
    "linear": ("tinynet.functional", "linear"),
    "softmax": ("tinynet.functional", "softmax"),
    "cross_entropy": ("tinynet.functional", "cross_entropy"),
    "sgd": ("tinynet.optim", "SGD"),
    "adam": ("tinynet.optim", "Adam"),
    "conv2d": ("tinynet.functional", "conv2d"),
    "col2im": ("tinynet.ops.conv2d", "col2im"),
    "max_pool2d": ("tinynet.functional", "max_pool2d"),
    "local_response_norm": ("tinynet.functional", "local_response_norm"),
    "dropout": ("tinynet.ops.dropout", "Dropout"),
    "all_gather": ("tinynet.parallel.sharded", "all_gather"),
}
SIDE, BATCH, WIDTH = 64, 8, 0.25
FEW = 20  # steps, in which the loss goes up and down
SAME = 1e-6  # as a part of the loss; rounding in float64 is a billionth of that


def compare(rows):
    """Print the rows of side_by_side as they come. Returns whether all losses are the same."""
    print(f"{'step':>4}  {'loss':>10}  {'with yours':>10}  {'difference':>10}")
    worst = 0
    for step, loss, yours in rows:
        off = abs(yours - loss) / abs(loss) if np.isfinite(yours) else np.inf
        worst = max(worst, off)
        print(f"{step:>4}  {loss:>10.6f}  {yours:>10.6f}  {off:>10.1e}", flush=True)
    if worst <= SAME:
        print("the same losses, to rounding: AlexNet trains with your code.")
        if step <= FEW:
            print(f"({step} {'step is' if step == 1 else 'steps are'} too few for the loss to fall.)")
    else:
        print("the losses differ: `check` says why.")
    return worst <= SAME


def side_by_side(name, text, path, steps, seconds):
    """Yield (step, loss, loss with the answer in the library's place), as long as `seconds` are not over."""
    if name not in PLACES:
        raise RunError(f"{name} is no part of AlexNet's training; train takes {', '.join(PLACES)}")
    with contextlib.ExitStack() as off:
        off.enter_context(np.errstate(all="ignore"))
        end = time.monotonic() + seconds
        try:
            answer = getattr(load(text, path), PLACES[name][1])
        except Exception as error:
            raise RunError(at_line(error, path), 1) from None
        runs = [Training(name), Training(name, answer)]
        for step in range(steps):
            if time.monotonic() > end:
                return
            try:
                yield step + 1, *(run.step(step) for run in runs)
            except Exception as error:
                raise RunError(f"step {step + 1} failed. {at_line(error, path)}", 1) from None


class Training:
    """One network and its optimizer. answer: what stands in the library's place while it takes a step, or None."""

    def __init__(self, name, answer=None):
        self.name, self.answer = name, answer
        backend.manual_seed(0)
        self.model = AlexNet(len(CLASSES), ("cpu", "cpu"), width=WIDTH, image_size=SIDE, recipe=RECIPES["he"])
        for parameter in self.model.parameters():
            parameter.data = parameter.data.astype(np.float64)
        with self.in_place():
            parameters = self.model.parameters()
            if name == "adam":
                self.optimizer = optim.Adam(parameters, lr=1e-3)
            else:
                self.optimizer = optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.0005)

    def step(self, number):
        backend.manual_seed(number)  # of dropout
        images, labels = batch(number)
        with self.in_place():
            scores = self.model(Tensor(images))
            if self.name == "softmax":  # which cross_entropy does not call
                loss = F.nll_loss(F.log(F.softmax(scores, 1)), labels)
            else:
                loss = F.cross_entropy(scores, labels)
            loss.backward()
            self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    @contextlib.contextmanager
    def in_place(self):
        """While this lasts, the library uses the answer."""
        module, name = PLACES[self.name]
        module = importlib.import_module(module)
        own = getattr(module, name)
        setattr(module, name, self.answer or own)
        try:
            yield
        finally:
            setattr(module, name, own)


def batch(number):
    """Shapes drawn for step `number`: images (N, 3, SIDE, SIDE) of about unit deviation, labels (N,)."""
    rng, names = np.random.default_rng(number), sorted(CLASSES)
    labels = rng.integers(0, len(names), BATCH)
    images = np.stack([draw(names[label], SIDE, rng) for label in labels])  # (N, SIDE, SIDE, 3), 0 to 255
    return (images.transpose(0, 3, 1, 2) - 100.0) / 60, labels
