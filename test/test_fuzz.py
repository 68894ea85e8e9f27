# SPDX-License-Identifier: MIT
"""Hostile programs: calls with bad arguments (user/fuzz.c), and what the script says of them."""

import re
import subprocess
from argparse import ArgumentTypeError, Namespace

import guest
import pytest

TOOLS = guest.TOP / "test/tools"
fuzz, images = (guest.load_script(TOOLS / name) for name in ("fuzz", "fuzz-images"))
# Of these one of the two cannot be: they never fail, or do not return when they succeed.
ALWAYS = {"getpid", "uptime", "sleep", "sync"}
GONE = {"exec"}
NEVER = {"exit", "poweroff", "unknown"}


def run(*options, script="fuzz"):
    return subprocess.run([TOOLS / script, *options, guest.BUILD], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def table(output):
    """Return {call: (succeeded, failed, did not return)}."""
    rows = re.findall(r"^fuzz: (\w+) +(\d+) +(\d+) +(\d+)$", output, re.MULTILINE)
    return {name: tuple(map(int, numbers)) for name, *numbers in rows}


@pytest.mark.long
def test_calls():
    """100,000 calls; each call succeeds and fails."""
    done = run("--calls", "100000")
    assert done.returncode == 0, done.stdout
    calls = table(done.stdout)
    assert sum(map(sum, calls.values())) >= 100000 and len(calls) == 29, done.stdout
    for name, (succeeded, failed, gone) in calls.items():
        assert succeeded or name in NEVER or name in GONE and gone, name
        assert failed or name in ALWAYS or name == "exit" and gone, name


@pytest.mark.parametrize("seed", ["5"])
def test_repeats(seed):
    """On one hart two runs with one seed print the same, and another seed something else."""
    first, second, other = (run("--calls", "3000", "--seed", s).stdout for s in (seed, seed, "6"))
    digest = re.search(r"digest [0-9a-f]{16}$", first, re.MULTILINE)
    assert digest and first == second, first
    assert digest[0] not in other


def test_round_alone():
    """One round alone prints each of its calls."""
    done = run("--round", "3", "--seed", "5")
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"^fuzz: process \d+ call \d+: \w+\(", done.stdout, re.MULTILINE)) > 20


@pytest.mark.parametrize("more", [(), ("--soak",)], ids=["calls", "soak"])
def test_several_at_once(more):
    """Processes on three harts share files and pipes; a killer kills some; others overflow."""
    done = run("--cpus", "3", "--calls", "10000", *more)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("text", ["", "-3", "x", "1.5", " 5", "4", "33", "1" * 10])
def test_number(text):
    with pytest.raises(ArgumentTypeError, match=f"^{text}: a whole number from 5 to 32$"):
        guest.number(5, 32)(text)
    assert guest.number(5, 32)("032") == 32 and guest.number(5)("5") == 5


@pytest.mark.parametrize("script, option, value", [
    ("fuzz", "--seed", -3), ("fuzz", "--calls", 0), ("fuzz", "--round", -1),
    ("fuzz", "--minutes", 0), ("fuzz", "--cpus", 33), ("fuzz-images", "--seed", -3),
    ("fuzz-images", "--calls", 0), ("fuzz-images", "--first", -1),
])
def test_numbers(script, option, value):
    done = run(f"{option}={value}", script=script)
    assert done.returncode == 2 and f"{option}: {value}: a whole number from " in done.stdout


@pytest.mark.parametrize("output, when, calls", [
    ("fuzz: it says something\n", "before the first round", 1),
    ("fuzz: round 0 after 0 calls\nfuzz: round 1 after 400 calls\n"
     "fuzz: inodes  164 before,  163 after, DIFFERENT\n", "round 1, after 400 calls", 401),
])
def test_rounds_to_repeat(tmp_path, capsys, output, when, calls):
    """All up to the last one, where one alone would not do."""
    options = Namespace(seed=3, calls=1000, round=None, cpus=1, soak=False,
                        build=guest.BUILD, minutes=None)
    log = tmp_path / "log"
    log.write_text(output)
    fuzz.blame(options, log, fuzz.what_is_wrong(1, output, ""), None)
    said = capsys.readouterr().out
    assert f"seed 3, {when}; console" in said and "None" not in said
    assert f"repeat it: make fuzz SEED=3 CALLS={calls} CPUS=1" in said


END = "fuzz: nothing is missing\n"


@pytest.mark.parametrize("code, output, stopped, wrong", [
    (0, END, "", ""),
    (0, "kstack: class=overflow pid=9 name=provoke verdict=killed run=-\n" + END, "", ""),
    (0, "kstack: class=overflow pid=9 name=fuzz verdict=killed run=-\n" + END, "", "name=fuzz"),
    (1, "panic: assertion failed: x (hart 0)\n", "", "assertion failed"),
    (1, "fuzz: inodes  164 before,  163 after, DIFFERENT\n", "", "inodes"),
    (99, "fuzz: round 3 HANGS\n", "", "round 3 HANGS"),
    (0, "fuzz: round 3 after 400 calls\n", "", "ended early, with exit code 0"),
    (-9, "", "the guest hangs", "the guest hangs"),
])
def test_what_is_wrong(code, output, stopped, wrong):
    found = fuzz.what_is_wrong(code, output, stopped)
    assert wrong in found and bool(found) == bool(wrong)


def test_program_that_turns_the_machine_off(monkeypatch, tmp_path, capsys):
    """A wrong executable may be right enough to call poweroff: the next round goes on."""
    asked = []

    def boot(_build, program, *_):
        asked.append(program)
        log = tmp_path / str(len(asked))
        calls = "fuzz: round 7 after 400 calls\nfuzz: process 9 call 3: 7(0x1, 0x2, 0x0)\n"
        log.write_text(END if "-f 8" in program else calls)
        return 0, log, ""
    monkeypatch.setattr(fuzz, "run", boot)
    options = Namespace(seed=1, calls=1000, cpus=1, minutes=None, soak=False, build=guest.BUILD)
    log, wrong = fuzz.run_on(options, "image", lambda: asked.append("pack"), {})
    assert not wrong and log.read_text() == END
    assert asked == ["fuzz -s 1 -n 1000 -w 1", "fuzz -s 1 -n 1000 -r 7 -w 1 -v", "pack",
                     "fuzz -s 1 -n 600 -f 8 -w 1"]
    assert "round 7: a program that should have been none" in capsys.readouterr().out


@pytest.mark.long
def test_damaged_images():
    """Two disks with each kind of damage: the kernel refuses them, or survives their use."""
    done = run("--calls", str(2 * len(images.KINDS)), script="fuzz-images")
    assert done.returncode == 0, done.stdout
    assert "cannot mount" in done.stdout and done.stdout.count("fuzz: walked") > 5, done.stdout


def test_images_repeat():
    """A disk follows from its seed and its number, and each kind of damage changes something."""
    fresh, others = images.Victim(guest.BUILD), 0
    for number in range(3 * len(images.KINDS)):
        disks = [images.copy_of(fresh) for _ in range(3)]
        for disk, seed in zip(disks, (1, 1, 2)):
            images.damage(disk, seed, number)
        first, again, other = (disk.data for disk in disks)
        assert first == again and first != fresh.data, number
        others += first != other
    assert others > 20


MOUNTED = "Bulwark: 1 hart\n"


@pytest.mark.parametrize("kind, output, stopped, wrong", [
    ("spoil_super", "cannot mount the root file system: why (error 5)\n", "", ""),
    ("spoil_inodes", "fuzz: walked 90 names, sync worked\n", "", ""),
    ("spoil_inodes", MOUNTED, "", "no end"),
    ("flip_anything", MOUNTED, "", ""),
    ("flip_anything", "panic: init exited with status -1 (hart 0)\n", "", ""),
    ("flip_anything", "", "", "no end"),
    ("spoil_inodes", "panic: assertion failed: x (hart 0)\n", "", "assertion failed"),
    ("spoil_inodes", "kstack: class=null pid=3\nfuzz: walked 9 names", "", "class=null"),
    ("spoil_inodes", MOUNTED, "timeout: 60 s of CPU time", "hangs"),
])
def test_what_is_wrong_with_an_image(kind, output, stopped, wrong):
    found = images.what_is_wrong(kind, 1, output, stopped)
    assert wrong in found and bool(found) == bool(wrong)
