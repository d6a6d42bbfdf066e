"""Finds a C++ compiler, and caches what it compiles:

    <cache>/tinynet/emulator/<hash>/     hash of everything that the result depends on
        kernel.cu                        the source
        translated.cpp                   what the compiler got
        library.so                       what it made (or program, for the sanitizers)
        sha256                           of the result: a damaged file is made again

A folder appears complete, by a rename. The cache can be deleted at any time.
"""

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-fPIC", "-pthread", "-fvisibility=hidden", "-w"]
FLAGS += ["-fno-strict-aliasing", "-fno-math-errno", "-fno-trapping-math"]  # as in CUDA
FLAGS += ["-fstack-clash-protection"]  # a large stack frame must not skip the guard page


class CompileError(Exception):
    """With what the compiler said."""


@functools.cache
def compiler():
    """(command, version) of the first C++ compiler that works. Raises RuntimeError if there is none."""
    if sys.platform == "win32":
        raise RuntimeError("the emulator needs Linux or macOS; on Windows, run tinynet in WSL to use it")
    chosen = shlex.split(os.environ.get("CXX", ""))
    for command in (chosen, ["g++"], ["clang++"], [sys.executable, "-m", "ziglang", "c++"]):
        if command and shutil.which(command[0]):
            asked = subprocess.run([*command, "--version"], capture_output=True, encoding="utf-8", errors="replace")
            if asked.returncode == 0:
                return command, asked.stdout
    raise RuntimeError(
        "the emulator needs a C++ compiler: found none of $CXX, g++, clang++, python -m ziglang c++ "
        "(the last comes with: pip install ziglang)"
    )


def lacks(mode, needs, error):
    """The error of a mode of the emulator that needs more of the compiler than it has."""
    reason = next((line for line in str(error).splitlines() if "error" in line), "nothing")
    command = " ".join(compiler()[0])
    return RuntimeError(f"emulator.mode({mode}=True) needs {needs}, g++ or clang++; {command} says: {reason}")


def cache_folder():
    return platformdirs.user_cache_path("tinynet", appauthor=False) / "emulator"


def source_of(*names):
    """Files of this folder in one text, with their names for error messages and debuggers."""
    paths = [HERE / name for name in names]
    return "".join(f'#line 1 "{path.as_posix()}"\n{path.read_text(encoding="utf-8")}' for path in paths)


def build(name, text, flags, original=""):
    """The path of the file `name`, compiled from the C++ text now or earlier. original: the untranslated source."""
    command, version = compiler()
    headers = [path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.h"))]
    depends_on = [text, original, *headers, name, *flags, *command, version, platform.machine()]
    key = hashlib.sha256("\0".join(depends_on).encode()).hexdigest()[:32]
    folder = cache_folder() / key
    if not is_intact(folder, name):
        make(folder, name, [*command, *flags], text, original)
    return folder / name


def is_intact(folder, name):
    try:
        return (folder / "sha256").read_text(encoding="ascii") == digest(folder / name)
    except OSError:
        return False


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make(folder, name, command, text, original):
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        (new / "translated.cpp").write_text(text, encoding="utf-8")
        (new / "kernel.cu").write_text(original, encoding="utf-8")
        command = [*command, f"-I{HERE}", "translated.cpp", "-o", name]
        command.append(f"-ffile-prefix-map={new}={folder}")  # tells a debugger where the source will be
        done = subprocess.run(command, cwd=new, capture_output=True, encoding="utf-8", errors="replace")
        if done.returncode:
            raise CompileError(done.stderr.strip())
        (new / "sha256").write_text(digest(new / name), encoding="ascii")
        try:
            new.rename(folder)
        except OSError:  # it exists: another process was faster, or it is damaged
            if not is_intact(folder, name):
                folder.rename(Path(temporary, "damaged"))
                new.rename(folder)
