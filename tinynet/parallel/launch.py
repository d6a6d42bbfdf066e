"""The beginning and the end of a program that may run on several ranks: launch(main).

Several ranks can fail together (all read the same bad option) or alone (one has a full disk, and the others wait for
it). A program need not know: it raises RunError wherever something is wrong. Only here is it decided who says so:

- each rank that fails tells the others its line, and for a moment listens for theirs;
- the lowest of those that failed prints the line, once: with the number of its rank, unless all ranks say the same;
- if others did not fail, they would wait for this one forever, so all are ended.
"""

import ctypes
import errno
import importlib
import os
import signal
import sys
import time
import traceback

from tinynet.errors import RunError
from tinynet.parallel.ranks import Ranks
from tinynet.parallel.watchdog import GRACE

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # what MPICH, Open MPI, MVAPICH set
STOPPED = (0, 129, 130, 143)  # exit codes of a run that was asked to stop


def launch(main, parallel=False):
    """Run main(ranks), and exit with 0 or with the code of its RunError, whose line is printed once for all ranks.

    parallel: there must be an mpiexec, even one that leaves no sign of itself in the environment.
    """
    if started_by_mpiexec() and hasattr(os, "fork"):  # not on Windows
        supervise()
    ranks = None
    try:
        ranks = init(parallel)
        main(ranks)
    except KeyboardInterrupt:  # before training began: there is nothing to save
        sys.exit(130)
    except Exception as error:
        line, code = line_and_code(error)
        if line is None:  # a bug
            if ranks is None or ranks.world_size == 1:
                raise
            traceback.print_exc()
            ranks.abort(1)  # or the others would wait for this one
        leave(line, code, ranks)


def line_and_code(error):
    """What a user is told of an exception, and the exit code; no line if it is a bug, which needs its traceback."""
    if isinstance(error, RunError):
        return str(error) if error.code in STOPPED else f"error: {error}", error.code
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what, code = ("the disk is full", 1) if full else ("cannot read or write", 2)
        return f"error: {what}: {error}; a checkpoint from before is left as it was", code
    return None, 1


def leave(line, code, ranks):
    """End this process: together with the other ranks if all fail, else at their cost."""
    if ranks is None:  # MPI could not be initialized, on any rank
        if launched_rank() in ("0", "?"):
            print(line, file=sys.stderr, flush=True)
        sys.exit(code)
    lines = ranks.watchdog.last_words(line) if ranks.world_size > 1 else {0: line}
    if ranks.rank == min(lines):
        same = len(set(lines.values())) == 1 and (len(lines) > 1 or ranks.world_size == 1)
        line = line if same else line.replace("error:", f"error: rank {ranks.rank}:", 1)
        print("\n" * (ranks.rank > 0) + line, file=sys.stderr, flush=True)  # below the progress bar of rank 0
    elif len(lines) < ranks.world_size:
        time.sleep(GRACE + 1)  # the line first: the lowest may have failed later, and still be waiting for others
    if len(lines) < ranks.world_size:
        ranks.abort(code)
    sys.exit(code)


def init(parallel=False, timeout=45.0):
    """The Ranks that this process is one of: those of mpiexec, or a single one. RunError without mpi4py.

    parallel: as in launch. timeout: seconds that other ranks are waited for.
    """
    if not parallel and not started_by_mpiexec():
        return Ranks()
    try:
        mpi = importlib.import_module("mpi4py.MPI")
    except ImportError as error:
        raise RunError(f"several ranks need mpi4py: pip install 'tinynet-alexnet[mpi]' ({error})") from error
    return Ranks(mpi.COMM_WORLD if mpi.COMM_WORLD.size > 1 else None, timeout)


def started_by_mpiexec():
    return any(int(os.environ.get(name, 1)) > 1 for name in LAUNCHERS)


def launched_rank():
    """The number of this rank before MPI is initialized; `?` if mpiexec does not tell."""
    names = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
    return next((os.environ[name] for name in names if name in os.environ), "?")


def own_devices(lists, ranks):
    """This rank's devices. lists: `cuda:0,cuda:1/cuda:2,cuda:3`: one list per rank of a machine, or one for all.

    ranks: a Ranks. Raises RunError unless there are as many lists as ranks on this machine, or one.
    """
    each = [part.split(",") for part in lists.split("/")]
    if len(each) == 1:
        return each[0]
    if len(each) != (here := ranks.local_world_size):
        raise RunError(f"{here} rank{'s' * (here > 1)} on this machine, and devices for {len(each)}: {lists}")
    return each[ranks.local_rank]


def supervise():
    """Continue in a child process; the parent waits, then reports its exit. Call it before MPI is initialized.

    mpiexec kills all ranks as soon as one has died, so no other rank could tell. The parent forwards signals, and
    exits with the child's code.
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
        died = f"rank {launched_rank()} (process {child}) died of {signal.Signals(-code).name}"
        print(f"\nerror: {died}: all ranks stop; the last checkpoint is whole", file=sys.stderr, flush=True)
    os._exit(128 - code if code < 0 else code)
