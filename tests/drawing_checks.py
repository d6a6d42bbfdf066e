"""Whether the boxes and the edges of a picture keep clear of each other."""

import re

import numpy as np

EPSILON = 0.2  # paths are written with one digit


def points_on(path):
    """Points along an SVG path of M, V and C commands."""
    points = []
    for letter, numbers in re.findall(r"([MVC])([^MVC]*)", path):
        numbers = [float(x) for x in numbers.split()]
        if letter == "M":
            points.append(tuple(numbers))
        elif letter == "V":
            x, y = points[-1]
            points += [(x, y + (numbers[0] - y) * t) for t in np.linspace(0, 1, 20)]
        else:
            control = np.array([points[-1], *zip(numbers[::2], numbers[1::2], strict=True)])
            t = np.linspace(0, 1, 20)[:, None]
            weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
            points += [tuple(p) for p in weights @ control]
    return np.array(points)


def assert_clear(boxes, paths):
    """boxes: (left, top, right, bottom). No two overlap, and no path enters one."""
    left, top, right, bottom = np.array(boxes).T
    apart = (right[:, None] <= left) | (right <= left[:, None]) | (bottom[:, None] <= top) | (bottom <= top[:, None])
    assert (apart | np.eye(len(boxes), dtype=bool)).all()
    for path in paths:
        x, y = points_on(path).T[:, :, None]
        inside = (left + EPSILON < x) & (x < right - EPSILON) & (top + EPSILON < y) & (y < bottom - EPSILON)
        assert not inside.any(), path
