# SPDX-License-Identifier: MIT
"""Power cuts (test/tools/crash): a hundred of a small load, and that what must be noticed is."""

import json
import random
import re
import shutil
import subprocess

import guest
import pytest

crash = guest.load_script(guest.TOP / "test/tools/crash")
SEED = 1
FOLDER = guest.BUILD / "crash" / str(SEED)
pytestmark = pytest.mark.xdist_group("crash")


def run(*options):
    return subprocess.run([guest.TOP / "test/tools/crash", f"--seed={SEED}", *options],
                          cwd=guest.TOP, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def first():
    """A record that the other tests take, too.  It stays when this one fails."""
    done = run("--points", "100", "--boots", "3", "--keep")
    yield done
    if done.returncode == 0:
        shutil.rmtree(FOLDER)


def test_hundred(first):
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.startswith("100 power cuts in ")
    assert "\n3 of them mounted by the kernel" in first.stdout


def make_examiner(change=list, without=None):
    """An examiner of the record, with other marks, or without a flush of each commit."""
    known = json.loads((FOLDER / "record.json").read_text())
    promises = crash.Promises(crash.Load(SEED, known["busy"]), change(known["marks"]))
    return crash.Examiner(FOLDER, SEED, crash.Disk(FOLDER, without), promises)


@pytest.mark.parametrize("flush", range(4))
def test_each_flush_is_needed(first, flush):
    """Without one of a commit's four flushes some cut does damage: about one in thirty."""
    examiner = make_examiner(without=flush)
    points = [(i, k) for i, k in examiner.disk.points(4000, SEED) if k]
    with pytest.raises(crash.Failed):
        for i, k in random.Random(SEED).sample(points, len(points)):
            examiner.examine(i, k)


def test_failure_can_be_seen_again(first):
    """By the command that it prints; with the flush it is gone."""
    without = "--without-flush", "3"
    done = run("--again", "--points", "999", "--boots", "0", *without)
    assert done.returncode == 1, done.stdout + done.stderr
    cut = re.search(rf"look at it again: make crash SEED={SEED} CUT=(\S+)", done.stdout)[1]
    assert run("--cut", cut, "--boots", "0", *without).stdout == done.stdout
    again = run("--cut", cut, "--boots", "0")
    assert again.returncode == 0 and again.stdout.startswith("1 power cuts"), again.stdout


def test_promises(first):
    """Marks that come one flush too early promise what is not there; those too late, that what is
    there had not begun."""
    marks = make_examiner().promises.marks
    busy = [mark for mark in marks if mark[0] >= 0]
    assert len(busy) > 12
    early = make_examiner(lambda all_: [(who, what, at - 7) for who, what, at in all_])
    with pytest.raises(crash.Failed, match="was promised, and only"):
        for _, _, at in marks:
            early.examine(at - 7, 0)
    late = make_examiner(lambda all_: [(who, what, at + 40) for who, what, at in all_])
    with pytest.raises(crash.Failed, match="calls are there, .* had begun|no number of calls"):
        for _, _, at in marks[:4]:
            late.examine(at + 30, 0)


def explained(states, order=(), partial=None):
    """Check a tree against a load of two processes that have made one call each, or none."""
    load = crash.Load(SEED, 0)
    del load.processes[2:]
    load.order = list(order)
    for process in load.processes:
        path = f"p{process.number}/f"
        process.steps = [crash.Step("", {}),
                         crash.Step("w", {path: (crash.FILE, 1, b"0123456789")}, partial)]
        process.ends, process.returned = [1], {}
    found = {f"p{n}/f": (crash.FILE, 1, data) for n, data in states.items()}
    crash.Promises(load, []).check(0, found)


def test_model():
    whole = b"0123456789"
    explained({})
    explained({0: whole, 1: whole})
    explained({1: whole})
    with pytest.raises(crash.Failed, match="had returned before it is not"):
        explained({1: whole}, order=[(0, 1, 1, 0)])
    explained({0: whole}, order=[(0, 1, 1, 0)])
    with pytest.raises(crash.Failed, match="process 0: no number of calls, 0 to 1, leaves this"):
        explained({0: whole[:5]})


def test_a_long_write_in_part():
    step = crash.Step("w", {"f": (2, 2, b"abcdef"), "g": (2, 2, b"abcdef"), "h": (1, 1, None)},
                      ("f", 2))
    for data, good in ((b"ab", False), (b"abc", True), (b"abd", False), (b"abcdef", False)):
        seen = {**step.state, "f": (2, 2, data), "g": (2, 2, data)}
        assert crash.is_partial(step, seen) == good
    assert not crash.is_partial(step, {**step.state, "f": (2, 2, b"abc")})
    assert not crash.is_partial(step, {})


def test_end(first):
    """poweroff leaves no log: a log at the end of the record is noticed."""
    examiner = make_examiner()
    events = examiner.disk.events
    header = next(event[0] for event in events[::-1] if event)  # cleared last
    cleared = [i for i, event in enumerate(events) if event and event[0] == header]
    del events[cleared[-1]:]
    with pytest.raises(crash.Failed, match="poweroff has left a log"):
        examiner.examine(len(events), 0)


def test_load():
    """The seed decides it, and it does all that the guest can do."""
    loads = [[*crash.Load(seed, 5).scripts()] for seed in (1, 1, 2)]
    assert loads[0] == loads[1] != loads[2]
    words = {line[0] for _, text in (*loads[0], *loads[2]) for line in text.splitlines()}
    there = re.findall(r"case '(\w)':", (guest.TOP / "user/crashload.c").read_text())
    assert words == set(there)


@pytest.mark.parametrize("words, text", [
    (["SEED=x"], "SEED=x: a number"),
    (["SEED=1", "CUT=5"], "CUT=5: two numbers"),
    (["CUT=5.1"], "CUT= needs the SEED="),
    (["SEED=987654321", "CUT=5.1"], "there is no record in"),
    (["POINTS=0"], "--points: 0: a whole number from 1 to 1000000\n"),
    (["POINTS=1000001"], "--points: 1000001: a whole number"),
    (["BOOTS=-1"], "--boots: -1: a whole number from 0 to"),
])
def test_errors(words, text):
    options = [f"--{word.lower()}" for word in words]
    done = subprocess.run([guest.TOP / "test/tools/crash", *options],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode and text in done.stderr, done.stdout + done.stderr


@pytest.mark.skipif(not guest.BUILD.is_relative_to(guest.TOP), reason="a folder elsewhere")
def test_make_crash():
    done = subprocess.run(
        [guest.MAKE, "crash", f"BUILD={guest.BUILD.relative_to(guest.TOP)}", "SEED=987654321",
         "CUT=5.1", "ARGS=--boots 0"], cwd=guest.TOP, env=guest.environment(),
        capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "there is no record in" in done.stderr, done.stderr
