# SPDX-License-Identifier: MIT
"""make sharing: the cache lines that two harts share, by name, the same each time."""

import json
import os
import re
import shutil
import subprocess

import guest
import pytest

pytestmark = pytest.mark.xdist_group("sharing")
TOOL = "test/tools/sharing"
PLANTED = ("kern/proc/process.c", "int process_fork(void) {\n",
           "static uint64 planted;\n\nint process_fork(void) {\n  fetch_add(&planted, 1);\n")
OPTIONS = ("CROSS", "LLVM", "HOSTCC", "VMAP_STACK", "KSTACK_GROW", "KASAN", "LOCKDEP", "PROVOKE")
NOT_COPIED = shutil.ignore_patterns(".git", "build*", "__pycache__", ".pytest_cache")
NOT_BUILT = shutil.ignore_patterns("grade", "strict", "logs", "test", "vmap-n", "kasan", "*.log")


def sharing(json_file, build=guest.BUILD, top=guest.TOP, **environment):
    return subprocess.run([top / TOOL, f"--json={json_file}", build], text=True, cwd=top,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT, env={**os.environ, **environment})


def figures(json_file, **where):
    done = sharing(json_file, **where)
    if done.returncode == 3:
        pytest.skip("this QEMU takes no plugins")
    assert done.returncode == 0, done.stdout
    found = json.loads(json_file.read_text())
    return {row["name"]: row for row in found["operations"]}, done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return figures(tmp_path_factory.mktemp("sharing") / "1.json")


def line_of(row, what):
    lines = [line for line in row["shared"] if what in line["objects"]]
    assert len(lines) == 1, (row["name"], what)
    return lines[0]


def test_known_lines(found):
    """What is global by nature is seen, with its fields and functions."""
    rows, table = found
    lock = line_of(rows["fork"], "process_lock")
    assert lock["both_write"] and lock["same_bytes"] and not lock["seldom"]
    assert {"owner", "taken"} <= set(lock["fields"]["process_lock"])
    assert {"process_create", "process_exit"} <= set(lock["writers"])
    assert "last" in line_of(rows["exec"], "pids")["fields"]["pids"]
    assert "lock" in line_of(rows["open"], "inodes")["fields"]["inodes"]
    assert not any("process_lock" in line["objects"] for line in rows["pipe"]["shared"])
    for name, row in rows.items():
        assert row["lines"] == sum(not line["seldom"] for line in row["shared"])
        assert f"{name}: {row['lines']} lines\n" in table
        assert min(row["rounds"]) >= 4


def test_everything_has_a_name(found):
    for row in found[0].values():
        for line in row["shared"]:
            assert line["writers"], line
            assert not {"image", "memory of the boot"} & set(line["objects"]), line


def test_file_that_cannot_be_written(tmp_path):
    done = sharing(tmp_path / "no" / "folder.json")
    assert done.returncode == 1 and "cannot be written: nothing was measured" in done.stdout


def test_repeats(found, tmp_path):
    again, _ = figures(tmp_path / "2.json")
    assert {n: (r["lines"], [line["objects"] for line in r["shared"]]) for n, r in again.items()} \
        == {n: (r["lines"], [line["objects"] for line in r["shared"]]) for n, r in found[0].items()}


def test_planted_line(found, tmp_path):
    """A counter of all forks: one line more, with its name and its function."""
    tree = tmp_path / "tree"
    guest.copy_tree(guest.TOP, tree, ignore=NOT_COPIED)
    guest.copy_tree(guest.BUILD, tree / "build", ignore=NOT_BUILT)
    file, old, new = PLANTED
    source = (tree / file).read_text()
    assert old in source
    (tree / file).write_text(source.replace(old, new))
    made = subprocess.run([guest.MAKE, "-C", tree, "kernel", "image", "build/memory-trace.so",
                           "BUILD=build", *guest.chosen(*OPTIONS)], env=guest.environment(),
                          text=True, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert made.returncode == 0, made.stdout[-2000:]
    rows, table = figures(tmp_path / "planted.json", build=tree / "build", top=tree)
    line = line_of(rows["fork"], "planted")
    assert line["both_write"] and line["same_bytes"] and line["writers"] == ["process_fork"]
    assert re.search(r"^ +1  .*\bplanted\b.*: both write$", table, re.MULTILINE)
    assert not any("planted" in line["objects"] for line in rows["sbrk"]["shared"])


@pytest.mark.parametrize("script, says, code", [
    ("echo 'qemu: -plugin: invalid option'; exit 1", "takes no plugins", 3),
    ("echo OpenSBI; echo panic; exit 1", "the guest has failed; its console:", 1),
    ("echo OpenSBI", "the guest has not said what it does", 1),
])
def test_refused(tmp_path, script, says, code):
    qemu = tmp_path / "qemu"
    qemu.write_text(f"#!/bin/sh\n{script}\n")
    qemu.chmod(0o755)
    done = sharing(tmp_path / "f.json", QEMU=str(qemu))
    assert done.returncode == code and says in done.stdout and "Traceback" not in done.stdout
