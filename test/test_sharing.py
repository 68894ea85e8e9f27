# SPDX-License-Identifier: MIT
"""make sharing: the cache lines that two harts share, by name, the same each time."""

import json
import os
import re
import shutil
import subprocess
import types

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
    assert {"process_create", "process_wait"} <= set(lock["writers"])
    assert "pid_reserve" in line_of(rows["exec"], "pids")["writers"]
    assert "lock" in line_of(rows["open"], "inodes")["fields"]["inodes"]
    assert not any("process_lock" in line["objects"] for line in rows["pipe"]["shared"])
    for row in rows["fork"], rows["exec"]:
        for what, field in ("struct process", "pid"), ("struct thread", "kstack"):
            assert any(field in line["fields"].get(what, []) for line in row["shared"]), what
    for name, row in rows.items():
        assert f"{name}: {row['lines']} lines\n" in table


def test_everything_has_a_name(found):
    for row in found[0].values():
        for line in row["shared"]:
            for what in line["objects"]:
                assert not re.fullmatch(r"image|memory of the boot|page|\d+ bytes", what), line


def test_which_rounds_count(monkeypatch):
    """Of each hart the later ones that no interrupt comes into, and nothing between rounds."""
    monkeypatch.syspath_prepend(guest.TOP / "test/tools")
    tool = guest.load_script(guest.TOP / TOOL)
    functions = [tool.BEGIN, tool.END, "timer_interrupt", "f0", "f1"]
    lines = ["early", "one writes", "apart", "seldom", "interrupted", "between"]
    objects = types.SimpleNamespace(
        allocation=lambda at: None,
        name=lambda at, maker: (lines[(at - tool.USER_END) // tool.LINE], ""))
    trace = tool.Trace(types.SimpleNamespace(start=0, names=functions), objects, ["all"], 16)

    def run(function, hart):
        trace.record(4 * functions.index(function), 0, hart, 0, 0)

    def touch(line, hart, store=1, offset=0, function=None):
        at = tool.USER_END + tool.LINE * lines.index(line) + offset
        trace.record(4 * functions.index(function or f"f{hart}"), at, hart, 8, store)

    for hart in 0, 1:
        for n in range(16):
            run(tool.BEGIN, hart)
            if n < 8:
                touch("early", hart)
            touch("one writes", hart, store=hart)
            touch("apart", hart, offset=8 * hart)
            if n in (9, 13):
                touch("seldom", hart)
            if n == 15:
                touch("interrupted", hart, function="timer_interrupt")
            run(tool.END, hart)
            touch("between", hart)
    [found] = tool.report(trace)["operations"]
    assert [(line["objects"], line["writers"], line["readers"], line["both_write"],
             line["same_bytes"], line["seldom"]) for line in found["shared"]] == [
        (["apart"], ["f0", "f1"], [], True, False, False),
        (["one writes"], ["f1"], ["f0"], False, True, False),
        (["seldom"], ["f0", "f1"], [], True, True, True)]
    assert found["lines"] == 2 and found["rounds"] == [7, 7]


def test_thread_that_moves(monkeypatch, capsys):
    """A round more on one hart and one less on the other is no figure: it runs again."""
    monkeypatch.syspath_prepend(guest.TOP / "test/tools")
    tool = guest.load_script(guest.TOP / TOOL)
    rounds = [(3, 1), (1, 3), (2, 2)]

    def measure(_):
        trace = tool.Trace(types.SimpleNamespace(start=0, names=[tool.BEGIN, tool.END]), None,
                           ["all"], 2)
        for hart, count in enumerate(rounds.pop(0)):
            for _ in range(count):
                for pc in 0, 4:
                    trace.record(pc, 0, hart, 0, 0)
        return tool.report(trace)

    monkeypatch.setattr(tool, "measure", measure)
    assert tool.measure_in_place(None)["operations"][0]["rounds"] == [1, 1]
    assert capsys.readouterr().err.count("runs again") == 2
    rounds[:] = [(3, 1)] * 9
    with pytest.raises(tool.Moved, match="have begun"):
        tool.measure_in_place(None)
    assert len(rounds) == 6


def test_file_that_cannot_be_written(tmp_path):
    done = sharing(tmp_path / "no" / "folder.json", QEMU="/no/qemu")
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
