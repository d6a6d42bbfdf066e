"""What stands in a box, as rows of text: the operation, the shape, the value, the cotangent and where it came from."""

from typing import NamedTuple

from tinynet.drawing.numbers import in_line

LISTED = 4  # outputs of one box, or paths by which cotangents arrived at one value


class Row(NamedTuple):
    """kind: title, output, value, cotangent or more. step: when it is known (graph.py)."""

    left: str
    right: str
    kind: str
    step: int = 0


def rows_of(box, begin):
    """The rows of a box. begin: the step in which backward begins."""
    several = len(box.outputs) > 1
    first = box.outputs[0]
    name = "" if several or box.function is None or not first.name else f" → {first.name}"
    rows = [Row(box.title + name, "" if several else shape(first.shape), "title")]
    for index, output in enumerate(box.outputs[:LISTED]):
        if several:
            rows.append(Row(f"output {index}" + (f" → {output.name}" if output.name else ""), shape(output.shape),
                            "output"))  # fmt: skip
        rows += [Row(line, "", "value", box.forward) for line in output.value_lines]
        rows += cotangent_rows(box, output, begin)
    if len(box.outputs) > LISTED:
        rows.append(Row(f"+ {len(box.outputs) - LISTED} more", "", "more"))
    return rows


def cotangent_rows(box, output, begin):
    """d = ..., after a row for each path by which a part of it arrived, if there are several."""
    if output.cotangent is None:
        return []
    rows, received = [], output.received
    for place, (user, number, dx) in enumerate(received[:LISTED] if len(received) > 1 else []):
        sign = "+ " if place else "  "
        rows.append(Row(sign + in_line(dx), origin(user, number), "cotangent", step_of(user, begin)))
    if len(received) > LISTED:
        rows.append(Row(f"+ {len(received) - LISTED} more", "", "cotangent", step_of(received[-1][0], begin)))
    step = max((step_of(user, begin) for user, _, _ in received), default=begin)
    for place, line in enumerate(output.cotangent_lines):
        rows.append(Row(f"{'    ' if place else 'd = '}{line}", "", "cotangent", step))
    return rows


def step_of(user, begin):
    return begin if user is None else user.backward


def origin(user, number):
    """ "from 3 mul, other": which Function's backward a cotangent came from, and for which of its inputs."""
    if user is None:
        return "from a Function that is not drawn"
    return f"from {user.title}" + (f", {user.function.argument_name(number)}" if len(user.inputs) > 1 else "")


def shape(axes):
    return str(tuple(axes)) if axes else ""
