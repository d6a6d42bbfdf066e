"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file.

    conv1.weight, conv1.bias, ...       the model's weights: whole layers, whatever the devices
    optimizer/velocity/conv1.weight     the optimizer's arrays, under the names of their parameters
    statistics/mean, ...                arrays of other parts, <part>/<key>
    metadata "tinynet"                  one JSON text: the format, what the caller saves as info, and everything in the
                                        state of a part that is not an array
    metadata "checksum"                 over that text and all arrays: a flipped bit is noticed

A part is anything with state_dict and load_state_dict. The file is written under a temporary name, synced, and
renamed: at every moment there is either the old checkpoint or the new one, never half of one. No pickle: loading
runs no code.
"""

import json
import os
import re
import shutil
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from tinynet import __version__, backend
from tinynet.errors import RunError
from tinynet.files import printable, replacing
from tinynet.parallel import Ranks

FORMAT = 2


class CheckpointError(RunError, ValueError):
    """The file is not a complete checkpoint, or does not fit. One clear line, whatever the names in the file."""

    def __init__(self, line):
        super().__init__(printable(line)[:2000])


class Checkpoint:
    """path: of the file. parts: `model`, and what else the run consists of (`optimizer`, `loader`, ...), or None.

    With ranks, all of them call save() at the same step: a HybridAlexNet's weights are spread over them. Rank 0 writes.
    """

    def __init__(self, path, ranks=None, **parts):
        self.path, self.ranks, self.parts = Path(path), ranks or Ranks(), present(parts)

    def save(self, **info):
        """Replace the file, once the new one is whole. info: further values that JSON can hold.

        Raises OSError if the disk is full or cannot be written to, and RunError if a weight is not finite; then the
        file stays as it was.
        """
        self.ranks.all_gather_object("here")  # a barrier: a rank that hangs is named here, and not in a wait for a GPU
        if self.ranks.rank > 0 and not gathers(self.parts["model"]):
            return
        arrays, states = {}, {}
        for name, part in self.parts.items():
            own, states[name] = split_state(self.parts["model"], name, part)
            arrays |= own
        if self.ranks.rank > 0:
            return
        bad = [name for name, array in arrays.items() if "/" not in name and not np.isfinite(array).all()]
        if bad:
            raise RunError(f"not saved: {bad[0]} is not finite; {self.path} was left unchanged", 1)
        states["generator"] = backend.generator().bit_generator.state
        state = {"format": FORMAT, "version": __version__, "parts": states, "info": info}
        text = json.dumps(state)
        write_atomically(self.path, arrays, {"tinynet": text, "checksum": checksum(text, arrays)})


def present(parts):
    """Without those that are None: a run may have no warm-up, say."""
    return {name: part for name, part in parts.items() if part is not None}


def split_state(model, name, part):
    """A part's state as ({name in the file: array}, the rest)."""
    if part is model:
        return whole_arrays(model), {}
    if not hasattr(part, "param_groups"):
        state = part.state_dict()
        arrays = {f"{name}/{key}": value for key, value in state.items() if hasattr(value, "shape")}
        return arrays, {key: value for key, value in state.items() if not hasattr(value, "shape")}
    slots = {slot: None for state in part.state.values() for slot, value in state.items() if hasattr(value, "shape")}
    arrays = {
        f"{name}/{slot}/{path}": array
        for slot in slots
        for path, array in whole_arrays(model, lambda p: part.state.get(p, {}).get(slot)).items()  # noqa: B023
    }
    scalars = {
        path: {slot: value for slot, value in part.state.get(parameters[0], {}).items() if slot not in slots}
        for path, parameters in model.named_arrays()
    }
    return arrays, {"groups": part.state_dict()["groups"], "scalars": scalars}


def gathers(model):
    return hasattr(model, "gather_state_dict")


def whole_arrays(model, *of):
    """Of a model that is split over ranks, the whole arrays: all ranks call it together."""
    return (model.gather_state_dict if gathers(model) else model.state_dict)(*of)


def checksum(text, arrays):
    """CRC-32 of the text and of each array's name, dtype, shape and bytes: it notices every error of up to 32 bits."""
    crc = zlib.crc32(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        crc = zlib.crc32(f"{name} {array.dtype.str} {arrays[name].shape}".encode(errors="surrogatepass"), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8), crc)
    return f"{crc:08x}"


def write_atomically(path, arrays, metadata):
    """A safetensors file at `path`, whole or not at all.

    safetensors writes to a temporary file of its own first, under a random name. In a folder that is there for that
    alone, what a killed process left is found and removed.
    """
    own = path.with_name(f".{path.name}.saving")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    try:
        with replacing(path, fsync=True) as temporary:
            try:
                safetensors.numpy.save_file(arrays, own / path.name, metadata)
            except safetensors.SafetensorError as error:
                raise as_os_error(error, path) from error
            os.chmod(own / path.name, path.parent.stat().st_mode & 0o644)  # safetensors lets only the owner read
            os.replace(own / path.name, temporary)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def remove_leftovers(folder):
    """What processes that were killed while they saved left in a run's folder: as much as a checkpoint each."""
    for path in folder.iterdir():
        if path.name in (".checkpoint.safetensors.part", ".metrics.csv.part") or re.fullmatch(r"\.tmp\w{6}", path.name):
            path.unlink()  # the last is safetensors' own, of versions that saved into the folder itself
        elif path.name == ".checkpoint.safetensors.saving":
            shutil.rmtree(path)


def as_os_error(error, path):
    """safetensors reports a full disk in words only; restore the number."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else 5  # EIO
    return OSError(code, os.strerror(code), str(path))


# --------------------------------------------------------------------------------------- loading


class Saved(NamedTuple):
    """A checkpoint's content. arrays: {part: {name: array}}. states: {part: the rest of its state}."""

    path: Path
    arrays: dict
    states: dict
    info: dict

    def state_dict(self, name):
        """The saved state of a part that is neither model nor optimizer."""
        return self.states.get(name, {}) | self.arrays.get(name, {})

    def restore(self, **parts):
        """Give the parts back their states; with an optimizer among them, the random generator too.

        Raises CheckpointError, before anything is changed, if one of them does not fit.
        """
        parts = present(parts)
        model, optimizer = parts.pop("model"), parts.pop("optimizer", None)
        random = backend.generator().bit_generator
        before, random_before = {name: part.state_dict() for name, part in parts.items()}, random.state
        load = model.load_whole_state_dict if gathers(model) else model.load_state_dict
        bad = [name for name, array in self.arrays["model"].items() if not np.isfinite(array).all()]
        if bad:
            raise CheckpointError(f"{self.path}: {bad[0]} is not finite")
        try:
            load(self.arrays["model"], into=lambda parameter, array: None)  # a rehearsal: do all arrays fit?
            for name, part in parts.items():
                part.load_state_dict(self.state_dict(name))
            if optimizer is not None:
                random.state = self.states["generator"]
                load_optimizer(optimizer, load, model, self.arrays.get("optimizer", {}), self.states["optimizer"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            random.state = random_before
            for name, part in parts.items():
                part.load_state_dict(before[name])
            why = str(error).replace("\n  ", "; ")
            raise CheckpointError(f"{self.path} belongs to another architecture: {why}") from error
        load(self.arrays["model"])


def load_optimizer(optimizer, load, model, arrays, state):
    """Give an optimizer its state by the model's names. Nothing changes unless all of it fits."""
    states, slots = {parameter: {} for parameter in optimizer.parameters()}, {}
    for name, array in arrays.items():
        slot, _, path = name.partition("/")
        slots.setdefault(slot, {})[path] = array
    for slot, named in slots.items():
        load(named, into=lambda parameter, array: states[parameter].update({slot: array}), strict=False)  # noqa: B023
    for path, parameters in model.named_arrays():
        for parameter in parameters:
            if parameter in states:
                states[parameter].update(state["scalars"].get(path, {}))
    groups = state["groups"] or optimizer.state_dict()["groups"]
    optimizer.load_state_dict({"groups": groups, "state": list(states.values())})


def load(path):
    """Read the checkpoint at `path`, a Saved; CheckpointError if it is missing or not whole."""
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: a checkpoint in it would be {path / 'checkpoint.safetensors'}")
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            state = read_state(path, metadata)
            arrays = read_arrays(path, file)
    except (safetensors.SafetensorError, OSError, MemoryError) as error:
        raise CheckpointError(f"{path}: truncated, or not a safetensors file ({error})") from error
    if state["format"] > 1 and metadata.get("checksum") != checksum(metadata["tinynet"], arrays):
        raise CheckpointError(f"{path} is damaged: its checksum is not that of its content")
    by_part = {"model": {}}
    for name, array in arrays.items():
        part, slash, rest = name.partition("/")
        by_part.setdefault(part if slash else "model", {})[rest or part] = array
    try:
        return from_format_1(path, by_part, state) if state["format"] == 1 else from_format_2(path, by_part, state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: not what tinynet writes into a checkpoint ({error!r})") from error


def read_state(path, metadata):
    try:
        state = json.loads(metadata["tinynet"])
        version = state["format"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of tinynet's") from error
    if version not in (1, FORMAT):
        by = f" (tinynet {state['version']})" if "version" in state else ""
        raise CheckpointError(f"{path}: checkpoint format {version}{by}, tinynet {__version__} reads 1 and {FORMAT}")
    return state


def read_arrays(path, file):
    try:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (TypeError, AttributeError, ValueError) as error:  # bfloat16, which NumPy has not; or sizes beyond int64
        raise CheckpointError(f"{path}: an array of a type that tinynet does not write, or size ({error})") from error


def from_format_2(path, arrays, state):
    parts, info = state["parts"], state["info"]
    if not all(isinstance(x, dict) for x in (info, *parts.values())):
        raise TypeError("info and the parts must be objects")
    return Saved(path, arrays, parts, info)


def from_format_1(path, arrays, info):
    """Checkpoints of before November 2026: SGD's velocity only, British names, and all else in one dictionary."""
    arrays["optimizer"] = {f"velocity/{name}": array for name, array in arrays.pop("velocity", {}).items()}
    arrays["statistics"] = arrays.pop("extra", {})
    states = {"generator": info.pop("generator"), "optimizer": {"groups": None, "scalars": {}}}
    if "options" in info:
        info["options"]["timeout"] = info["options"].pop("patience", 45.0)
        eigenvalues, eigenvectors = (np.array(x) for x in info.pop("colours"))
        arrays["statistics"] |= {"eigenvalues": eigenvalues, "eigenvectors": eigenvectors}
        step, schedule = info.pop("step"), info.pop("schedule")
        states |= {"loader": info.pop("loader"), "schedule": schedule}
        states["warm_up"] = {"t": step, "rates": schedule["rates"]}
        states["progress"] = {"step": step, "evaluated": info.pop("evaluated")}
    return Saved(path, arrays, states, info)
