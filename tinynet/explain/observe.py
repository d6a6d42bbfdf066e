"""A forward pass that is watched."""

from tinynet.autograd import no_grad, tensor


@no_grad()
def observe(model, images, hook):
    """One forward pass in evaluation mode with hook(name, tensors) after each layer; the mode is restored.

    images: an array (N, 3, size, size) on the CPU. Returns the logits.
    """
    training = model.training
    model.eval()
    try:
        return model(tensor(images, device=model.devices[0]), hook)
    finally:
        model.train(training)
