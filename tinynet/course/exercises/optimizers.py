"""What the exercises on optimizers share: three steps with given gradients, the last at half the learning rate."""

import numpy as np

from tinynet.autograd import Tensor
from tinynet.course.bench import Changed


def draw(rng, sizes):
    C = sizes["C"]
    return {name: rng.standard_normal(C) for name in ("w", "g1", "g2", "g3")}


def three_steps(make):
    """run() of a PythonExercise. make(module, parameters, sizes) -> the optimizer."""

    def run(module, part, arrays, sizes):
        w = Tensor(arrays["w"].copy(), requires_grad=True)
        kept, optimizer, results = w.data, make(module, [w], sizes), {}
        for name in ("g1", "g2", "g3"):
            if name == "g3":  # as a schedule would
                optimizer.param_groups[0]["lr"] /= 2
            w.grad, before = arrays[name].copy(), kept.copy()
            optimizer.step()
            if not np.array_equal(w.grad, arrays[name]):
                raise Changed("the gradient")
            results[f"w's change in step {name[1]}"] = kept - before  # kept, not w.data: others hold this array
        return results

    return run
