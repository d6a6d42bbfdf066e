"""The pixels that can matter to a unit of a convolution or pooling layer: its receptive field.

Unit p of a layer sees `size` pixels along each axis of the image, from pixel offset + p * stride on. The image itself
has size 1, stride 1 and offset 0. A window of `kernel` cells that moves by s cells, with padding P, makes of them

    size'   = size + (kernel - 1) * stride      the window's cells are `stride` pixels apart
    stride' = stride * s
    offset' = offset - P * stride               its first cell lies in the padding

and layers without a window change nothing. The recurrence, also for networks that branch: Araujo, Norris & Sim,
"Computing Receptive Fields of Convolutional Neural Networks", Distill, 2019, doi 10.23915/distill.00021.
"""

import numpy as np

from tinynet import nn
from tinynet.parallel import Sharded


def receptive_field(model, layer):
    """(size, stride, offset) in pixels: unit (p, q) of `layer` sees the square of `size` pixels whose top left pixel is
    (offset + p * stride, offset + q * stride). What of it lies outside of the image is padding.

    model: an AlexNet. layer: the name of one of its layers up to the last pooling layer (a unit after flatten5 sees the
    whole image). Raises ValueError for another name.
    """
    size, stride, offset, known = 1, 1, 0, []
    for name, module in model.layers:
        part = module.parts[0] if isinstance(module, Sharded) else module
        if isinstance(part, nn.Flatten):
            break
        if isinstance(part, (nn.Conv2d, nn.MaxPool2d)):
            kernel = part.weight.shape[2] if isinstance(part, nn.Conv2d) else part.kernel_size
            size, offset = size + (kernel - 1) * stride, offset - part.padding * stride
            stride *= part.stride
        if name == layer:
            return size, stride, offset
        known.append(name)
    raise ValueError(f"receptive_field: layers are {', '.join(known)}; got {layer}")


def cut_out(picture, field, p, q):
    """What unit (p, q) sees of a picture (side, side, 3) uint8, on white.

    field: its receptive_field. Returns (n, n, 3): the receptive field with white outside of the picture; or, if the
    picture is the smaller of the two, the picture with white outside of the receptive field.
    """
    size, stride, offset = field
    side = len(picture)
    n, seen, places = min(size, side), [], []
    for start in (offset + p * stride, offset + q * stride):
        first, end = max(start, 0), min(start + size, side)
        origin = start if size <= side else 0  # of what is returned, in the picture
        seen.append(slice(first, end))
        places.append(slice(first - origin, end - origin))
    canvas = np.full((n, n, 3), 255, np.uint8)
    canvas[tuple(places)] = picture[tuple(seen)]
    return canvas
