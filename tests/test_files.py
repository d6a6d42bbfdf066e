import os
import subprocess
import sys
from pathlib import Path

import platformdirs.macos
import platformdirs.unix
import pytest

from tinynet import files
from tinynet.emulator import compiler


@pytest.mark.parametrize("fsync", [False, True])
def test_replacing_writes_a_whole_file_and_leaves_nothing_else(tmp_path, fsync):
    path = tmp_path / "new.txt"
    for text in ("first", "second"):
        with files.replacing(path, fsync) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "first", "the old file stays until the new one is whole"
        assert path.read_text() == text
        assert os.listdir(tmp_path) == ["new.txt"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_replacing_keeps_the_old_file_after_an_error(tmp_path, error):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(type(error)), files.replacing(str(path)) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["kept.txt"]


def test_replacing_reports_the_first_error(tmp_path):
    with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "missing" / "file"):
        1 / 0  # noqa: B018
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "file"):
        pass  # nothing was written


def test_replacing_syncs_the_file_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    synced, path = [], tmp_path / "file"
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.path.isdir(handle), os.listdir(tmp_path))))
    with files.replacing(path, fsync=True) as temporary:
        temporary.write_text("new")
    assert synced == [(False, [temporary.name]), (True, ["file"])]
    with files.replacing(path) as temporary:
        temporary.write_text("newer")
    assert len(synced) == 2


def test_a_killed_process_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    program = (
        "import os, sys\nfrom tinynet import files\n"
        "with files.replacing(sys.argv[1]) as temporary:\n    temporary.write_text('half')\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, path]).returncode == 9
    assert path.read_text() == "old"
    with files.replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("system", "folder"), [(platformdirs.unix.Unix, ".cache"), (platformdirs.macos.MacOS, "Library/Caches")]
)
def test_cache_folder(tmp_path, monkeypatch, system, folder):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert files.cache_folder() == Path.home() / folder / "tinynet"
    assert compiler.cache_folder() == files.cache_folder() / "emulator"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / "tinynet"
    assert compiler.cache_folder() == files.cache_folder() / "emulator"
