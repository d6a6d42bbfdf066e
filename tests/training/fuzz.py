"""Throws damaged and hostile checkpoints at --resume and --evaluate; only a RunError of one line may come out.

    python tests/training/fuzz.py --cases 300          # as the tests run it
    python tests/training/fuzz.py --seconds 3600       # for an hour; --seed N repeats a case that failed

A file that was damaged after it was written loads to exactly what was saved, or not at all. One made by hand, with a
checksum that is right, may hold anything: what does not fit changes nothing. Limits: see fuzzing.py.
"""

import atexit
import contextlib
import copy
import io
import json
import shutil
import signal
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.numpy

from tinynet import backend, data, training
from tinynet.errors import RunError
from tinynet.parallel import Ranks
from tinynet.parallel.launch import line_and_code
from tinynet.training.checkpoint import checksum

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import alexnet_imagenet as example

import fuzzing

ODD = [None, True, False, 0, 1, 2, -1, 0.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70), 10**30, 10**400,
       float("nan"), float("inf"), "", "x", "1", "two\nlines", "\ud800", "\x1b[31m", "x" * 10**5, [], {}, [0], [[]],
       {"a": 0}, {"": {}}, {"x\ny": [None]}]
NAMES = ["", "/", "//", "a", "a/b/c", "two\nlines", "model/a", "optimizer/", "optimizer/velocity", "optimizer/a/b",
         "optimizer/velocity/fc8.bias", "statistics/mean", "statistics/", "loader/epoch", "conv1.weight", "\x1b[31m",
         "velocity/fc8.bias", "extra/mean", "__metadata__"]
TYPES = ["f2", "f4", "f8", "i1", "u1", "i8", "u8", "?"]
SHAPES = [(), (0,), (1,), (0, 3), (3, 0, 2**20), (1, 1, 1, 1), (7,), (2,) * 20]
SIZES = [0, 1, -1, 2, 8, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, 10**30, 0.5, "1", None, []]


@cache
def original():
    """A run of one step: (its checkpoint as bytes, its arrays, the rest of its state)."""
    folder = Path(tempfile.mkdtemp(prefix="tinynet-fuzz-run-"))
    atexit.register(shutil.rmtree, folder)
    pictures = data.shapes(folder / "pictures", train=20, val=10, side=72)
    arguments = ["--data", pictures, "--out", folder / "run", "--width", 0.05, "--image-size", 63, "--batch-size", 16,
                 "--devices", "cpu", "--warm-up", 1, "--stop-after", 1, "--workers", 1]
    with quiet(), contextlib.suppress(RunError):
        example.main(Ranks(), list(map(str, arguments)))
    path = folder / "run" / "checkpoint.safetensors"
    with safetensors.safe_open(path, framework="numpy") as file:
        state = json.loads(file.metadata()["tinynet"])
    return path.read_bytes(), safetensors.numpy.load_file(path), state


@contextlib.contextmanager
def quiet():
    with io.StringIO() as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
        yield


def pick(rng, values):
    return values[rng.integers(len(values))]


# ---------------------------------------------------------------------------- damage to bytes


def damaged(rng, whole):
    """Cut off, lengthened, with flipped bits, with a piece repeated, or overwritten; or the header's length off."""
    content = bytearray(whole)
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, header if rng.random() < 0.5 else len(content) + 1))
        how, n = rng.integers(6), int(rng.integers(1, 100))
        if how == 0:
            del content[at:]
        elif how == 1 and at < len(content):
            content[at] ^= 1 << int(rng.integers(8))
        elif how == 2:
            content[at:at] = content[at : at + n]
        elif how == 3:
            content[at : at + n] = rng.bytes(n)
        elif how == 4:
            content[:8] = (pick(rng, [0, 1, 2, n, len(content), 10**8, 2**40, 2**63, 2**64 - 1])).to_bytes(8, "little")
        else:
            content += bytes(n)
    return bytes(content)


def with_another_header(rng, whole):
    """The header of safetensors: names, types, shapes and offsets that are off, doubled keys, depth."""
    length = int.from_bytes(whole[:8], "little")
    header, content = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    entry = header[pick(rng, [name for name in header if name != "__metadata__"])]
    how = rng.integers(6)
    if how == 0:
        entry["shape"] = [pick(rng, SIZES) for _ in range(rng.integers(0, 5))]
    elif how == 1:
        entry["data_offsets"] = [pick(rng, [*SIZES, *entry["data_offsets"]]) for _ in range(rng.integers(0, 4))]
    elif how == 2:
        entry["dtype"] = pick(rng, ["F64", "F16", "BF16", "F8_E4M3", "I8", "BOOL", "C64", "", "X", 4, None, "U64"])
    elif how == 3:  # no bytes at all, and as many numbers as one likes along the other axes
        at = entry["data_offsets"][0]
        header[pick(rng, NAMES)] = {"dtype": "F32", "shape": [0, *(pick(rng, SIZES[:10]) for _ in range(3))],
                                    "data_offsets": [at, at]}
    else:
        header = changed(rng, header)
    text = json.dumps(header)
    if rng.random() < 0.2:
        text = spoiled(rng, text)
    text = text.encode(errors="surrogatepass")
    return len(text).to_bytes(8, "little") + text + content


def spoiled(rng, text):
    """JSON text with a key that comes twice, or too deep, or cut off."""
    how = rng.integers(4)
    key = pick(rng, ["format", "parts", "info", "__metadata__", "conv1.weight"])
    deep = int(rng.choice([100, 900, 10**5]))
    return [lambda: "{" + f'"{key}": {json.dumps(pick(rng, ODD))}, ' + text[1:],
            lambda: text[:-1] + f', "{key}": {json.dumps(pick(rng, ODD))}' + "}",
            lambda: text[:-1] + f', "{key}": ' + "[" * deep + "]" * deep + "}",
            lambda: text[: rng.integers(len(text))]][how]()


# ---------------------------------------------------------------------------- made by hand


def changed(rng, tree):
    """A copy of a tree of JSON in which one to three values are replaced, removed, or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.integers(1, 4)):
        node = tree
        while node:  # go down by chance
            key = pick(rng, list(node)) if isinstance(node, dict) else int(rng.integers(len(node)))
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.75:
                node = node[key]
                continue
            how = rng.random()
            if how < 0.7:
                node[key] = copy.deepcopy(pick(rng, ODD))
            elif how < 0.85 or isinstance(node, list):
                del node[key]
            else:
                node[pick(rng, NAMES)] = node.pop(key)
            break
    return tree


def with_other_arrays(rng, arrays):
    arrays = dict(arrays)
    for _ in range(rng.integers(0, 3)):
        name = pick(rng, list(arrays))
        array = arrays.pop(name)
        how = rng.integers(6)
        if how == 1:
            arrays[pick(rng, NAMES)] = array
        elif how == 2:
            arrays[name] = np.zeros(array.shape, pick(rng, TYPES))
        elif how == 3:
            arrays[name] = np.zeros(pick(rng, SHAPES), array.dtype)
        elif how == 4:
            arrays[name] = np.full(array.shape, pick(rng, [np.nan, np.inf, 1e300, -1.0]), pick(rng, TYPES[1:3]))
        elif how == 5:
            arrays[name], arrays[pick(rng, NAMES[:-1])] = array, np.full(array.shape, np.nan, array.dtype)
    return arrays


def first_format(arrays, state):
    """What tinynet wrote at first, of the same run."""
    parts, info = copy.deepcopy(state["parts"]), copy.deepcopy(state["info"])
    info["options"]["patience"] = info["options"].pop("timeout")
    arrays = {name.replace("optimizer/velocity/", "velocity/"): array for name, array in arrays.items()}
    colors = [arrays.pop(f"statistics/{name}").tolist() for name in ("eigenvalues", "eigenvectors")]
    arrays["extra/mean"] = arrays.pop("statistics/mean")
    return arrays, {"format": 1, "generator": parts["generator"], "loader": parts["loader"], "colours": colors,
                    "schedule": parts["schedule"], **parts["progress"], **info}


def made_by_hand(rng, arrays, state):
    """Anything, with a checksum that is right."""
    if rng.random() < 0.2:
        arrays, state = first_format(arrays, state)
    arrays = with_other_arrays(rng, arrays)
    text = json.dumps(changed(rng, state) if rng.random() < 0.9 else pick(rng, ODD))
    if rng.random() < 0.15:
        text = spoiled(rng, text)
    text = text.encode(errors="replace").decode()
    return safetensors.numpy.save(arrays, {"tinynet": text, "checksum": checksum(text, arrays)})


# ---------------------------------------------------------------------------- a case


def resume(path, evaluate):
    """What the example does with a checkpoint, up to the first step."""
    what = ["--evaluate", str(path)] if evaluate else ["--resume", "--out", str(path.parent)]
    ranks = Ranks()
    options, saved, model, loaders = example.prepare(training.parse(example.Options, "", what), path, ranks)
    if evaluate:
        saved.restore(model=model)
        return
    optimizer, schedule, warm_up = example.make_optimizer(options, model, len(loaders.train))
    progress = training.Progress(ranks, loaders.train, optimizer, model, options.epochs)
    parts = dict(model=model, optimizer=optimizer, schedule=schedule, warm_up=warm_up, loader=loaders.train,
                 progress=progress)
    before = everything(parts)
    try:
        saved.restore(**parts)
    except RunError:
        assert everything(parts) == before, "it did not fit, and changed something"
        raise
    training.begin(options, ranks, loaders, saved, path.parent, **parts)
    with progress.writing(path.parent / "metrics.csv"):
        next(iter(loaders.train), None)


def everything(parts):
    return repr([backend.generator().bit_generator.state, *(
        {name: value.tobytes() if hasattr(value, "tobytes") else value for name, value in part.state_dict().items()}
        for name, part in parts.items() if part is not None
    )])


def same(ours, theirs):
    """Whether two checkpoints hold the same bits."""
    bits = [{part: {name: (a.dtype, a.shape, a.tobytes()) for name, a in own.items()}
             for part, own in saved.arrays.items()} for saved in (ours, theirs)]
    return bits[0] == bits[1] and (ours.states, ours.info) == (theirs.states, theirs.info)


def run(seed, folder):
    """One case. Returns what is wrong, or None."""
    rng = np.random.default_rng(seed)
    whole, arrays, state = original()
    path, how = folder / "checkpoint.safetensors", rng.random()
    if how < 0.3:
        content = damaged(rng, whole)
    elif how < 0.5:
        content = with_another_header(rng, whole)
    else:
        content = made_by_hand(rng, arrays, state)
    path.write_bytes(content)
    start = fuzzing.moment()
    signal.alarm(fuzzing.WAITED)
    try:
        with quiet():
            if how < 0.3:
                loaded = training.load(path)
                (folder / "whole").write_bytes(whole)
                return None if same(loaded, training.load(folder / "whole")) else "loaded, with other content"
            resume(path, evaluate=rng.random() < 0.2)
    except Exception as error:
        line, _ = line_and_code(error)
        if line is None:
            return traceback.format_exc()
        if not line.isprintable() or len(line) > 2100:
            return f"a message that is not one short line: {line[:2100]!r}"
    finally:
        signal.alarm(0)
    return fuzzing.slow(start)


if __name__ == "__main__":
    original()
    signal.signal(signal.SIGALRM, lambda number, frame: (_ for _ in ()).throw(TimeoutError("it hangs")))
    sys.exit(fuzzing.main(run, __doc__.partition("\n")[0]))
