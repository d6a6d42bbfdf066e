"""A wrong argument of any public function is one line: the function, the argument, what came, what was expected."""

import numpy as np
import pytest

from tinynet import data
from tinynet.data import DataError, to_chw
from toy_images import Toy, write_images

IMAGE, TOY, RNG = np.zeros((4, 4, 3), np.uint8), Toy(3), np.random.default_rng(0)
ARRAYS = data.ArrayImages(TOY.pixels, TOY.labels, TOY.classes)
TEXT, NUMBER, NOTHING, WORDS = "text", 3, None, ["a", "b"]
SIDES = [0, -1, 10**20, 2.0, "8", True, None]


def loader(dataset=TOY, batch_size=2, transform=to_chw, **more):
    return data.DataLoader(dataset, batch_size, transform, **more)


CASES = {
    # name of the function in messages: (call, {argument: wrong values})
    "ArrayImages": (lambda images=TOY.pixels, labels=(0, 0, 0), classes=WORDS, name="x":
                    data.ArrayImages(images, labels, classes, name),
                    {"images": [NUMBER, TEXT, NOTHING, [[1], [1, 2]]], "labels": [NUMBER, TEXT, NOTHING, [[1], [1, 2]]],
                     "classes": ["ab", NUMBER, NOTHING, [1, 2]], "name": [NUMBER, NOTHING, ""]}),
    "ArrayImages.image": (lambda i=0, side=8: ARRAYS.image(i, side), {"i": [3, -1, "0", 0.0, None], "side": SIDES}),
    "Cached": (lambda dataset=TOY, side=8: data.Cached(dataset, side),
               {"dataset": [NUMBER, TEXT, NOTHING, [IMAGE]], "side": SIDES}),
    "Cached.image": (lambda i: data.Cached(ARRAYS, 8).image(i, 8), {"i": [3, -1, "0", 0.0, None]}),
    "CenterCrop": (lambda size=2, image=IMAGE: data.CenterCrop(size)(image),
                   {"size": [0, -1, 2.0, "2", None, True], "image": [TEXT, NOTHING, IMAGE.tolist(), IMAGE[0]]}),
    "Compose": (data.Compose, {"transforms": [NUMBER, TEXT, NOTHING, to_chw, [to_chw, 3]]}),
    "DataLoader": (loader, {
        "dataset": [NUMBER, TEXT, NOTHING, [IMAGE]], "batch_size": [0, 2.0, "2", None, True], "transform": [3, None],
        "shuffle": ["no", None, 2], "seed": [-1, 0.5, "1", None], "workers": [0, 2.0, "2", None],
        "prefetch": [0, 2.0, "2", None], "side": SIDES, "crop": [3, "center", data.TenCrop(2)],
        "drop_last": ["no", None], "strict": ["no", None], "empty": [3, None],
        "shard": [3, None, (0, 0), (2, 2), (-1, 2), ("0", "2"), (0, 1, 2), (0.5, 2)]}),
    "DataLoader.load_state_dict": (lambda state: loader().load_state_dict(state),
                                   {"state": [NUMBER, TEXT, NOTHING, {}, {"epoch": 1}, {"epoch": "x", "position": 0}]}),
    "ImageFolder": (lambda root=".", classes=None: data.ImageFolder(root, classes),
                    {"root": [NUMBER, NOTHING, "", "a\0b", WORDS], "classes": ["ab", 3, [1, 2]]}),
    "Normalize": (lambda mean=0, std=1.0, image=IMAGE: data.Normalize(mean, std)(image),
                  {"mean": [TEXT, NOTHING, [1, 2], {}], "std": [TEXT, 0, -1, [1, 2], np.nan, {}],
                   "image": [TEXT, IMAGE[0]]}),
    "PCAColor": (lambda eigenvalues=(1, 1, 1), eigenvectors=TOY.pixels[0, :3, :3, 0], std=0.1, image=IMAGE, rng=RNG:
                 data.PCAColor(eigenvalues, eigenvectors, std)(image, rng),
                 {"eigenvalues": [TEXT, NUMBER, NOTHING], "eigenvectors": [TEXT, NUMBER, NOTHING],
                  "std": [TEXT, NOTHING, -1, np.nan], "image": [TEXT, IMAGE[0]], "rng": [3, None, np.random]}),
    "PCAColor.fit": (data.PCAColor.fit, {"images": [NUMBER, TEXT, NOTHING]}),
    "Prefetcher": (data.Prefetcher, {"device": [NUMBER, NOTHING, ["cpu"]]}),
    "RandomCrop": (lambda size=2, image=IMAGE, rng=RNG: data.RandomCrop(size)(image, rng),
                   {"size": [0, 2.0, "2", None], "image": [TEXT, IMAGE[0]], "rng": [3, None, np.random]}),
    "RandomHorizontalFlip": (lambda p=0.5, image=IMAGE, rng=RNG: data.RandomHorizontalFlip(p)(image, rng),
                             {"p": [-0.1, 1.1, np.nan, "1", None], "image": [TEXT, IMAGE[0]], "rng": [3, None]}),
    "RandomContrast": (lambda strength=0.5, image=IMAGE, rng=RNG: data.RandomContrast(strength)(image, rng),
                       {"strength": [-0.1, 1.1, np.nan, "1", None], "image": [TEXT, IMAGE[0]], "rng": [3, None]}),
    "RandomRotation": (lambda degrees=5, image=IMAGE, rng=RNG: data.RandomRotation(degrees)(image, rng),
                       {"degrees": [-1, 181, np.nan, "1", None], "image": [TEXT, IMAGE[0]], "rng": [3, None]}),
    "Statistics.from_state_dict": (data.Statistics.from_state_dict, {"saved": [{}, {"mean": 0}]}),
    "TenCrop": (data.TenCrop, {"size": [0, 2.0, "2", None]}),
    "augmentation": (lambda names="flips": data.augmentation(names, 2, to_chw),
                     {"names": [NUMBER, NOTHING, "flip", "crops;flips"]}),
    "cifar10": (data.cifar10, {"root": [NUMBER, ""], "progress": ["no", 3]}),
    "decode": (lambda source="x", side=8, patch=None: data.decode(source, side, patch),
               {"source": [NUMBER, NOTHING, IMAGE], "side": [*SIDES[:-1]],
                "patch": [3, (0, 0), (0, 0, 9), (-1, 0, 2), (0, 7, 2), (0, 0, 0), "abc"]}),
    "download": (lambda url="http://127.0.0.1:9/", path="x", sha256="0" * 64, progress=False:
                 data.download(url, path, sha256, progress),
                 {"url": [NUMBER, NOTHING], "path": [NUMBER, NOTHING, ""], "sha256": ["abc", NUMBER, NOTHING],
                  "progress": ["no"]}),
    "fit_statistics": (lambda images=TOY, side=8, seed=0, progress=False:
                       data.fit_statistics(images, side, seed, progress),
                       {"images": [NUMBER, TEXT, NOTHING, [IMAGE]], "side": SIDES, "seed": [-1, "1", None],
                        "progress": ["no"]}),
    "imagenette": (data.imagenette, {"root": [NUMBER, ""], "progress": ["no", 3]}),
    "mean_image": (data.mean_image, {"images": [NUMBER, TEXT, NOTHING]}),
    "open_images": (lambda name=".", side=64: data.open_images(name, side),
                    {"name": [NUMBER, NOTHING, "", "a\0b", WORDS, IMAGE], "side": SIDES}),
    "shapes": (data.shapes, {"root": [NUMBER, ""], "train": ["10", 9, None], "val": [10.0, 9], "side": [*SIDES, 15],
                             "seed": [-1, "1", None]}),
    "ten_crop": (lambda image=IMAGE, size=2: data.ten_crop(image, size),
                 {"image": [TEXT, NOTHING, IMAGE[0]], "size": [0, 2.0, "2", None]}),
    "to_chw": (data.to_chw, {"image": [TEXT, NOTHING, IMAGE[0], IMAGE.tolist()]}),
}


@pytest.mark.parametrize("function", CASES)
def test_a_wrong_argument_is_named(function):
    call, arguments = CASES[function]
    for argument, values in arguments.items():
        for value in values:
            with pytest.raises(DataError, match=rf"^{function}: {argument} must be ") as caught:
                call(**{argument: value})
            line = str(caught.value)
            assert "\n" not in line and len(line) < 250, line


def test_every_public_function_is_tried():
    without_arguments = {"AUGMENTATIONS", "cache_folder", "DataError", "ImageError"}
    assert set(data.__all__) - without_arguments - {"Statistics", "check_name"} <= set(CASES)
    for images in ([3], ["ab"], [IMAGE[0]]):
        for function in (data.mean_image, data.PCAColor.fit):
            with pytest.raises(DataError, match=r"image must be an array \(H, W, 3\)"):
                function(images)


def test_a_name_is_checked_before_anything_is_drawn_or_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(data.named, "shapes", None)
    monkeypatch.setattr(data.named, "cifar10", None)
    monkeypatch.setattr(data.named, "imagenette", None)
    write_images(tmp_path, "whole/train/a/1.png", "whole/val/a/1.png", "half/train/a/1.png", "flat/a/1.png", "full/val")
    (tmp_path / "full" / "train").write_text("")
    for name in ("shapes", "cifar10", "imagenette", tmp_path / "whole", f"{tmp_path}/whole"):
        assert data.check_name(name, 16) is None
    for name, side, message in [
        ("shapes", 15, "^open_images: shapes are drawn at a side of 16 pixels or more, got 15$"),
        ("shapes", 0, "side must be an integer of 1 to 9459, got 0"),
        ("cifar10", 10**20, "side must be an integer of 1 to 9459"),
        ("", 8, "^open_images: name must be a folder or one of shapes, imagenette, cifar10, got ''$"),
        ("missing", 8, "missing/train does not exist; expected a folder with train/<class>/<images> and .* shapes"),
        (tmp_path / "half", 8, "half/val does not exist"), (tmp_path / "flat", 8, "flat/train does not exist"),
        (tmp_path / "full", 8, "full/train is a file"),
    ]:
        for function in (data.check_name, data.open_images):
            with pytest.raises(DataError, match=message) as caught:
                function(name, side)
            assert "\n" not in str(caught.value)


def test_broken_images_are_explained_by_the_first(tmp_path):
    (tmp_path / "a").mkdir()
    for i in range(3):
        (tmp_path / "a" / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        data.fit_statistics(data.ImageFolder(tmp_path), 8, 0)
    first = f"{tmp_path}/a/0.png: the file is empty (0 bytes)"
    assert str(caught.value) == f"{tmp_path}: none of 3 images tried can be read; the first: {first}"
