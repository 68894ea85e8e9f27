# SPDX-License-Identifier: MIT
"""KSTACK_GROW=y: stacks that begin with one page.  What must not differ does not, growth happens
where it should, and what cannot grow says why."""

import json
import re
import shutil
import subprocess
import sys

import guest
import pytest
from guest import PAGE, STACK

KILLED, PANIC = 255, 1
OVERFLOWS = ("EXHAUST_STACK", "EXHAUST_IRQOFF past", "EXHAUST_SPINLOCK past",
             "EXHAUST_SLEEPLOCK past", "EXHAUST_TRANSACTION past", "EXHAUST_KTHREAD past",
             "JUMP_FRAME 16", "JUMP_FRAME 16384", "WILD_SP lo+0 break", "WILD_SP lo+280 break")
# Those of usertests that count whole stacks (docs/growing-stacks.md).
WHOLE = ("inherit", "limit", "nested", "deep", "cached", "ended", "orphan")
OTHERS = ("exact", "memory", "grow", "held", "zombies", "refused")
SAMPLE = ("grow,layout.guards,layout.thread_stack,overflow.recursion,overflow.timer_frame*,"
          "overflow.in_exit,overflow.reserve_returned,not_overflow.lowest_byte,"
          "not_overflow.leading_write_*,wild_sp.odd,evidence.backtrace_overflow,hygiene.reused")
NOTICED = ("no-fence", "no-generation", "not-charged", "cached")  # wrong kernels


@pytest.fixture(scope="session")
def kernel():
    return guest.build_growing()


def enlarged(result):
    """How many stacks have been enlarged, as of each `ps -m`."""
    return [int(n) for n in re.findall(r"(\d+) stacks enlarged", result.output)]


@pytest.mark.long
@pytest.mark.parametrize("options, cpus, mem", [("", 3, "128M"), ("-q", 1, "64M")],
                         ids=["all-3", "quick-1"])
def test_usertests(boot_other, options, cpus, mem):
    """All that do not count stacks of an account."""
    names = guest.MEMORY.replace("account-", " ".join(f"account-{name}" for name in OTHERS))
    r = boot_other(f"usertests {options} {names}", cpus=cpus, mem=mem)
    assert "ALL TESTS PASSED" in r.output and r.code == 0, r.explain()
    assert "grow=account" in r.output, r.explain()


def test_every_account_test_is_known():
    text = (guest.TOP / "user/usertests/accounts.c").read_text()
    assert sorted(WHOLE + OTHERS) == sorted(re.findall(r'\{"account-(\w+)"', text))


def test_begins_with_one_page(boot_other):
    """kstacks draws what is mapped: all of a hart's stacks, a quarter of a thread's."""
    r = boot_other("kstacks", cpus=2)
    bars = re.findall(r"^ *\d+ (\S+) +\|xxx\|(.{44})\|xxx\|", r.output, re.MULTILINE)
    assert len(bars) == 8, r.explain()
    for name, bar in bars:
        hart_s = name.split("-")[0] in ("idle", "interrupt", "emergency")
        assert len(bar) - len(bar.lstrip()) == (0 if hart_s else 33), r.explain()


@pytest.fixture
def disk_with(tmp_path):
    """A disk with the programs and a script."""
    def make(script):
        (tmp_path / "script").write_text(script)
        return guest.make_disk(tmp_path / "fs.img", tmp_path / "script")

    return make


@pytest.mark.parametrize("used, pages", [(2500, 0), (3000, 1), (8192, 2), (12000, 3)])
def test_grows_as_it_is_used(boot_other, disk_with, used, pages):
    """A page at a time, also where only an interrupt's frame lacks room.  The next process begins
    with one page again."""
    use = f"provoke STACK_USE {used}"
    r = boot_other("sh script", image=disk_with(f"ps -m\n{use}\nps -m\n{use}\nps -m\n"))
    before, after, again = enlarged(r)
    assert after - before == again - after == pages, r.explain()


@pytest.mark.parametrize("test", OVERFLOWS)
def test_overflows_as_ever(boot, boot_other, test):
    """The machine line is that of the other kernel but for addresses of code."""
    lines = []
    for r in (boot(f"provoke {test}"), boot_other(f"provoke {test}")):
        [k] = r.records
        assert k["hi"] - k["lo"] == STACK and k["class"] == "overflow", r.explain()
        lines.append([k["verdict"], k["why"], k["reserve"], k["owner"], k["hi"] % PAGE, r.code])
        assert "grow" not in k
    assert lines[0] == lines[1]


@pytest.mark.parametrize("spare, test, verdict, why", [
    (0, "STACK_USE 8192", "killed", "-"),
    (2, "STACK_USE 8192", "killed", "-"),  # the last pages are for others
    (0, "EXHAUST_SPINLOCK 10", "panic", "spinlock"),
    (0, "EXHAUST_KTHREAD 10", "panic", "kernel-thread"),
])
def test_no_page_is_spare(boot_other, spare, test, verdict, why):
    """The process dies of that, and of nothing else; the machine, where there is none to die."""
    r = boot_other(f"provoke SPARE {spare} {test}")
    [k] = r.records
    assert (k["class"], k["grow"], k["past"]) == ("growth", "memory", 0), r.explain()
    assert (k["verdict"], k["why"], k["reserve"]) == (verdict, why, "-")
    assert k["hi"] - k["lo"] == STACK and k["lo"] < k["sp"] < k["hi"] - PAGE + guest.FRAME
    assert r.code == (KILLED if verdict == "killed" else PANIC)
    assert "needs more kernel stack, but no page is spare, in " in r.output


@pytest.mark.parametrize("spare, test", [(3, "STACK_USE 4096"), (2, "EXHAUST_SPINLOCK 10"),
                                         (1, "EXHAUST_SLEEPLOCK 5")])
def test_few_pages_are_spare(boot_other, spare, test):
    """What is left is for those that cannot be killed, to the last page."""
    r = boot_other(f"provoke SPARE {spare} {test}")
    assert r.records == [] and "SPARE survived" in r.output, r.explain()


def test_pool_is_refilled(boot_other):
    """As often as stacks grow: three pages each, 40 times, six at once, on three harts."""
    r = boot_other("provoke -n 40 -j 6 EXHAUST_STACK", cpus=3)
    assert "provoke: 40 of 40 killed, 0 pages lost" in r.output, r.explain()
    assert {k["class"] for k in r.records} == {"overflow"}


def test_stray_pointer_into_what_is_not_mapped(boot, boot_other):
    """That part of a stack is no guard, and nothing grows by a pointer.  The other kernel has
    memory there, and sees nothing."""
    stray = f"provoke STACK_GUARD_PAGE_LEADING write {2**64 - 5000:#x}"
    r = boot_other(stray)
    [k] = r.records
    assert (k["class"], k["stval"], k["owner"]) == ("unmapped", k["lo"] + 5000, "-"), r.explain()
    assert k["lo"] + STACK - PAGE < k["sp"] and k["verdict"] == "killed"
    assert boot(stray).records == []


def test_self_check(boot_other):
    """What has grown is as it must be; a guard that is mapped is still found."""
    r = boot_other("provoke -n 20 -j 4 VM_CHECK", cpus=3)
    assert r.output.count("the address space is as it must be") == 20, r.explain()
    r = boot_other("provoke VM_CHECK guard")
    assert r.code == PANIC and "is a guard or free, and mapped" in r.output, r.explain()


def test_moves_after_growth(boot_other):
    """A stack grows on one hart and is used on another, which fences first: the switch asserts
    it, and the kernel's other stacks of that generation are as new there."""
    r = boot_other("provoke ON_HART 1 ON_HART 2 STACK_USE 8192", cpus=3)
    assert r.records == [] and "used 8192 bytes" in r.output, r.explain()


def test_grade(kernel, tmp_path):
    """All cases about growth, and of the others some in which a stack must be whole, or grows."""
    results = tmp_path / "results.json"
    subprocess.run([sys.executable, guest.TOP / "test/grade/grade", "--quiet", "--jobs", "2",
                    "--build", guest.beside(kernel, tmp_path), "--only", SAMPLE,
                    "--json", results],
                   env=guest.environment(KSTACK_GROW="y"), stdout=subprocess.DEVNULL, check=False)
    cases = json.loads(results.read_text())["cases"]
    assert len(cases) > 30 and sum(case["id"].startswith("grow.") for case in cases) == 20
    assert [case for case in cases if case["points"] < case["max"]] == []


@pytest.mark.parametrize("name", NOTICED)
def test_host_notices(tmp_path, name):
    """The test on this machine, test/host/test_growth.c, fails with what is wrong in kstack.c."""
    patch, = (guest.TOP / "test/mutants").glob(f"*-grow-{name}.patch")
    tree = tmp_path / "tree"
    left_out = shutil.ignore_patterns(".git", "build*", "__pycache__", ".pytest_cache")
    guest.copy_tree(guest.TOP, tree, left_out)
    subprocess.run(["git", "apply", "--whitespace=nowarn", str(patch)], cwd=tree, check=True,
                   env=guest.environment(GIT_CEILING_DIRECTORIES=str(tmp_path)))
    done = subprocess.run(["make", "-C", str(tree), "build/test/host/test_growth"], text=True,
                          env=guest.environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    assert subprocess.run([tree / "build/test/host/test_growth"], check=False).returncode != 0
