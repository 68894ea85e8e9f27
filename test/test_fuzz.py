# SPDX-License-Identifier: MIT
"""Hostile programs: calls with bad arguments (user/fuzz.c), and what the script says of them."""

import re
import subprocess

import guest
import pytest

SCRIPT = guest.TOP / "test/tools/fuzz"
fuzz = guest.load_script(SCRIPT)
# Of these one of the two cannot be: they never fail, or do not return when they succeed.
ALWAYS = {"getpid", "uptime", "sleep", "sync"}
GONE = {"exec"}
NEVER = {"exit", "poweroff", "unknown"}


def run(*options):
    return subprocess.run([SCRIPT, *options, guest.BUILD], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


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
