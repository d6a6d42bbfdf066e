"""Where a nan or an infinity began: the operation whose backward made it, and the line that called that operation."""

import linecache
import sys

from tinynet.backend import array_module, device_of, use_device
from tinynet.modes import Switch


class detect_anomaly(Switch):
    """Inside `with detect_anomaly():` backward raises RuntimeError as soon as a gradient is not finite.

    The message names the operation, and the line that called it if the forward pass was inside, too. What a forward
    pass computes is not checked. Slow: each operation's frames and each gradient are looked at. For one thread.
    """

    mode, value = "detecting", True


def line_of_call():
    """(file, line) of the innermost call that is not in tinynet itself."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tinynet."):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def check(function, dys, dxs):
    """Raise unless what backward made of dys is finite."""
    for i, (x, dx) in enumerate(zip(function.sources, dxs, strict=True)):
        bad = count_not_finite(dx) if x is not None else 0
        if bad and any(count_not_finite(dy) for dy in dys):
            raise RuntimeError(
                f"backward: what reaches {function.name} is not finite, and no operation's backward made it so: "
                "either gradient= is not finite, or a sum of gradients overflows"
            )
        if bad:
            what = f"the gradient of {function.argument_name(i)}, of shape {x.shape}, is the first that is not finite"
            raise RuntimeError(f"{function.name}.backward: {what} ({bad} of {dx.size}); {_called(function.called_at)}")


def count_not_finite(array):
    with use_device(device_of(array)):
        return array.size - int(array_module(array).isfinite(array).sum())


def _called(at):
    if at is None:
        return "run the forward pass in detect_anomaly too, and this says which line called it"
    return f"called at {at[0]}:{at[1]}: {linecache.getline(*at).strip()}"
