"""One network on several devices, and on several ranks: the collectives, layers made of parts, gradients summed."""

from tinynet.parallel.collectives import all_gather, broadcast, check_devices, gather, halo, reduce, scatter
from tinynet.parallel.data_parallel import Buckets
from tinynet.parallel.ranks import RankError, Ranks, join, own_devices, started_by_mpiexec, supervise
from tinynet.parallel.sharded import AllGather, Gather, Sharded, ShardedDropout, ShardedNorm

__all__ = [
    "AllGather", "Buckets", "Gather", "RankError", "Ranks", "Sharded", "ShardedDropout", "ShardedNorm",
    "all_gather", "broadcast", "check_devices", "gather", "halo", "join", "own_devices", "reduce", "scatter",
    "started_by_mpiexec", "supervise",
]
