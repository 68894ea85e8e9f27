# SPDX-License-Identifier: MIT
"""After the kernel has killed a process for a fault in the kernel, it works as before."""

import shutil

from facts import check_place, expect, judge, mapped_stacks
from gradeuser import SMALL, check_image, disk, each, verdict
from suite import case

GIVE_BACK = "Release all that the victim holds when it exits: its pages, its stack, its files."


def overflows(t, watch, count, pids, process):
    """Iterate over that many reports of overflows, each survived and of another process."""
    left = set(pids)
    t.proof()  # what follows does not look at each trap
    many = count > 100
    for report in watch.reports(count, witness=False, many=many):
        line = report.line
        t.equal("run", line["run"], watch.guest.nonce)
        t.equal("class and verdict", (line["class"], line["verdict"], line["name"]),
                ("overflow", "killed", process))
        expect(line["pid"] in left, "each process reported once", f"pid={line['pid']}")
        left.discard(line["pid"])
        t.equal("sp and sepc", (line["sp"], line["sepc"]), (report.frame.sp, report.frame.sepc))
        if not many:
            check_place(report)
        yield report


def in_a_row(t, count, mem=SMALL, **machine):
    watch = t.boot(f"provoke -n {count} EXHAUST_STACK", mem=mem, **machine)
    for _ in overflows(t, watch, count, range(3, 3 + count), "provoke"):
        pass
    watch.nothing_lost("provoke")
    watch.alive_until_end(0)


@case("survival.twenty", "Twenty overflows in a row", 2, GIVE_BACK)
def twenty(t):
    in_a_row(t, 20)


@case("survival.thousand", "A thousand overflows in a row", 3, tags=("stress",), hint=GIVE_BACK)
def thousand(t):
    in_a_row(t, 1000, mem="16M", limit=60)  # a page of each would be a quarter of it


@case("survival.stacks", "The stacks of victims are freed", 2,
      "Free a victim's stack on exit like any other.")
def stacks(t):
    watch = t.boot("provoke -n 24 -j 8 EXHAUST_STACK", mem=SMALL)
    first = None
    for report in overflows(t, watch, 24, range(3, 27), "provoke"):
        first = first or len(mapped_stacks(report.table))
    watch.until_user("init", "poweroff")
    last = len(mapped_stacks(watch.guest.at.table()))
    t.expect(last <= first, f"at most {first} stacks mapped after the last process has ended", last)
    t.equal("exit code", watch.finish(), 0)


@case("survival.kernel_threads", "The stacks of kernel threads that end are freed", 1,
      "A thread without a process exits the same way: the next thread frees its stack.")
def kernel_threads(t):
    t.proof()
    watch = t.boot("provoke -n 24 MAKE_THREAD", mem=SMALL)
    first = None
    for _ in range(24):
        caller, made = watch.mark(), watch.mark()
        t.expect(made.stack != caller.stack, "a stack of its own for the thread", made.stack)
        first = first or len(mapped_stacks(watch.guest.at.table()))
    watch.until_user("init", "poweroff")
    last = len(mapped_stacks(watch.guest.at.table()))
    t.expect(last <= first, f"at most {first} stacks mapped after the last thread has ended", last)


def forks_fail(t, *words):
    t.proof()
    watch = t.boot(" ".join(["gradeuser no-memory", *words]), mem=SMALL, append="kstack_cache=0")
    watch.mark()
    verdict(watch)
    watch.alive_until_end(0)


@case("survival.no_memory", "A fork that runs out of memory half-way loses no page", 2,
      "When a page of a stack is missing, give back those that came before it, and the slot.")
def no_memory(t):
    forks_fail(t)


@case("survival.no_memory_limited", "Nobody pays for a stack that memory could not back", 2,
      "When a stack cannot be made, return what its account was charged.")
def no_memory_limited(t):
    forks_fail(t, "limited")


@case("survival.every_class", "One fault of each class, one after another, and no page is lost", 2,
      "Kill only the process, in every class that does not force a panic.")
def every_class(t):
    kinds = {"EXHAUST_STACK": "overflow", "UNDERFLOW 16": "underflow", "WILD_SP user": "wild-sp",
             "BREAKPOINT": "exception", "STACK_GUARD_PAGE_LEADING": "guard-below",
             "STACK_GUARD_PAGE_TRAILING": "guard-above", "ACCESS_NULL": "null",
             "ACCESS_USERSPACE": "user-access", "EXEC_STACK": "exec-nx",
             "WRITE_RO": "write-rodata", "UNMAPPED": "unmapped"}
    for test, pid, report in each(t, *kinds):
        judge(report, kinds[test], pid=pid, process="gradeuser")


def on_a_disk(t, program, **machine):
    """Boot with a disk of its own.  Returns the Observer and the disk's path."""
    path = t.logs / f"{t.case.id}.img"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(t.build.image, path)
    return t.boot(program, **disk(path), **machine), path


@case("survival.files", "The victim's pipe, file, directory and child are released", 3,
      "Close descriptors on exit, release the directory and give children to init.")
def files(t):
    watch, path = on_a_disk(t, "gradeuser held EXHAUST_STACK", limit=5)
    judge(watch.report(), "overflow", pid=3, process="gradeuser")
    verdict(watch)
    watch.alive_until_end(0)
    check_image(t, path)
    path.unlink()


@case("survival.memory", "Memory that others share with the victim stays as it was", 2,
      "Free the victim's pages by count: those it shares now belong to the others.")
def memory(t):
    watch = t.boot("gradeuser memory EXHAUST_STACK")
    for _ in overflows(t, watch, 4, range(3, 7), "gradeuser"):
        pass
    verdict(watch)
    watch.alive_until_end(0)


def storm(t, count, **machine):
    watch, path = on_a_disk(t, f"gradeuser storm {count}", mem="64M", **machine)
    harts, most = {}, 0
    for report in overflows(t, watch, count, range(3, 1000), "gradeuser"):
        most = max(most, len(mapped_stacks(report.table)))
        seen = harts.setdefault(report.stop.hart, report.emergency)
        t.equal(f"emergency stack of hart {report.stop.hart}", str(report.emergency), str(seen))
    watch.nothing_lost("gradeuser")
    verdict(watch)
    left = len(mapped_stacks(watch.guest.at.table()))
    t.expect(left < most, f"fewer stacks mapped than in the storm, {most}", left)
    watch.alive_until_end(0)
    check_image(t, path)
    path.unlink()
    t.equal("emergency stacks of harts", len(set(harts.values())), len(harts))
    return harts


@case("survival.storm", "Overflows while others fork, write files and watch their memory", 2,
      "Code that interrupts a victim or runs after it must notice nothing.")
def small_storm(t):
    storm(t, 12)


@case("survival.storm_all_harts", "A storm of overflows on three harts under load", 4,
      tags=("stress",), hint="Each hart has its own emergency stack; reports wait their turn.")
def storm_all_harts(t):
    t.equal("harts that reported", len(storm(t, 90, cpus=3, icount=False)), 3)
