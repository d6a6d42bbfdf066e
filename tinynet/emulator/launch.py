"""RawModule and RawKernel as in CuPy: a .cu source, and the launch of one of its kernels."""

import ctypes
import sys
import threading
from dataclasses import replace
from itertools import zip_longest

from tinynet.emulator import arguments, compiler, device, modes, racecheck, runtime, sanitizer, source, streams
from tinynet.emulator.array import ndarray

# CUDA's limits.
MAX_THREADS = 1024  # per block
MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)
SHARED = 48 * 1024  # bytes of shared memory per block by default
MAX_SHARED = 227 * 1024  # ... and with max_dynamic_shared_size_bytes

# No -march=native: it makes some kernels faster and others slower, and its code would not run on every machine.
OPTIMIZE = {"fast": ["-O3"], "debug": ["-O0", "-g3"]}


class KernelError(RuntimeError):
    """A launch that a GPU would refuse, hang in, or answer with garbage."""


class CompileException(Exception):
    """What the compiler said, with the line numbers of the .cu file."""

    def __init__(self, msg, source, name, options, backend="emulator"):
        super().__init__(msg)
        self.source, self.name, self.options, self.backend = source, name, options, backend

    def get_message(self):
        return str(self)


class RawModule:
    """CUDA source. It is compiled by the first get_function."""

    def __init__(self, code, *, options=()):
        if not isinstance(options, tuple):
            raise TypeError(f"RawModule: options must be a tuple, got {type(options).__name__}")
        for option in options:
            if not option.startswith(("-I", "-D", "-std=", "--std=")):
                raise ValueError(f"RawModule: the emulator supports the options -I, -D and -std, got {option!r}")
        self.code, self.options = code, options
        self._builds, self._lock = {}, threading.Lock()

    def get_function(self, name):
        kernel = RawKernel.__new__(RawKernel)
        kernel._begin(self, name)
        kernel._entry(modes.current())
        return kernel

    def compile(self, log_stream=None):
        self._build("fast")

    def _build(self, kind):
        """For "fast", "debug" and "racecheck" the loaded library, for "sanitize" the path of the program."""
        with self._lock:
            if kind not in self._builds:
                try:
                    self._builds[kind] = self._compile(kind)
                except (source.SourceError, compiler.CompileError) as error:
                    raise CompileException(str(error), self.code, "kernel.cu", self.options) from None
            return self._builds[kind]

    def _compile(self, kind):
        folders = [option[2:] for option in self.options if option.startswith("-I")]
        defines = [option[2:] for option in self.options if option.startswith("-D")]
        text, self._parameters = source.translate(self.code, folders, defines)
        if kind == "sanitize":
            return sanitizer.build(text, self.code)
        if kind == "racecheck":
            return racecheck.load(text, self.code)
        return runtime.load(text, OPTIMIZE[kind], self.code)


class RawKernel:
    """A kernel. To launch it, call it: f(grid, block, arguments, shared_mem=bytes)."""

    def __init__(self, code, name, options=()):
        self._begin(RawModule(code, options=options), name)

    def _begin(self, module, name):
        self._module, self.name = module, name
        self._entries = {}
        self._max_dynamic = None

    @property
    def max_dynamic_shared_size_bytes(self):
        return SHARED if self._max_dynamic is None else self._max_dynamic

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        if not 0 <= size <= MAX_SHARED:
            raise KernelError(f"{self.name}: max_dynamic_shared_size_bytes must be 0 to {MAX_SHARED}, got {size}")
        self._max_dynamic = size

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        mode = modes.current()
        entry = self._entry(mode)
        grid, block = self._check_sizes(grid, block, shared_mem)
        packed = arguments.pack(args, self._parameters, self._bytes, self._error)
        launch = runtime.Launch(
            enter=entry,
            arguments=packed,
            grid=grid,
            block=block,
            dynamic_bytes=shared_mem,
            shared_limit=SHARED if self._max_dynamic is None else MAX_SHARED,
            workers=runtime.WORKERS if replace(mode, streams=False) == modes.Mode() else 1,
            shuffle=mode.shuffle is not None,
            seed=mode.shuffle or 0,
            print_now=mode.debug,
            racecheck=mode.racecheck,
        )
        self._record_work(args, stream)
        if mode.sanitize:
            printed, error = self._run_sanitized(launch, packed, args)
        elif mode.racecheck:
            printed, error = racecheck.run(self._module._build("racecheck"), launch, self._arrays(args))
        else:
            printed, error = runtime.run(launch)
        if printed:
            sys.stdout.write(printed)
        if error:
            raise self._error(error)

    def _record_work(self, args, stream):
        timeline = streams.timeline(stream)
        if timeline.device_id != device.current():
            raise self._error(f"launched on {timeline.name} while {device.name(device.current())} is current")
        arrays = [(x._memory, p) for x, p in zip(args, self._parameters, strict=True) if isinstance(x, ndarray)]
        written = [memory for memory, p in arrays if not (p.text or "").startswith("const ")]
        streams.record_work(timeline, [memory for memory, _ in arrays], written)

    def _run_sanitized(self, launch, packed, args):
        program = self._module._build("sanitize")
        pointers = [
            (array, parameter.offset, f"argument {i} ({parameter.text})") for i, array, parameter in self._arrays(args)
        ]
        return sanitizer.run(program, self.name, launch, packed, pointers)

    def _arrays(self, args):
        """For each array among the arguments: (number of the argument, NumPy array, parameter)."""
        both = enumerate(zip(args, self._parameters, strict=True))
        return [(i, x._array, parameter) for i, (x, parameter) in both if isinstance(x, ndarray)]

    def _error(self, message):
        return KernelError(f"{self.name}: {message}")

    def _entry(self, mode):
        """The address of the kernel's C function, in the library for this mode."""
        # With sanitize it is "fast" too: that program does not describe the parameters.
        kind = "debug" if mode.debug else "racecheck" if mode.racecheck else "fast"
        if kind not in self._entries:
            library = self._module._build(kind)
            if not hasattr(library, f"emulator_enter_{self.name}"):
                names = ", ".join(self._module._parameters) or "none at all"
                raise AttributeError(f'the source has no extern "C" __global__ function {self.name}, but {names}')
            self._describe(runtime.Description.in_dll(library, f"emulator_description_{self.name}"))
            entry = getattr(library, f"emulator_enter_{self.name}")
            self._entries[kind] = ctypes.cast(entry, ctypes.c_void_p).value
        if mode.sanitize:
            self._module._build("sanitize")  # which the launch will need
        return self._entries[kind]

    def _describe(self, description):
        texts = self._module._parameters.get(self.name, ())
        self._parameters = [
            arguments.Parameter(p.offset, p.size, p.is_pointer, p.kind.decode(), p.item_size, text)
            for p, text in zip_longest(description.parameters[: description.count], texts[: description.count])
        ]
        self._bytes, self._max_threads = description.bytes, description.max_threads

    def _check_sizes(self, grid, block, shared_mem):
        if not (isinstance(grid, tuple) and isinstance(block, tuple)):
            raise TypeError(f"{self.name}: grid and block must be tuples, got {grid!r} and {block!r}")
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        for what, sizes, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
            for axis, size, limit in zip("xyz", sizes, limits, strict=True):
                if not 1 <= size <= limit:
                    raise self._error(f"{what} {sizes}: {axis} must be 1 to {limit}")
        threads = block[0] * block[1] * block[2]
        if threads > MAX_THREADS:
            raise self._error(f"block {block} has {threads} threads, more than {MAX_THREADS}")
        if threads > self._max_threads:
            raise self._error(f"block {block} has {threads} threads, __launch_bounds__ says {self._max_threads}")
        if not 0 <= shared_mem <= self.max_dynamic_shared_size_bytes:
            raise self._error(
                f"shared_mem must be 0 to {self.max_dynamic_shared_size_bytes} (max_dynamic_shared_size_bytes), "
                f"got {shared_mem}"
            )
        return grid, block
