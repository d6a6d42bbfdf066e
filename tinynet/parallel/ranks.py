"""Processes that train together, on one machine or on many: each is a *rank*, and mpiexec starts them.

    mpiexec -n 4 python examples/alexnet_imagenet.py ...

All ranks run the same program and call the same collectives in the same order. MPI moves the arrays (mpi4py), or
NCCL if they are on GPUs (nccl.py). A collective is started in one place and waited for in another, so that a rank can
compute in between:

    work = ranks.all_reduce(array)      # in place; leave the array alone until
    ...
    work.wait()

No rank waits forever: watchdog.py.
"""

import importlib
import json
import traceback

import numpy as np

from tinynet.backend import device_of, to_device, use_device
from tinynet.errors import RunError
from tinynet.parallel import nccl
from tinynet.parallel.watchdog import Watchdog


class Ranks:
    """rank: this one's number; world_size: how many there are; local_rank, local_world_size: on this machine.

    world: mpi4py's communicator, or None for a rank that is alone; comm: a duplicate for the arrays. timeout: seconds
    that others are waited for.
    """

    def __init__(self, world=None, timeout=45.0):
        self.rank, self.world_size, self.local_rank, self.local_world_size = 0, 1, 0, 1
        self.world, self.comm, self.nccl, self.watchdog = world, None, None, None
        self.seconds, self.bytes = 0.0, 0  # spent in collectives, and handed to them
        if world is not None:
            self.mpi = importlib.import_module("mpi4py.MPI")
            self.comm = world.Dup()  # at exit, MPICH complains of collectives that were not finished on its own one
            self.rank, self.world_size = world.rank, world.size
            here = world.Split_type(self.mpi.COMM_TYPE_SHARED)
            self.local_rank, self.local_world_size = here.rank, here.size
            self.watchdog = Watchdog(self.mpi, world, timeout)

    def set_timeout(self, seconds):
        if self.watchdog:
            self.watchdog.timeout = seconds

    # ------------------------------------------------------------------------ collectives

    def all_gather_object(self, value):
        """[the value of rank 0, of rank 1, ...] on each rank. For small values that JSON can hold."""
        if self.world_size == 1:
            return [value]
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        lengths = np.zeros(self.world_size, np.int64)
        self.wait(self.comm.Iallgather(np.array([text.size]), lengths))
        texts = np.empty(lengths.sum(), np.uint8)
        self.wait(self.comm.Iallgatherv(text, [texts, lengths]))
        return [json.loads(part.tobytes()) for part in np.split(texts, lengths.cumsum()[:-1])]

    def all_reduce(self, array):
        """Start replacing `array` on every rank by the sum of all ranks' arrays."""
        return self.start("Iallreduce", "all_reduce", array)

    def reduce(self, array, root):
        """Start replacing `array` on rank `root` by the sum of all ranks' arrays; the others' stay."""
        return self.start("Ireduce", "reduce", array, root)

    def broadcast(self, array, root):
        """Start replacing `array` on every rank by that of rank `root`."""
        return self.start("Ibcast", "broadcast", array, root)

    def start(self, mpi_name, nccl_name, array, *root):
        if self.world_size == 1:
            return Work()
        if not array.flags.c_contiguous:
            raise ValueError(f"ranks: an array that travels must be contiguous, got strides {array.strides}")
        self.bytes += array.nbytes
        device = device_of(array)
        if self.nccl and device in self.nccl.groups:
            return Work(self.nccl.start(nccl_name, array, device, *root))
        host = to_device(array, "cpu")  # itself, if it is there
        if mpi_name == "Ibcast":
            arguments = [host]
        elif root and self.rank != root[0]:
            arguments = [host, None]
        else:
            arguments = [self.mpi.IN_PLACE, host]
        request = getattr(self.comm, mpi_name)(*arguments, **({"root": root[0]} if root else {}))

        def wait():
            self.wait(request)
            if device != "cpu":
                with use_device(device):
                    array[...] = to_device(host, device)

        return Work(wait, request.Test)

    def wait(self, request):
        self.seconds += self.watchdog.wait(request)

    def use_nccl(self, devices, gpu_name=None):
        """Let arrays on these GPUs travel by NCCL; returns None, or why they cannot and go over the hosts.

        All ranks call it together. A rank that is alone sends nothing, so it leaves CuPy's communicators alone: without
        mpi4py, their TCP server would keep the program from ending.
        """
        if self.world_size == 1:
            return None
        self.nccl, why = nccl.connect(self, devices, gpu_name)
        return why

    # ------------------------------------------------------------------------- agreements

    def collectively(self, action):
        """What action() returns. If it fails on any rank, all ranks raise RunError with that rank's line."""
        result = error = None
        try:
            result = action()
        except Exception as e:
            error = e
        if self.world_size == 1 and error:
            raise error
        if error and not isinstance(error, RunError | OSError | MemoryError):  # a bug, which needs its traceback
            traceback.print_exception(error)
        failures = self.all_gather_object(error and [describe(error), getattr(error, "code", 2)])
        if not any(failures):
            return result
        first = next(rank for rank, failure in enumerate(failures) if failure)
        line, code = failures[first]
        if all(failure == failures[first] for failure in failures):
            raise error
        raise RunError(f"rank {first}: {line}", code) from error

    def check_equal(self, fingerprint):
        """RunError, on all ranks, unless each has the {name: value} that rank 0 has."""
        everyone = self.all_gather_object(fingerprint)
        for rank, theirs in enumerate(everyone):
            for name, value in everyone[0].items():
                if theirs[name] != value:
                    raise RunError(f"rank {rank}: {name} is {theirs[name]}, and {value} on rank 0")

    def abort(self, code):
        """End all ranks at once, whatever they wait for."""
        self.world.Abort(code)


def describe(error):
    """An error's line, which for some exceptions of Python's own would be empty."""
    return str(error) or type(error).__name__


class Work:
    """A collective under way. Leave its arrays alone until wait() has returned.

    push() lets MPI move what it can: most MPIs move nothing while nobody calls them.
    """

    def __init__(self, wait=lambda: None, push=lambda: None):
        self.wait, self.push = wait, push
