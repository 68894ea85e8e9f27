# SPDX-License-Identifier: MIT
"""What cases share that use the program gradeuser (user/gradeuser.c)."""

import re
import subprocess

from facts import SPP, Failed, expect, judge
from machine import GUARD, IMAGE_BASE, RENDEZVOUS, STACK, USER_END, Ended
from sv39 import PAGE

PAGE_FAULTS = (12, 13, 15)
SHOWN = 4  # failed checks of a program
SMALL = "32M"  # memory for guests that count all of it

# The table kernel_addresses of gradeuser.c.
KERNEL_ADDRESSES = [
    IMAGE_BASE, IMAGE_BASE + 2 * PAGE, 0xFFFFFFC000000000, 0xFFFFFFC080200000, 0xFFFFFFF000000000,
    0xFFFFFFFC00000000, 0xFFFFFFF400000000, 1 << 63, USER_END, (1 << 64) - 8]


def stack_borders(stack):
    return [stack.lo - GUARD, stack.lo - 8, stack.lo, stack.hi - 8, stack.hi,
            stack.hi + GUARD - 8]


def verdict(watch, stops=(), visit=None, name="gradeuser"):
    """Run to where the program of that name, seen in user mode, says that no check of it has
    failed.

    stops: addresses to stop at on the way, and visit(stop) for each.  Returns the count of checks.
    """
    guest = watch.guest
    program = guest.build.program(name)
    guest.insert(RENDEZVOUS, program["verdict"], *stops)
    try:
        while True:
            stop = guest.go()
            expect(stop.pc != RENDEZVOUS, "no report", watch.another)
            if stop.pc == program["verdict"] and watch.runs(stop, program, program["verdict"]):
                break
            if stop.pc in stops:
                visit(stop)
    except Ended as end:
        raise Failed(f"{name} to reach its verdict", f"{end}: {watch.tail()}") from None
    guest.remove(program["verdict"], *stops)
    failed, checks = stop.x[10:12]
    expect(failed == 0, f"no failed check in {name}",
           lambda: f"{failed} of {checks} failed: {complaints(watch, name)}")
    check_came_there(program, stop)
    return checks


def complaints(watch, name):
    """What the program said of its first checks that failed."""
    return " | ".join(re.findall(rf"^{name}: .*", watch.guest.output(), re.MULTILINE)[:SHOWN])


def check_came_there(program, stop):
    """It came to its verdict by itself: its code is whole, it was called from there, and what it
    says is what it has counted."""
    table, (start, code) = stop.table(), program.segment(program["verdict"])
    expect(table.read_virtual(start, len(code)) == code, "the program's own code", "other code")
    expect(start < stop.x[1] < start + len(code), "verdict() to be called", f"ra {stop.x[1]:#x}")
    for name, said in (("failures", stop.x[10]), ("checks", stop.x[11])):
        word = table.read_virtual(program[name], 8)
        expect(word and int.from_bytes(word, "little") == said, f"{said} {name} counted", word)


def user_faults(t, command):
    """Run it; all its checks must pass.  Returns (mark, [(scause, stval)] of its page faults in
    user mode)."""
    watch = t.boot(f"gradeuser {command}")
    mark, vectors, faults = watch.mark(), watch.vectors(), []

    def visit(stop):
        scause = stop.csr("scause")
        if scause in PAGE_FAULTS and not stop.csr("sstatus") & SPP:
            faults.append((scause, stop.csr("stval")))

    verdict(watch, vectors, visit)
    watch.alive_until_end(0)
    return mark, faults


def each(t, *tests, **machine):
    """Iterate over (test, report) of tests that one guest runs in turn, each in a new process.

    All must be killed, and no page may be lost.  Each report is to be judged: kind_of does.
    """
    machine.setdefault("mem", SMALL)
    watch = t.boot("gradeuser each " + " , ".join(tests), **machine)
    reports = watch.reports(len(tests))
    for number, test in enumerate(tests):
        yield test, 3 + number, next(reports)
        watch.marks.clear()  # the next test marks its own stack
    reports.close()
    watch.nothing_lost("gradeuser")
    verdict(watch)
    watch.alive_until_end(0)


def judge_each(t, kind, *tests, **machine):
    """The same, with each report judged to be of that class.  Returns the reports."""
    found = []
    for _, pid, report in each(t, *tests, **machine):
        judge(report, kind, pid=pid, process="gradeuser")
        found.append(report)
    return found


def check_image(t, path):
    """The file system of the image is sound; path was a guest's disk."""
    check = subprocess.run([t.build.directory / "fsck", path], capture_output=True, text=True,
                           errors="replace", check=False)
    t.expect(check.returncode == 0, "a sound file system", (check.stdout + check.stderr)[-300:])


def disk(path):
    """Arguments for a guest that really writes to that image."""
    return dict(disk=False, extra=(
        "-drive", f"file={path},if=none,format=raw,id=x0,snapshot=off,cache=unsafe",
        "-device", "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0"))


def stack_bytes(report):
    """The victim's stack as it was at the trap."""
    data = report.trap.stacks.get(report.mark.stack, b"")
    expect(len(data) == STACK, f"{STACK} bytes of stack", len(data))
    return data
