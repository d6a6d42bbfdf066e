"""One network on several devices: the collectives between them, and layers made of one part each."""

from tinynet.parallel.collectives import all_gather, broadcast, gather
from tinynet.parallel.sharded import AllGather, Gather, Sharded

__all__ = ["AllGather", "Gather", "Sharded", "all_gather", "broadcast", "gather"]
