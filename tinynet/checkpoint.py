"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file.

    conv1.weight, conv1.bias, ...     the weights, whole layers, whatever the devices were
    velocity/conv1.weight, ...        the optimizer's velocity, under the same names
    extra/mean, ...                   other arrays of the caller's
    metadata "tinynet"                one JSON text: what the caller passes as `info`, and the
                                      generator's state

The file is written under a temporary name, synced to disk, and renamed: at every moment there is
either the old checkpoint or the new one, never half of one. No pickle: loading runs no code.
"""

import contextlib
import errno
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from tinynet import backend

FORMAT = 1
VELOCITY, EXTRA = "velocity/", "extra/"


class CheckpointError(ValueError):
    """A file that is no whole checkpoint, or does not fit the network. One clear line."""


def save(path, model, optimizer, info, extra, write=True):
    """Write a checkpoint to `path`, replacing what was there only once the new file is whole.

    optimizer: one with a velocity (SGD, PaperSGD). info: a dict that JSON can hold (schedule, loader
    position, class names, ...). extra: a dict of further arrays. write=False: on a rank that has parts of
    the weights to give, while another writes. Raises OSError where the disk is full or cannot be written,
    and ValueError if a weight is not finite: what was there stays, in both cases.
    """
    arrays = model.state_dict()
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad and write:
        raise ValueError(f"not saved: {bad[0]} is not finite; {path} keeps the state before")
    velocities = model.state_dict(of=optimizer.velocity)
    if not write:
        return
    arrays |= {VELOCITY + name: array for name, array in velocities.items()}
    arrays |= {EXTRA + name: array for name, array in extra.items()}
    state = {"format": FORMAT, "generator": backend.generator().bit_generator.state, **info}
    write_atomically(path, arrays, {"tinynet": json.dumps(state)})


def write_atomically(path, arrays, metadata):
    """A safetensors file at `path`, whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")  # one name: a killed save is overwritten
    try:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata)
        except safetensors.SafetensorError as error:
            raise as_os_error(error, path) from error
        os.chmod(temporary, path.parent.stat().st_mode & 0o644)  # safetensors lets only the owner read
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def as_os_error(error, path):
    """safetensors reports a full disk in words only; give the number back."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code), str(path))


class State(NamedTuple):
    """A checkpoint's content: dicts of arrays by name, and `info`, what the caller saved."""

    path: Path
    weights: dict
    velocities: dict
    extra: dict
    info: dict


def load(path):
    """Read the checkpoint at `path`; CheckpointError if it is missing or not whole."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            info = read_info(path, file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated, or not a safetensors file ({error})") from error
    kinds = {"": {}, VELOCITY: {}, EXTRA: {}}
    for name, array in arrays.items():
        kind = next((k for k in (VELOCITY, EXTRA) if name.startswith(k)), "")
        kinds[kind][name.removeprefix(kind)] = array
    return State(path, kinds[""], kinds[VELOCITY], kinds[EXTRA], info)


def read_info(path, metadata):
    try:
        info = json.loads(metadata["tinynet"])
        version = info["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of tinynet's") from error
    if version != FORMAT:
        raise CheckpointError(f"{path}: checkpoint format {version}, this tinynet reads {FORMAT}")
    return info


def restore(state, model, optimizer=None):
    """Put a State into the model, and into the optimizer and the generator if one is given.

    Raises CheckpointError, before anything is changed, if it belongs to another architecture.
    """
    try:
        if optimizer is not None:
            model.load_state_dict(state.velocities, into=optimizer.set_velocity)
        model.load_state_dict(state.weights)
    except ValueError as error:
        why = str(error).replace("\n  ", "; ")
        raise CheckpointError(f"{state.path} belongs to another architecture: {why}") from error
    if optimizer is not None:
        backend.generator().bit_generator.state = state.info["generator"]
