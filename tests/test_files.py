import os
import subprocess
import sys
from pathlib import Path

import platformdirs.macos
import platformdirs.unix
import pytest

from tinynet import files
from tinynet.emulator import compiler

KILLED = """
import os, sys
from tinynet import files
with files.replacing(sys.argv[1]) as temporary:
    temporary.write_text("half of the n")
    os._exit(9)
"""


@pytest.mark.parametrize("fsync", [False, True])
def test_replacing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path, fsync):
    path = tmp_path / "file"
    for before, after in ((None, "old"), ("old", "new")):
        if before:  # a killed process leaves the old file, and a temporary one for the next to overwrite
            assert subprocess.run([sys.executable, "-c", KILLED, path]).returncode == 9
        with files.replacing(path, fsync) as temporary:
            temporary.write_text(after)
            assert not before or path.read_text() == before
        assert path.read_text() == after
        assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_replacing_keeps_the_old_file_after_an_error(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(error)), files.replacing(str(path)) as temporary:
        temporary.write_text("half of the n")
        raise error
    with pytest.raises(FileNotFoundError), files.replacing(path):
        pass  # nothing was written
    with pytest.raises(ZeroDivisionError), files.replacing(path / "not a folder"):
        1 / 0  # noqa: B018 (the error to report, not that there is nothing to clean up)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_replacing_syncs_the_file_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.path.isdir(handle), os.listdir(tmp_path))))
    for fsync in (True, False):
        with files.replacing(tmp_path / "file", fsync) as temporary:
            temporary.write_text("new")
        assert synced == [(False, [temporary.name]), (True, ["file"])]


@pytest.mark.parametrize(
    ("system", "folder"), [(platformdirs.unix.Unix, ".cache"), (platformdirs.macos.MacOS, "Library/Caches")]
)
def test_cache_folder(tmp_path, monkeypatch, system, folder):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert files.cache_folder() == Path.home() / folder / "tinynet"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / "tinynet"
    assert compiler.cache_folder() == files.cache_folder() / "emulator"
