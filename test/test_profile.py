# SPDX-License-Identifier: MIT
"""make profile: exact figures, the same each time, in the functions that did the work."""

import json
import re
import subprocess

import guest
import pytest

pytestmark = pytest.mark.xdist_group("profile")  # one file of figures
TOOL = guest.TOP / "test/tools/profile"


def profile(*words, **options):
    given = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.run([TOOL, *given, guest.BUILD, *words], text=True, cwd=guest.TOP,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)


def figures(path, *words, **options):
    done = profile(*words, json=path, **options)
    assert done.returncode == 0, done.stdout
    found = json.loads(path.read_text())
    found["of"] = {row["name"]: row for row in found["functions"]}
    return found


def each(found, name, column):
    return found["of"][name][column] / found["calls"]


def test_null_call_agrees_with_bench(tmp_path):
    """A call that does nothing does all of it in three functions; ecall itself is the user's."""
    counted = guest.run("bench null", extra=["-icount", "shift=0"])
    bench = int(re.search(r"bench: null (\d+)", counted.output)[1])
    found = figures(tmp_path / "f.json", "bench", "null")
    way = ("trap_entry", "syscall", "sys_getpid")
    calls = found["of"]["sys_getpid"]["calls"]
    assert calls >= 10000
    whole = sum(n for stack, n in found["stacks"]
                if tuple(stack) in {way[:i] for i in range(1, 4)})
    assert abs(whole / calls - bench) < 4


def test_repeats(tmp_path):
    first = figures(tmp_path / "1.json", "true")
    assert first["instructions"] > 10000
    assert figures(tmp_path / "2.json", "true") == first
    assert sum(n for _, n in first["stacks"]) == first["instructions"]


def test_threads_that_wait(tmp_path):
    """Two processes that wait for each other in a pipe: each goes on below what it has called."""
    found = figures(tmp_path / "f.json", "bench", "pingpong")
    assert found["of"]["switch_away"]["calls"] > 2000
    for stack, _ in found["stacks"]:
        assert not {"sys_read", "sys_write"} <= set(stack), stack
        assert "before the first trap" not in stack
    lost = [n for stack, n in found["stacks"] if stack[0] not in ("trap_entry", "thread_entry")]
    assert sum(lost) < found["instructions"] / 100, lost
    calls = found["of"]["sys_read"]["calls"], found["of"]["sys_write"]["calls"]
    assert min(calls) > 2000 and abs(calls[0] - calls[1]) < 20


# What only one system call leads to.
LEADS = {"pipe_read": "sys_read", "pipe_write": "sys_write", "process_wait": "sys_wait"}


def test_threads_that_wait_differently(tmp_path):
    """A reader, a writer and init, which waits: none goes on below what another has called."""
    found = figures(tmp_path / "f.json", "bench", "pipe")
    assert found["of"]["switch_away"]["calls"] > 20
    for stack, _ in found["stacks"]:
        assert all(call in stack for below, call in LEADS.items() if below in stack), stack


def test_one_function(tmp_path):
    found = figures(tmp_path / "f.json", "bench", "fork", call="sys_fork")
    assert found["calls"] > 200 and each(found, "sys_fork", "calls") == 1
    assert each(found, "process_fork", "whole") < found["instructions"] / found["calls"]
    assert all(stack[0] == "sys_fork" for stack, _ in found["stacks"])
    picture = (guest.BUILD / "profile.svg").read_text()
    assert picture.startswith("<svg") and "kstack_alloc" in picture
    for line in (guest.BUILD / "profile.folded").read_text().splitlines():
        assert line.startswith("sys_fork") and line.rsplit(" ", 1)[1].isdigit()


@pytest.mark.parametrize("words, options, says", [
    (["nothing"], {}, "NAME=nothing: there is no such program"),
    (["../init"], {}, "NAME=../init: there is no such program"),
    (["true"], {"call": "sys_pipe"}, "CALL=sys_pipe: the kernel has not called that"),
    (["cat", "/none"], {}, "cat /none has failed; its console:"),
    (["true"], {"base": "no-such"}, "BASE=no-such is no commit"),
    (["true"], {"base": "-x"}, "BASE=-x is no commit"),
])
def test_refused(words, options, says):
    done = profile(*words, **options)
    assert done.returncode == 1 and says in done.stdout and "Traceback" not in done.stdout


def test_name_is_needed():
    done = subprocess.run(["make", "-n", "profile"], cwd=guest.TOP, text=True,
                          env=guest.environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode and "say NAME=program" in done.stdout


def test_file_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("QEMU", "/no/qemu")
    done = profile("true", json=tmp_path / "no" / "folder.json")
    assert done.returncode == 1 and "cannot be written: nothing was measured" in done.stdout
