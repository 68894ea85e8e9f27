# SPDX-License-Identifier: MIT
"""make stack-budget: what it refuses, what it compares, and that no stack was seen deeper."""

import json
import re
import shutil
import subprocess
from contextlib import contextmanager

import guest
import pytest
import stack_watch
from test_tools import copy_built

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("stack-budget")]  # one build
UPTIME = "int64 sys_uptime(const uint64 *arg) {\n"


def make(tree, *words):
    return subprocess.run(["make", "-s", "-C", tree, *words], env=guest.environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of this tree in which a test may break things, built."""
    tree = copy_built(tmp_path_factory.mktemp("budget"))
    done = make(tree, "stack-budget", "JSON=whole.json")
    assert done.returncode == 0, done.stdout[-3000:]
    (tree / "table").write_text(done.stdout)
    return tree


@pytest.fixture(scope="module")
def report(tree):
    return json.loads((tree / "whole.json").read_text())


@contextmanager
def changed(tree, path, old, new):
    """The file with another text, for a while."""
    before = (tree / path).read_text()
    assert before.count(old) == 1
    (tree / path).write_text(before.replace(old, new))
    try:
        yield
    finally:
        (tree / path).write_text(before)


def refused(tree, path, old, new, *words):
    """Return what make says of that change."""
    with changed(tree, path, old, new):
        done = make(tree, *words or ["stack-budget"])
        assert done.returncode != 0, done.stdout
        return done.stdout


def plant(tree, code, call, *words):
    """Put code before sys_uptime, and a call of it in there."""
    return refused(tree, "kern/sys/sys_proc.c", UPTIME, f"{code}\n\n{UPTIME}  {call}\n", *words)


# --- what it shows -------------------------------------------------------------------------------

def test_every_call_and_interrupt_is_there(report):
    names = {row["way"] for row in report["ways"]}
    calls = re.findall(r"CALL\((\w+), \d+\)", (guest.TOP / "kern/lib/abi.h").read_text())
    assert len(calls) > 25
    assert {f"system call {name}" for name in calls} == {n for n in names if "system call " in n
                                                          and "number" not in n}
    for what in ("page fault", "timer", "UART", "disk", "idle", "init_start", "boot_main"):
        assert any(what in name for name in names), what


def test_chains_add_up(report):
    for row in report["ways"]:
        assert row["bytes"] == sum(size for _, size in row["chain"])
        assert row["panic"] == sum(size for _, size in row["panic_chain"])
        assert row["calls"] < row["bytes"] < row["panic"] <= report["stacks"][row["stack"]] // 2


def test_traps_are_in_the_chain(report):
    """A call that copies: its own frame, that of a fault of the copy, and of what comes on top."""
    call = next(row for row in report["ways"] if row["way"] == "system call meminfo")
    frames = [name for name, size in call["chain"] if name.startswith("[")]
    assert frames == ["[frame: user mode]", "[frame: page fault of the user copy]",
                      "[frame: interrupt]", "[frame: stale translation]"]
    names = [name for name, _ in call["chain"]]
    assert names.index("sys_meminfo") < names.index("usercopy_fault") < names.index("trap_preempt")
    assert {size for name, size in call["chain"] if name.startswith("[")} == {guest.FRAME}


def test_table_and_one_chain(tree, report):
    text = (tree / "table").read_text()
    for row in report["ways"]:
        figures = f" +{row['calls']} +{row['bytes']} +{row['panic']} +"
        assert re.search(rf"^{figures}\d+ % +{re.escape(row['way'])}$", text, re.MULTILINE)
    done = make(tree, "stack-budget", "ARGS=system call getpid")
    assert "sys_getpid" in done.stdout.split("system call getpid:")[1]
    done = make(tree, "stack-budget", "ARGS=system call none")
    assert done.returncode and 'there is no way in "system call none"' in done.stdout


def test_picture(tree, report):
    picture = (tree / "build/stack-budget.svg").read_text()
    assert picture.startswith("<svg ") and picture.count("<g>") > 50 and "nan" not in picture
    folded = {}
    for line in (tree / "build/stack-budget.folded").read_text().splitlines():
        path, size = line.rsplit(" ", 1)
        way = path.split(";")[0]
        folded[way] = folded.get(way, 0) + int(size)
    assert folded == {row["way"]: row["bytes"] for row in report["ways"]}


def test_page(report):
    """The figures of docs/stack-budget.md are those of today, nearly."""
    prefix = subprocess.run([guest.TOP / "test/tools/doctor", "--cross"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    version = subprocess.run([f"{prefix}gcc", "-dumpversion"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    if not version.startswith("12."):
        pytest.skip("the page has the figures of gcc 12")
    page = (guest.TOP / "docs/stack-budget.md").read_text()
    rows = {row["way"]: row for row in report["ways"]}
    lines = re.findall(r"^\| (\S.*?) \| (\w+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", page,
                       re.MULTILINE)
    assert len(lines) > 10
    for way, stack, *figures in lines:
        assert rows[way]["stack"] == stack
        for what, figure in zip(("calls", "bytes", "panic"), figures):
            assert abs(int(figure.replace(",", "")) / rows[way][what] - 1) < 0.1, (way, what)


# --- what was seen -------------------------------------------------------------------------------

USERTESTS = "account-limit directory exec exit-status fault-instructions fd-lowest file-modes " \
    "file-status float-calls kill-sleeping lazy-calls pipe-wrong-end sleep unknown-calls wait-any"
TYPED = b"ls\necho a | cat > b\nkstacks -p\nps\nrm b\nprovoke ACCESS_NULL\npoweroff\n"
RUNS = {"usertests": (f"usertests {USERTESTS}", {}),
        "fuzz": ("fuzz -w 1 -s 1 -n 100", {"interrupts": False}),
        "shell": (None, {"typed": TYPED, "cpus": 2})}
CAUSES = {1: ["software (IPI)"], 5: ["timer"], 9: ["UART", "disk"]}
PAGE_FAULTS = (12, 13, 15)


def ways_of(what, calls):
    """Return the ways in that may have been taken when a stack was entered for this."""
    mode, *rest = what.split(" and its end")[0].split()
    ending = ["user mode: killed", "system call exit"] if "its end" in what else []
    slice_over = ["user mode: end of a time slice", *ending]
    if mode == "call":
        number = int(rest[0])
        return [f"system call {calls[number]}" if number in calls else
                "system call of unknown number", *slice_over]
    if mode in ("user", "kernel") and rest[0] == "interrupt":
        names = [f"{mode}{' mode' if mode == 'user' else ''}: interrupt, {cause}"
                 for cause in CAUSES[int(rest[1])]]
        return names + (slice_over if mode == "user" else [])
    if mode == "user":
        kind = "page fault" if int(rest[1]) in PAGE_FAULTS else "first use of floating point"
        return [f"user mode: {kind}", "user mode: other exception", *slice_over]
    return {"thread": ["thread: child_start", "thread: init_start", *ending],
            "idle": ["idle: boot_on_idle_stack", "idle: boot_secondary"],
            "boot": ["boot: boot_main"],
            "fault": ["kernel: fault that nothing resolves"]}[mode]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What was seen on the stacks of three guests: {what a stack was entered for: bytes}."""
    most = {}
    for name, (program, options) in RUNS.items():
        log = tmp_path_factory.mktemp("seen") / name
        watch = stack_watch.Watch(log, program, 100, **options).run()
        assert name == "shell" or re.search("ALL TESTS PASSED|nothing is missing", watch.output)
        assert name != "shell" or "class=null" in watch.output, watch.output[-1500:]
        for what, used in watch.most.items():
            most[what] = max(used, most.get(what, 0))
    return most


def test_nothing_was_seen_deeper(report, seen):
    """Calls alone where no interrupt came, else with what can come on top."""
    numbers = re.findall(r"CALL\((\w+), (\d+)\)", (guest.TOP / "kern/lib/abi.h").read_text())
    calls = {int(number): name for name, number in numbers}
    rows, met = {row["way"]: row for row in report["ways"]}, set()
    for what, used in sorted(seen.items()):
        what, _, interrupted = what.partition(", ")
        ways = ways_of(what, calls)
        most = max(rows[way]["bytes" if interrupted else "calls"] for way in ways)
        print(f"{used:6} of {most:6} {what} {interrupted}")
        assert 0 < used <= most, what
        met.add(ways[0])
    missing = {f"system call {name}" for name in calls.values()} - met
    assert not missing
    assert met >= {"user mode: page fault", "thread: child_start", "idle: boot_on_idle_stack",
                   "boot: boot_main", "kernel: interrupt, timer", "kernel: interrupt, UART",
                   "kernel: fault that nothing resolves", "user mode: interrupt, timer"}


def test_watch_sees_what_is_used(tmp_path):
    """A test of the kernel that writes to that much of its stack, and says how deep that was."""
    watch = stack_watch.Watch(tmp_path / "log", "provoke STACK_USE 8192", 10).run()
    depth = int(re.search(r"to a depth of (\d+)", watch.output)[1])
    assert depth > 8192 and watch.most["call 16, interrupted"] == depth + guest.FRAME


# --- what it refuses -----------------------------------------------------------------------------

def lend_to_lint(tree):
    """Give make lint, whose folder differs in -Werror alone, what is built in the other."""
    for name in "include", "boot", "trap", "kern", "vm":
        shutil.copytree(tree / "build" / name, tree / "build/strict" / name)
    options, there = tree / "build/options", tree / "build/strict/options"
    there.write_text(options.read_text().replace("gcc  ", "gcc -Werror ", 1)
                     .replace("-Ibuild/", "-Ibuild/strict/"))
    shutil.copystat(options, there)


def test_deep_function(tree):
    code = "\n".join(
        f"static __attribute__((noinline)) int planted{i}(volatile char *p) {{\n"
        f"  volatile char room[900];\n  room[0] = *p;\n"
        f"  return {f'planted{i - 1}(room)' if i else '0'} + room[0];\n}}" for i in range(6))
    lend_to_lint(tree)
    said = plant(tree, code, "char c = 0; planted5(&c);", "lint-budget")
    assert re.search(r"system call uptime may take \d+ bytes of the thread stack; the limit is "
                     r"8192", said)
    assert re.search(r" 9\d\d +\d+  planted3", said), said and "Make the largest" in said


RECURSION = """static __attribute__((noinline)) uint64 planted(volatile uint64 *n) {
  volatile uint64 here = *n - 1;
  return here ? planted(&here) + here : 0;
}"""


def test_recursion(tree):
    said = plant(tree, RECURSION, "uint64 n = 3; planted(&n);")
    assert "these call each other, and nothing says how deep:\n  planted -> planted" in said
    assert "recursion planted N WHY" in said


def test_recursion_with_a_bound(tree, report):
    calls = tree / "test/tools/budget/calls"
    before = calls.read_text()
    calls.write_text(before + "recursion planted 40 a test\n")
    try:
        with changed(tree, "kern/sys/sys_proc.c", UPTIME,
                     f"{RECURSION}\n\n{UPTIME}  uint64 n = 3; planted(&n);\n"):
            done = make(tree, "stack-budget", "JSON=bounded.json", "ARGS=system call uptime")
            assert done.stdout.count("  planted\n") == 40, done.stdout
        assert "recursion of planted, which there is not" in make(tree, "stack-budget").stdout
    finally:
        calls.write_text(before)


def test_unknown_pointer(tree):
    said = plant(tree, "static int (*volatile planted)(void);", "if (planted) return planted();")
    assert re.search(r"kern/sys/sys_proc.c:\d+: sys_uptime calls a pointer, and "
                     r"test/tools/budget/calls does not say to what", said)
    assert "pointer kern/sys/sys_proc.c EXPRESSION() = FUNCTION..." in said


def test_address_that_nobody_calls(tree):
    said = plant(tree, "static int planted(void) { return 0; }\n"
                 "static int (*volatile keep)(void);", "keep = planted;")
    assert "kern/sys/sys_proc.c takes the address of planted, and test/tools/budget/calls" in said
    assert "Add planted to the line" in said


@pytest.mark.parametrize("code, what", [
    ('asm volatile("call panic_poll" ::: "ra", "memory");', "calls panic_poll"),
    ('asm volatile("jalr ra, 0(%0)" :: "r"(arg) : "ra", "memory");', "calls a pointer")])
def test_call_that_gcc_does_not_see(tree, code, what):
    said = plant(tree, "", code)
    assert f"sys_uptime {what}, of which gcc says nothing; in asm() no call can be seen" in said


def test_line_of_the_table_that_is_not_true(tree):
    calls = "test/tools/budget/calls"
    for old, new, said in [
            ("uart_interrupt disk_interrupt", "uart_interrupt none", "call none, which there"),
            ("pointer vm/pagetable.c visit()", "pointer vm/pagetable.c seek()", "does not say"),
            ("recursion check_table 3 once", "recursion check_table many", "not a line that"),
            ("pointer trap/sys", "pointer kern/sys/sys_file.c gone() = panic\npointer trap/sys",
             "calls no gone() any more: remove the line"),
            ("recursion panic 2", "#", "panic")]:
        assert said in refused(tree, calls, old, new)


def test_assembly_that_changes_stacks(tree):
    said = refused(tree, "kern/sched/switch.S", "  // 4.\n", "  // 4.\n  mv sp, t3\n")
    assert "kern/sched/switch.S sets sp 2 times, and test/tools/budget/calls says 1" in said
    said = refused(tree, "kern/sched/switch.S", "  call thread_begin\n",
                   "  call thread_begin\n  call thread_yield\n")
    assert "kern/sched/switch.S enters thread_yield" in said


def test_room_for_a_switch(tree):
    said = refused(tree, "trap/trap.c", "(KASAN ? 4096 : 1024)", "(KASAN ? 4096 : 512)")
    assert re.search(r"trap_preempt may take \d+ bytes, more than PREEMPT_ROOM", said)


def test_broken_graph(tree):
    graph = tree / "build/vm/page.c.ci"
    whole = graph.read_text()
    for text, said in [("", "no whole call graph"), (whole[:2000], "no whole call graph"),
                       (whole.replace("edge: {", "edge {", 1), "a line that is not of a"),
                       (whole.replace("(static)", "(dynamic)", 1), "no fixed size (dynamic)"),
                       (whole.replace('sourcename: "', 'sourcename: "x', 1), "a call of nobody")]:
        graph.write_text(text)
        done = make(tree, "stack-budget")
        assert done.returncode and f"build/vm/page.c.ci" in done.stdout and said in done.stdout
    graph.unlink()
    assert make(tree, "stack-budget").returncode == 0


def test_clang():
    for command in ("stack-budget", "lint-budget"):
        done = make(guest.TOP, command, "LLVM=1")
        assert done.returncode and "clang says nothing: leave LLVM=1 out" in done.stdout


# --- another commit ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def commits(tree):
    """The copy as a repository: a commit from before there was the command, and one with it."""
    def git(*words):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], cwd=tree,
                       check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    git("init", "-q")
    (tree / ".git/info/exclude").write_text("/build/\n/*.json\n/table\n")
    git("add", "-A", ":!test/tools/stack-budget")
    git("commit", "-q", "-m", "before")
    git("add", "-A")
    git("commit", "-q", "-m", "now")
    return tree


def test_difference(commits):
    done = make(commits, "stack-budget", "BASE=HEAD")
    assert done.returncode == 0
    assert done.stdout == "No way in is deeper or less deep than in HEAD.\n", done.stdout
    code = "static __attribute__((noinline)) int planted(volatile char *p) {\n" \
           "  volatile char room[900];\n  room[0] = *p;\n  return room[0] + (int)ticks_now();\n}"
    code = code.replace(" + (int)ticks_now()", "")
    with changed(commits, "kern/sys/sys_proc.c", UPTIME,
                 f"{code}\n\n{UPTIME}  char c = 0; planted(&c);\n"):
        done = make(commits, "stack-budget", "BASE=HEAD")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^system call uptime: \+\d+ bytes, \d+ -> \d+$", done.stdout, re.MULTILINE)
    assert re.search(r"^  \+ +9\d\d  planted$", done.stdout, re.MULTILINE), done.stdout
    assert "getpid" not in done.stdout
    assert not list((commits / "build").glob("base-*"))
    listed = subprocess.run(["git", "worktree", "list"], cwd=commits, stdout=subprocess.PIPE)
    assert len(listed.stdout.splitlines()) == 1


@pytest.mark.parametrize("base, said", [
    ("nowhere", "BASE=nowhere is no commit"), ("-x", "BASE=-x is no commit"),
    ("HEAD~1", "BASE=HEAD~1 is a commit from before there was make stack-budget")])
def test_wrong_base(commits, base, said):
    done = make(commits, "stack-budget", f"BASE={base}")
    assert done.returncode and said in done.stdout, done.stdout


def test_base_that_does_not_build(commits):
    with changed(commits, "kern/sys/sys_proc.c", UPTIME, f"#error planted\n{UPTIME}"):
        subprocess.run("git stash create > build/stash", cwd=commits, shell=True, check=True,
                       env=guest.environment(GIT_AUTHOR_NAME="x", GIT_AUTHOR_EMAIL="x@x",
                                             GIT_COMMITTER_NAME="x", GIT_COMMITTER_EMAIL="x@x"))
    commit = (commits / "build/stash").read_text().strip()
    done = make(commits, "stack-budget", f"BASE={commit}")
    assert done.returncode and f"make stack-budget fails in BASE={commit}" in done.stdout
    assert "planted" in done.stdout and not list((commits / "build").glob("base-*"))


def test_no_repository(tree, tmp_path):
    bare = tmp_path / "tree"
    shutil.copytree(tree, bare, ignore=shutil.ignore_patterns(".git"))
    done = subprocess.run(["make", "-s", "-C", bare, "stack-budget", "BASE=HEAD"], text=True,
                          env=guest.environment(GIT_CEILING_DIRECTORIES=str(tmp_path)),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode and "BASE=HEAD is no commit" in done.stdout
