"""What all computing rests on: arrays and devices, threads, reused memory, and the random generator."""

# ruff: noqa: F401, I001 (these names are for others to import from here)
from tinynet.backend.cupy_loader import cupy
from tinynet.backend.devices import (
    array_module, as_array, check_device, device_of, library, memory, on_gpu, to_device, use_device
)
from tinynet.backend.random import generator, manual_seed
from tinynet.backend.tf32 import allow_tf32, tf32_allowed
from tinynet.backend.threads import (
    BLOCK, SMALL, blocks, bounds, elementwise, gate, matmul, num_threads, parallel_for, set_num_threads,
    update_elementwise, usable_cores
)
from tinynet.backend.workspace import keep_freed_memory, workspace
