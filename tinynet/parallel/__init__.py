"""One network on several devices: the collectives between them, and layers made of one part each."""

from tinynet.parallel.collectives import all_gather, broadcast, check_devices, gather, halo, reduce, scatter
from tinynet.parallel.sharded import AllGather, Gather, Sharded, ShardedDropout, ShardedNorm

__all__ = [
    "AllGather", "Gather", "Sharded", "ShardedDropout", "ShardedNorm",
    "all_gather", "broadcast", "check_devices", "gather", "halo", "reduce", "scatter",
]
