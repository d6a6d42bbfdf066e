"""How a program on several ranks begins, where one process is enough to see it."""

import pytest

from tinynet import parallel
from tinynet.errors import RunError


def test_a_rank_takes_its_own_list_of_devices_and_there_are_as_many_as_ranks():
    ranks = parallel.Ranks()
    ranks.local_rank, ranks.local_world_size = 1, 2
    assert parallel.own_devices("cuda:0,cuda:1", ranks) == ["cuda:0", "cuda:1"]
    assert parallel.own_devices("cuda:0/cuda:1", ranks) == ["cuda:1"]
    for lists, count in (("cpu/cpu/cpu", 3), ("cpu,cpu/cpu/cpu/cpu", 4)):
        with pytest.raises(RunError, match=f"^2 ranks on this machine, and devices for {count}: {lists}$"):
            parallel.own_devices(lists, ranks)
    with pytest.raises(RunError, match=r"^1 rank on this machine, and devices for 2: cpu/cpu$"):
        parallel.own_devices("cpu/cpu", parallel.Ranks())
