"""Processes that do the work of experiments, with one core each: small networks gain nothing from a second one."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from tqdm import tqdm

from tinynet import backend
from tinynet.errors import RunError


class Workers:
    """with Workers(count) as workers: workers.work(calls, total, title, unit), as often as wanted."""

    def __init__(self, count):
        context = multiprocessing.get_context("spawn")  # a forked child would share locks that another thread holds
        self.done = context.SimpleQueue()
        self.pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(self.done,))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:  # a call that runs cannot be canceled; what it has done is in its checkpoint
            for process in list((self.pool._processes or {}).values()):
                process.terminate()
        self.pool.shutdown(cancel_futures=True)

    def work(self, calls, total, title, unit):
        """Do the calls (function, *arguments), with a bar. Each function gets one argument more: to call after each of
        its `unit`s, of which there are `total`. The first error is raised here."""
        with tqdm(total=total, desc=title, unit=unit, leave=False) as bar:
            listener = threading.Thread(target=lambda: [bar.update() for _ in iter(self.done.get, None)], daemon=True)
            listener.start()
            try:
                for future in [self.pool.submit(_carry_out, *call) for call in calls]:
                    future.result()
            except BrokenProcessPool as error:
                raise RunError("a process was killed: is there enough memory? Try fewer --processes", 1) from error
            finally:
                self.done.put(None)
                listener.join()


_done = None  # in a worker: where it says that a unit is over


def _begin(done):
    global _done
    _done = done
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tqdm.set_lock(threading.RLock())  # its own is one between processes, which leaves a trace when this one is ended
    backend.set_num_threads(1)
    backend.keep_freed_memory()


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _carry_out(function, *arguments):
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite is reported by name
        function(*arguments, lambda: _done.put(1))
