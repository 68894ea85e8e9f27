# SPDX-License-Identifier: MIT
"""The first process: it does not end, whatever is wanting; and its console."""

import shutil
import subprocess
import time

import guest
import pytest
from test_compat import with_programs
from test_devices import Terminal
from xv6image import DEVICE, Reader

MESSAGE = "init: cannot "


@pytest.fixture
def terminal():
    started = []

    def start(**machine):
        started.append(Terminal(**machine))
        return started[-1]

    yield start
    for t in started:
        t.qemu.kill()
        t.qemu.wait()


@pytest.mark.parametrize("what", ["processes", "memory"])
def test_shortage(terminal, what):
    """It says once that it cannot start a shell, and the shell comes when there is enough again."""
    t = terminal(cpus=2, append="nproc=50")
    t.expect("$ ")
    t.type(f"usertests @hold-{what} &\n")
    t.expect("nothing is left\n")
    came = ""
    while MESSAGE not in came:  # what the shell leaves is enough for one, if init is quick
        t.type("exit\n")
        came = t.expect("$ ", 120)
    assert came.count(MESSAGE) == 1, came
    while t.run("echo back") != "back\n":  # there may be enough for the shell alone
        time.sleep(0.2)
    t.type("exit\n")  # told again only when there is a reason again
    assert MESSAGE not in t.expect("$ ")


def test_no_shell(terminal):
    t = terminal()
    t.expect("$ ")
    t.type("rm sh; exit\n")
    t.expect(MESSAGE)
    time.sleep(3)
    t.qemu.stdin.close()
    t.qemu.terminate()
    rest = t.qemu.stdout.read().decode()
    assert MESSAGE not in rest and "panic" not in rest, rest


def test_killed_shell(terminal):
    """Another one comes; and nothing kills the first process."""
    t = terminal()
    t.expect("$ ")
    assert "process 1 may not be killed" in t.run("kill 1")
    t.type("kill 2\n")
    t.expect("init: starting sh\n$ ")
    assert t.run("echo back") == "back\n"


def full_image(path):
    """An image that has as many inodes as files."""
    programs = sorted((guest.BUILD / "bin").iterdir())
    for inodes in range(len(programs), len(programs) + 20):
        made = subprocess.run([guest.BUILD / "mkfs", "-i", str(inodes), path, *programs],
                              capture_output=True, check=False)
        if made.returncode == 0:
            return path
    raise AssertionError(made.stderr)


def test_no_inode_for_the_console(boot, terminal, tmp_path):
    image = full_image(tmp_path / "fs.img")
    r = boot("echo up and running", image=image)
    assert r.code == 0 and "up and running" in r.output, r.explain()
    assert "cannot make or open /console" in r.output, r.explain()
    assert "init: cannot make /crash" in r.output, r.explain()
    t = terminal(image=image)
    t.expect("$ ")
    assert t.run("echo one | cat") == "one\n"
    t.type("exit\n")
    t.expect("$ ")


@pytest.mark.parametrize("kind", ["file", "directory", "other device"])
def test_console_is_something_else(terminal, tmp_path, kind):
    image = with_programs()
    if kind == "directory":
        image.add("kept", b"mine\n", parent=image.mkdir("console"))
    else:
        image.add("console", b"mine\n" * (kind == "file"), major=2 * (kind != "file"),
                  **({} if kind == "file" else {"kind": DEVICE}))
    path = image.finish(tmp_path / "fs.img")
    t = terminal(image=path)
    t.expect("$ ")
    assert t.run("echo up") == "up\n"
    if kind == "file":
        assert t.run("cat console.old") == "mine\n"
