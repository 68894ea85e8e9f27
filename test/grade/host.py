# SPDX-License-Identifier: MIT
"""What the system tells of processes, and what it does for them: most by Linux, the rest by ps."""

import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def control(option, argument):
    try:
        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
    except (OSError, AttributeError):
        pass  # Linux alone has it


def die_with_parent():
    """In a child: let it not outlive the process above, however that ends, where Linux sees to it.
    """
    control(PR_SET_PDEATHSIG, signal.SIGKILL)


def interrupt_quietly():
    """Let ^C end this program without a traceback, when each `finally` is done."""
    before = sys.excepthook

    def tell(kind, error, trace):
        if not issubclass(kind, KeyboardInterrupt):
            before(kind, error, trace)

    sys.excepthook = tell


@contextmanager
def hold(directory):
    """Hold a folder.  Nothing is put into it, since make fills none that holds others' files."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def gain_nothing():
    """In a child: no program that it starts has more rights than it, where Linux sees to it."""
    control(PR_SET_NO_NEW_PRIVS, 1)


def ask_for_large_pages():
    """Let programs that start from now on get their heap in large pages, where the C library and
    Linux have them: QEMU then takes a third of its page faults less to start."""
    os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")


def ask_ps(pid, column):
    """Return what ps knows of a process, or the empty string."""
    try:
        done = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              errors="replace", check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def seconds(clock):
    """The seconds of a time such as 1-02:03:04, 3:04 or 3:04.05, as ps prints it; else None."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", clock)
    if not match:
        return None
    days, hours, minutes, rest = (float(number or 0) for number in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def cpu_seconds(pid):
    """CPU time that a process has used, or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None if os.path.exists("/proc/self/stat") else seconds(ask_ps(pid, "time"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
