"""Runs a program without the names that Python has on POSIX systems only.

    python -X warn_default_encoding tests/without_posix.py PROGRAM ARGUMENTS

The nearest thing to Windows that can be had elsewhere. PROGRAM is a path, or a module after `-m`.
"""

import multiprocessing.popen_spawn_posix
import os
import runpy
import shutil
import signal
import sys
import warnings

import matplotlib.figure  # noqa: F401 (other people's packages have their own way with each system: imported before)
import numpy  # noqa: F401
import PIL.Image  # noqa: F401
import platformdirs  # noqa: F401
import safetensors.numpy  # noqa: F401
import simplejpeg  # noqa: F401
import threadpoolctl  # noqa: F401
import tqdm  # noqa: F401

MODULES = "fcntl grp pty pwd resource syslog termios tty"
OS = """
    fork forkpty register_at_fork sched_getaffinity sched_setaffinity getuid geteuid getgid getegid getpgid setpgid
    getpgrp setsid killpg mkfifo mknod statvfs fstatvfs chown chroot nice uname getloadavg wait wait3 wait4 pread
    preadv pwrite posix_fallocate posix_fadvise posix_spawn sysconf confstr ttyname openpty fchmod fchown lchown
    O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_SYNC O_DSYNC WIFEXITED WIFSIGNALED WEXITSTATUS WTERMSIG WNOHANG
"""
SIGNAL = """
    SIGHUP SIGKILL SIGQUIT SIGALRM SIGUSR1 SIGUSR2 SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGPIPE SIGBUS alarm setitimer
    getitimer pause pthread_kill pthread_sigmask sigpending sigwait sigwaitinfo sigtimedwait siginterrupt
"""


def take_away():
    for name in MODULES.split():
        sys.modules[name] = None
    for module, names in ((os, OS), (signal, SIGNAL)):
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    multiprocessing.set_start_method("spawn")
    shutil._use_fd_functions = False  # as rmtree works on Windows

    open_file = os.open

    def open_no_folder(path, flags, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)
        return open_file(path, flags, *args, **kwargs)

    rename = os.rename

    def rename_over_nothing(source, target, **kwargs):
        if os.path.exists(target):
            raise FileExistsError(17, "Cannot create a file when that file already exists", source, None, target)
        return rename(source, target, **kwargs)

    os.open, os.rename = open_no_folder, rename_over_nothing
    # With -X warn_default_encoding: Windows' default encoding is not UTF-8.
    warnings.filterwarnings("error", category=EncodingWarning, module=r"tinynet|__main__")


if __name__ == "__main__":
    take_away()
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")
