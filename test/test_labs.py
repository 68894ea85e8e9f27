# SPDX-License-Identifier: MIT
"""The labs: what a student gets and hands in, and what each of them scores."""

import itertools
import os
import re
import shutil
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


@pytest.mark.long
@pytest.mark.parametrize("name", labs.names())
def test_lab(name):
    """Starter and solution make this tree, nothing of the solution is shown, and the scores are
    those listed.  `make labs` tries the other wrong solutions, too."""
    done = run(LAB, "quick", name)
    assert done.returncode == 0, done.stdout


def test_patches_apply():
    """Of all labs: today's run of test_lab() tries one wrong solution, and one seed's bugs."""
    for path in sorted((guest.TOP / "test" / "labs").glob("**/*.patch")):
        labs.apply(path, guest.TOP, "--check")


@pytest.mark.parametrize("name", labs.names())
def test_pages(name):
    """Each lab has a handout with what a handout needs, and stands in both lists."""
    handout = (guest.TOP / "docs" / "labs" / f"{name}.md").read_text()
    for part in ("**Hours:**", "## Why it matters", "## Read first", "## What you are given",
                 "## Steps", "<details>", "## Questions", "## A challenge"):
        assert part in handout, part
    assert f"]({name}.md)" in (guest.TOP / "docs" / "labs" / "README.md").read_text()
    assert f"## Lab `{name}`" in (guest.TOP / "docs" / "labs" / "instructor.md").read_text()


def test_variants_combine(tmp_path):
    """A seed may choose any two bugs together."""
    variants = labs.load("tour").variants()
    for first, second in itertools.combinations(variants, 2):
        files = [set(re.findall(r"^--- a/(.*)", path.read_text(), re.MULTILINE))
                 for path in (first, second)]
        if first.stem.split("-")[0] == second.stem.split("-")[0] or not files[0] & files[1]:
            continue
        for file in files[0] | files[1]:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(guest.TOP / file, tmp_path / file)
        labs.apply(first, tmp_path)
        labs.apply(second, tmp_path)


def test_student(tmp_path):
    """What a student meets: one commit, the handout as README, and an archive to hand in."""
    tree = tmp_path / "mine"
    assert "Begin with its README.md" in run(LAB, "write", "classes", tree).stdout
    assert run("git", "rev-list", "--count", "HEAD", cwd=tree).stdout == "1\n"
    assert (tree / "README.md").read_text().startswith("# Lab `classes`")
    assert "TODO(lab)" in (tree / "trap" / "fault.c").read_text()
    handin = (tree / "test" / "labs" / "lab", "handin")
    said = run(*handin, cwd=tree).stdout
    assert "classes-handin.tar.gz: nothing that you have changed; unchanged: 1 more" in said
    assert "not there: answers.txt" in said
    (tree / "trap" / "fault.c").write_text("// mine\n")
    (tree / "vm" / "page.c").write_text("// too much\n")
    (tree / "answers.txt").write_text("1. No.\n")
    said = run(*handin, cwd=tree).stdout
    assert "classes-handin.tar.gz: trap/fault.c answers.txt\n" in said
    assert "left out: vm/page.c" in said and "not there" not in said
    with tarfile.open(tree / "classes-handin.tar.gz") as archive:
        assert archive.getnames() == ["classes/trap/fault.c", "classes/answers.txt",
                                      "classes/test/labs/this"]
    (tree / ".git").rename(tmp_path / "git")
    assert "classes-handin.tar.gz: trap/fault.c answers.txt\n" in run(*handin, cwd=tree).stdout


def test_links(tmp_path):
    """No page of a student's tree has a link that leads nowhere.  test_lab() looks at the other
    labs' trees."""
    tree = tmp_path / "tour"
    done = run("env", "SEED=7", LAB, "write", "tour", tree)
    assert done.returncode == 0, done.stdout
    for page in tree.rglob("*.md"):
        for target in re.findall(r"\]\(([^()#\s]+)[^()\s]*\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), (page, target)
    assert "(docs/kernel-stacks.md)" in (tree / "README.md").read_text()
    assert "(../README.md)" in (tree / "docs" / "user-programs.md").read_text()
    assert "begins with a lab." in (tree / "docs" / "README.md").read_text()


def test_seeds(tmp_path):
    """A seed chooses the same bugs each time, one of each kind; seeds together choose all; the
    archive tells its seed."""
    lab = labs.load("tour")
    chosen = {path for seed in range(40) for path in lab.starter_patches(str(seed))}
    assert lab.starter_patches("7") == lab.starter_patches("7") and chosen == set(lab.variants())
    assert [p.stem.split("-")[0] for p in lab.starter_patches("7")] == sorted(
        {p.stem.split("-")[0] for p in lab.variants()})
    done = run("env", "SEED=7", LAB, "write", "tour", tmp_path / "mine")
    assert done.returncode == 0, done.stdout
    run(tmp_path / "mine" / "test" / "labs" / "lab", "handin", cwd=tmp_path / "mine")
    archive = tmp_path / "mine" / "tour-handin.tar.gz"
    assert labs.seed_of(tmp_path / "mine") == labs.seed_of(archive) == "7"
    with pytest.raises(labs.BadLab, match="SEED=7, not from SEED=8"):
        labs.check_seed(lab, "8", archive)
    (tmp_path / "odd.tar.gz").write_bytes(b"no archive")
    assert labs.seed_of(tmp_path / "odd.tar.gz") == labs.seed_of(tmp_path / "none") == ""


@pytest.mark.parametrize("words, said", [
    (("write", "tour", "{dir}/new"), "needs a seed of letters and digits"),
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
