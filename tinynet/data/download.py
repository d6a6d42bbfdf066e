"""Public archives: downloaded once, verified, and unpacked all or nothing.

A download is written to <path>.part, can be interrupted and continued, and is renamed only when its SHA-256 is right:
a file at <path> is always the complete, genuine archive. A wrong answer of the server does not cost the part. Without a
network, the error message says what to download and where to put it.
"""

import gzip
import hashlib
import http.client
import os
import re
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from tinynet.data.arguments import as_path, check_bools, wrong
from tinynet.data.cache import creating, locked
from tinynet.data.errors import DataError
from tinynet.files import cache_folder, open_regular

TIMEOUT = 10  # seconds without an answer, or without another byte
BLOCK = 1 << 18  # bytes
UNPACKED = 10**7, 20  # an archive holds at most so many bytes, plus so many for each of its own

IMAGENETTE_URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz"
IMAGENETTE_SHA256 = "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"


def imagenette(root=None, progress=True):
    """The folder of Imagenette (10 classes of ImageNet, shorter side 320), which contains train/ and val/.

    9,469 and 3,925 photographs, an archive of 342 MB, downloaded and unpacked into root (default cache_folder()) unless
    it is already there. progress: show a bar. Raises DataError if it cannot be downloaded.
    """
    name = "imagenette2-320"
    return download_and_extract("imagenette", IMAGENETTE_URL, IMAGENETTE_SHA256, root, f"{name}.tgz", name, progress)


def download_and_extract(function, url, sha256, root, archive, folder, progress=True):
    """The path root / folder, unpacked from the tar archive at url, which is kept as root / archive.

    function: whose errors these are.
    """
    root = cache_folder() if root is None else as_path(function, "root", root)
    check_bools(function, progress=progress)
    if not (root / folder).is_dir():
        download(url, root / archive, sha256, progress)
        extract(root / archive, root / folder, progress)
    return root / folder


def download(url, path, sha256, progress=True):
    """Download url to path unless it is there, and check its SHA-256 either way.

    sha256: the expected digest, 64 hex digits. Continues from path.part if the server can (HTTP Range), otherwise
    starts over. Raises DataError if the network, the disk or the content is at fault. progress: show a bar, if
    standard error is a terminal.
    """
    path = as_path("download", "path", path)
    if not isinstance(url, str):
        raise wrong("download", "url", "a string", url)
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise wrong("download", "sha256", "64 hex digits in lower case", sha256)
    check_bools("download", progress=progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent):
            _download(url, path, sha256, progress)
    except DataError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError is an OSError; ValueError: no URL
        raise DataError(f"cannot download {url} ({_reason(error)}): run this again to continue where it stopped, or "
                        f"download it yourself and put it at {path}") from error


def _download(url, path, sha256, progress):
    if path.exists():
        actual = _sha256(path)
        if actual != sha256:
            raise DataError(f"{path} has SHA-256 {actual}, expected {sha256}: remove it, or replace it with a good "
                            f"copy of {url}")
        return
    part = path.with_name(f"{path.name}.part")
    file, whole = _fetch(url, part, path, sha256, progress)
    actual = _sha256(file)
    if actual == sha256:
        file.replace(path)
        part.unlink(missing_ok=True)
        return
    if whole:
        file.unlink()
        raise DataError(f"{url} has SHA-256 {actual}, expected {sha256}: the download was removed")
    _keep_longer(part, file)
    raise OSError(f"what came has SHA-256 {actual}, expected {sha256}; the server did not say how long it should be")


def extract(archive, folder, progress=True):
    """Unpack a .tar.gz whose only top-level folder is named like `folder`, to `folder`.

    Only regular files and folders inside that top-level folder are accepted: links, devices, absolute names and names
    with .. raise DataError, as does whatever is damaged. A run that fails or is killed leaves no half-filled folder.
    """
    folder = Path(folder)
    try:
        with open_regular(archive) as file, gzip.GzipFile(fileobj=file) as content, creating(folder) as unfinished:
            most = UNPACKED[0] + UNPACKED[1] * os.fstat(file.fileno()).st_size
            forward = _Forward(content, most)
            with tarfile.TarFile(fileobj=forward) as tar:
                for member in tqdm(tar, "unpacking", unit=" files", disable=None if progress else True):
                    _unpack(tar, member, unfinished.joinpath(*_parts(member, folder.name, archive)))
            if forward.data.strip(b"\0"):  # to tarfile, a damaged header is the end
                raise tarfile.ReadError("it ends within a header")
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a damaged archive can make tarfile raise almost anything
        raise DataError(f"cannot unpack {archive} to {folder}: {_reason(error)}") from error


class _Forward:
    """A file to read from beginning to end, as tarfile does; never more than `most` bytes.

    A member may claim any size, and tarfile would read that much into memory, or, in Pythons before the fix of
    CVE-2025-8194, go round in circles if it is negative.
    """

    def __init__(self, file, most):
        self.file, self.most = file, most
        self.position, self.data, self.again = 0, b"", b""  # data: of the last read

    def tell(self):
        return self.position

    def read(self, size):
        if not 0 <= size <= self.most - self.position:
            raise tarfile.ReadError(f"a member claims {size} bytes")
        data = self.again[:size]
        data += self.file.read(size - len(data)) if size > len(data) else b""
        self.position, self.again, self.data = self.position + len(data), self.again[size:], data
        return data

    def seek(self, position):
        if position == self.position - 1 and self.data:  # to see whether the byte before the next member is there
            self.position, self.again = position, self.data[-1:]
        elif not self.position <= position <= self.most:
            raise tarfile.ReadError(f"a member claims to end at byte {position}")
        while self.position < position and self.read(min(position - self.position, BLOCK)):
            pass
        self.position = position


def _parts(member, top, archive):
    """The path of a member below the top-level folder."""
    parts = PurePosixPath(member.name).parts
    if parts and parts[0] == ".":
        parts = parts[1:]
    is_file = member.isreg() and not member.issparse()
    if not (is_file or member.isdir()) or parts[:1] != (top,) or ".." in parts or set(member.name) & set("\\:\0"):
        raise DataError(f"{archive} contains {member.name[:100]!r}, expected only files and folders in {top}/")
    return parts[1:]


def _unpack(tar, member, path):
    """Write one member. Of what the archive says of it, only name and content count: no owner, no mode, no time."""
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tar.extractfile(member) as content, open(path, "wb") as file:
        shutil.copyfileobj(content, file, BLOCK)


def _fetch(url, part, path, sha256, progress):
    """(file, whether it is whole): `part` continued; or another, if the server starts over.

    Another, because a server that knows no ranges sends all of it, but so does one that answers with a web page: that
    must not cost what is there.
    """
    have = part.stat().st_size if part.exists() else 0
    response = _open(url, have, part, sha256)
    if response is None:
        return part, True
    with response:
        continues = _first_byte(response, have) == have
        file = part if continues else path.with_name(f"{path.name}.restarted.part")
        try:
            return file, _save(response, file, have if continues else 0, path, progress)
        except BaseException:
            _keep_longer(part, file)
            raise


def _keep_longer(part, file):
    if file != part and file.exists():
        (file if file.stat().st_size > part.stat().st_size else part).replace(part)
        file.unlink(missing_ok=True)


def _open(url, have, part, sha256):
    """The server's answer to a request for all from byte `have` on; None if that is nothing and part is complete."""
    headers = {"User-Agent": "tinynet"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:  # 416: there is nothing from byte `have` on
            raise
    return None if _sha256(part) == sha256 else _open(url, 0, part, sha256)


def _first_byte(response, have):
    """Which byte the response starts at: `have`, or 0 if the server knows no ranges. Raises OSError for others."""
    if response.status != 206:
        return 0
    sent = response.headers.get("Content-Range", "")
    if sent.partition("-")[0] != f"bytes {have}":
        raise OSError(f"asked for the bytes from {have} on, the server sent {sent!r}")
    return have


def _save(response, file, start, path, progress):
    """Write the response to `file`, from byte `start` on. True if it is known to be whole; OSError if not all came."""
    rest = getattr(response, "length", None)  # None too if the server sends something else than a number
    total = None if rest is None else start + rest
    free = shutil.disk_usage(path.parent).free
    if rest is not None and rest > free:
        raise DataError(f"{path.parent} has {free / 1e6:.0f} MB free, {path.name} needs {rest / 1e6:.0f} MB: free some "
                        "space or choose another folder")
    have = start
    bar = tqdm(desc=path.name, initial=start, total=total, unit="B", unit_scale=True,
               disable=None if progress else True)
    with bar, open(file, "ab" if start else "wb") as out:
        while block := response.read(BLOCK):
            have += out.write(block)
            bar.update(len(block))
        out.flush()
        os.fsync(out.fileno())
    if total is not None and have < total:
        raise OSError(f"the connection was lost after {have} of {total} bytes")
    return total is not None


def _sha256(path):
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return str(error)  # "HTTP Error 404: Not Found"
    error = getattr(error, "reason", None) or error  # URLError wraps the actual error
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
