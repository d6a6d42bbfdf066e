"""The page of a run: what a trained network makes of a picture, forward and backward, in one HTML file.

    python -m tinynet.explain runs/shapes-quick picture.jpg
    python -m tinynet.explain runs/shapes-quick picture.jpg --target star --out star.html

The network runs on the CPU as two columns, whatever it was trained on: a checkpoint does not depend on the devices.
The page needs no server and no network. Its numbers take two bytes each, or one where the file would be too large.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

from tinynet import data, explain, training
from tinynet.errors import RunError
from tinynet.explain.page import contents, html
from tinynet.files import printable, replacing
from tinynet.models import RECIPES, AlexNet
from tinynet.training.options import Parser

DEVICES = ("cpu", "cpu")
KNOWN, NEIGHBORS = 2000, 6  # how many training images are compared, at most, and how many are shown


def parse(argv):
    parser = Parser(prog="python -m tinynet.explain", description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run, or a checkpoint")
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="an image file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: explain-PICTURE.html, here)")
    parser.add_argument("--target", metavar="CLASS", help="the class whose loss goes backward (default: the predicted)")
    parser.add_argument("--data", metavar="DIR", help="where the nearest training images are looked for (default: the "
                        "run's, unless it is a download)")
    parser.add_argument("--max-mb", type=float, default=5.0, metavar="MB", help="the largest page, in megabytes; the "
                        "paper's full network needs 13 (default: 5)")
    options = parser.parse_args(argv)
    options.out = options.out or Path(f"explain-{options.picture.stem}.html")
    if options.out.is_dir() or not options.out.parent.is_dir():
        raise RunError(f"--out must be a file in a folder that exists, got {printable(options.out)}")
    if not options.max_mb > 0:
        raise RunError(f"--max-mb must be more than 0, got {options.max_mb}")
    return options


class Run:
    """A trained network, and how its pictures are prepared. Raises CheckpointError.

    side: pictures are scaled to this many pixels, then cropped to size. transform: from such a picture to the input.
    """

    def __init__(self, path):
        saved = training.load(path / "checkpoint.safetensors" if path.is_dir() else path)
        try:
            options = SimpleNamespace(**{"variant": ""} | saved.info["options"])
            if options.variant:
                raise RunError(f"{path} has the variant {options.variant}, and the page knows figure 2 only")
            checked = SimpleNamespace(**vars(options) | {"batch_size": 1})
            training.check_sizes(checked, DEVICES, saved)
            self.classes, self.size, recipe = saved.info["classes"], options.image_size, RECIPES[options.recipe]
            outputs = max(len(self.classes), options.outputs)
            self.model = AlexNet(outputs, DEVICES, width=options.width, image_size=self.size, recipe=recipe)
            self.data, self.side = options.data, round(self.size * 256 / 224)
            self.about = f"{options.width:g} of AlexNet's width, {self.size} × {self.size} pixels, recipe {recipe.name}"
        except (KeyError, AttributeError, TypeError) as error:
            line = f"{path} is a checkpoint, but not of examples/alexnet_imagenet.py ({error!r})"
            raise training.CheckpointError(line) from error
        saved.restore(model=self.model)
        mean = data.Statistics.from_state_dict(saved.state_dict("statistics")).mean
        self.saved, self.crop = saved, data.CenterCrop(self.size)
        self.normalize = data.Compose([data.Normalize(mean, recipe.pixel_std), data.to_chw])
        self.transform = data.Compose([self.crop, self.normalize])
        self.outputs = [*self.classes, *(f"output {i}" for i in range(len(self.classes), outputs))]

    def number_of(self, name):
        """The number of the class of that name, or None for no name."""
        if name is not None and name not in self.classes:
            known = ", ".join(map(printable, self.classes[:20])) + (", ..." if len(self.classes) > 20 else "")
            raise RunError(f"--target must be a class of the run, got {printable(name)}; there are {known}")
        return None if name is None else self.classes.index(name)

    def training_images(self, given):
        """(the training set or None, a line that says why there is none). given: --data."""
        if given is None and self.data in ("imagenette", "cifar10"):  # nobody asked for a download
            return None, f"Left out: the run's images are a download; --data {self.data} fetches them."
        try:
            images, _ = data.open_images(self.data if given is None else given, self.side)
            training.check_images(self.saved, images, resume=False)
        except RunError as error:
            if given is not None:
                raise
            return None, f"Left out: {error}"
        return images, ""

    def nearest(self, picture, images):
        """[(pixels, class name)]: the training images whose last hidden layer is nearest to the picture's."""
        asked = data.ArrayImages(picture[None], [0], ["the picture"])
        (row,), count = explain.nearest_pictures(self.model, asked, images, self.transform, self.side, 64,
                                                 neighbors=NEIGHBORS, most=KNOWN)
        return row[1:], f"By fc7, the last hidden layer, among {count:,} of {len(images):,} training images."


def write_page(options):
    """Whatever is wrong with the arguments is found before the network runs."""
    run = Run(options.run)
    target = run.number_of(options.target)
    picture = data.decode(options.picture, run.side)  # (side, side, 3)
    images, note = run.training_images(options.data)
    nearest, note = run.nearest(picture, images) if images is not None else (None, note)
    pixels = run.crop(picture)
    about = {"picture": printable(options.picture.name), "run": printable(options.run), "network": run.about}
    for size in (2, 1):
        page = contents(run.model, run.normalize(pixels), pixels, run.outputs, target, nearest, note, size, about)
        text = html(page).encode()
        if len(text) <= options.max_mb * 1e6:
            break
    else:
        need = len(text) / 1e6
        what = f"the page would have {need:.1f} MB, more than --max-mb {options.max_mb:g}"
        raise RunError(f"{what}: add --max-mb {math.ceil(need)}")
    with replacing(options.out) as part:
        part.write_bytes(text)
    name, p = run.outputs[page["target"]], page["probabilities"][page["target"]]
    print(f"{printable(options.out)}: {len(text) / 1e6:.1f} MB, {size} bytes per number; {printable(name)}, {p:.1%}")


def main(argv=None):
    try:
        write_page(parse(argv))
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"error: cannot read or write: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
