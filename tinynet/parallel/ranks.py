"""Processes that train together, on one machine or on many: each is a *rank*, and mpiexec starts them.

    mpiexec -n 4 python examples/alexnet_imagenet.py ...

All ranks run the same program and call the same collectives in the same order: MPI moves the arrays
(mpi4py), and NCCL does where they lie on GPUs (cupyx.distributed). A collective is started here and waited for
later, so that a rank can compute in between:

    sending = ranks.sum(array)      # in place, over all ranks; leave the array alone meanwhile
    ...
    sending.wait()

Nobody waits for ever. A rank that does not come to where the others are is named after `patience` seconds:
who has waited for half of that says so to all others, again and again, and who has said nothing is missing.
"""

import ctypes
import importlib
import json
import math
import os
import platform
import signal
import sys
import time

import numpy as np

from tinynet.backend import device_of, library, to_device, use_device

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # what MPICH, Open MPI, MVAPICH set


class RankError(RuntimeError):
    """One line about a rank. speaks: whether this rank should print it. together: whether all ranks know of it."""

    def __init__(self, line, speaks=True, together=True):
        super().__init__(line)
        self.speaks, self.together = speaks, together


class Ranks:
    """number: of this rank; size: how many there are; local_number, local_size: on this machine.

    comm: mpi4py's communicator, or None: one rank, alone. patience: for how many seconds others may be waited
    for.
    """

    def __init__(self, comm=None, patience=45.0):
        self.number, self.size, self.local_number, self.local_size = 0, 1, 0, 1
        self.comm, self.patience = comm, patience
        self.seconds, self.bytes, self.nccl = 0.0, 0, {}  # spent in collectives, and handed to them
        if comm is not None:
            self.mpi = importlib.import_module("mpi4py.MPI")
            self.number, self.size = comm.rank, comm.size
            here = comm.Split_type(self.mpi.COMM_TYPE_SHARED)
            self.local_number, self.local_size = here.rank, here.size
            self.reports = comm.Dup()  # for the messages of those who wait

    # ------------------------------------------------------------------------ collectives

    def all_gather(self, value):
        """[the value of rank 0, of rank 1, ...] on each rank. For small things that JSON can write."""
        if self.size == 1:
            return [value]
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        lengths = np.zeros(self.size, np.int64)
        self.finish(self.comm.Iallgather(np.array([text.size]), lengths))
        texts = np.empty(lengths.sum(), np.uint8)
        self.finish(self.comm.Iallgatherv(text, [texts, lengths]))
        return [json.loads(part.tobytes()) for part in np.split(texts, lengths.cumsum()[:-1])]

    def sum(self, array):
        """Start to put the sum of all ranks' arrays into `array`."""
        return self.start("Iallreduce", "all_reduce", array)

    def sum_at(self, array, root):
        """Start to put the sum of all ranks' arrays into that of rank `root`; on the others it stays."""
        return self.start("Ireduce", "reduce", array, root)

    def broadcast(self, array, root):
        """Start to put the array of rank `root` into `array`."""
        return self.start("Ibcast", "broadcast", array, root)

    def start(self, mpi_name, nccl_name, array, *root):
        if self.size == 1:
            return Pending()
        if not array.flags.c_contiguous:
            raise ValueError(f"ranks: an array that travels must be contiguous, got strides {array.strides}")
        self.bytes += array.nbytes
        device = device_of(array)
        if device in self.nccl:
            return self.start_nccl(nccl_name, array, device, *root)
        host = to_device(array, "cpu")  # itself, if it is there
        if mpi_name == "Ibcast":
            arguments = [host]
        elif root and self.number != root[0]:
            arguments = [host, None]
        else:
            arguments = [self.mpi.IN_PLACE, host]
        request = getattr(self.comm, mpi_name)(*arguments, **({"root": root[0]} if root else {}))

        def finish():
            self.finish(request)
            if device != "cpu":
                with use_device(device):
                    array[...] = to_device(host, device)

        return Pending(finish, lambda: self.push(request))

    # -------------------------------------------------------------------------------- NCCL

    def use_nccl(self, devices):
        """Let arrays on these GPUs travel by NCCL. All ranks call it together; returns None, or why they cannot.

        Then, and on emulated GPUs, they travel over the host. NCCL wants every GPU for one rank only.
        """
        try:
            distributed = importlib.import_module("cupyx.distributed")
            gpus, why = [self.gpu(device) for device in dict.fromkeys(devices)], ""
            if not library(devices[0]).cuda.nccl.available:
                why = "this CuPy has no NCCL"
        except (ImportError, RuntimeError) as error:
            gpus, why = [], str(error)
        everyones = self.all_gather([gpus, why])
        for rank, (_, why) in enumerate(everyones):
            if why:
                return f"rank {rank}: {why}"
        everyones = [gpu for gpus, _ in everyones for gpu in gpus]
        if len(set(everyones)) < len(everyones):
            return "ranks share a GPU"
        for device in dict.fromkeys(devices):
            with use_device(device):
                comm = distributed.init_process_group(self.size, self.number, backend="nccl", use_mpi=True)
                self.nccl[device] = comm, library(device).cuda.Stream(non_blocking=True)
        return None

    def gpu(self, device):
        """The same text for the same GPU, whatever it is called in a process."""
        with use_device(device) as gpu:
            return f"{platform.node()} {gpu.pci_bus_id}"

    def start_nccl(self, name, array, device, *root):
        """The kernels that made the array come before, on the stream in use; whoever waits, comes after."""
        comm, stream = self.nccl[device]
        cuda = library(device).cuda
        with use_device(device):
            ready, done = cuda.Event(), cuda.Event()
            ready.record(cuda.get_current_stream())
            stream.wait_event(ready)
            arrays = [array] if name == "broadcast" else [array, array]
            getattr(comm, name)(*arrays, *root, stream=stream)
            done.record(stream)

        def finish(array=array):  # which must live until then
            with use_device(device):
                cuda.get_current_stream().wait_event(done)

        return Pending(finish)

    # ----------------------------------------------------------------------------- waiting

    def finish(self, request):
        """Wait until an MPI request is done; RankError names who is missing after `patience` seconds."""
        start = time.monotonic()
        beat, sent, heard = self.patience / 2, [], {self.number: math.inf}  # heard: rank -> when, after `start`
        while not request.Test():
            waited = time.monotonic() - start
            if waited > beat:
                beat += self.patience / 16
                sent += [self.reports.Isend(np.zeros(0), r) for r in range(self.size) if r != self.number]
                heard |= dict.fromkeys(self.listen(), waited)
            if waited > self.patience:
                raise self.missing({rank for rank, at in heard.items() if at > 0.75 * self.patience})
            time.sleep(0 if waited < 0.1 else 0.001)  # 0: lets others compute, if they want this core
        self.seconds += time.monotonic() - start

    def push(self, request):
        """Let MPI move what it can. Most MPIs move nothing while nobody calls them."""
        start = time.monotonic()
        request.Test()
        self.seconds += time.monotonic() - start

    def listen(self):
        """The ranks that have said that they wait, now or in a wait before that ended well."""
        status = self.mpi.Status()
        while self.reports.Iprobe(status=status):
            self.reports.Recv(np.zeros(0), status.source)
            yield status.source

    def missing(self, waiting):
        others = [f"rank {rank}" for rank in range(self.size) if rank not in waiting]
        line = f"no word from {' and '.join(others) or 'any rank'} for {self.patience:g} s: the others stop"
        return RankError(line, self.number == min(waiting), together=False)

    def together(self, action):
        """What action() returns. If it fails on any rank, all raise: what was raised there, or a silent RankError."""
        result = error = None
        try:
            result = action()
        except Exception as e:
            error = e
        if self.size == 1 and error:
            raise error
        errors = self.all_gather(error and str(error))
        if any(errors):
            first = next(rank for rank, line in enumerate(errors) if line)
            if self.number != first:
                raise RankError(errors[first], speaks=False)
            if any(line != errors[first] for line in errors):
                raise RankError(f"rank {first}: {errors[first]}") from error
            error.together = True
            raise error
        return result

    def agree(self, facts):
        """RankError, on all ranks, unless each has the facts {name: value} that rank 0 has."""
        everyone = self.all_gather(facts)
        for rank, theirs in enumerate(everyone):
            for name, value in everyone[0].items():
                if theirs[name] != value:
                    line = f"rank {rank}: {name} is {theirs[name]}, and {value} on rank 0"
                    raise RankError(line, self.number == 0)

    def abort(self, code):
        """End all ranks at once, whatever they wait for."""
        self.comm.Abort(code)


class Pending:
    """A collective under way. Its arrays are to be left alone until wait() has returned."""

    def __init__(self, finish=lambda: None, push=lambda: None):
        self.wait, self.push = finish, push


# ------------------------------------------------------------------------------- joining


def join(parallel=False, patience=45.0):
    """The Ranks that this process belongs to: those of mpiexec; alone if it was started without.

    parallel: there must be an mpiexec, even if it is one that leaves no sign of itself. RankError without mpi4py.
    """
    if not parallel and not started_by_mpiexec():
        return Ranks()
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except ImportError as error:
        line = f"several ranks need mpi4py: pip install 'tinynet[mpi]' ({error})"
        raise RankError(line, speaks=launched_as() in ("0", "?")) from error
    return Ranks(mpi.COMM_WORLD if mpi.COMM_WORLD.size > 1 else None, patience)


def started_by_mpiexec():
    return any(int(os.environ.get(name, 1)) > 1 for name in LAUNCHERS)


def launched_as():
    """The number of this rank as long as MPI is not joined; `?` if mpiexec does not tell."""
    names = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
    return next((os.environ[name] for name in names if name in os.environ), "?")


def own_devices(lists, ranks):
    """The devices of this rank. lists: `cuda:0,cuda:1/cuda:2,cuda:3`: one list a rank of a machine, or one for all."""
    each = [part.split(",") for part in lists.split("/")]
    if 1 < len(each) < ranks.local_size:
        raise RankError(f"{ranks.local_size} ranks on this machine, and devices for {len(each)}: {lists}")
    return each[ranks.local_number] if len(each) > 1 else each[0]


def supervise():
    """Go on in a child process, and stay behind to say how it ended. To be called before MPI is joined.

    mpiexec kills all ranks as soon as one has died, so no other rank could tell. The parent forwards
    signals, and passes on the exit code.
    """
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # a signal to the group would come twice: from mpiexec, and forwarded
        if sys.platform == "linux":
            PR_SET_PDEATHSIG = 1
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # mpiexec kills the parent: go too
            if os.getppid() != parent:
                os._exit(1)
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        died = f"rank {launched_as()} (process {child}) died of {signal.Signals(-code).name}"
        print(f"\nerror: {died}: all ranks stop; the last checkpoint is whole", file=sys.stderr, flush=True)
    os._exit(128 - code if code < 0 else code)
