"""A graph as one HTML file that goes through its steps: each Function forward, then each one backward.

Nothing is computed in the page: which numbers each step shows is decided here.
"""

import json
import re
from pathlib import Path
from textwrap import dedent

from tinynet.backend import device_of, use_device
from tinynet.drawing.numbers import WRITTEN_OUT, in_line, numbers
from tinynet.drawing.rows import shape
from tinynet.drawing.source import code_of, formulas_of, place_of_call
from tinynet.drawing.svg import summary, svg

FOLDER = Path(__file__).parent


def page(graph):
    steps = steps_of(graph)
    kinds = {type(box.function) for box in graph.functions}
    data = {"steps": steps, "operations": {key(kind): operation(kind) for kind in kinds},
            "forward": len(graph.functions)}  # fmt: skip
    parts = {
        "title": summary(graph),
        "style": (FOLDER / "page.css").read_text(encoding="utf-8"),
        "script": (FOLDER / "page.js").read_text(encoding="utf-8"),
        "graph": svg(graph),
        "last": str(len(steps) - 1),
        "steps": json.dumps(data).replace("<", "\\u003c"),  # so that no text can end the script
    }
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def key(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def operation(kind):
    """What the panel shows of a Function's class, in its two steps."""
    found = {}
    for method, formula in zip(("forward", "backward"), formulas_of(kind), strict=True):
        place, code = code_of(kind, method)
        found[method] = {"place": place, "code": code, "formula": paragraphs(formula)}
    return found


def paragraphs(text):
    """[(HTML tag, text)]: what is laid out with spaces stays as it is, prose may be wrapped anew."""
    found = [part for part in text.split("\n\n") if part.strip()]
    return [("pre", dedent(part)) if "   " in part else ("p", part.replace("\n", " ")) for part in found]


# ---------------------------------------------------------------------------- steps


def steps_of(graph):
    """What each step shows: heading, rows [name, text, kind], and the box, the operation and the call it is about."""
    functions, last = graph.functions, graph.boxes[-1]
    leaves = [[name_of(box, 0), whole(box.outputs[0]), "value"] for box in graph.boxes if box.function is None]
    steps = [{"heading": "The leaves", "rows": leaves}]
    for box in functions:
        steps.append(about(box) | {"heading": f"Forward {box.forward} of {len(functions)}: {box.function.name}",
                                   "rows": forward_rows(box)})  # fmt: skip
    back = sorted((box for box in functions if box.backward), key=lambda box: box.backward)
    if back:
        steps.append({"heading": "Backward begins", "rows": cotangent_rows(last), "box": f"box{last.number}"})
    for number, box in enumerate(back, 1):
        steps.append(about(box) | {"heading": f"Backward {number} of {len(back)}: {box.function.name}",
                                   "rows": backward_rows(box)})  # fmt: skip
    return steps


def about(box):
    return {"box": f"box{box.number}", "operation": key(type(box.function)), "called": place_of_call(box.called_at)}


def forward_rows(box):
    rows = []
    for number, (source, index) in enumerate(box.inputs):
        rows.append([name_of(source, index) + argument(box, number), whole(source.outputs[index]), "value"])
    return rows + [[f"→ {name_of(box, i)}", whole(y), "value"] for i, y in enumerate(box.outputs)]


def cotangent_rows(box):
    return [[f"d of {name_of(box, i)}", "\n".join(y.cotangent_lines), "cotangent"] for i, y in enumerate(box.outputs)]


def backward_rows(box):
    rows = cotangent_rows(box)
    for number, ((source, index), dx) in enumerate(zip(box.inputs, box.dxs, strict=True)):
        name = name_of(source, index) + argument(box, number)
        rows.append([f"→ d of {name}", "not needed" if dx is None else "\n".join(numbers(dx)), "cotangent"])
    for source, index in dict.fromkeys(box.inputs):
        output = source.outputs[index]
        if len(output.received) > 1:
            rows.append([f"d of {name_of(source, index)} so far", sum_so_far(output, box), "cotangent"])
    return rows


def sum_so_far(output, box):
    """ "1 + 3 = 4; 1 more to come": what has arrived by the step of this box."""
    number = next(i for i, (user, _, _) in reversed(list(enumerate(output.received))) if user is box) + 1
    arrived, missing = [dx for _, _, dx in output.received[:number]], len(output.received) - number
    end = f"; {missing} more to come" if missing else ""
    if output.data.size > WRITTEN_OUT:
        return f"the sum of {number}{end}" if number > 1 else f"the first{end}"
    with use_device(device_of(output.data)):
        total = in_line(sum(arrived[1:], start=arrived[0]))
    return (" + ".join(map(in_line, arrived)) + f" = {total}" if number > 1 else total) + end


def argument(box, number):
    return f" ({box.function.argument_name(number)})" if len(box.inputs) > 1 else ""


def name_of(box, index):
    return box.outputs[index].name or box.title + (f", output {index}" if len(box.outputs) > 1 else "")


def whole(output):
    """Shape and value, as far as they are known."""
    return "\n".join([*filter(None, [shape(output.shape)]), *output.value_lines])
