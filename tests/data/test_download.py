"""The downloader against a local HTTP server; Imagenette and CIFAR-10 from archives made here."""

import hashlib
import importlib
import io
import os
import socket
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tinynet.data import DataError, ImageFolder, cifar10, download, imagenette
from tinynet.data.download import extract

# The package shows the functions under the modules' names.
DOWNLOAD = importlib.import_module("tinynet.data.download")
CIFAR10 = importlib.import_module("tinynet.data.cifar10")

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.headers.get("Range"))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if self.server.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        length = self.server.claim or len(content) - start
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content[start : start + self.server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.requests = {"/data.bin": CONTENT}, []
        server.ranges, server.cut, server.claim = True, 10**9, None
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_download(server, tmp_path):
    path = tmp_path / "new" / "data.bin"
    download(server.url + "/data.bin", path, SHA256, quiet=True)
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["data.bin"]
    download(server.url + "/data.bin", path, SHA256, quiet=True)
    assert len(server.requests) == 1  # what is there is not fetched again


def test_ranks_that_start_together_fetch_once(server, tmp_path):
    path = tmp_path / "new" / "data.bin"
    with ThreadPoolExecutor(4) as ranks:
        for _ in ranks.map(lambda _: download(server.url + "/data.bin", path, SHA256, quiet=True), range(4)):
            assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1 and os.listdir(path.parent) == ["data.bin"]


def test_resume_after_a_cut(server, tmp_path):
    path, url = tmp_path / "data.bin", server.url + "/data.bin"
    server.cut = 300_000
    with pytest.raises(DataError, match=r"cut at 300000 of 700000 bytes.*start again"):
        download(url, path, SHA256, quiet=True)
    assert os.listdir(tmp_path) == ["data.bin.part"]
    server.cut = 10**9
    download(url, path, SHA256, quiet=True)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    path, server.ranges = tmp_path / "data.bin", False
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    download(server.url + "/data.bin", path, SHA256, quiet=True)
    assert path.read_bytes() == CONTENT and server.requests == ["bytes=1000-"]


def test_a_part_that_is_whole_already(server, tmp_path):
    path = tmp_path / "data.bin"
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    download(server.url + "/data.bin", path, SHA256, quiet=True)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_starts_again(server, tmp_path):
    path = tmp_path / "data.bin"
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    download(server.url + "/data.bin", path, SHA256, quiet=True)
    assert path.read_bytes() == CONTENT and server.requests == ["bytes=700004-", None]


def test_wrong_content_is_removed(server, tmp_path):
    path = tmp_path / "data.bin"
    with pytest.raises(DataError, match=f"SHA-256 {SHA256}, expected {'0' * 64}"):
        download(server.url + "/data.bin", path, "0" * 64, quiet=True)
    assert os.listdir(tmp_path) == []


def test_a_wrong_file_put_there_by_hand_is_named_and_kept(server, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=f"expected {SHA256}") as caught:
        download(server.url + "/data.bin", path, SHA256, quiet=True)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"something else" and server.requests == []


def test_missing_on_the_server(server, tmp_path):
    path = tmp_path / "data.bin"
    with pytest.raises(DataError, match=r"404.*get it yourself") as caught:
        download(server.url + "/gone.bin", path, SHA256, quiet=True)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_no_network_fails_at_once(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/data.bin"
        start = time.monotonic()
        with pytest.raises(DataError, match=r"refused.*get it yourself and put it at"):
            download(url, tmp_path / "data.bin", SHA256, quiet=True)
        assert time.monotonic() - start < 2


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(DOWNLOAD, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        with pytest.raises(DataError, match="timed out"):
            download(url, tmp_path / "data.bin", SHA256, quiet=True)


def test_too_little_space_is_said_before_the_download(server, tmp_path):
    server.claim = 10**18
    with pytest.raises(DataError, match="MB free"):
        download(server.url + "/data.bin", tmp_path / "data.bin", SHA256, quiet=True)
    assert os.listdir(tmp_path) == []


def test_an_unwritable_place(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot download"):
        download(server.url + "/data.bin", tmp_path / "file" / "data.bin", SHA256, quiet=True)


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
    files = dict.fromkeys(names, b"picture") | {f"{top}/noisy_imagenette.csv": b"a,b"}
    serve(server, monkeypatch, DOWNLOAD, "IMAGENETTE_", archive(files))
    folder = imagenette(tmp_path, quiet=True)
    assert folder == tmp_path / top
    train = ImageFolder(folder / "train")
    assert train.classes == ["n01", "n02"] and train.paths[0].read_bytes() == b"picture"
    assert imagenette(tmp_path, quiet=True) == folder and len(server.requests) == 1
    assert sorted(os.listdir(tmp_path)) == [top, f"{top}.tgz"]


def test_an_extraction_cut_short_is_done_again(tmp_path, monkeypatch):
    path, folder = tmp_path / "a.tgz", tmp_path / "top"
    path.write_bytes(archive({f"top/{i}": b"x" for i in range(9)}))
    one = tarfile.TarFile.extract

    def killed(self, member, *args, **kwargs):
        if member.name == "top/5":
            raise KeyboardInterrupt
        one(self, member, *args, **kwargs)

    monkeypatch.setattr(tarfile.TarFile, "extract", killed)
    with pytest.raises(KeyboardInterrupt):
        extract(path, folder, quiet=True)
    assert os.listdir(tmp_path) == ["a.tgz"]
    monkeypatch.undo()
    extract(path, folder, quiet=True)
    assert len(os.listdir(folder)) == 9


def link(name, target, kind):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning")  # of tarfile, unfiltered
@pytest.mark.parametrize("has_filter", [True, False])
@pytest.mark.parametrize(
    "files",
    [
        {"top/../../escaped": b"x"},
        {"/escaped": b"x"},
        {"other/escaped": b"x"},
        {"top/link": link("top/link", "/", tarfile.SYMTYPE)},
        {"top/link": link("top/link", "top/1", tarfile.LNKTYPE)},
        {"top/pipe": link("top/pipe", "", tarfile.FIFOTYPE)},
    ],
)
def test_archives_cannot_write_elsewhere(tmp_path, monkeypatch, files, has_filter):
    if not has_filter and hasattr(tarfile, "data_filter"):  # Pythons before the filters
        monkeypatch.delattr(tarfile, "data_filter")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.tgz"
    path.write_bytes(archive({"top/1": b"x"} | files))
    with pytest.raises(DataError, match=r"only files and folders in top/ are expected"):
        extract(path, tmp_path / "in" / "top", quiet=True)
    assert os.listdir(tmp_path) == ["in"] and os.listdir(tmp_path / "in") == ["a.tgz"]


def test_damaged_archives(tmp_path):
    whole = archive({"top/1": np.random.default_rng(0).bytes(50_000)})
    for content in (b"", b"not an archive", whole[: len(whole) // 2]):
        path = tmp_path / "a.tgz"
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot unpack"):
            extract(path, tmp_path / "top", quiet=True)
        assert not (tmp_path / "top").exists()


def test_no_single_wrong_byte_raises_anything_but_a_data_error(tmp_path):
    """Some damage goes unseen here: it is download's SHA-256 that sees all."""
    whole, seen = archive({"top/1": b"some text, again and again " * 40}), 0
    path = tmp_path / "a.tgz"
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            extract(path, tmp_path / f"{place}" / "top", quiet=True)
        except DataError:
            seen += 1
    assert seen > len(whole) / 2


def batch(seed, n=20):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n, np.uint8)
    pixels = rng.integers(0, 256, (n, 3, 32, 32), np.uint8)
    data = b"".join(bytes([t]) + x.tobytes() for t, x in zip(labels, pixels, strict=True))
    return labels, pixels, data


def test_cifar10(server, tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "RECORDS", 20)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    batches = [batch(i) for i in range(6)]
    files = {f"cifar-10-batches-bin/{n}": b[2] for n, b in zip(names, batches, strict=True)}
    serve(server, monkeypatch, CIFAR10, "", archive(files))
    train, val = cifar10(tmp_path, quiet=True)
    assert len(train) == 100 and len(val) == 20 and len(train.classes) == 10
    np.testing.assert_array_equal(train.labels, np.concatenate([b[0] for b in batches[:5]]))
    np.testing.assert_array_equal(train.image(43, 32), batches[2][1][3].transpose(1, 2, 0))
    np.testing.assert_array_equal(val.image(7, 32), batches[5][1][7].transpose(1, 2, 0))
    assert val.paths[7].as_posix() == "cifar10/val/7"
    cifar10(tmp_path, quiet=True)
    assert len(server.requests) == 1

    file = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    whole = file.read_bytes()
    for content, message in [
        (whole[:-1], f"{len(whole) - 1} bytes, expected {len(whole)}"),
        (b"\x0a" + whole[1:], "label 10"),
        (None, "cannot read"),
    ]:
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            cifar10(tmp_path, quiet=True)
        assert str(file) in str(caught.value)


def test_the_real_archives_are_checked_and_fetched_over_https():
    for url, digest in [
        (DOWNLOAD.IMAGENETTE_URL, DOWNLOAD.IMAGENETTE_SHA256),
        (CIFAR10.URL, CIFAR10.SHA256),
    ]:
        assert url.startswith("https://") and len(bytes.fromhex(digest)) == 32
