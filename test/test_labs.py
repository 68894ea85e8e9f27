# SPDX-License-Identifier: MIT
"""The labs: what a student gets and hands in, and what each of them scores."""

import os
import subprocess
import sys
import tarfile

import guest
import pytest

sys.path.insert(0, str(guest.TOP / "test" / "labs"))

import labs  # noqa: E402

LAB = guest.TOP / "test" / "labs" / "lab"


def run(*words, cwd=guest.TOP):
    return subprocess.run([str(w) for w in words], cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})


@pytest.mark.parametrize("name", labs.names())
def test_lab(name):
    """Starter and solution make this tree, nothing of the solution is shown, and the scores are
    those listed.  `make labs` tries the other wrong solutions, too."""
    done = run(LAB, "quick", name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", labs.names())
def test_pages(name):
    """Each lab has a handout with what a handout needs, and stands in both lists."""
    handout = (guest.TOP / "docs" / "labs" / f"{name}.md").read_text()
    for part in ("**Hours:**", "## Why it matters", "## Read first", "## What you are given",
                 "## Steps", "<details>", "## Questions", "## A challenge"):
        assert part in handout, part
    assert f"]({name}.md)" in (guest.TOP / "docs" / "labs" / "README.md").read_text()
    assert f"## Lab `{name}`" in (guest.TOP / "docs" / "labs" / "instructor.md").read_text()


def test_student(tmp_path):
    """What a student meets: one commit, the handout as README, and an archive to hand in."""
    tree = tmp_path / "mine"
    assert "Begin with its README.md" in run(LAB, "write", "classes", tree).stdout
    assert run("git", "rev-list", "--count", "HEAD", cwd=tree).stdout == "1\n"
    assert (tree / "README.md").read_text().startswith("# Lab `classes`")
    assert "TODO(lab)" in (tree / "trap" / "fault.c").read_text()
    (tree / "trap" / "fault.c").write_text("// mine\n")
    (tree / "vm" / "page.c").write_text("// too much\n")
    said = run(tree / "test" / "labs" / "lab", "handin", cwd=tree).stdout
    assert "classes-handin.tar.gz: trap/fault.c" in said and "left out: vm/page.c" in said
    with tarfile.open(tree / "classes-handin.tar.gz") as archive:
        assert archive.getnames() == ["classes/trap/fault.c"]


@pytest.mark.parametrize("words, said", [
    (("write", "nope", "{dir}"), "there is no lab 'nope'; there are: "),
    (("write", "classes"), "say which lab, and where"),
    (("write", "classes", "{dir}"), "exists already and is not empty"),
    (("write", "classes", "/proc/lab"), "cannot be written"),
    (("handin",), "this is not the tree of a lab"),
    (("check", "nope"), "there is no lab 'nope'"),
])
def test_mistakes(tmp_path, words, said):
    (tmp_path / "file").touch()
    done = run(LAB, *(w.format(dir=tmp_path) for w in words))
    assert done.returncode == 1 and said in done.stdout and "Traceback" not in done.stdout
    assert (tmp_path / "file").exists()
