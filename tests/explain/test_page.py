"""The page of a run: what it holds equals what the library computes, and it needs nothing but itself."""

import dataclasses
import gzip
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import alexnet_imagenet as example
import numpy as np
import pytest

import tiny_run
import tinynet
from tiny_run import decoded
from tinynet import data
from tinynet import functional as F
from tinynet.explain import __main__ as program
from tinynet.explain.page import SCRIPTS, WEB, contents, html
from tinynet.models import RECIPES, AlexNet

TARGET = 1


def page_of(recipe="he", size=2, **more):
    image, pixels = tiny_run.picture()
    return contents(tiny_run.model(recipe), image, pixels, tiny_run.CLASSES, TARGET, size=size, **more)


def read_back(text):
    return json.loads(gzip.decompress(b64decode(re.search('id="data">(.*?)<', text, re.S)[1])))


@pytest.mark.parametrize("recipe", ["he", "paper"])
def test_the_recorded_numbers_are_those_of_a_plain_pass(recipe):
    """Of the network without a recording: logits, the loss, the gradients of the picture and of all weights."""
    model, (image, _) = tiny_run.model(recipe), tiny_run.picture()
    model.eval()
    images = tinynet.tensor(image[None], requires_grad=True)
    logits = model(images)
    loss = F.cross_entropy(logits, np.array([TARGET]))
    loss.backward()
    gradients = {name: [p.grad for p in parts] for name, parts in model.named_arrays()}
    steps = tiny_run.recorded(recipe, TARGET)
    np.testing.assert_array_equal(steps[-1].inputs[0].data, logits.data)
    assert steps[-1].outputs[0].data == loss.data
    np.testing.assert_array_equal(steps[0].inputs[0].cotangent, images.grad)
    for step in steps:
        for d, node in enumerate(step.nodes if step.kind in ("conv", "fc") else []):
            np.testing.assert_array_equal(node.inputs[1].cotangent, gradients[f"{step.name}.weight"][d])
            np.testing.assert_array_equal(node.inputs[2].cotangent, gradients[f"{step.name}.bias"][d])


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("recipe", ["he", "paper"])
def test_the_page_holds_the_librarys_arrays_to_half_a_step(recipe, size):
    page, steps = page_of(recipe, size), tiny_run.recorded(recipe, TARGET)

    def check(number, array):
        values, half = decoded(page["arrays"][number])
        array = array.reshape(values.shape)
        assert (np.abs(values - array) <= half + np.abs(array) * 2.0**-23).all()

    assert [step["name"] for step in page["steps"]] == [step.name for step in steps]
    seen = set()
    for described, step in zip(page["steps"], steps, strict=True):
        for numbers, values in ((described["inputs"], step.inputs), (described["outputs"], step.outputs)):
            for number, value in zip(numbers, values, strict=True):
                check(page["values"][number]["data"], value.data)
                check(page["values"][number]["cotangent"], value.cotangent)
                seen.add(number)
        if step.kind == "conv":
            for part, node in zip(described["parts"], step.nodes, strict=True):
                for name, value in (("weight", node.inputs[1]), ("bias", node.inputs[2])):
                    check(part[name], value.data)
                    check(part[f"d{name}"], value.cotangent)
    assert seen == set(range(len(page["values"])))
    assert page["loss"] == steps[-1].outputs[0].data.item()
    p = np.exp(steps[-1].inputs[0].data[0].astype(float))
    np.testing.assert_allclose(page["probabilities"], p / p.sum(), rtol=1e-6)
    np.testing.assert_array_equal(decoded(page["arrays"][page["pixels"]])[0], tiny_run.picture()[1])


def test_the_winners_of_pooling_are_the_librarys():
    page, steps = page_of(), tiny_run.recorded(target=TARGET)
    for described, step in zip(page["steps"], steps, strict=True):
        for part, x, y in zip(described["parts"], step.inputs, step.outputs, strict=False):
            if step.kind == "pool":
                winner = decoded(page["arrays"][part["winner"]])[0].astype(int)  # (C, P, Q)
                c, p, q = np.indices(winner.shape)
                np.testing.assert_array_equal(x.data[0][c, p * 2 + winner // 3, q * 2 + winner % 3], y.data[0])


@pytest.mark.parametrize("recipe", ["he", "paper"])
def test_dropouts_sample_is_what_training_makes_of_the_same_numbers(recipe):
    page, steps = page_of(recipe), tiny_run.recorded(recipe, TARGET)
    kept = 2 if recipe == "he" else 1  # in 2012, units were halved in evaluation instead
    found = 0
    for described, step in zip(page["steps"], steps, strict=True):
        samples = described["parts"] if step.kind == "dropout" else []
        for part, x, y in zip(samples, step.inputs, step.outputs, strict=False):
            m, dropped, dx = (decoded(page["arrays"][part[name]]) for name in ("mask", "y", "dx"))
            np.testing.assert_allclose(np.unique(m[0]), [0, kept], rtol=1e-6)
            assert 0.3 < (m[0] == 0).mean() < 0.7
            assert (np.abs(dropped[0] - x.data[0] * m[0]) <= dropped[1] * 1.001).all()
            assert (np.abs(dx[0] - y.cotangent[0] * m[0]) <= dx[1] * 1.001).all()
            found += 1
    assert found == 4


def test_saliency_is_the_largest_gradient_of_the_score():
    """Compared with a difference quotient at the pixel that matters most."""
    page, (image, _) = page_of(), tiny_run.picture()
    saliency, _ = decoded(page["arrays"][page["saliency"]])
    model = tiny_run.model().eval()
    row, column = np.unravel_index(saliency.argmax(), saliency.shape)
    slopes = []
    for color in range(3):
        scores = []
        for step in (0.01, -0.01):
            moved = image.copy()
            moved[color, row, column] += step
            scores.append(model(tinynet.tensor(moved[None])).data[0, TARGET])
        slopes.append(abs(scores[0] - scores[1]) / 0.02)
    assert max(slopes) == pytest.approx(saliency[row, column], rel=0.05)  # float32, and kinks of ReLUs in between


def test_without_a_target_it_is_the_class_that_the_network_says():
    image, pixels = tiny_run.picture()
    page = contents(tiny_run.model(), image, pixels, tiny_run.CLASSES)
    assert page["target"] == int(np.argmax(page["logits"]))
    assert page["loss"] == pytest.approx(-np.log(page["probabilities"][page["target"]]), rel=1e-5)


# ---------------------------------------------------------------------------------------- the file


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_file_is_whole_html_and_asks_for_nothing_else():
    page = page_of(nearest=[(tiny_run.picture()[1], "</script>")])
    text = html(page)
    assert read_back(text) == json.loads(json.dumps(page))  # which knows no tuples
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    addresses = [value for name, value in tags.attributes if name in ("src", "href", "action", "data")]
    assert addresses == ["data:,"]
    assert page["nearest"][0]["src"].startswith("data:image/jpeg;base64,")
    style = (WEB / "page.css").read_text()
    assert "url(" not in style and "@import" not in style
    for script in WEB.glob("*.js"):
        assert not re.search(r"fetch\(|XMLHttpRequest|import\(|\bimport |WebSocket|sendBeacon", script.read_text())


def test_no_script_is_left_out_and_none_is_long():
    assert sorted(SCRIPTS) == sorted(path.stem for path in WEB.glob("*.js"))
    for path in WEB.iterdir():
        lines = path.read_text().splitlines()
        assert len(lines) <= 200 and max(map(len, lines)) <= 120, path.name


@pytest.mark.parametrize("width, image_size", [(0.25, 64), (0.5, 112)])
def test_the_page_of_a_quick_network_has_5_mb_at_most(width, image_size):
    """On shapes and on photographs. Noise cannot be compressed: a trained network's page is smaller."""
    tinynet.manual_seed(0)
    model = AlexNet(10, ("cpu", "cpu"), width=width, image_size=image_size, recipe=RECIPES["he"])
    image, pixels = tiny_run.picture(image_size)
    page = contents(model, image, pixels, [f"class {i}" for i in range(10)], nearest=[(pixels, "class")] * 6)
    assert 5e5 < len(html(page)) <= 5e6


# ---------------------------------------------------------------------------------------- the command


def run(*arguments, capsys):
    code = program.main([str(a) for a in arguments])
    return code, capsys.readouterr()


def test_the_command_writes_the_page_of_a_run(tmp_path, capsys):
    folder, picture = tiny_run.write_run(tmp_path / "run")
    code, printed = run(folder, picture, "--target", "dog", "--out", tmp_path / "page.html", capsys=capsys)
    assert code == 0 and printed.err == ""
    assert re.fullmatch(r".*page\.html: 0\.\d MB, 2 bytes per number; dog, [\d.]+%\n", printed.out)
    page = read_back((tmp_path / "page.html").read_text())
    assert page["target"] == 1 and page["classes"] == tiny_run.CLASSES and page["about"]["picture"] == "a picture.png"
    assert page["nearest"] is None and "gone" in page["note"]
    code, _ = run(folder / "checkpoint.safetensors", picture, "--out", tmp_path / "again.html", capsys=capsys)
    assert code == 0


def test_outputs_that_have_no_class_are_numbered(tmp_path, capsys):
    folder, picture = tiny_run.write_run(tmp_path / "run", outputs=5)
    code, _ = run(folder, picture, "--out", tmp_path / "page.html", capsys=capsys)
    page = read_back((tmp_path / "page.html").read_text())
    assert code == 0 and len(page["probabilities"]) == 5
    assert page["classes"] == [*tiny_run.CLASSES, "output 3", "output 4"]


def test_what_the_network_sees_is_what_evaluation_gives_it(tmp_path):
    """The crop and the normalization of the example's validation images."""
    folder, picture = tiny_run.write_run(tmp_path / "run")
    loaded = program.Run(folder)
    pixels = data.decode(picture, loaded.side)
    options = example.Options(width=tiny_run.WIDTH, image_size=tiny_run.SIZE)
    images = data.ArrayImages(pixels[None], [0], ["a"])
    ranks = type("Ranks", (), {"rank": 0, "world_size": 1})
    loaders = example.make_loaders(options, ranks, images, images, loaded.side, loaded.saved, "cpu")
    np.testing.assert_array_equal(loaded.transform(pixels), loaders.plain(pixels))


def test_nearest_images_come_from_the_data_that_is_given(tmp_path, capsys, monkeypatch):
    root = data.shapes(root=tmp_path, train=20, val=10, side=32)
    classes = sorted(path.name for path in (root / "train").iterdir())
    monkeypatch.setattr(tiny_run, "CLASSES", classes)
    folder, picture = tiny_run.write_run(tmp_path / "run", classes=classes)
    code, _ = run(folder, picture, "--data", root, "--out", tmp_path / "page.html", capsys=capsys)
    page = read_back((tmp_path / "page.html").read_text())
    assert code == 0 and len(page["nearest"]) == 6 and {image["name"] for image in page["nearest"]} <= set(classes)
    assert "20 of 20" in page["note"]


@pytest.mark.parametrize("change, message", [
    (lambda run, picture: ["missing", picture], "there is no such checkpoint"),
    (lambda run, picture: [run, "missing.png"], "missing.png: No such file"),
    (lambda run, picture: [run, run / "checkpoint.safetensors"], "not an image"),
    (lambda run, picture: [run, picture, "--target", "cow"], "must be a class of the run, got cow; there are cat"),
    (lambda run, picture: [run, picture, "--data", "nowhere"], "does not exist"),
    (lambda run, picture: [run, picture, "--data", ""], "name must be a folder or one of"),
    (lambda run, picture: [run, picture, "--out", "no/such/folder.html"], "must be a file in a folder that exists"),
    (lambda run, picture: [run, picture, "--out", "x" * 300], "cannot read or write"),
    (lambda run, picture: [run, picture, "--max-mb", "0"], "--max-mb must be more than 0, got 0"),
    (lambda run, picture: [run, picture, "--max-mb", "0.01"], r"more than --max-mb 0.01: add --max-mb 1"),
    (lambda run, picture: [run], "required: PICTURE"),
    (lambda run, picture: [run, picture, "--widht", "3"], "unrecognized arguments"),
])
def test_bad_input_is_one_line_and_code_2(tmp_path, capsys, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    code, printed = run(*change(*tiny_run.write_run(tmp_path / "run")), capsys=capsys)
    assert code == 2 and printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1 and message in printed.err
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("changes", [{"options": {"width": 0.5}}, {"options": {}}, {"options": 3}, {"classes": []}])
def test_a_checkpoint_of_another_program_is_refused(tmp_path, capsys, changes):
    folder, picture = tiny_run.write_run(tmp_path / "run", **changes)
    code, printed = run(folder, picture, capsys=capsys)
    assert code == 2 and "checkpoint" in printed.err and printed.err.count("\n") == 1


def test_a_variant_is_refused_by_name(tmp_path, capsys):
    options = tiny_run.example.Options(width=tiny_run.WIDTH, image_size=tiny_run.SIZE, variant="tanh")
    folder, picture = tiny_run.write_run(tmp_path / "run", options=dataclasses.asdict(options))
    code, printed = run(folder, picture, capsys=capsys)
    assert code == 2 and "has the variant tanh, and the page knows figure 2 only" in printed.err
