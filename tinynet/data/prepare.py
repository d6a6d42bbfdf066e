"""Turn a tree of pictures into small square JPEGs, once: python -m tinynet.data.prepare SRC DST.

ImageNet's photographs are about 500 x 375, in several file formats and color modes. Decoding them
anew in every epoch can take longer than a good GPU needs for AlexNet; so this does section 2 of the
paper for all of them beforehand: DST gets the same folders with RGB JPEGs of 256 x 256, called
<name>.JPEG.

All cores work. Stopped, it goes on where it was when started again. Every file that could not be
read is listed in DST/unreadable.txt with the reason.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from tinynet.data.errors import DataError, ImageError
from tinynet.data.folder import find_images
from tinynet.data.images import decode, save_jpeg

PICTURES_A_JOB = 16
REPORT = "unreadable.txt"


def prepare(source, target, side=256, quality=95, workers=None, quiet=False):
    """Prepare every picture below source; returns (prepared, already there, unreadable).

    source, target: folders; the target must not lie inside the source. side: pixels. quality: of
    JPEG, 1 to 100. workers: processes, default one a core.

    Raises DataError for folders that make no sense, OSError if the target cannot be written.
    """
    source, target = Path(source), Path(target)
    workers = workers or _cores()
    if side < 1 or workers < 1 or not 1 <= quality <= 100:
        raise DataError(
            "expected a side and workers of 1 or more and a quality of 1 to 100, "
            f"got side={side}, workers={workers}, quality={quality}"
        )
    names = _plan(source, target)
    target.mkdir(parents=True, exist_ok=True)
    there = set(find_images(target))
    todo = [(before, after) for before, after in names.items() if after not in there]
    jobs = [todo[i : i + PICTURES_A_JOB] for i in range(0, len(todo), PICTURES_A_JOB)]
    failed = {}  # relative path -> reason
    bar = tqdm(total=len(names), initial=len(names) - len(todo), unit=" images",
               disable=quiet or None)
    try:
        with bar:
            for job, failures in _in_processes(jobs, workers, (source, target, side, quality)):
                failed.update(failures)
                bar.update(len(job))
    finally:
        _write_report(target / REPORT, failed)
    return len(todo) - len(failed), len(names) - len(todo), len(failed)


def _plan(source, target):
    """{path below source: path below target}, no two of which are the same file anywhere.

    a.png becomes a.JPEG; but with a.jpg beside it, they become a.png.JPEG and a.jpg.JPEG.
    """
    if not source.is_dir():
        raise DataError(f"{source} {'is a file' if source.exists() else 'does not exist'}")
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file, expected a folder or nothing")
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise DataError(f"{target} lies inside {source}: choose a folder outside of it")
    names = find_images(source)
    if not names:
        raise DataError(f"{source} holds no pictures")
    short = {name: str(PurePosixPath(name).with_suffix(".JPEG")) for name in names}
    uses = {}
    for after in short.values():
        uses[after.lower()] = uses.get(after.lower(), 0) + 1
    plan, taken = {}, {}
    for name, after in short.items():
        if uses[after.lower()] > 1:
            after = name + ".JPEG"
        other = taken.setdefault(after.lower(), name)  # lower: some file systems ignore case
        if other != name:
            raise DataError(f"{other} and {name} would both become {after}: rename one")
        plan[name] = after
    return plan


def _in_processes(jobs, workers, settings):
    """Yields (job, failures) as jobs are done, with no more than a few waiting at a time.

    Processes are spawned, not forked: the same on every system, and safe beside threads.
    """
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker)
    running, jobs = {}, iter(jobs)
    try:
        while True:
            for job in jobs:
                with _interrupts_held():
                    running[pool.submit(_prepare_some, job, *settings)] = job
                if len(running) >= 4 * workers:
                    break
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held():
    """Ctrl-C waits until the end of the block, and processes started in it never see one.

    The mask is what those processes inherit. It covers this thread only, and the system may hand a
    signal to any other (NumPy's, say), after which Python interrupts the main thread all the same:
    so the handler only takes note meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C does not come here
        return
    came, masks = [], hasattr(signal, "pthread_sigmask")  # not on Windows
    handler = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else None
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _start_worker():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent():
    """A parent that was killed cannot stop its workers, and they would wait for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _prepare_some(job, source, target, side, quality):
    """In a worker: prepare a few pictures; returns {path: reason} of those that cannot be read."""
    failures = {}
    for before, after in job:
        try:
            pixels = decode(source / before, side)
        except ImageError as error:
            failures[before] = error.reason
            continue
        path = target / after
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")  # hidden, and overwritten by the next run
        try:
            save_jpeg(pixels, part, quality)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    return failures


def _write_report(path, failed):
    if failed:
        lines = [f"{name}\t{reason}\n" for name, reason in sorted(failed.items())]
        path.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
    else:
        path.unlink(missing_ok=True)


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))  # what this process may use, not what the machine has
    return os.cpu_count() or 1


def main(argv=None):
    """The command line. Exit codes: 0, 1 (cannot write), 2 (bad input), 130 (Ctrl-C)."""
    about, program = __doc__.partition("\n")[0], "python -m tinynet.data.prepare"
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("source", metavar="SRC", help="folder of pictures, such as ImageNet's")
    parser.add_argument("target", metavar="DST", help="folder to write to, outside of SRC")
    parser.add_argument("--side", type=int, default=256, help="pixels (default: 256)")
    parser.add_argument("--quality", type=int, default=95, help="of JPEG (default: 95)")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    args = parser.parse_args(argv)
    try:
        prepared, there, unreadable = prepare(
            args.source, args.target, args.side, args.quality, args.workers
        )
    except DataError as error:
        return _fail(error, 2)
    except BrokenProcessPool:
        return _fail("a worker was killed (out of memory?); try fewer --workers", 1)
    except OSError as error:
        return _fail(f"{error.filename or args.target}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on where it was", 130)
    listed = f" (listed in {Path(args.target) / REPORT})" if unreadable else ""
    print(f"{prepared} prepared, {there} already there, {unreadable} unreadable{listed}")
    return 0


def _fail(message, code):
    print(f"tinynet.data.prepare: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
