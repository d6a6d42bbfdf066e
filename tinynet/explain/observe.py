"""A forward pass that is watched."""

import contextlib

from tinynet.autograd import no_grad, tensor


@contextlib.contextmanager
def evaluating(model):
    """The model in evaluation mode; afterwards its mode is what it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@no_grad()
def observe(model, images, hook):
    """One forward pass in evaluation mode with hook(name, tensors) after each layer; the mode is restored.

    images: an array (N, 3, size, size) on the CPU. Returns the logits.
    """
    with evaluating(model):
        return model(tensor(images, device=model.devices[0]), hook)
