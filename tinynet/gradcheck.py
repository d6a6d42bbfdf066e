"""Is a backward pass right? Compare it with slopes measured by changing each input a little.

For y = f(x) and a random array v of y's shape, L = sum(v * y) is one number, and backward with
v as the cotangent gives dL/dx for all of x at once. Each element of it can also be measured:

    dL/dx_i  ~  (L(x + eps * e_i) - L(x - eps * e_i)) / (2 * eps)

with an error of order eps^2 from the curvature and (rounding error of L) / eps from the arithmetic: in
float64, eps = 1e-6 leaves about nine correct digits. v must be random: with v = 1 everywhere, softmax,
whose outputs sum to 1 whatever its input, has gradient 0, and any multiple of that would pass.
"""

import numpy as np

from tinynet.autograd import FLOATS, Tensor, no_grad


class GradcheckError(AssertionError):
    """A gradient that does not match its measured slope."""


def gradcheck(fn, inputs, eps=1e-6, atol=1e-6, rtol=1e-5, seed=0):
    """Check fn's backward against central differences, with a random cotangent. Returns True if it is right.

    fn: takes the tensors in `inputs` and returns a tensor; must return the same result every time
    (seed anything random inside it) and be smooth near the inputs (no ties in a maximum, no
    ReLU input near 0). inputs: a tensor or a sequence of them; those with requires_grad are
    checked, and must be float64. eps: half the distance of the two points that a slope is measured between.
    A gradient may differ from it by atol + rtol * |slope|. A wrong gradient raises GradcheckError, which names the
    operation, the input, the index, the expected value and the one received.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, x in enumerate(inputs) if x.requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input has requires_grad=True")
    for i in checked:
        if inputs[i].dtype != FLOATS[1]:
            raise TypeError(f"gradcheck: input {i} must be float64, got {inputs[i].dtype}")
        inputs[i].grad = None
    y = fn(*inputs)
    if not y.requires_grad:
        raise GradcheckError("gradcheck: the output does not depend on any input that has requires_grad")
    op = y.function.name if y.function is not None else "the function"
    v = np.random.default_rng(seed).standard_normal(y.shape)
    y.backward(v)
    for i in checked:
        received = inputs[i].grad
        received = np.zeros(inputs[i].shape) if received is None else Tensor(received).numpy()
        for index in np.ndindex(inputs[i].shape):
            left, right = _slopes(fn, inputs, inputs[i], index, v, eps)
            expected = (left + right) / 2
            if abs(expected - received[index]) <= atol + rtol * abs(expected):
                continue
            message = f"{op}: gradient of input {i} at index {index}: "
            message += f"expected {expected:.10g}, received {received[index]:.10g}"
            if abs(right - left) > 0.01 * (abs(left) + abs(right)) + 1e-3:
                message += f" (the slope is {left:.4g} to the left and {right:.4g} to the right: is there a kink?)"
            raise GradcheckError(message)
    return True


@no_grad()
def _slopes(fn, inputs, x, index, v, eps):
    """The slopes of L to the left and to the right of one element's value; their mean is the central one."""
    kept = x.data[index].item()
    values = []
    for step in (-eps, 0, eps):
        x.data[index] = kept + step
        values.append(float((fn(*inputs).numpy() * v).sum()))
    x.data[index] = kept
    return (values[1] - values[0]) / eps, (values[2] - values[1]) / eps
