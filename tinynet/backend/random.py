"""The random generator of initializers and dropout. Checkpoints hold its state."""

import numpy as np

_generator = np.random.Generator(np.random.PCG64(0))


def generator():
    """The generator, of which there is only one."""
    return _generator


def manual_seed(seed):
    """Restart the generator from `seed`: the same seed on the same device gives the same bits."""
    _generator.bit_generator.state = np.random.PCG64(seed).state
