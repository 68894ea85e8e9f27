# SPDX-License-Identifier: MIT
"""Overflows everywhere (test/tools/storm): a sample of them, and that what must be noticed is."""

import os
import re
import subprocess
import types

import guest
import pytest
from guest import STACK

storm = guest.load_script(guest.TOP / "test/tools/storm")


def run(*options, build=guest.BUILD):
    return subprocess.run([guest.TOP / "test/tools/storm", "--jobs=1", *options, build],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def totals(done):
    """Return how many faults there were, at how many places, the share that survived, and the KiB
    that were lost."""
    found = re.search(r"(\d+) faults? at (\d+) places? .*: ([\d.]+) % survived\n  lost: (\d+) KiB",
                      done.stdout)
    return int(found[1]), int(found[2]), float(found[3]), int(found[4])


@pytest.mark.long
@pytest.mark.parametrize("cpus", ["1", "3"])
def test_sample(cpus):
    """A hundred overflows on each; the machine survives nearly all, and nothing is damaged."""
    done = run("--overflows=100", f"--cpus={cpus}")
    assert done.returncode == 0, done.stdout
    faults, places, survived, _ = totals(done)
    assert faults >= 100 and places >= 40 and survived >= 98, done.stdout


@pytest.mark.parametrize("option, value", [
    ("--seed", -3), ("--cpus", 0), ("--jobs", 0), ("--overflows", 0), ("--faults", -1)])
def test_numbers(option, value):
    done = run(f"{option}={value}")
    assert done.returncode == 2 and f"{option}: {value}: a whole number from " in done.stdout


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    return guest.beside(guest.build_growing(), tmp_path_factory.mktemp("growing"))


@pytest.mark.long
def test_sample_where_stacks_grow(growing):
    """Some calls find no spare page for their stack to grow, and some overflow."""
    done = run("--overflows=40", "--cpus=3", build=growing)
    assert done.returncode == 0, done.stdout
    faults, _, survived, lost = totals(done)
    assert faults >= 40 and survived >= 90 and lost < 100, done.stdout
    assert {"growth", "overflow"} <= set(re.findall(r"^  (\w+) +killed ", done.stdout,
                                                    re.MULTILINE)), done.stdout


@pytest.mark.parametrize("room, kind, times", [
    ("4432", None, "2 times"), ("4432/4", "growth", "1 time"), ("704", "overflow", "1 time")])
def test_end_of_a_page(growing, room, kind, times):
    """create grows where its page ends, unless there is no spare one.  The other time is that in
    which it gets its little stack."""
    done = run(f"--alone={room} create", "--cpus=1", build=growing)
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^  (growth|overflow) +killed", done.stdout, re.MULTILINE) == \
        ([kind] if kind else []), done.stdout
    assert f"  stacks have grown {times}\n" in done.stdout, done.stdout


@pytest.mark.long
def test_reserve_comes_back():
    """Calls that allocate little overflow at seventy places, most while they hold something: the
    two pages of each reserve are free again."""
    done = run("--deeds=read,write,link", "--faults=0", "--cpus=1")
    assert done.returncode == 0, done.stdout
    faults, places, survived, lost = totals(done)
    assert faults > 120 and places > 50 and survived == 100, done.stdout
    assert done.stdout.count(" reserve, ") >= 4 and lost < 100, done.stdout


@pytest.mark.parametrize("test", ["race-same-name", "race-own-files"])
def test_one_after_the_other(test):
    """Each process of a test overflows, right after the other: the hart has its spare pages again
    when the next thread runs."""
    done = run(f"--alone=1104 test:{test}", "--cpus=1")
    faults, _, survived, _ = totals(done)
    assert done.returncode == 0 and faults >= 3 and survived == 100, done.stdout


def test_deeds():
    """With all of its stack no deed is killed."""
    deeds = storm.list_deeds()
    assert len(deeds) > 40
    harmless = [deed for deed in deeds if not deed.startswith("fault-") and deed != "spin"]
    done = run(f"--alone=0 {' '.join(harmless[:7])}", "--cpus=3", "--show")
    assert done.returncode == 0 and "storm: done killed=0 " in done.stdout, done.stdout
    assert totals(done)[0] == 0, done.stdout


@pytest.mark.parametrize("fault, kind", [("illegal", "exception"), ("null", "null"),
                                         ("wild-sp", "wild-sp|overflow|underflow")])
def test_other_fault(fault, kind):
    """A fault where a function begins: the kernel says what it was and which process, and kills
    it, as nothing is held there."""
    done = run(f"--alone={fault}:file_write:2 write", "--cpus=3", "--show")
    assert done.returncode == 0, done.stdout
    assert re.search(rf"class=({kind}) .* name=storm .*verdict=killed", done.stdout), done.stdout


@pytest.mark.long
def test_other_faults():
    """Faults of other classes at random places: some are survived, and each panic has a reason."""
    done = run("--overflows=1", "--faults=25", "--cpus=3", "--seed=3")
    assert done.returncode == 0, done.stdout
    rows = re.findall(r"^  (exception|null|wild-sp) +(killed|panic) +(\S+)", done.stdout,
                      re.MULTILINE)
    assert len({row[0] for row in rows}) == 3 and "killed" in {row[1] for row in rows}, done.stdout


DONE = {"bytes": 100, "promised": 0, "processes": 2, "stacks": 5, "sync": 0, "grown": 0}
MACHINE = {"class": "overflow", "verdict": "panic", "why": "spinlock"}
INIT = {"class": "null", "pid": "1", "verdict": "killed", "why": "-"}


@pytest.mark.parametrize("why, panic, records, planted, wrong", [
    ("the machine has ended", "panic: kernel fault", [MACHINE], "", []),
    ("the machine has ended", "panic: kernel fault", [{**MACHINE, "why": "-"}], "",
     ["panic: kernel fault"]),
    ("the machine has ended", "panic: assertion failed", [], "", ["panic: assertion failed"]),
    ("the machine has ended", "", [], "", ["the machine has ended, without a panic"]),
    ("the guest hangs", "", [MACHINE], "", ["the guest hangs, without a panic"]),
    ("the machine has ended", "", [], "null:fork:1", []),
    ("the guest hangs", "", [], "null:fork:1", ["the guest hangs, without a panic"]),
    ("the machine has ended", "panic: init exited with status -1 (hart 0)", [INIT], "null:fork:1",
     []),
    ("the machine has ended", "panic: init exited with status -1 (hart 0)", [INIT], "",
     ["panic: init exited with status -1 (hart 0)"]),
])
def test_what_is_wrong(why, panic, records, planted, wrong):
    outcome = storm.Outcome(storm.Step("400 write"))
    outcome.panic, outcome.planted = panic, planted
    outcome.records = [dict(record) for record in records]
    storm.Guest.ended(None, outcome, why)
    assert outcome.wrong == wrong
    if why == storm.ENDED and not panic:
        outcome.output, outcome.wrong = "storm: the step HANGS\n", []
        storm.Guest.ended(None, outcome, why)
        assert outcome.wrong == ["storm: the step HANGS"]


@pytest.mark.parametrize("now, leaked, lost, wrong", [
    ({}, 0, [], 0),
    ({"bytes": 60}, 40, [], 0),
    ({"bytes": 140}, 0, [], 0),
    ({"stacks": 6}, 0, ["stacks"], 0),
    ({"processes": 3, "promised": 9}, 0, ["promised", "processes"], 0),
    ({"sync": -5}, 0, [], 1),
])
def test_what_is_missing(now, leaked, lost, wrong):
    outcome = storm.Outcome(storm.Step("400 write"))
    machine = types.SimpleNamespace(counts=dict(DONE), shortage=0)
    storm.Guest.compare(machine, outcome, {**DONE, **now})
    assert (outcome.leaked, outcome.lost, len(outcome.wrong)) == (leaked, lost, wrong)
    assert len(outcome.missing()) == (1 if leaked or lost else 0)
    again = storm.Outcome(storm.Step("400 write"))  # what is missing once is not counted twice
    storm.Guest.compare(machine, again, {**DONE, **now})
    assert again.missing() == []


@pytest.mark.parametrize("step", ["write", "400", "x write", "400 wriet", "400/x write",
                                  "null:fork: write", "null:fork:0 write", "400 test:nosuch",
                                  "400 write,read"])
def test_errors(step):
    done = run(f"--alone={step}")
    assert done.returncode == 1 and re.match(r"storm: (a step is|there is no deed) ", done.stdout)


def test_spare_pages_where_no_stack_grows():
    done = run("--alone=4896/4 create", "--cpus=1")
    assert done.returncode == 1 and done.stdout == \
        "storm: 4896/4: spare pages are for stacks that grow: KSTACK_GROW=y\n"


def test_fault_that_never_comes():
    """A step alone says so, and a planted fault that nothing reaches is an error."""
    done = run("--alone=null:file_write:999 write", "--cpus=1")
    assert done.returncode == 1 and done.stdout.endswith(
        "storm: null:file_write:999 has never come: write does not get there, or not so often\n")
    done = run("--alone=4000 write", "--cpus=1")
    assert done.returncode == 0 and done.stdout.endswith(
        "storm: nothing has overflowed: the stack was large enough\n")


KILLED, PANICKED = (f"kstack: class=null sepc=0x80 verdict={end} why=-\n"
                    for end in ("killed", "panic"))
WHOLE = "storm: done killed=0 bytes=1 sync=0 grown=0\n"


@pytest.mark.parametrize("said, planted, why", [
    ("storm: done killed=0 by\n" + KILLED, True, storm.ENDED),
    (WHOLE, False, ""),
    (WHOLE + KILLED, True, ""),
    (WHOLE + PANICKED, True, storm.ENDED),
    (PANICKED + WHOLE, False, storm.ENDED),
    (WHOLE, True, storm.ENDED),
])
def test_end_of_a_step(said, planted, why):
    """A planted fault may end storm while it says that a step is done, or the machine after it."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdout:
        machine = storm.Guest.__new__(storm.Guest)
        machine.qemu = types.SimpleNamespace(stdout=stdout, pid=os.getpid())
        outcome = types.SimpleNamespace(planted="null:fork:1" if planted else "")
        for line in said.splitlines(keepends=True):
            os.write(writer, line.encode())
        os.close(writer)
        assert machine.listen(None, outcome) == (said, why)


def test_command_that_repeats(monkeypatch):
    """It takes the same kernel."""
    monkeypatch.setenv("MAKEFLAGS", "s -- STEP=x KSTACK_GROW=y BUILD=build/grow CPUS=2")
    outcome = storm.Outcome(storm.Step("400 write"))
    assert storm.again(2, outcome) == \
        "make storm STEP='400 write' CPUS=2 KSTACK_GROW=y BUILD=build/grow"


@pytest.mark.parametrize("deeds, wrong", [
    ("link,nosuch", "nosuch"), ("link read", "link read"), ("test:nosuch", "test:nosuch"),
    ("", "")])
def test_no_such_deed(deeds, wrong):
    done = run(f"--deeds={deeds}", "--overflows=1", "--faults=0", "--cpus=1")
    assert done.returncode == 1 and done.stdout == \
        f"storm: there is no deed {wrong!r}: user/storm/deeds.c has them\n"


def test_chosen_deeds(monkeypatch):
    """What --deeds chooses, it chooses for overflows and for the other faults."""
    chosen = []
    monkeypatch.setattr(storm, "run", lambda options, cpus, steps, what: not chosen.append(steps))
    monkeypatch.setattr(storm.sys, "argv", ["storm", "--deeds=link,test:exec", "--cpus=3",
                                            "--faults=50", str(guest.BUILD)])
    storm.main()
    overflows, faults = chosen
    assert {" ".join(step.names) for step in overflows} == {"link", "test:exec"}
    assert len(faults) == 50 and all(step.is_planted for step in faults)
    assert {" ".join(step.names) for step in faults} == {"link", "test:exec"}


@pytest.mark.parametrize("grows", [False, True])
def test_room_in_kstacks(boot, growing, tmp_path, grows):
    """docs/storm.md: a child's stack is short, and what it does not have counts as used."""
    (tmp_path / "script").write_text("kstacks -p\n")
    image = tmp_path / "fs.img"
    subprocess.run([guest.BUILD / "mkfs", image, *(guest.BUILD / "bin" / name for name in (
        "init", "provoke", "sh", "kstacks")), tmp_path / "script"], check=True)
    r = boot("provoke room=2192 sh script", image=image,
             kernel=(growing if grows else guest.BUILD) / "kernel")
    found = re.findall(r"^ +\d+ (sh|kstacks) .* (thread|short) .* (\d+) +(\d+)$", r.output,
                       re.MULTILINE)
    assert [row[:2] for row in found] == [("sh", "thread"), ("kstacks", "short")], r.explain()
    for name, kind, now, peak in found:
        assert STACK - 2192 < int(now) <= int(peak) <= STACK, (name, kind, now, peak)


@pytest.mark.parametrize("step", ["100 create", "99999 create", "100 test:file-sizes"])
def test_refused(step):
    """A room that the kernel cannot leave is no step that was survived."""
    done = run(f"--alone={step}", "--cpus=1")
    assert done.returncode == 1 and done.stdout.startswith(
        f"storm: a room of {step.split()[0]} bytes is refused: it can leave from 288 to 1"), \
        done.stdout


@pytest.mark.parametrize("room", ["100", "99999", "abc", "-5", "", "18446744073709551600"])
def test_provoke_no_room(boot, room):
    r = boot(f"provoke room={room} echo runs")
    assert r.code == 1 and "runs" not in r.output.splitlines(), r.explain()
    assert f"provoke: room={room} is refused: N is a number of bytes" in r.output, r.explain()
    assert re.search(r"^FAIL: it can leave from 288 to 1\d{4} bytes$", r.output, re.MULTILINE)


@pytest.mark.parametrize("option", ["-n 5", "-j 2"])
def test_provoke_many_rooms(boot, option):
    r = boot(f"provoke {option} room=2000 echo runs")
    assert r.code == 1 and "-j run tests, not a program" in r.output, r.explain()
    assert "runs" not in r.output.splitlines(), r.explain()


def test_refused_by_name(boot):
    """A test that is in the list, and one that is not."""
    for command in ("STACK_ROOM 100", "NOTHING"):
        r = boot(f"provoke {command}")
        assert r.code == 1 and f"refuses this {command.split()[0]} (provoke alone" in r.output, \
            r.explain()


def test_room_in_interrupt(boot):
    r = boot("provoke IN_INTERRUPT STACK_ROOM 800")
    assert "FAIL: a handler has a stack of its own\n" in r.output, r.explain()


@pytest.mark.parametrize("grows", [False, True])
def test_room_and_exec(boot, growing, grows):
    """docs/storm.md: with 800 bytes provoke's own exec overflows, with 2,000 ls runs."""
    kernel = (growing if grows else guest.BUILD) / "kernel"
    r = boot("provoke room=800 ls", kernel=kernel, extra=["-icount", "shift=0"])
    assert {k["name"] for k in r.records} == {"provoke"}, r.explain()
    assert "sys_exec+0x" in r.output and "README" not in r.output, r.explain()
    r = boot("provoke room=2000 ls", kernel=kernel, extra=["-icount", "shift=0"])
    assert r.code == 0 and "README" in r.output and not r.records, r.explain()


@pytest.mark.skipif(not guest.BUILD.is_relative_to(guest.TOP), reason="a folder elsewhere")
def test_make_storm():
    done = subprocess.run(
        [guest.MAKE, "storm", f"BUILD={guest.BUILD.relative_to(guest.TOP)}", "STEP=704 create",
         "CPUS=1"], cwd=guest.TOP, env=guest.environment(), capture_output=True, text=True,
        stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and totals(done)[:3] == (1, 1, 100), done.stdout + done.stderr


@pytest.mark.parametrize("grows", [False, True])
def test_provoke_room(boot, growing, grows):
    """A program and its children have that much of their stacks; what they need less, works."""
    kernel = (growing if grows else guest.BUILD) / "kernel"
    for room in (2000, 9000):
        r = boot(f"provoke room={room} usertests -q fork-tree", kernel=kernel)
        assert "ALL TESTS PASSED" in r.output and not r.records, r.explain()
    r = boot("provoke room=9008 provoke -n 2 EXHAUST_STACK", kernel=kernel)
    assert [k["hi"] - k["lo"] for k in r.records] == [9008, 9008], r.explain()
    # In guest time, since a tick would overflow as well, and leave a reserve that is enough.
    r = boot("provoke room=400 ls", kernel=kernel, extra=["-icount", "shift=0"])
    assert r.code == 255 and r.records[0]["verdict"] == "killed", r.explain()
    assert r.records[0]["hi"] - r.records[0]["lo"] == 400
    assert r.output.count("| not in use   15984 B |") == len(r.records), r.explain()  # no guard
