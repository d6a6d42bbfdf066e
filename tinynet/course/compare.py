"""Two arrays: whether they are the same to rounding, and where they differ first."""

import numpy as np


def same(received, expected, rtol=1e-8):
    """Whether all elements agree to `rtol` of the largest one expected. Both arrays, or False."""
    if not isinstance(received, np.ndarray | np.generic) or received.shape != expected.shape:
        return False
    if received.dtype.kind not in "fiub":
        return False
    return not differs(received, expected, rtol).any()


def differs(received, expected, rtol=1e-8):
    """A bool array: where they do not agree."""
    received, expected = received.astype(np.float64), expected.astype(np.float64)
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1e-6)  # less than that is what rounding left of 0
    with np.errstate(invalid="ignore"):
        close = np.abs(received - expected) <= rtol * scale
    return ~(close | (received == expected) | (np.isnan(received) & np.isnan(expected)))


def first_difference(name, received, expected, rtol=1e-8):
    """One line: the first element that differs."""
    at = tuple(int(i) for i in np.argwhere(differs(received, expected, rtol))[0])
    place = f"{name}[{', '.join(map(str, at))}]" if at else name
    return f"{place}: expected {expected[at]:.6g}, received {received[at]:.6g}"
