"""One network on several devices, and on several ranks. Read in this order:

collectives    what moves between devices, each with its transpose for the backward pass
sharded        layers with one part per device
ranks          processes that train together: all_reduce, reduce, broadcast
data_parallel  each rank a part of the batch; gradients summed while backward goes on
across_ranks   activations between ranks
nccl           arrays between GPUs without the hosts
watchdog       which rank is missing
launch         how a program on several ranks begins, and how it ends
"""

from tinynet.parallel.collectives import all_gather, broadcast, check_devices, gather, halo, reduce, scatter
from tinynet.parallel.data_parallel import DataParallel
from tinynet.parallel.launch import init, launch, own_devices
from tinynet.parallel.ranks import Ranks
from tinynet.parallel.sharded import AllGatherChannels, GatherChannels, Sharded, ShardedDropout, ShardedNorm

__all__ = [
    "AllGatherChannels", "DataParallel", "GatherChannels", "Ranks", "Sharded", "ShardedDropout", "ShardedNorm",
    "all_gather", "broadcast", "check_devices", "gather", "halo", "init", "launch", "own_devices", "reduce", "scatter",
]
