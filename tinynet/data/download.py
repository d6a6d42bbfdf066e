"""Public archives, fetched once, checked, unpacked whole.

A download goes to <path>.part, can be cut and continued, and gets its real name only when its
SHA-256 is right: whatever lies at <path> is the whole, true archive. Without a network, whoever is
in front of the machine is told what to fetch and where to put it.
"""

import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from tinynet.data.cache import alone_in, cache_folder, whole_folder
from tinynet.data.errors import DataError

TIMEOUT = 10  # seconds without an answer, or without one more byte
BLOCK = 1 << 18  # bytes

IMAGENETTE_URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz"
IMAGENETTE_SHA256 = "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"


def imagenette(root=None, quiet=False):
    """The folder of Imagenette (10 classes of ImageNet, shorter side 320): train/ and val/ in it.

    9,469 and 3,925 photographs, an archive of 342 MB, fetched and unpacked into root (default
    cache_folder()) unless it is there.
    """
    root = cache_folder() if root is None else Path(root)
    folder = root / "imagenette2-320"
    if not folder.is_dir():
        archive = root / "imagenette2-320.tgz"
        download(IMAGENETTE_URL, archive, IMAGENETTE_SHA256, quiet)
        extract(archive, folder, quiet)
    return folder


def download(url, path, sha256, quiet=False):
    """Fetch url to path unless it is there, and check its SHA-256 (64 hex digits) either way.

    Continues from path.part if the server can (HTTP Range), else starts again. Raises DataError if
    the network, the disk or the content is not as it should be. quiet: no progress bar.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone_in(path.parent):
            _download(url, path, sha256, quiet)
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise DataError(
            f"cannot download {url} ({_reason(error)}): start again to go on where it stopped, "
            f"or get it yourself and put it at {path}"
        ) from error


def _download(url, path, sha256, quiet):
    if path.exists():
        got = _sha256(path)
        if got != sha256:
            raise DataError(
                f"{path} has SHA-256 {got}, expected {sha256}: remove it, "
                f"or put a good copy of {url} in its place"
            )
        return
    part = path.with_name(path.name + ".part")
    _fetch(url, part, path, quiet)
    got = _sha256(part)
    if got != sha256:
        part.unlink()
        raise DataError(f"{url} has SHA-256 {got}, expected {sha256}: removed what came")
    part.replace(path)


def extract(archive, folder, quiet=False):
    """Unpack a tar archive whose one top folder is called as `folder` is, and name it that.

    Only plain files and folders inside that top folder are accepted: links, devices, absolute names
    and names with .. are a DataError. A run that fails or is killed leaves no half-filled folder.
    """
    folder = Path(folder)
    try:
        with tarfile.open(archive) as tar, whole_folder(folder) as unfinished:
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            for member in tqdm(tar, "unpacking", unit=" files", disable=quiet or None):
                _check(member, folder.name, archive)
                tar.extract(member, unfinished.parent, **safely)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"cannot unpack {archive} to {folder}: {_reason(error)}") from error


def _check(member, top, archive):
    parts = PurePosixPath(member.name).parts
    if parts and parts[0] == ".":
        parts = parts[1:]
    if not (member.isfile() or member.isdir()) or parts[:1] != (top,) or ".." in parts:
        raise DataError(
            f"{archive} holds {member.name!r}; only files and folders in {top}/ are expected"
        )


def _fetch(url, part, path, quiet):
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _open(url, have)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not have:  # 416: there is nothing from `have` on
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # the part is whole: only its renaming was missing
        have = 0
        response = _open(url, have)
    with response:
        if not _continues(response, have):
            have = 0
        rest = response.headers.get("Content-Length")
        total = have + int(rest) if rest is not None else None
        if total is not None:
            free = shutil.disk_usage(path.parent).free
            if total - have > free:
                raise DataError(
                    f"{path.parent} has {free / 1e6:.0f} MB free, {path.name} needs "
                    f"{(total - have) / 1e6:.0f} MB: make room or choose another folder"
                )
        bar = tqdm(desc=path.name, initial=have, total=total, unit="B", unit_scale=True,
                   disable=quiet or None)
        with bar, open(part, "ab" if have else "wb") as file:
            while block := response.read(BLOCK):
                have += file.write(block)
                bar.update(len(block))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise OSError(f"the connection was cut at {have} of {total} bytes")


def _open(url, start):
    headers = {"User-Agent": "tinynet"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)


def _continues(response, have):
    """Does the response start at byte `have`? A server without Range starts at 0."""
    start = response.headers.get("Content-Range", "").partition("-")[0]
    return response.status == 206 and start == f"bytes {have}"


def _sha256(path):
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            whole.update(block)
    return whole.hexdigest()


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return str(error)  # "HTTP Error 404: Not Found"
    error = getattr(error, "reason", None) or error  # URLError wraps the true one
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
