"""NCCL: collectives between GPUs that no two ranks share, without the hosts, through cupyx.distributed.

NCCL has a stream of its own on each GPU. Events order it after the kernels that made an array, and before those that
use the result:

    compute stream   ... writes x, event `ready` |  other work ...    | waits for `done`, uses x ...
    NCCL's stream           waits for `ready`    | all_reduce x, event `done` |
"""

import importlib
import platform
import warnings

from tinynet.backend import library, use_device


class Nccl:
    """The communicators of this rank, one per GPU that it uses."""

    def __init__(self, distributed, ranks, devices):
        self.groups = {}
        for device in devices:
            with use_device(device):
                group = distributed.init_process_group(ranks.world_size, ranks.rank, backend="nccl", use_mpi=True)
                self.groups[device] = group, library(device).cuda.Stream(non_blocking=True)

    def start(self, name, array, device, *root):
        """Queue the collective `name`; returns a function that makes the stream in use wait for its result."""
        group, stream = self.groups[device]
        cuda = library(device).cuda
        with use_device(device):
            ready, done = cuda.Event(), cuda.Event()
            ready.record(cuda.get_current_stream())
            stream.wait_event(ready)
            arrays = [array] if name == "broadcast" else [array, array]
            getattr(group, name)(*arrays, *root, stream=stream)
            done.record(stream)

        def wait(array=array):  # which must live until then
            with use_device(device):
                cuda.get_current_stream().wait_event(done)

        return wait


def connect(ranks, devices, gpu_name=None):
    """(Nccl, None) if arrays on these GPUs can travel by NCCL, or (None, why not). All ranks call it together."""
    devices = list(dict.fromkeys(devices))
    try:
        with warnings.catch_warnings():  # CuPy's has seven lines, on each rank; below it is one, on one rank
            warnings.filterwarnings("ignore", r"\s*nccl library could not be loaded", UserWarning)
            distributed = importlib.import_module("cupyx.distributed")
        gpus, why = [(gpu_name or gpu_id)(device) for device in devices], ""
        if not library(devices[0]).cuda.nccl.available:
            why = "this CuPy has no NCCL"
    except (ImportError, RuntimeError) as error:
        gpus, why = [], str(error)
    everyones = ranks.all_gather_object([gpus, why])
    for rank, (_, why) in enumerate(everyones):
        if why:
            return None, f"rank {rank}: {why}"
    everyones = [gpu for gpus, _ in everyones for gpu in gpus]
    if len(set(everyones)) < len(everyones):
        return None, "ranks share a GPU"
    return Nccl(distributed, ranks, devices), None


def gpu_id(device):
    """The same text for the same GPU, whatever number it has in a process."""
    with use_device(device) as gpu:
        return f"{platform.node()} {gpu.pci_bus_id}"
