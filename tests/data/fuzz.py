"""Throws damaged and hostile archives and CIFAR-10 files at their readers; only DataError may come out.

    python tests/data/fuzz.py --cases 300          # as the tests run it
    python tests/data/fuzz.py --seconds 3600       # for an hour; --seed N repeats a case that failed

Nothing may be written outside the target, and no case may take more than 5 seconds of a core, 500 MB of memory or 500
MB of disk. Each case is made from its own seed, which a failure names.
"""

import gzip
import io
import os
import sys
import tarfile
import traceback
from pathlib import Path

import numpy as np

from tinynet.data import DataError
from tinynet.data.cifar10 import RECORD, RECORDS, read_records
from tinynet.data.download import extract

sys.path.insert(0, str(Path(__file__).parents[1]))
import fuzzing

DISK = 500 * 10**6
NAMES = ["top", "top/a", "top/a/b", "top/a", "./top/c", "top/../../out", "/tmp/tinynet-fuzz-out", "../out", "other/a",
         "", ".", "..", "top/..", "top/" + "x" * 300, "top/\0x", "top/é\udcff", "top\\a", "C:top",
         "top/" + "d/" * 200 + "x"]
TYPES = [tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE,
         tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
         tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"?"]
SIZES = [0, 1, 511, 512, 10_000, 10**9, 60 * 10**9, 2**62, -1, -512, -513, -(2**40)]
PAX = ["path", "linkpath", "size", "mtime", "uid", "hdrcharset", "GNU.sparse.map", "GNU.sparse.size",
       "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.numblocks", "GNU.sparse.name", "GNU.sparse.realsize"]
VALUES = ["", "0", "1", "-1", "-1024", "99999999999", "abc", "1,2", "0,5,9", "nan", "1e400", "BINARY", "top/x",
          "../out"]


def header(rng, name, kind, size):
    info = tarfile.TarInfo()
    info.type, info.linkname, info.mode = kind, pick(rng, NAMES), int(rng.integers(0, 0o10000))
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    block[:100] = name.encode("utf-8", "surrogateescape")[:100].ljust(100, b"\0")
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)
    for _ in range(rng.integers(0, 2)):  # a field that is off
        block[rng.integers(100, 512)] = rng.integers(0, 256)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pick(rng, values):
    return values[rng.integers(len(values))]


def member(rng):
    """The blocks of one member, whose size need not be that of its content."""
    kind = pick(rng, TYPES) if rng.random() < 0.4 else pick(rng, [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.XHDTYPE])
    content = rng.bytes(int(rng.integers(0, 3000))) if rng.random() < 0.7 else bytes(int(rng.integers(0, 3000)))
    if kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE) and rng.random() < 0.8:
        lines = [f" {pick(rng, PAX)}={pick(rng, VALUES)}\n".encode() for _ in range(rng.integers(1, 5))]
        content = b"".join(b"%d" % (len(line) + len(str(len(line) + 2))) + line for line in lines)
    size = pick(rng, SIZES) if rng.random() < 0.3 else len(content)
    one = header(rng, pick(rng, NAMES[:5] if rng.random() < 0.6 else NAMES), kind, size)
    return one * int(rng.choice([1, 1, 1, 1, 2, 3000])) + content + bytes(-len(content) % 512)


def hostile(rng):
    """A tar archive, compressed, of members that no sane program would make."""
    if rng.random() < 0.05:
        return bomb(rng)
    return gzip.compress(b"".join(member(rng) for _ in range(rng.integers(1, 6))) + bytes(1024), 1)


def bomb(rng, size=600 * 10**6):
    """A small archive with one member of many zeros."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(header(rng, "top", tarfile.DIRTYPE, 0) + header(rng, "top/a", pick(rng, TYPES), size))
        for _ in range(60):
            file.write(bytes(size // 60))
    return out.getvalue()


def sane(rng):
    out = io.BytesIO()
    kind = pick(rng, ["gz", "gz", "gz", "bz2", "xz", ""])
    with tarfile.open(fileobj=out, mode=f"w:{kind}", format=int(rng.integers(0, 3))) as tar:
        for i in range(rng.integers(1, 6)):
            content = rng.bytes(int(rng.integers(0, 5000)))
            info = tarfile.TarInfo(f"top/{'long/' * int(rng.integers(0, 40))}{i}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def damaged(rng, whole):
    """Cut off, with flipped bits, with a piece repeated, or overwritten."""
    data = bytearray(whole)
    for _ in range(rng.integers(0, 5)):
        at = int(rng.integers(0, len(data) + 1))
        how, n = rng.integers(4), int(rng.integers(1, 100))
        if how == 0:
            del data[at:]
        elif how == 1 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 2:
            data[at:at] = data[at : at + n]
        else:
            data[at : at + n] = rng.bytes(n)
    return bytes(data)


def archive_case(rng, folder):
    """Make a file; returns the call that reads it."""
    how = rng.random()
    if how < 0.5:
        content = hostile(rng)
    elif how < 0.7:  # damage within, compressed again: the checksum of gzip is right
        tar = b"".join(member(rng) for _ in range(3))
        content = gzip.compress(damaged(rng, tar) + bytes(1024), 1)
    else:
        content = damaged(rng, sane(rng)) if how < 0.97 else rng.bytes(int(rng.integers(0, 5000)))
    path = folder / "in" / "a.tgz"
    path.write_bytes(content)
    return lambda: extract(path, folder / "in" / "top", progress=False)


def cifar_case(rng, folder):
    path, size = folder / "in" / "data_batch_1.bin", RECORDS * RECORD
    how = rng.integers(4)
    if how == 0:
        with open(path, "wb") as file:
            file.truncate(int(pick(rng, [0, 1, size - 1, size, size + 1, 2 * size, 60 * 10**9])))
    elif how == 1:
        os.mkfifo(path) if rng.random() < 0.5 else path.mkdir()
    elif how == 2:
        path.symlink_to(pick(rng, ["/dev/zero", "/dev/null", "nowhere", path.name]))
    else:
        whole = rng.integers(0, pick(rng, [10, 11]), size, np.uint8).tobytes()
        path.write_bytes(damaged(rng, whole) if rng.random() < 0.7 else whole)
    return lambda: read_records(path).reshape(RECORDS, RECORD)


def run(seed, folder):
    """One case. Returns what is wrong, or None."""
    rng = np.random.default_rng(seed)
    (folder / "in").mkdir()
    read = (cifar_case if rng.random() < 0.05 else archive_case)(rng, folder)
    start = fuzzing.moment()
    try:
        read()
    except DataError as error:
        if not str(error).isprintable():
            return f"a message of several lines: {error!r}"
    except BaseException:
        return traceback.format_exc()
    if late := fuzzing.slow(start):
        return late
    beside = {path.name for where in (folder, folder / "in") for path in where.iterdir()}
    if beside - {"in", "a.tgz", "top", "data_batch_1.bin"} or os.path.lexists("/tmp/tinynet-fuzz-out"):
        return f"written outside the target: {sorted(beside)}"
    written = list((folder / "in" / "top").rglob("*"))
    if any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in written):
        return "something else than files and folders was written"
    if sum(path.stat().st_blocks * 512 for path in written) > DISK:
        return "too much was written"
    return None


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, __doc__.partition("\n")[0]))
