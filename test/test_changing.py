# SPDX-License-Identifier: MIT
"""docs/changing.md is true: its steps are carried out on a copy of this tree."""

import re
import subprocess

import guest
import pytest
from test_tools import copy_built

PAGE = guest.TOP / "docs" / "changing.md"

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("changing")]  # one build


def changes():
    """Yield (path, lines that must be there, lines to put there) for each change of the page."""
    for block in re.findall(r"^```diff\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for part in re.split(r"^@@ (?=\w)", block, flags=re.MULTILINE)[1:]:
            path, *lines = part.splitlines()
            yield path, [line[1:] for line in lines if line[:1] != "+"], \
                [line[1:] for line in lines if line[:1] != "-"]


def make(tree, *words):
    done = subprocess.run(["make", "-s", "-C", tree, *words], env=guest.environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout.replace("\r", "")


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A copy with all that the page adds, and built."""
    tree = copy_built(tmp_path_factory.mktemp("changed"))
    for path, old, new in changes():
        before = (tree / path).read_text() if (tree / path).exists() else ""
        there, put = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
        if there:
            assert f"\n{before}".count(f"\n{there}") == 1, f"{path}:\n{there}"
            after = f"\n{before}".replace(f"\n{there}", f"\n{put}")[1:]
        else:
            assert not before, path
            after = put
        (tree / path).write_text(after)
    make(tree, "kernel", "image")
    return tree


def test_system_call_and_program(changed):
    assert make(changed, "run-harts", "CPUS=2").splitlines()[-1] == "2"


def test_test(changed):
    assert "test harts: OK\nALL TESTS PASSED" in make(changed, "run-usertests", "ARGS=harts")


def test_driver(changed):
    make(changed, "run-nulltest")


def test_graded_case(changed):
    assert "Score: 1/1" in make(changed, "grade", "CASES=dma.rodata")


def test_mutant(changed):
    done = subprocess.run([changed / "test/mutants/run", "--check"], cwd=changed, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
