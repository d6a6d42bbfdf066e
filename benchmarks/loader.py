"""From JPEG files to batches: tinynet's loader, PyTorch's, and a plain loop over Pillow and NumPy, taking turns.

    python benchmarks/loader.py --data FOLDER_WITH_JPEGS [--images 256] [--batch-size 32] [--rounds 7]
    python benchmarks/loader.py                            # draws images of 500 x 375

The pipeline is the paper's: the shorter side to 256, the central square, a random crop of 224, a random flip, PCA color
noise, the mean image subtracted, float32 (N, 3, 224, 224). It starts from the original files, and from squares of 256
that tinynet.data.prepare makes once. PyTorch's DataLoader runs the same Pillow code as the plain loop. Each contender
runs in its own process, pinned to one or two cores. The timed epochs read the files from the system's page cache, so
the disk is not measured.
"""

import argparse
import math
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import common
import numpy as np
from PIL import Image

GPU = 5000  # images/s at which a GPU trains
SIDE, CROP = 256, 224
# The values of the noise and the mean do not matter here; these are close to ImageNet's.
MEAN = np.full((SIDE, SIDE, 3), (123, 117, 104), np.float32)
EIGENVALUES = np.array([13_800, 1_200, 300], np.float32)
EIGENVECTORS = np.array([[0.57, 0.72, 0.40], [0.58, 0.0, -0.81], [0.58, -0.69, 0.42]], np.float32)


def tinynet_loader(files, args):
    from tinynet import data

    noise = data.PCAColor(EIGENVALUES, EIGENVECTORS)
    transform = data.Compose([data.RandomHorizontalFlip(), data.Normalize(MEAN), noise, data.to_chw])
    return data.DataLoader(data.ImageFolder(files[0].parents[1]), args.batch_size, transform, shuffle=True,
                           workers=args.cores, side=SIDE, crop=data.RandomCrop(CROP))


def plain_image(path, rng):
    """The pipeline for one file, written in the obvious way: float32 (3, 224, 224)."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    scale = SIDE / min(image.size)
    if scale != 1:
        image = image.resize([round(scale * n) for n in image.size], Image.Resampling.BILINEAR)
    left, top = ((n - SIDE) // 2 + int(rng.integers(SIDE - CROP + 1)) for n in image.size)
    image = image.crop((left, top, left + CROP, top + CROP))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    shift = EIGENVECTORS @ (rng.normal(0, 0.1, 3) * np.sqrt(EIGENVALUES)).astype(np.float32)
    edge = (SIDE - CROP) // 2
    pixels = np.asarray(image, np.float32) + shift - MEAN[edge : edge + CROP, edge : edge + CROP]  # (224, 224, 3)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


class PlainLoop:
    def __init__(self, files, args):
        self.files, self.size, self.rng = files, args.batch_size, np.random.default_rng(0)

    def __iter__(self):
        order = self.rng.permutation(len(self.files))
        for start in range(0, len(order), self.size):
            chosen = order[start : start + self.size]
            yield np.stack([plain_image(self.files[i], self.rng) for i in chosen]), np.zeros(len(chosen), np.int64)


class Images:
    """The data set for PyTorch's DataLoader."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        return plain_image(self.files[i], np.random.default_rng(i)), 0


def torch_loader(files, args):
    import torch

    workers = args.cores if args.cores > 1 else 0  # 0: in this process
    return torch.utils.data.DataLoader(
        Images(files), args.batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )


LOADERS = {"tinynet": tinynet_loader, "PyTorch": torch_loader, "plain loop": PlainLoop}


def work(args):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    loaders = {}
    for kind in ("originals", "prepared"):
        files = sorted((args.folder / kind).rglob("*.JPEG"))
        loaders[kind] = LOADERS[args.worker](files, args)

    def epoch(kind):
        """Images per second."""
        count, start = 0, time.perf_counter()
        for images, _ in loaders[kind]:
            assert images.shape[1:] == (3, CROP, CROP) and str(images.dtype).endswith("float32")
            count += len(images)
        return count / (time.perf_counter() - start)

    for kind in loaders:
        epoch(kind)  # starts PyTorch's processes and fills the page cache
    common.serve(epoch)


def draw(path, rng, size=(500, 375)):
    """A JPEG of about 100 kB, like ImageNet's: octaves of smooth noise, each finer and fainter than the last."""
    pixels = np.full((size[1], size[0], 3), 128, np.float32)
    for octave in range(8):
        noise = rng.integers(0, 256, (3 << octave, 4 << octave, 3), np.uint8)
        pixels += (np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)) - 127.5) * 0.75**octave
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=93)


def gather(args, folder):
    """Make folder/originals/all/*.JPEG and folder/prepared/all/*.JPEG; returns a line that describes them."""
    from tinynet.data.prepare import prepare

    originals = folder / "originals" / "all"  # ImageNet's layout: one folder per class
    originals.mkdir(parents=True)
    if args.data:
        found = sorted(path for path in Path(args.data).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        if not found:
            raise SystemExit(f"loader.py: no JPEGs in {args.data}")
        for i in range(args.images):
            shutil.copyfile(found[i % len(found)], originals / f"{i:05}.JPEG")
        what = f"{args.images} files, copies of {min(len(found), args.images)} photographs"
    else:
        rng = np.random.default_rng(0)
        for i in range(args.images):
            draw(originals / f"{i:05}.JPEG", rng)
        what = f"{args.images} drawn images"
    prepare(folder / "originals", folder / "prepared", SIDE, workers=1, progress=False)
    files = list(originals.iterdir())
    sides = zip(*(Image.open(path).size for path in files), strict=True)
    size = " x ".join(f"{statistics.median(side):.0f}" for side in sides)
    return f"{what}, {size} (median), {sum(path.stat().st_size for path in files) / len(files) / 1000:.0f} kB (mean)"


def compare(args, folder):
    """{(kind, cores): {who: images/s of its rounds}}; contenders take turns."""
    rates = {}
    for cores in sorted({1, min(2, common.CORES)}):
        names = [*common.libraries(), *(["plain loop"] if cores == 1 else [])]
        workers = {name: common.Worker(name, cores, "--folder", folder, "--cores", cores) for name in names}
        for kind in ("originals", "prepared"):
            rates[kind, cores] = common.take_turns(workers, args.rounds, kind=kind)
        for worker in workers.values():
            worker.close()
    return rates


def main():
    parser = common.parser(__doc__, LOADERS)
    parser.add_argument("--data", help="a folder of JPEGs; by default, images are drawn")
    parser.add_argument("--images", type=int, default=256, help="per epoch, which is one turn")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        about_files = gather(args, Path(folder))
        rates = compare(args, folder)
    rows, marks, feeding = [], [], {}
    for (kind, cores), of in rates.items():
        what = f"{kind}, {cores} core{'s' * (cores > 1)}"
        ours = of["tinynet"]
        for who, r in of.items():
            per_core = statistics.median(r) / cores
            needed = math.ceil(GPU / per_core)
            rows.append([what, who, common.spread(r, ".0f"), f"{per_core:.0f}", needed,
                         common.spread(common.ratios(ours, r), ".2f")])
            if who == "tinynet":
                feeding[kind] = needed  # in the end, of the run on the most cores
        if rivals := [r for who, r in of.items() if who != "tinynet"]:
            best = [max(turns) for turns in zip(*rivals, strict=True)]
            figure = f"{what}: tinynet's images/s / the better rival's"
            marks.append(common.mark(figure, common.ratios(ours, best), least=1.5))
    header = ["files", "", "images/s, median (min to max)", "images/s per core", f"cores for {GPU:,} images/s",
              "tinynet's images/s / this"]
    pinned = "" if hasattr(os, "sched_setaffinity") else " Not pinned to cores: this system cannot do that."
    common.report(args, "From JPEG files to batches", [
        f"{about_files}; batch {args.batch_size}, {args.rounds} rounds.{pinned}", "",
        *common.table(header, rows), "", *common.marks_table(marks), "",
        f"Feeding a GPU that trains at {GPU:,} images/s takes {feeding['originals']} such cores from original files, "
        f"{feeding['prepared']} from prepared squares.",
    ])


if __name__ == "__main__":
    main()
