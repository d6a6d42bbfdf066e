"""Convert ImageNet, or another tree of images, to small square JPEGs, once: python -m tinynet.data.prepare SRC DST.

ImageNet's photographs are about 500 x 375, in several file formats and color modes. Decoding them again in every epoch
can take longer than a good GPU needs for AlexNet. So this applies section 2 of the paper to all of them in advance: DST
gets the same folders, containing RGB JPEGs of 256 x 256 named <name>.JPEG. If SRC contains the archives of ILSVRC2012
as they are downloaded (ilsvrc.py), the images are read from within these, and DST gets train/<class>/ and val/<class>/.

It uses all cores. After an interruption, the same command continues where it stopped. Every file that could not be read
is listed in DST/unreadable.txt with the reason.
"""

import argparse
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from tinynet.backend import usable_cores
from tinynet.data.arguments import as_path, check_bools, check_integer
from tinynet.data.errors import DataError, ImageError
from tinynet.data.folder import find_images
from tinynet.data.ilsvrc import DEVKIT, TRAIN, VAL, Slice, find_archived
from tinynet.data.images import LARGEST_SIDE, decode, save_jpeg
from tinynet.files import printable, replacing

IMAGES_PER_JOB = 16
LIMITS = {"side": (1, LARGEST_SIDE), "quality": (1, 100), "workers": (1, 1024)}
REPORT = "unreadable.txt"
LONGEST_NAME = 255  # bytes


def prepare(source, target, side=256, quality=95, workers=None, progress=True):
    """Prepare every image below source; returns (prepared, already there, unreadable).

    source, target: folders; the target must not be inside the source, which contains images in folders, or the three
    archives of ILSVRC2012. side: pixels. quality: of the JPEGs, 1 to 100.
    workers: processes, by default one per core.

    Raises DataError for invalid arguments, OSError if the target cannot be written.
    """
    source, target = as_path("prepare", "source", source), as_path("prepare", "target", target)
    workers = usable_cores() if workers is None else workers
    for name, value in (("side", side), ("quality", quality), ("workers", workers)):
        check_integer("prepare", name, value, *LIMITS[name])
    check_bools("prepare", progress=progress)
    plan = _plan(source, target, progress)
    target.mkdir(parents=True, exist_ok=True)
    there = set(find_images(target))
    todo = [(place, name, after) for name, (place, after) in plan.items() if after not in there]
    jobs = [todo[i : i + IMAGES_PER_JOB] for i in range(0, len(todo), IMAGES_PER_JOB)]
    failed = {}  # relative path -> reason
    done = len(plan) - len(todo)
    try:
        with tqdm(total=len(plan), initial=done, unit=" images", disable=None if progress else True) as bar:
            for job, failures in _in_processes(jobs, workers, (target, side, quality)):
                failed.update(failures)
                bar.update(len(job))
    finally:
        _write_report(target / REPORT, failed)
    return len(todo) - len(failed), done, len(failed)


def _plan(source, target, progress=False):
    """{name: (its path or Slice, path below target)}. name: the path below source, or below it once unpacked."""
    if not source.is_dir():
        raise DataError(f"{source} {'is a file' if source.exists() else 'does not exist'}")
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file, expected a folder or nothing")
    if source.resolve() == target.resolve():
        raise DataError(f"source and target are the same folder, {source}: choose another target")
    if source.resolve() in target.resolve().parents:
        raise DataError(f"{target} is inside {source}: choose a folder outside it")
    places = find_archived(source, progress) or {name: os.path.join(source, name) for name in find_images(source)}
    if not places:
        raise DataError(f"{source} contains no images, nor {TRAIN}, {VAL} and {DEVKIT}")
    return {name: (places[name], after) for name, after in _renamed(places).items()}


def _renamed(names):
    """{name: path below target}, no two of which are the same file on any system.

    a.png becomes a.JPEG, unless there is also an a.jpg: then they become a.png.JPEG and a.jpg.JPEG.
    """
    short = {name: str(PurePosixPath(name).with_suffix(".JPEG")) for name in names}
    uses = Counter(after.lower() for after in short.values())
    renamed, taken = {}, {}
    for name, after in short.items():
        if uses[after.lower()] > 1:
            after = name + ".JPEG"
        after = _shortened(after)
        other = taken.setdefault(after.lower(), name)  # lower: some file systems ignore case
        if other != name:
            raise DataError(f"{other} and {name} would both become {after}: rename one")
        renamed[name] = after
    return renamed


def _shortened(path):
    """The same path, unless its name is longer than file systems allow: then the name's beginning and a hash of it."""
    folder, slash, name = path.rpartition("/")
    name = os.fsencode(name)
    if len(name) <= LONGEST_NAME:
        return path
    end = f"-{hashlib.sha256(name).hexdigest()[:8]}.JPEG"
    beginning = name[: LONGEST_NAME - len(end)].decode("utf-8", "ignore")  # no half of a character
    return folder + slash + os.fsdecode(beginning.encode()) + end


def _in_processes(jobs, workers, settings):
    """Yields (job, failures) as jobs finish, with only a few queued at a time.

    Processes are spawned, not forked: this works alike on every system, and is safe in a program with threads.
    """
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker)
    running, jobs = {}, iter(jobs)
    try:
        while True:
            for job in jobs:
                with _interrupts_deferred():
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
def _interrupts_deferred():
    """Ctrl-C takes effect at the end of the block, and processes started in it never see one.

    Those processes inherit the signal mask. It covers this thread only, and the system may deliver a signal to any
    other thread (NumPy's, say), after which Python interrupts the main thread nevertheless: so meanwhile the handler
    only records it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread sees Ctrl-C
        return
    received, has_masks = [], hasattr(signal, "pthread_sigmask")  # not on Windows
    handler = signal.signal(signal.SIGINT, lambda *_: received.append(True))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if has_masks else None
    try:
        yield
    finally:
        if has_masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def _start_worker():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent():
    """A parent that was killed cannot stop its workers, which would otherwise wait forever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _prepare_some(job, target, side, quality):
    """In a worker: prepare a few images; returns {name: reason} of those that cannot be read."""
    failures = {}
    for place, name, after in job:
        try:
            pixels = decode(place.open() if isinstance(place, Slice) else place, side)
        except ImageError as error:
            failures[name] = error.reason
            continue
        path = target / after
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_jpeg(pixels, temporary, quality)
    return failures


def _write_report(path, failed):
    if failed:
        lines = [f"{printable(name)}\t{reason}\n" for name, reason in sorted(failed.items())]
        path.write_text("".join(lines), encoding="utf-8")
    else:
        path.unlink(missing_ok=True)


class _Parser(argparse.ArgumentParser):
    def error(self, message):  # in one line, without the usage
        raise DataError(message)


def _integer(name):
    """Reads the value of the option --<name>."""
    least, most = LIMITS[name]

    def read(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be an integer of {least} to {most}, got {text[:40]}")
        return value

    return read


def main(argv=None):
    """The command line. Exit codes: 0, 1 (cannot write), 2 (bad input), 130 (Ctrl-C)."""
    description, program = __doc__.partition("\n")[0], "python -m tinynet.data.prepare"
    parser = _Parser(prog=program, description=description)
    parser.add_argument("source", metavar="SRC", help="folder of images, or of ImageNet's archives")
    parser.add_argument("target", metavar="DST", help="folder to write to, outside SRC")
    parser.add_argument("--side", type=_integer("side"), default=256, help="pixels (default: 256)")
    parser.add_argument("--quality", type=_integer("quality"), default=95, help="of the JPEGs (default: 95)")
    parser.add_argument("--workers", type=_integer("workers"), help="processes (default: one per core)")
    try:
        args = parser.parse_args(argv)
        prepared, there, unreadable = prepare(args.source, args.target, args.side, args.quality, args.workers)
    except DataError as error:
        return _fail(error, 2)
    except BrokenProcessPool:
        return _fail("a worker was killed (out of memory?); try fewer --workers", 1)
    except OSError as error:
        return _fail(f"{error.filename or args.target}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return _fail("stopped; the same command continues where it stopped", 130)
    listed = f" (listed in {Path(args.target) / REPORT})" if unreadable else ""
    print(printable(f"{prepared} prepared, {there} already there, {unreadable} unreadable{listed}"))
    return 0


def _fail(message, code):
    print(printable(f"tinynet.data.prepare: {message}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
