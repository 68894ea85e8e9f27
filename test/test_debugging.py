# SPDX-License-Identifier: MIT
"""docs/debugging.md: what it types is typed, in a copy with its bug; what it shows is what comes.

A block of the page has commands (`$ make ...`, and `(gdb) ...` for the GDB that the last of these
has started) with what they print below.  Numbers may differ; ... stands for lines left out, and a
line may be cut.  Which function takes the last bytes depends on the size of each frame, so it may
be another one than in the page."""

import re
import subprocess

import guest
import pytest
from test_gdb import free_port
from test_gdb_commands import MARK, TRY, plain
from test_tools import copy_built
from test_watch import Client, Watch

PAGE = (guest.TOP / "docs/debugging.md").read_text()
PATCHES = guest.TOP / "docs/debugging"
BUG, MEND = "links.patch", "mend.patch"
INNOCENT = re.compile(r"its kernel stack in (\w+)\(\)")
SHOWN = INNOCENT.search(PAGE)[1]

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("debugging")]  # one build


class Step:
    """A command for the shell, what it prints, and what the GDB that it starts is asked."""

    def __init__(self, command, said, mended):
        self.command, self.said, self.mended, self.gdb = command, said, mended, []


def steps():
    found, (before, _) = [], PAGE.split(f"git apply docs/debugging/{MEND}\n")
    blocks = re.finditer(r"^```\w*\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for block in blocks:
        for mark, command, said in re.findall(
                r"^(\$|\(gdb\)) (.*)\n((?:(?!\$ |\(gdb\) ).*\n)*)", block[1], re.MULTILINE):
            if mark == "$":
                found.append(Step(command, said, block.start() > len(before)))
            else:
                found[-1].gdb.append((command, said))
    return found


STEPS = steps()


class Tree:
    """The copy: a repository, with the patches applied that a step needs."""

    def __init__(self, path):
        self.path, self.applied, self.innocent = path, [], None
        copy_built(path)
        self.git("init", "-q")
        (path / ".git/info/exclude").write_text("/build/\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "before")

    def git(self, *words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], cwd=self.path,
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def have(self, *patches):
        for name in reversed([one for one in self.applied if one not in patches]):
            self.git("apply", "-R", PATCHES / name)
        for name in patches[len([one for one in self.applied if one in patches]):]:
            self.git("apply", PATCHES / name)
        self.applied = list(patches)

    def last(self):
        """Return the function that takes the last bytes."""
        if not self.innocent:
            self.have(BUG)
            said = self.make(["run-links"])
            self.innocent = INNOCENT.search(said)
            assert self.innocent, f"no overflow:\n{said[-5000:]}"
        return self.innocent[1]

    def make(self, words, gdb=None):
        """Run make.  Returns all it says."""
        options = [f"GDBPORT={free_port()}",
                   *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "GDB", "PYTHON")]
        if gdb:
            script = self.path / "build/commands"
            script.write_text("\n".join(gdb) + "\n")
            options.append(f"GDB_ARGS=-batch -x {script}")
        done = subprocess.run([guest.MAKE, *words, *options], cwd=self.path, text=True,
                              env=guest.environment(), stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                              timeout=3 * guest.WALL_SECONDS)
        return done.stdout.replace("\r", "")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("debugging"))


def words_of(command):
    """The words that make gets: a shell takes the quotes away."""
    done = subprocess.run(["sh", "-c", f'printf "%s\\n" {command}'], text=True, check=True,
                          stdout=subprocess.PIPE)
    return done.stdout.splitlines()[1:]


def compare(command, sample, said, last):
    there = iter(plain(re.sub(rf"\b{last}\b", SHOWN, said)))
    missing = [line for line in plain(sample)
               if line and not any(one.startswith(line) for one in there)]
    assert not missing, f"{command}: {missing[0]}\n{said[-5000:]}"


@pytest.mark.parametrize("number", range(len(STEPS)),
                         ids=[f"{i}-{step.command[:40]}" for i, step in enumerate(STEPS)])
def test_step(tree, number):
    step, last = STEPS[number], tree.last()
    tree.have(BUG, *[MEND] * step.mended)
    words = words_of(step.command)
    if words == ["reverse"] and not (tree.path / "build/recording").exists():
        tree.make(["record-links"])
    (tree.path / "build/try.py").write_text(TRY)
    gdb = [f"source {tree.path}/build/try.py",
           *(f"python tell({command!r})" for command, _ in step.gdb)]
    said, *answers = tree.make(words, gdb if step.gdb else None).split(MARK)
    compare(step.command, step.said, said, last)
    if words[0] == "run-links":  # what the page does not show has not happened
        for sign in "pid 2 (links)", "links: cannot":
            assert (sign in step.said) == (sign in said), said[-3000:]
    assert [one.split("\n")[0] for one in answers] == [command for command, _ in step.gdb], said
    for (command, sample), one in zip(step.gdb, answers):
        assert "\nerror: " not in one, one
        compare(command, sample, one.partition("\n")[2], last)


def test_every_way_is_tried():
    """Each way at the top of the page has a section with its command, and the steps here are all
    that the page has."""
    table, _ = PAGE.split("\n## The bug\n")
    sections = re.findall(r"^## (\d)\. .*\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE)
    assert [number for number, _ in sections] == re.findall(r"\(#(\d)-", table)
    for (_, text), command in zip(sections, (
            "$ make run-links\n", "$ make gdb ", "    make watch\n", "$ make stack-budget\n",
            "$ make reverse\n", "$ make profile ", "$ make run-links KASAN=y ",
            "$ make grade-gdb "), strict=True):
        assert f"\n{command}" in text
    assert PAGE.count("\n$ ") == len(STEPS)
    assert PAGE.count("\n(gdb) ") == sum(len(step.gdb) for step in STEPS)


def test_code():
    """The code of the page is that of its patch."""
    added = [line[1:] for line in (PATCHES / BUG).read_text().splitlines() if line[:1] == "+"]
    code = re.search(r"^```c\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1].splitlines()
    assert len(code) > 10
    assert any(added[i:i + len(code)] == code for i in range(len(added))), code


def box_of_init(client):
    box, = [box for box in client.slots.values() if box["name"] == "init" and box["pid"] == 1]
    return box


def test_live_picture(tree):
    """The event says how far the process ran off, and the stack of init, which waits, is as it was.
    """
    last = tree.last()
    tree.have(BUG)
    watch = Watch("-C", str(tree.path), "BUILD=build")
    client = Client(watch.url)
    try:
        client.until(lambda c: c.last.get("booted"))
        watch.type("true")
        before = box_of_init(client.paused())
        client.do("run")
        watch.type("links")
        client.until(lambda c: any(e["kind"] == "fault" for e in c.events))
        fault = next(e for e in client.events if e["kind"] == "fault")
        assert fault["class"] == "overflow" and int(fault["past"]) > 0
        assert f"in {last}()" in fault["text"]
        assert box_of_init(client.paused()) == before
    finally:
        client.close()
        watch.close()


def test_larger_limit(tree):
    """With the limit of xv6's lab the budget refuses the mended kernel."""
    tree.have(BUG, MEND)
    for path, old, new in (("kern/fs/name.c", "LINKS_MAX 4 ", "LINKS_MAX 10 "),
                           ("test/tools/budget/calls", "path_walk 5 ", "path_walk 11 ")):
        before = (tree.path / path).read_text()
        assert before.count(old) == 1
        (tree.path / path).write_text(before.replace(old, new))
    try:
        said = tree.make(["stack-budget"])
    finally:
        tree.git("checkout", "--", "kern", "test", "user")
        tree.git("clean", "-qfd", "kern", "test", "user")
        tree.applied = []
    assert "system call exec may take" in said and "limit is 8192" in said, said[-3000:]
