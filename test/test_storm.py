# SPDX-License-Identifier: MIT
"""Overflows everywhere (test/tools/storm): a sample of them, and that what must be noticed is."""

import re
import subprocess

import guest
import pytest

storm = guest.load_script(guest.TOP / "test/tools/storm")


def run(*options, build=guest.BUILD):
    return subprocess.run([guest.TOP / "test/tools/storm", "--jobs=1", *options, build],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def totals(done):
    """Return how many faults there were, at how many places, and the share that survived."""
    found = re.search(r"(\d+) faults at (\d+) places .*: ([\d.]+) % survived", done.stdout)
    return int(found[1]), int(found[2]), float(found[3])


@pytest.mark.long
@pytest.mark.parametrize("cpus", ["1", "3"])
def test_sample(cpus):
    """A hundred overflows on each; the machine survives nearly all, and nothing is damaged."""
    done = run("--overflows=100", f"--cpus={cpus}")
    assert done.returncode == 0, done.stdout
    faults, places, survived = totals(done)
    assert faults >= 100 and places >= 40 and survived >= 98, done.stdout


@pytest.mark.parametrize("test", ["race-same-name", "race-own-files"])
def test_one_after_the_other(test):
    """Each process of a test overflows, right after the other: the hart has its spare pages again
    when the next thread runs."""
    done = run(f"--alone=1104 test:{test}", "--cpus=1")
    faults, _, survived = totals(done)
    assert done.returncode == 0 and faults >= 3 and survived == 100, done.stdout


def test_deeds():
    """With all of its stack no deed is killed."""
    deeds = storm.list_deeds()
    assert len(deeds) > 40
    done = run("--alone=0 create exec unlink-last fork-wait", "--cpus=3")
    assert done.returncode == 0 and totals(done)[0] == 0, done.stdout
