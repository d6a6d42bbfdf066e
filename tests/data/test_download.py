"""The downloader against a local HTTP server; Imagenette and CIFAR-10 from archives made here."""

import gzip
import hashlib
import importlib
import io
import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tinynet.data import DataError, ImageFolder, cifar10, download, imagenette
from tinynet.data.download import extract

# In the package, the functions hide the modules of the same name.
DOWNLOAD = importlib.import_module("tinynet.data.download")
CIFAR10 = importlib.import_module("tinynet.data.cifar10")

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.headers.get("Range"))
        if self.server.answers:
            code, headers, body = self.server.answers.pop(0)
            self.send_response(code)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)
            return
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start, code, size = 0, 200, len(content)
        if self.server.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            code, sent = (206, f"{start}-{size - 1}") if start < size else (416, "*")
        self.send_response(code)
        if code != 200:
            self.send_header("Content-Range", f"bytes {sent}/{size}")
        self.send_header("Content-Length", str(self.server.claim or max(size - start, 0)))
        self.end_headers()
        self.wfile.write(content[start : start + self.server.limit])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.requests, server.answers = {"/data.bin": CONTENT}, [], []
        server.ranges, server.limit, server.claim = True, 10**9, None
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(server):
    def fetch(path, name="data.bin", sha256=SHA256):
        download(f"{server.url}/{name}", path, sha256, progress=False)
        return path.read_bytes()

    return fetch


def test_download(server, fetch, tmp_path):
    path = tmp_path / "new" / "data.bin"
    assert fetch(path) == CONTENT
    assert os.listdir(path.parent) == ["data.bin"]
    assert fetch(path) == CONTENT
    assert len(server.requests) == 1  # an existing file is not downloaded again


def test_ranks_that_start_together_download_once(server, fetch, tmp_path):
    path = tmp_path / "new" / "data.bin"
    with ThreadPoolExecutor(4) as ranks:
        assert list(ranks.map(fetch, [path] * 4)) == [CONTENT] * 4
    assert len(server.requests) == 1 and os.listdir(path.parent) == ["data.bin"]


def test_resume_after_a_lost_connection(server, fetch, tmp_path):
    server.limit = 300_000
    with pytest.raises(DataError, match=r"lost after 300000 of 700000 bytes.*run this again"):
        fetch(tmp_path / "data.bin")
    assert os.listdir(tmp_path) == ["data.bin.part"]
    server.limit = 10**9
    assert fetch(tmp_path / "data.bin") == CONTENT
    assert server.requests == [None, "bytes=300000-"]


@pytest.mark.parametrize("length, ranges, requests", [
    (1000, False, ["bytes=1000-"]),  # a server without ranges sends all of it
    (700_000, True, ["bytes=700000-"]),  # complete already
    (700_004, True, ["bytes=700004-", None]),  # too long: starts over
])
def test_continuing_a_part(server, fetch, tmp_path, length, ranges, requests):
    server.ranges = ranges
    (tmp_path / "data.bin.part").write_bytes((CONTENT + b"more")[:length])
    assert fetch(tmp_path / "data.bin") == CONTENT and server.requests == requests


PAGE = b"<html>log in first</html>"
GONE = (404, {}, b"")


def ranged(sent):
    return {"Content-Range": f"bytes {sent}/700000"}


@pytest.mark.parametrize("answers, message", [
    ([(200, {"Content-Type": "text/html", "Content-Length": len(PAGE)}, PAGE)], "expected"),
    ([(200, {}, PAGE)], "expected"),
    ([(200, {"Content-Length": 700_000}, PAGE)], "lost after 25 of 700000 bytes"),
    ([(204, {}, b"")], "expected"),
    ([(206, ranged("0-9"), CONTENT[:10])], "asked for the bytes from 300000 on, the server sent 'bytes 0-9/700000'"),
    ([(206, ranged("400000-699999"), CONTENT[400_000:])], "asked for the bytes from 300000 on"),
    ([(206, {"Content-Range": "bytes ?"}, PAGE)], "asked for the bytes from 300000 on"),
    ([(206, {}, PAGE)], "asked for the bytes from 300000 on"),
    ([(206, ranged("300000-699999") | {"Content-Length": 400_000}, b"")], "lost after 300000 of 700000 bytes"),
    ([(416, {}, b""), GONE], "404"),
    ([(416, {"Content-Range": "bytes */300000"}, b""), GONE], "404"),
    ([(416, {"Content-Range": "bytes */10"}, b""), (200, {"Content-Length": len(PAGE)}, PAGE)], "expected"),
    ([(500, {}, b"")], "500"),
])
def test_a_wrong_answer_keeps_what_was_downloaded(server, fetch, tmp_path, answers, message):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:300_000])
    server.answers = answers
    with pytest.raises(DataError, match=message) as caught:
        fetch(tmp_path / "data.bin")
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == ["data.bin.part"]
    assert fetch(tmp_path / "data.bin") == CONTENT and os.listdir(tmp_path) == ["data.bin"]
    assert server.requests[-1] == "bytes=300000-"


def test_of_two_beginnings_the_longer_is_kept(server, fetch, tmp_path):
    """The server starts over, and the connection is lost again: later than last time, or sooner."""
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:300_000])
    for length, kept in ((400_000, 400_000), (1000, 400_000)):
        server.answers = [(200, {"Content-Length": 700_000}, CONTENT[:length])]
        with pytest.raises(DataError, match=f"lost after {length} of 700000"):
            fetch(tmp_path / "data.bin")
        assert os.listdir(tmp_path) == ["data.bin.part"]
        assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:kept]


@pytest.mark.parametrize("length", ["abc", "-5", "7e5", "", "9" * 5000])
def test_a_length_that_is_no_number_is_ignored(server, fetch, tmp_path, length):
    server.answers = [(200, {"Content-Length": length}, CONTENT[:300_000])]
    with pytest.raises(DataError, match="expected") as caught:
        fetch(tmp_path / "data.bin")
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == ["data.bin.part"]
    server.answers = [(206, ranged("300000-699999") | {"Content-Length": length}, CONTENT[300_000:])]
    assert fetch(tmp_path / "data.bin") == CONTENT


@pytest.mark.parametrize("name, sha256, claim, message", [
    ("data.bin", "0" * 64, None, f"SHA-256 {SHA256}, expected {'0' * 64}: the download was removed"),
    ("gone.bin", SHA256, None, "404.*download it yourself and put it at {path}"),
    ("data.bin", SHA256, 10**18, "MB free"),  # found out before the download
])
def test_failures_are_one_line_and_leave_nothing(server, fetch, tmp_path, name, sha256, claim, message):
    server.claim, path = claim, tmp_path / "data.bin"
    with pytest.raises(DataError, match=message.replace("{path}", re.escape(str(path)))) as caught:
        fetch(path, name, sha256)
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == []


def test_a_wrong_file_put_there_by_hand_is_named_and_kept(server, fetch, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=f"expected {SHA256}") as caught:
        fetch(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"something else" and server.requests == []


def test_no_network_fails_at_once(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/data.bin"
        start = time.monotonic()
        with pytest.raises(DataError, match=r"refused.*download it yourself and put it at"):
            download(url, tmp_path / "data.bin", SHA256, progress=False)
        assert time.monotonic() - start < 2


def test_a_silent_server_times_out(tmp_path, monkeypatch):
    monkeypatch.setattr(DOWNLOAD, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(DataError, match="timed out"):
            download(url, tmp_path / "data.bin", SHA256, progress=False)


def test_an_unwritable_place(fetch, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot download"):
        fetch(tmp_path / "file" / "data.bin")


def archive(files):
    """A .tar.gz in memory; files: {name: bytes, or a TarInfo}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def serve(server, monkeypatch, module, prefix, content):
    server.files["/archive"] = content
    monkeypatch.setattr(module, prefix + "URL", server.url + "/archive")
    monkeypatch.setattr(module, prefix + "SHA256", hashlib.sha256(content).hexdigest())


def test_imagenette(server, tmp_path, monkeypatch):
    top = "imagenette2-320"
    names = [f"{top}/{part}/n0{k}/{k}.JPEG" for part in ("train", "val") for k in (1, 2)]
    files = dict.fromkeys(names, b"image") | {f"{top}/noisy_imagenette.csv": b"a,b"}
    serve(server, monkeypatch, DOWNLOAD, "IMAGENETTE_", archive(files))
    folder = imagenette(tmp_path, progress=False)
    assert folder == tmp_path / top
    train = ImageFolder(folder / "train")
    assert train.classes == ["n01", "n02"] and train.paths[0].read_bytes() == b"image"
    assert imagenette(tmp_path, progress=False) == folder and len(server.requests) == 1
    assert sorted(os.listdir(tmp_path)) == [top, f"{top}.tgz"]


def test_an_interrupted_extraction_starts_over(tmp_path, monkeypatch):
    path, folder = tmp_path / "a.tgz", tmp_path / "top"
    path.write_bytes(archive({f"top/{i}": b"x" for i in range(9)}))
    extract_member = tarfile.TarFile.extractfile

    def killed(self, member):
        if member.name == "top/5":
            raise KeyboardInterrupt
        return extract_member(self, member)

    monkeypatch.setattr(tarfile.TarFile, "extractfile", killed)
    with pytest.raises(KeyboardInterrupt):
        extract(path, folder, progress=False)
    assert os.listdir(tmp_path) == ["a.tgz"]
    monkeypatch.undo()
    extract(path, folder, progress=False)
    assert len(os.listdir(folder)) == 9


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("files", [
    {"top/../../escaped": b"x"},
    {"/escaped": b"x"},
    {"other/escaped": b"x"},
    {"top/link": link("top/link", "/", tarfile.SYMTYPE)},
    {"top/link": link("top/link", "top/1", tarfile.LNKTYPE)},
    {"top/pipe": link("top/pipe", "", tarfile.FIFOTYPE)},
    {"top/sparse": link("top/sparse", "", tarfile.GNUTYPE_SPARSE)},
    {"top/..\\..\\escaped": b"x"},  # on Windows
    {"top/C:escaped": b"x"},
])
def test_archives_cannot_write_elsewhere(tmp_path, files):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.tgz"
    path.write_bytes(archive({"top/1": b"x"} | files))
    with pytest.raises(DataError, match="expected only files and folders in top/"):
        extract(path, tmp_path / "in" / "top", progress=False)
    assert os.listdir(tmp_path) == ["in"] and os.listdir(tmp_path / "in") == ["a.tgz"]


def test_damaged_archives(tmp_path):
    whole = archive({"top/1": np.random.default_rng(0).bytes(50_000)})
    path = tmp_path / "a.tgz"
    for content in (b"", b"not an archive", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot unpack"):
            extract(path, tmp_path / "top", progress=False)
        assert not (tmp_path / "top").exists()


def pax(line):
    """A PAX header of one line, in front of an empty file."""
    return raw("x", tarfile.XHDTYPE, len(line), line.ljust(512, b"\0")) + raw("top/1")


def raw(name="top/1", kind=tarfile.REGTYPE, size=0, content=b""):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + content


@pytest.mark.parametrize("tar", [
    raw(size=60 * 10**9),
    raw(size=-512),
    raw(size=-1024) + bytes(4096),  # Python bug CVE-2025-8194: round in circles
    raw(kind=tarfile.XHDTYPE, size=10**11),  # a header, which tarfile reads into memory
    raw(kind=tarfile.GNUTYPE_LONGNAME, size=10**11),
    raw(kind=tarfile.XHDTYPE, size=-512),
    raw(kind=tarfile.XHDTYPE) * 3000 + raw(),  # headers of headers
    pax(b"22 GNU.sparse.map=abc\n"),
    pax(b"14 size=-1024\n"),
    pax(b"19 path=top/a\0bcde\n"),
    raw("top/x", tarfile.DIRTYPE) + raw("top/x"),
    raw("top"),
    raw("top/1", size=40 * 10**6, content=bytes(40 * 10**6)),  # a bomb: 1,000 times as large as its archive
], ids=range(13))
def test_hostile_archives(tmp_path, tar):
    """What fuzz.py found, and what it looks for."""
    (tmp_path / "a.tgz").write_bytes(gzip.compress(raw("top", tarfile.DIRTYPE) + tar + bytes(1024), 1))
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        extract(tmp_path / "a.tgz", tmp_path / "top", progress=False)
    assert str(caught.value).isprintable() and os.listdir(tmp_path) == ["a.tgz"] and time.process_time() - start < 5


@pytest.mark.skipif(sys.platform != "linux", reason="needs FIFOs and /dev")
def test_cifar10_files_that_are_none(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    for make, message in (
        (lambda: os.mkfifo(path), "a FIFO, not a file"), (lambda: path.symlink_to("/dev/zero"), "a device, not a file"),
        (lambda: os.truncate(path.open("w").close() or path, 60 * 10**9), "60000000000 bytes, expected 30730000"),
    ):
        make()
        with pytest.raises(DataError, match=message):
            CIFAR10.read_records(path)
        path.unlink()


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_fuzz():
    """An hour: python tests/data/fuzz.py --seconds 3600"""
    command = [sys.executable, Path(__file__).with_name("fuzz.py"), "--cases", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout == "100 cases, 0 failures\n"


def test_no_single_wrong_byte_raises_anything_but_a_data_error(tmp_path):
    """Some damage is not detected here; download's SHA-256 detects all of it."""
    whole, detected = archive({"top/1": b"some text, again and again " * 40}), 0
    path = tmp_path / "a.tgz"
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
        try:
            extract(path, tmp_path / f"{i}" / "top", progress=False)
        except DataError:
            detected += 1
    assert detected > len(whole) / 2


def test_cifar10(server, tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "RECORDS", 20)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    records = np.random.default_rng(0).integers(0, 256, (6, 20, 3073), np.uint8)
    records[:, :, 0] %= 10
    files = {f"cifar-10-batches-bin/{name}": x.tobytes() for name, x in zip(names, records, strict=True)}
    serve(server, monkeypatch, CIFAR10, "", archive(files))
    train, val = cifar10(tmp_path, progress=False)
    assert len(train) == 100 and len(val) == 20 and len(train.classes) == 10
    assert train.labels.tolist() == records[:5, :, 0].ravel().tolist()
    for image, record in ((train.image(43, 32), records[2, 3]), (val.image(7, 32), records[5, 7])):
        np.testing.assert_array_equal(image, record[1:].reshape(3, 32, 32).transpose(1, 2, 0))
    assert val.paths[7].as_posix() == "cifar10/val/7"
    cifar10(tmp_path, progress=False)
    assert len(server.requests) == 1

    file = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    whole = file.read_bytes()
    for content, message in [(whole[:-1], f"{len(whole) - 1} bytes, expected {len(whole)}"),
                             (b"\x0a" + whole[1:], "label 10"), (None, "cannot read")]:
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            cifar10(tmp_path, progress=False)
        assert str(file) in str(caught.value)


def test_the_real_archives_are_verified_and_downloaded_over_https():
    for url, digest in [(DOWNLOAD.IMAGENETTE_URL, DOWNLOAD.IMAGENETTE_SHA256), (CIFAR10.URL, CIFAR10.SHA256)]:
        assert url.startswith("https://") and len(bytes.fromhex(digest)) == 32
