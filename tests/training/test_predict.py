"""What networks say of pictures: the numbers, computed once more here, and what is written of them."""

import csv
import dataclasses
import re
import shutil

import alexnet_imagenet as example
import numpy as np
import pytest
from PIL import Image

import tinynet
from tinynet import data, optim, training
from tinynet.errors import RunError
from tinynet.models import RECIPES, AlexNet
from tinynet.parallel import Ranks
from tinynet.training import predict

CLASSES = list("abcdefgh")
ONE = dict(image_size=63, width=0.05, recipe="he", seed=1)
OTHER = dict(image_size=72, width=0.1, recipe="chm2012", variant="tanh", outputs=11, batch_size=3, seed=2)


class Network:
    """Random weights of some size in a checkpoint at `path`; and their answers, by the formulas of section 4.1."""

    def __init__(self, path, classes=CLASSES, data_folder="gone", **given):
        self.path, self.options = path, example.Options(data=str(data_folder), devices="cpu", **given)
        self.size, recipe = self.options.image_size, RECIPES[self.options.recipe]
        self.side, self.std, self.mean = round(self.size * 256 / 224), recipe.pixel_std, 100.0 + self.options.seed
        tinynet.manual_seed(self.options.seed)
        self.model = AlexNet(max(len(classes), self.options.outputs), ["cpu"], width=self.options.width, recipe=recipe,
                             image_size=self.size, variant=self.options.variant)
        rng = np.random.default_rng(self.options.seed)
        for parameter in self.model.parameters():  # larger weights than a recipe's, so that answers differ
            std = 2 / np.sqrt(np.prod(parameter.shape[1:])) if parameter.ndim > 1 else 0
            parameter.data = rng.normal(0, std, parameter.shape).astype(np.float32)
        mean = np.full((self.side, self.side, 3), self.mean, np.float32)
        parts = dict(model=self.model, optimizer=optim.SGD(self.model.parameters(), lr=0.1),
                     statistics=data.Statistics(mean, data.PCAColor(np.ones(3), np.eye(3))))
        info = {"options": dataclasses.asdict(self.options), "classes": classes, "files": "0", "threads": 1}
        training.Checkpoint(path, **parts).save(**info)

    def probabilities(self, picture, places):
        """The mean over the crops that begin at `places` and, if there are several, their mirror images."""
        pixels = data.decode(picture, self.side)
        crops = [pixels[y : y + self.size, x : x + self.size] for y, x in places]
        if len(crops) > 1:
            crops += [crop[:, ::-1] for crop in crops]
        x = (np.stack(crops).transpose(0, 3, 1, 2).astype(np.float32) - self.mean) / np.float32(self.std)
        with tinynet.no_grad():
            scores = self.model.eval()(tinynet.tensor(x.astype(np.float32))).numpy().astype(np.float64)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return (p / p.sum(axis=1, keepdims=True)).mean(axis=0)  # (outputs,)

    def ten_crop(self, picture):
        room = self.side - self.size
        return self.probabilities(picture, [(0, 0), (0, room), (room, 0), (room, room), (room // 2, room // 2)])

    def center_crop(self, picture):
        return self.probabilities(picture, [((self.side - self.size) // 2,) * 2])


def noise(path, seed):
    """A picture of large squares, which is no square itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    squares = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(squares.repeat(10, axis=0).repeat(10, axis=1)).save(path)
    return path


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return [Network(folder / f"{name}.safetensors", **options) for name, options in (("one", ONE), ("other", OTHER))]


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    """A data set, and the paths of its validation images."""
    root = tmp_path_factory.mktemp("data")
    for name in CLASSES:
        noise(root / "train" / name / "1.png", 0)
    return root, [noise(root / "val" / name / f"{i}.png", 9 * k + i) for k, name in enumerate(CLASSES) for i in (1, 2)]


def run(capsys, *arguments):
    example.main(Ranks(), list(map(str, arguments)))
    return capsys.readouterr().out.splitlines()


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def five_best(p):  # to the sixth digit, and float32's rounding of scores that are sums in another order
    return [cell for i in np.argsort(-p)[:5] for cell in (CLASSES[i], pytest.approx(p[i], abs=1e-5))]


@pytest.mark.parametrize("count", [1, 2])
def test_the_softmaxes_of_ten_crops_and_of_networks_are_averaged(networks, tmp_path, capsys, count):
    """Each network has its own size, width, recipe, variant, mean and number of outputs, and needs no data."""
    pictures = [noise(tmp_path / "pictures" / name, seed) for seed, name in enumerate(["x.png", "b_7.png", "c/9.png"])]
    asked, file = networks[:count], tmp_path / "p.csv"
    lines = run(capsys, "--predict", *(n.path for n in asked), *pictures, "--out", tmp_path, "--csv", file)
    expected = [np.mean([n.ten_crop(path)[: len(CLASSES)] for n in asked], axis=0) for path in pictures]
    rows = table(file)
    assert rows[0][:4] == ["path", "right", "class1", "probability1"] and len(rows[0]) == 12
    for path, right, p, row, line in zip(pictures, ("", "b", "c"), expected, rows[1:], lines, strict=False):
        assert row[:2] == [str(path), right]
        assert [float(cell) if i % 2 else cell for i, cell in enumerate(row[2:])] == five_best(p)
        assert line.startswith(f"{path}: {CLASSES[p.argmax()]} {100 * p.max():.1f} %, ")
    assert len(rows) == len(pictures) + 1
    right = [p.argmax() == CLASSES.index(c) for p, c in zip(expected[1:], "bc", strict=True)]
    assert lines[3].startswith(f"2 of 3 pictures whose class is known, ten-crop: top-1 {100 * np.mean(right):.1f} % ")
    assert lines[4:] == [f"in {tmp_path}: predictions.png", f"in {file}: the five best classes of 3 pictures"]


def result(name, p, labels):
    ranks = (p > p[np.arange(len(p)), labels][:, None]).sum(axis=1)
    return f"{name}: top-1 {100 * (ranks < 1).mean():.1f} % top-5 {100 * (ranks < 5).mean():.1f} %"


def test_an_evaluation_says_how_good_each_network_is_and_their_average(networks, validation, capsys, tmp_path):
    root, paths = validation
    labels = np.repeat(np.arange(len(CLASSES)), 2)
    lines = run(capsys, "--evaluate", *(n.path for n in networks), "--data", root, "--csv", tmp_path / "p.csv")
    expected, both = [], []
    for crops in ("center crop", "ten-crop"):
        ask = getattr(Network, crops.replace(" ", "_").replace("-", "_"))
        each = [np.stack([ask(network, path) for path in paths]) for network in networks]
        expected += [result(f"{n.path}, {crops}", p, labels) for n, p in zip(networks, each, strict=True)]
        mean = np.mean([p[:, : len(CLASSES)] for p in each], axis=0)
        both.append(result(f"average of 2, {crops}", mean, labels))
    assert lines[:-1] == [*expected[::2], *expected[1::2], *both]
    assert len({line.partition(": ")[2] for line in lines[1:-1:2]}) == 3, "this cannot tell the average from the others"
    rows = table(tmp_path / "p.csv")[1:]
    assert [row[:2] for row in rows] == [[str(path), path.parent.name] for path in paths]
    assert [float(cell) if i % 2 else cell for i, cell in enumerate(rows[5][2:])] == five_best(mean[5])
    assert run(capsys, "--evaluate", networks[0].path, "--data", root) == [
        line.partition(", ")[2] for line in lines[:2]
    ]


def test_pictures_in_a_folder_that_cannot_be_read_are_left_out(networks, tmp_path, capsys):
    folder = tmp_path / "unknown"
    paths = [noise(folder / f"{i}.png", i) for i in range(5)]
    paths.pop(2).write_bytes(b"not an image")
    lines = run(capsys, "--predict", folder, networks[0].path, "--out", tmp_path, "--csv", tmp_path / "p.csv")
    assert lines[:2] == ["1 images could not be read and were skipped:",
                         f"  {folder / '2.png'}: not an image, or of a kind that Pillow does not know"]
    assert [line.partition(":")[0] for line in lines[2:6]] == list(map(str, paths))
    rows = table(tmp_path / "p.csv")[1:]
    assert [row[0] for row in rows] == list(map(str, paths)) and {row[1] for row in rows} == {""}
    assert not any("whose class is known" in line for line in lines)


def test_what_is_said_of_a_picture():
    p = np.array([0.1, 0.5, 0.04, 0.01, 0.06, 0.14, 0.15])
    says = "x.png: b 50.0 %, g 15.0 %, f 14.0 %, a 10.0 %, e 6.0 %"
    assert predict.prediction_line("x.png", -1, p, CLASSES) == says
    assert predict.prediction_line("x.png", 1, p, CLASSES) == f"{says}; right"
    assert predict.prediction_line("x.png", 5, p, CLASSES) == f"{says}; wrong, it is f"
    assert predict.prediction_line("x.png", 3, p, CLASSES) == f"{says}; wrong, it is d (1.0 %)"
    assert predict.prediction_line("a\nb", -1, p[:2], ["yes\x1b", "no"]) == r"a\nb: no 50.0 %, yes\x1b 10.0 %"


def test_the_figure_is_beside_the_checkpoint_or_in_out(networks, tmp_path, capsys):
    own = shutil.copy(networks[0].path, tmp_path / "own.safetensors")
    picture = noise(tmp_path / "x.png", 1)
    assert run(capsys, "--predict", own, picture)[-1] == f"in {tmp_path}: predictions.png"
    new = tmp_path / "new"
    assert run(capsys, "--predict", own, picture, "--out", new)[-1] == f"in {new}: predictions.png"
    for folder in (tmp_path, new):
        with Image.open(folder / "predictions.png") as figure:
            assert figure.format == "PNG"
    assert {path.name for path in tmp_path.iterdir()} == {"own.safetensors", "x.png", "predictions.png", "new"}


def test_of_many_pictures_some_are_drawn(networks, tmp_path, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(predict.plot, "predictions", lambda *arguments: drawn.append(arguments))
    for i in range(23):
        noise(tmp_path / "all" / "b" / f"{i:02}.png", i)
    run(capsys, "--predict", networks[0].path, tmp_path / "all", "--out", tmp_path)
    _, pictures, title = drawn[0]
    about = "The five best guesses of AlexNet, 0.05 of its width, 63 x 63 pixels"
    assert len(pictures) == 20 and title == f"20 of 23 pictures. {about}"
    for (pixels, name, guesses), i in ((pictures[0], 0), (pictures[-1], 22)):
        path = tmp_path / "all" / "b" / f"{i:02}.png"
        p = networks[0].ten_crop(path)
        np.testing.assert_array_equal(pixels, data.decode(path, networks[0].side))
        assert name == "b" and [cell for guess in guesses for cell in guess] == five_best(p)


def refused(*arguments):
    with pytest.raises(RunError) as error:
        example.main(Ranks(), list(map(str, arguments)))
    assert error.value.code == 2 and "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_done_is_said_before_any_network_runs(networks, validation, tmp_path, monkeypatch):
    monkeypatch.setattr(AlexNet, "forward", None)
    first, picture, none = networks[0].path, noise(tmp_path / "x.png", 1), tmp_path / "none.safetensors"
    stranger = Network(tmp_path / "stranger.safetensors", classes=["a", "b", "i"], **ONE).path
    says = refused("--predict", first, stranger, picture)
    assert re.search(r"stranger.safetensors knows the classes a, b, i; .*one.safetensors knows .* \(8 in all\)", says)
    (tmp_path / "bad.png").write_bytes(b"")
    assert "bad.png: the file is empty" in refused("--predict", first, picture, tmp_path / "bad.png")
    assert "none.safetensors: there is no such checkpoint" in refused("--predict", none, picture)
    (tmp_path / "x.safetensors").write_bytes(b"x" * 99)
    assert "truncated, or not a safetensors file" in refused("--predict", first, tmp_path / "x.safetensors", picture)
    assert "was trained with --width 0.05, got 1.0" in refused("--predict", first, picture, "--width", 1)
    (tmp_path / "file").write_text("")
    assert "--out must be a folder" in refused("--predict", first, picture, "--out", tmp_path / "file")
    root = shutil.copytree(validation[0], tmp_path / "data")
    noise(root / "val" / "a" / "3.png", 1)
    ours, theirs = (Network(tmp_path / f"{i}.safetensors", data_folder=folder, **ONE).path
                    for i, folder in enumerate((validation[0], root)))
    says = refused("--evaluate", ours, theirs)
    assert "1.safetensors has other validation images, in" in says and "say with --data which to take" in says
    monkeypatch.setattr(predict.os, "access", lambda *_: False)
    assert "cannot be written to: choose a folder for predictions.png" in refused("--predict", first, picture)
