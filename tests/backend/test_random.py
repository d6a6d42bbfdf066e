import numpy as np

from tinynet import backend


def test_the_seed_starts_the_stream_again():
    backend.manual_seed(5)
    first = backend.generator().random(3)
    backend.manual_seed(5)
    np.testing.assert_array_equal(backend.generator().random(3), first)
