"""draw: what stands in the picture is what the engine computed."""

import inspect
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import tinynet
from drawing_checks import assert_clear
from tinynet import functional as F
from tinynet import nn
from tinynet.drawing.source import code_of, formulas_of
from tinynet.models.alexnet import AlexNet

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


class Boxes(dict):
    """{title: [(kind, text, step)]} of the boxes of an SVG; also its roads and the outlines of its boxes."""

    def __init__(self, svg):
        root = ET.fromstring(svg)
        self.lines = [text.text for text in root.findall(SVG + "text")]
        groups = [(group, group.get("class").split()) for group in root.iter(SVG + "g") if group.get("class")]
        self.roads = [group for group, kinds in groups if "road" in kinds]
        self.paths = [road.find(SVG + "path").get("d") for road in self.roads]
        self.outlines, self.kinds, self.tips = [], {}, {}
        for group, kinds in groups:
            if "box" in kinds:
                rows = [(t.get("class"), t.text, int(t.get("data-step"))) for t in group.findall(SVG + "text")]
                title = rows[0][1]
                while title in self:  # constant, constant', ...
                    title += "'"
                self[title], self.kinds[title] = rows[1:], kinds[1:]
                self.tips[title] = group.find(SVG + "title").text.splitlines()
                x, y, w, h = (float(group.find(SVG + "rect").get(name)) for name in ("x", "y", "width", "height"))
                self.outlines.append((x, y, x + w, y + h))

    def texts(self, name, kind):
        return [text for k, text, _ in self[name] if k == kind]


def data_of(page):
    """The JSON that the page goes through."""
    return json.loads(re.search(r'<script type="application/json" id="steps">(.*?)</script>', page, re.DOTALL)[1])


def squared_plus_itself(device="cpu"):
    x = tinynet.tensor(3.0, requires_grad=True, device=device)
    with tinynet.record():
        y = x * x
        loss = y + x
        loss.backward()
    return loss, {x: "x", y: "y", loss: "L"}


def numbers(lines):
    return [float(x) for x in re.findall(r"(?<![a-z])-?(?:inf|nan|\d[\d.e+-]*)", " ".join(lines))]


def assert_shown(lines, array):
    """The lines of a box are this array: its numbers, or its mean, std, min and max."""
    few = array.size <= 6
    expected = array.ravel() if few else [array.mean(dtype="f8"), array.std(dtype="f8"), array.min(), array.max()]
    assert ("mean" in lines[0]) != few
    np.testing.assert_allclose(numbers(lines), expected, rtol=1e-3 if few else 1e-2)


# ---------------------------------------------------------------------------- numbers


def test_two_roads_and_their_sum(device):
    loss, names = squared_plus_itself(device)
    assert set(Boxes(tinynet.draw(loss).text)) == {"leaf", "1 mul", "2 add"}
    boxes = Boxes(tinynet.draw(loss, names=names).text)
    assert boxes["x"] == [
        ("value", "3", 0),
        ("cotangent", "  1", 4), ("cotangent", "from 2 add, other", 4),
        ("cotangent", "+ 3", 5), ("cotangent", "from 1 mul, input", 5),
        ("cotangent", "+ 3", 5), ("cotangent", "from 1 mul, other", 5),
        ("cotangent", "d = 7", 5),
    ]  # fmt: skip
    assert boxes["1 mul → y"] == [("value", "9", 1), ("cotangent", "d = 1", 4)]
    assert boxes["2 add → L"] == [("value", "12", 2), ("cotangent", "d = 1", 3)]
    roads = [(road.get("data-step"), road.get("data-back")) for road in boxes.roads]
    assert roads == [("1", "5"), ("1", "5"), ("2", "4"), ("2", "4")]
    here = inspect.getsourcelines(squared_plus_itself)[1]
    assert boxes.tips["1 mul → y"][1].startswith("tinynet/ops/arithmetic.py:")
    assert boxes.tips["1 mul → y"][2] == f"test_draw.py:{here + 3}: y = x * x"


def test_every_number_is_the_engines(rng):
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 5))
    x = tinynet.tensor(rng.standard_normal((4, 2)).astype("float32"))
    with tinynet.record() as recording:
        loss = F.cross_entropy(model(x), np.array([0, 1, 2, 4]))
        loss.backward()
    names = {p: name for name, p in model.named_parameters()} | {x: "x"}
    boxes = Boxes(tinynet.draw(loss, names=names).text)
    assert set(boxes) == {"x", "0.weight", "0.bias", "2.weight", "2.bias",
                          "1 linear", "2 relu", "3 linear", "4 cross_entropy"}  # fmt: skip
    assert boxes.kinds["x"] == ["leaf", "constant"] and boxes.texts("x", "cotangent") == []
    for name, p in model.named_parameters():
        assert_shown(boxes.texts(name, "value"), p.data)
        assert_shown(boxes.texts(name, "cotangent"), p.grad)
        assert boxes.texts(name, "shape") == [str(p.shape)]
    for node in recording.forward:
        name = f"{node.number + 1} {node.function.name}"
        assert_shown(boxes.texts(name, "value"), node.outputs[0].data)
        assert_shown(boxes.texts(name, "cotangent"), node.dys[0])
    assert set(Boxes(tinynet.draw(loss, names=model).text)) == set(boxes) - {"x"} | {"constant"}


def test_steps_back_are_in_the_engines_order():
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    with tinynet.record() as recording:
        a, b = F.exp(x), F.sigmoid(x)
        loss = (F.tanh(b) * a).sum()
        loss.backward()
    boxes = Boxes(tinynet.draw(loss).text)
    back = {int(road.get("data-back")): int(road.get("data-step")) for road in boxes.roads}
    order = [node.number + 1 for node in recording.backward]
    assert [back[step] for step in sorted(back)] == order and min(back) == len(order) + 2
    steps = data_of(tinynet.draw(loss, "graph.html").text)["steps"]
    titles = [f"{node.function.name}" for node in recording.backward]
    assert [step["heading"].split(": ")[1] for step in steps[len(order) + 2 :]] == titles


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_steps_say_what_is_added_where():
    loss, names = squared_plus_itself()
    data = data_of(tinynet.draw(loss, "graph.html", names).text)
    assert data["forward"] == 2
    assert [(step["heading"], step["rows"]) for step in data["steps"]] == [
        ("The leaves", [["x", "3", "value"]]),
        ("Forward 1 of 2: mul",
         [["x (input)", "3", "value"], ["x (other)", "3", "value"], ["→ y", "9", "value"]]),
        ("Forward 2 of 2: add",
         [["y (input)", "9", "value"], ["x (other)", "3", "value"], ["→ L", "12", "value"]]),
        ("Backward begins", [["d of L", "1", "cotangent"]]),
        ("Backward 1 of 2: add",
         [["d of L", "1", "cotangent"], ["→ d of y (input)", "1", "cotangent"],
          ["→ d of x (other)", "1", "cotangent"], ["d of x so far", "1; 2 more to come", "cotangent"]]),
        ("Backward 2 of 2: mul",
         [["d of y", "1", "cotangent"], ["→ d of x (input)", "3", "cotangent"],
          ["→ d of x (other)", "3", "cotangent"], ["d of x so far", "1 + 3 + 3 = 7", "cotangent"]]),
    ]  # fmt: skip
    assert [step.get("box") for step in data["steps"]] == [None, "box1", "box2", "box2", "box2", "box1"]
    for step in data["steps"][1:3] + data["steps"][4:]:
        operation = data["operations"][step["operation"]]
        assert operation["forward"]["place"].startswith("tinynet/ops/arithmetic.py:")
        assert operation["backward"]["formula"][0][1].startswith("Backward.")


def test_sums_of_large_arrays_are_counted_only():
    x = tinynet.tensor(np.ones((3, 4)), requires_grad=True)
    with tinynet.record():
        loss = (x * x).sum() + x.sum()
        loss.backward()
    steps = data_of(tinynet.draw(loss, "graph.html", {x: "x"}).text)["steps"]
    assert [row[1] for step in steps for row in step["rows"] if row[0] == "d of x so far"] == \
        ["the first; 2 more to come", "the sum of 3"]  # fmt: skip


def test_a_function_that_gives_no_cotangent_says_so():
    x, w = tinynet.tensor([1.0, 2.0]), tinynet.tensor([3.0, 4.0], requires_grad=True)
    with tinynet.record():
        loss = (x * w).sum()
        loss.backward()
    steps = data_of(tinynet.draw(loss, "graph.html", {x: "x", w: "w"}).text)["steps"]
    assert ["→ d of x (input)", "not needed", "cotangent"] in steps[-1]["rows"]
    assert ["→ d of w (other)", "[1, 2]", "cotangent"] in steps[-1]["rows"]
    roads = Boxes(tinynet.draw(loss).text).roads
    assert [road.get("data-back") for road in roads] == ["0", "5", "4"]  # none leads back to x


def test_an_array_that_is_not_finite_or_of_other_kinds():
    x = tinynet.tensor(np.array([0.0, 1, 2, 3, 4, 5, 6, np.inf]), requires_grad=True)
    with tinynet.record():
        loss = F.where(tinynet.tensor(np.arange(8) > 2), x, x * 0.5 + tinynet.tensor(np.arange(8.0))).sum()
    boxes = Boxes(tinynet.draw(loss, names={x: "x"}).text)
    assert boxes.texts("x", "value") == ["1 of 8 not finite"]
    assert ["5 of 8 true"] in [[text for kind, text, _ in rows if kind == "value"] for rows in boxes.values()]
    big = tinynet.tensor(np.full(7, 1e300), requires_grad=True)
    with tinynet.record():
        loss = big * 1.0
    assert Boxes(tinynet.draw(loss, names={big: "b"}).text).texts("b", "value")[1] == "min 1e+300, max 1e+300"


def test_of_many_outputs_and_many_roads_four_are_listed(device):
    x = tinynet.tensor(np.arange(6.0), requires_grad=True, device=device)
    with tinynet.record():
        parts = F.split(x, 1)
        y = parts[5] * 1.0
        for _ in range(5):
            y = y * parts[5]
        y.backward(np.ones(1))
    boxes = Boxes(tinynet.draw(y, names={x: "x", parts[1]: "second"}).text)
    assert [text for kind, text, _ in boxes["1 split"] if kind in ("output", "more")] == \
        ["output 0", "output 1 → second", "output 2", "output 3", "+ 2 more"]  # fmt: skip
    assert boxes.texts("1 split", "value") == ["[0]", "[1]", "[2]", "[3]"]
    assert boxes.texts("x", "cotangent") == ["d = [0, 0, 0, 0, 0, 18750]"]
    w = tinynet.tensor(2.0, requires_grad=True, device=device)
    with tinynet.record():
        y = w * w * w * w
        y.backward()
    assert Boxes(tinynet.draw(y, names={w: "w"}).text).texts("w", "cotangent") == [
        "  8", "from 3 mul, other", "+ 8", "from 2 mul, other", "+ 8", "from 1 mul, input", "+ 8", "from 1 mul, other",
        "d = 32",
    ]  # fmt: skip
    with tinynet.record():
        y = w * w * w * w * w
        y.backward()
    assert Boxes(tinynet.draw(y, names={w: "w"}).text).texts("w", "cotangent")[-3:] == \
        ["from 1 mul, input", "+ 1 more", "d = 80"]  # fmt: skip


def test_each_output_has_its_own_cotangent_and_its_own_road(device):
    x = tinynet.tensor(np.arange(4.0), requires_grad=True, device=device)
    with tinynet.record():
        a, b = F.split(x, 2)
        loss = (a * b).sum() + b.sum()
        loss.backward()
    boxes = Boxes(tinynet.draw(loss).text)
    assert boxes.texts("1 split", "value") == ["[0, 1]", "[2, 3]"]
    assert boxes.texts("1 split", "cotangent") == [
        "d = [2, 3]", "  [1, 1]", "from 4 sum", "+ [0, 1]", "from 2 mul, other", "d = [1, 2]",
    ]  # fmt: skip
    starts = [path.split("V")[0] for path, road in zip(boxes.paths, boxes.roads, strict=True)
              if road.get("data-step") in "24"]  # fmt: skip
    assert len(starts) == 3 and len(set(starts)) == 2
    steps = data_of(tinynet.draw(loss, "graph.html").text)["steps"]
    assert steps[2]["rows"] == [["1 split, output 0 (input)", "(2,)\n[0, 1]", "value"],
                                ["1 split, output 1 (other)", "(2,)\n[2, 3]", "value"],
                                ["→ 2 mul", "(2,)\n[0, 3]", "value"]]  # fmt: skip


def test_the_figure_in_the_docs_is_what_draw_makes():
    figure = Boxes((ROOT / "docs/figures/graph.svg").read_text(encoding="utf-8"))
    loss, names = squared_plus_itself()
    now = Boxes(tinynet.draw(loss, names=names).text)
    assert figure == now and figure.lines == now.lines
    assert figure.outlines == now.outlines and figure.paths == now.paths


# ---------------------------------------------------------------------------- what is not recorded


def linear_relu():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    return model, lambda: F.sum(model(tinynet.tensor(np.ones((4, 2), "float32"))))


def test_a_graph_that_was_not_recorded_has_shapes_and_leaves():
    model, run = linear_relu()
    boxes = Boxes(tinynet.draw(run(), names=model).text)
    assert set(boxes) == {"0.weight", "0.bias", "1 linear", "2 relu", "3 sum"}
    assert boxes["2 relu"] == [("shape", "(4, 3)", 0)] and boxes["3 sum"] == []
    assert_shown(boxes.texts("0.bias", "value"), model[0].bias.data)
    assert "tinynet.record()" in boxes.lines[0] and len(boxes.roads) == 4
    steps = data_of(tinynet.draw(run(), "graph.html", model).text)["steps"]
    assert [step["heading"] for step in steps] == \
        ["The leaves", "Forward 1 of 3: linear", "Forward 2 of 3: relu", "Forward 3 of 3: sum"]  # fmt: skip
    assert steps[2]["rows"] == [["1 linear", "(4, 3)", "value"], ["→ 2 relu", "(4, 3)", "value"]]


def test_a_leaf_that_is_used_twice_is_one_box_without_a_recording_too():
    x = tinynet.tensor(3.0, requires_grad=True)
    boxes = Boxes(tinynet.draw(x * x + x, names={x: "x"}).text)
    assert set(boxes) == {"x", "1 mul", "2 add"} and len(boxes.roads) == 4


def test_a_recorded_forward_pass_has_values_only():
    model, run = linear_relu()
    with tinynet.record():
        loss = run()
    loss.backward()
    drawing = tinynet.draw(loss, "graph.html", model)
    boxes = Boxes(tinynet.draw(loss, names=model).text)
    assert len(boxes.texts("2 relu", "value")) == 2 and boxes.texts("2 relu", "cotangent") == []
    assert boxes.lines == ["No cotangents: backward has not run inside `with tinynet.record():`."]
    assert len(data_of(drawing.text)["steps"]) == 4


def test_what_ran_before_the_recording_is_a_leaf():
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    before = F.exp(x)
    with tinynet.record():
        loss = before.sum()
        loss.backward()
    boxes = Boxes(tinynet.draw(loss, names={before: "before"}).text)
    assert set(boxes) == {"before", "1 sum"} and boxes.texts("before", "cotangent") == ["d = [1, 1]"]


def test_a_part_of_what_was_recorded():
    """y has two users; only one of them leads to the tensor that is drawn."""
    x = tinynet.tensor(2.0, requires_grad=True)
    with tinynet.record():
        y = x * 3.0
        part = y + 1.0
        (part * y).backward()
    boxes = Boxes(tinynet.draw(part, names={x: "x"}).text)
    assert boxes.texts("1 mul", "cotangent") == \
        ["  7", "from a Function that is not drawn", "+ 6", "from 2 add, input", "d = 13"]  # fmt: skip
    assert boxes.texts("x", "cotangent") == ["d = 39"]
    with tinynet.record():
        y = x * 3.0
        loss = y + 1.0
        y.backward()
    assert Boxes(tinynet.draw(loss, names={x: "x"}).text).texts("x", "cotangent") == ["d = 3"]
    steps = data_of(tinynet.draw(loss, "graph.html").text)["steps"]
    assert [step["heading"] for step in steps[3:]] == ["Backward begins", "Backward 1 of 1: mul"]
    assert steps[3]["rows"] == [["d of 2 add", "", "cotangent"]]


# ---------------------------------------------------------------------------- formats, names, errors


def test_files_and_notebooks(tmp_path):
    loss, names = squared_plus_itself()
    for suffix, shown in (("svg", "_repr_svg_"), ("html", "_repr_html_"), ("dot", None)):
        drawing = tinynet.draw(loss, tmp_path / f"graph.{suffix}", names)
        assert (tmp_path / f"graph.{suffix}").read_text(encoding="utf-8") == drawing.text
        for method in ("_repr_svg_", "_repr_html_"):
            assert (getattr(drawing, method)() is not None) == (method == shown)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.dot", "graph.html", "graph.svg"]
    assert tinynet.draw(loss)._repr_svg_().startswith("<svg")
    page = tinynet.draw(loss, tmp_path / "graph.html", names)
    assert Texts(page._repr_html_()).frames == [page.text]


def test_dot():
    loss, names = squared_plus_itself()
    lines = tinynet.draw(loss, "graph.dot", names).text.splitlines()
    assert lines[0] == "digraph {" and lines[-1] == "}"
    assert [line for line in lines if "->" in line] == ["  0 -> 1", "  0 -> 1", "  1 -> 2", "  0 -> 2"]
    assert r'  1 [label="1 mul → y\l9\ld = 1\l"]' in lines
    x = tinynet.tensor(1.0, requires_grad=True)
    text = tinynet.draw(F.exp(x), "graph.dot", {x: 'a"b\\l\n'}).text
    assert r'label="a\"b\\l\\n\l1\l"' in text


STRANGE = "</script><b>&amp;\"' {{steps}} \x00\x1b\n\ud800 ∂"


class Texts(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.frames = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.frames += [value for name, value in attrs if name == "srcdoc"]

    def handle_data(self, text):
        self.texts.append(text)


def test_any_name_can_stand_in_a_picture():
    x = tinynet.tensor(1.0, requires_grad=True)
    with tinynet.record():
        loss = x * x
        loss.backward()
    shown = "</script><b>&amp;\"' {{steps}} \\x00\\x1b\\n\\ud800 ∂"
    assert shown in Boxes(tinynet.draw(loss, "graph.svg", {x: STRANGE}).text)
    page = tinynet.draw(loss, "graph.html", {x: STRANGE}).text
    texts = Texts(page)
    assert shown in texts.texts and "b" not in texts.tags
    assert [texts.tags.count(tag) for tag in ("script", "svg", "html")] == [2, 1, 1]
    assert data_of(page)["steps"][0]["rows"] == [[shown, "1", "value"]]


def test_the_page_asks_for_nothing():
    page = tinynet.draw(squared_plus_itself()[0], "graph.html").text
    assert not re.search(r"""(src|href)=|url\(|@import|fetch\(|https?://(?!www\.w3\.org/2000/svg")""", page)


def test_a_function_of_the_users_own():
    class Twice(tinynet.Function):
        """Two of it.

        Forward. y = 2 x

        Backward. dx = 2 dy
        """

        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    x = tinynet.tensor(1.5, requires_grad=True)
    with tinynet.record():
        loss = Twice()(x)
        loss.backward()
    data = data_of(tinynet.draw(loss, "graph.html").text)
    (operation,) = data["operations"].values()
    assert operation["backward"]["code"] == "def backward(self, dy):\n    return 2 * dy\n".strip()
    assert operation["backward"]["formula"] == [["p", "Backward. dx = 2 dy"]]
    assert operation["forward"]["formula"] == [["p", "Two of it."], ["p", "Forward. y = 2 x"]]
    assert re.fullmatch(r"test_draw.py:\d+", operation["forward"]["place"])


def test_a_docstring_that_is_not_in_two_parts_stands_in_both_steps():
    class Twice(tinynet.Function):
        """Two of it."""

    assert formulas_of(Twice) == ("Two of it.", "Two of it.")


def test_a_function_without_source_or_docstring():
    space = {"Function": tinynet.Function, "__name__": "typed"}
    exec("class Same(Function):\n def forward(self, x): return x + 0\n def backward(self, dy): return dy", space)
    x = tinynet.tensor(1.5, requires_grad=True)
    with tinynet.record():
        loss = space["Same"]()(x)
        loss.backward()
    (operation,) = data_of(tinynet.draw(loss, "graph.html").text)["operations"].values()
    assert operation["forward"] == {"place": "", "code": "", "formula": []}
    assert Boxes(tinynet.draw(loss).text).texts("1 same", "value") == ["1.5"]


def operations():
    """Every Function of tinynet/ops."""
    kinds, todo = set(), [tinynet.Function]
    while todo:
        new = set(todo.pop().__subclasses__()) - kinds
        kinds |= new
        todo += new
    return sorted((kind for kind in kinds if kind.__module__.startswith("tinynet.ops.")), key=lambda kind: str(kind))


@pytest.mark.parametrize("kind", operations(), ids=lambda kind: kind.__name__)
def test_every_operation_has_its_formulas_and_code(kind):
    forward, backward = formulas_of(kind)
    assert "Forward" in forward and "Backward" not in forward and backward.startswith("Backward")
    for method in ("forward", "backward"):
        place, code = code_of(kind, method)
        assert place.startswith(kind.__module__.replace(".", "/") + ".py:")
        assert code.startswith((f"def {method}(", f"class {kind.__name__}("))


def test_errors():
    x = tinynet.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"^draw: loss must be a tinynet.Tensor, got ndarray$"):
        tinynet.draw(x.data)
    with pytest.raises(ValueError, match=r"^draw: this tensor has no graph: it is no result of operations on tensors"):
        tinynet.draw(x)
    loss = x.sum()
    for path in ("graph.png", "graph", "graph.SVG", "svg"):
        with pytest.raises(ValueError, match=rf"^draw: .* must end in .svg, .html or .dot, got '{path}'$"):
            tinynet.draw(loss, path)
    with pytest.raises(TypeError, match=r"^draw: names must be a module or .* got a dictionary with other keys$"):
        tinynet.draw(loss, names={"x": x})
    with pytest.raises(TypeError, match=r"^draw: names must be a module or a dictionary .* got list$"):
        tinynet.draw(loss, names=["x"])
    loss.backward()
    freed = r"^draw: backward has freed this graph, and it was not recorded; run .* inside `with tinynet.record\(\):`$"
    with pytest.raises(RuntimeError, match=freed):
        tinynet.draw(loss)
    y = F.exp(x)
    other = y.sum()
    (y * 2).sum().backward()
    with pytest.raises(RuntimeError, match=freed):  # a part of it is
        tinynet.draw(other)


# ---------------------------------------------------------------------------- larger graphs


def test_alexnet_on_two_devices_is_clear():
    model = AlexNet(classes=10, devices=("cpu", "cpu"), width=0.1, image_size=63)
    images = np.random.default_rng(0).standard_normal((2, 3, 63, 63)).astype("float32")
    with tinynet.record() as recording:
        loss = F.cross_entropy(model(tinynet.tensor(images)), np.array([0, 2]))
        loss.backward()
    names = {p: name for name, p in model.named_parameters()} | {node.outputs[0].tensor: f"y{node.number}"
                                                                 for node in recording.forward}  # fmt: skip
    boxes = Boxes(tinynet.draw(loss, names=names).text)
    assert {name for name, _ in model.named_parameters()} < set(boxes)
    assert sum("op" in kinds for kinds in boxes.kinds.values()) == len(recording.forward) > 40
    assert_clear(boxes.outlines, boxes.paths)


def test_a_chain_of_thousands_of_functions_is_no_recursion():
    y = x = tinynet.tensor(1.0, requires_grad=True)
    with tinynet.record():
        for _ in range(2000):
            y = F.exp(y * 0.1)
        y.backward()
    assert tinynet.draw(y, "graph.dot", {x: "x"}).text.count("->") == 6000
