# SPDX-License-Identifier: MIT
"""For the lab `grow` alone: stacks that begin with one page, in a kernel with KSTACK_GROW=y.

A kernel whose stacks are born whole has nothing to grow.  So most cases here first ask for what
they are about: that a stack begins with one page.
"""

import re

from cases.layout import SFENCE, SFENCE_MASK, instructions
from facts import GUARD, KILLED, STORE, check_line, expect, find_trap, mapped_stacks
from gradeuser import SMALL, verdict
from machine import STACK
from suite import case
from sv39 import PAGE

TURNS = 6  # user/gradeuser.c: of one process that uses its stack, and one that has just begun
BELOW = 5000  # bytes from the lowest that a stack may have up to what a stray pointer hits
BORN = "KSTACK_BORN says with how many pages kstack_map makes a stack."
GROW = "Map down to the page that a trap frame at that sp needs; tell the thread and the hart."
END = "A stack may have KSTACK_SIZE bytes; what lies below is its guard."
SPARE = "kstack_grow leaves `keep` pages; a thread that why_later names may have those, too."


def mapped(stop, stack):
    """How many pages of the stack are mapped, which must be its upper ones, and none around it."""
    leaves = mapped_stacks(stop.table()).get(stack, [])
    pages = sorted(leaf.va for leaf in leaves)
    expect(pages == [stack.hi - PAGE * n for n in range(len(pages), 0, -1)],
           f"the uppermost pages of {stack} mapped, and nothing else of its slot",
           " ".join(map(hex, pages)))
    return len(pages)


def born_with_one_page(t):
    watch = t.boot("provoke STACK_USE 256")
    mark = watch.mark()
    pages = mapped(watch.guest.at, mark.stack)
    expect(pages == 1, "one page of the process's stack mapped", pages)
    watch.alive_until_end(0)


def used(t, size, pages):
    """A process that uses so much ends with that many pages, and nothing is reported."""
    watch = t.boot(f"provoke STACK_USE {size}")
    mark = watch.mark()
    stop = watch.until_user("provoke", "exit")
    t.equal(f"pages of a stack of which {size} bytes were used", mapped(stop, mark.stack), pages)
    watch.alive_until_end(0)


def unreported(t, command):
    """The process comes to its end by itself."""
    watch = t.boot(f"provoke {command}")
    watch.mark()
    watch.alive_until_end(0)


def faulted(t, command, kind, lacks=None, code=KILLED, pages=1, **fields):
    """There is one report, of that class and of the whole stack, of which those pages are mapped.
    Returns it."""
    watch = t.boot(f"provoke {command}")
    watch.mark()
    report = watch.report()
    find_trap(report)
    check_line(report, kind, pid=2, name="provoke", **fields)
    t.equal("the word for what the stack lacks", re.findall(r" grow=(\w+)", report.text),
            [lacks] if lacks else [])
    t.equal("mapped pages of the stack", mapped(report.stop, report.mark.stack), pages)
    if code == KILLED:
        watch.alive_until_end(code)
    else:
        watch.panics()
    return report


@case("grow.born", "A process's stack begins with one page", hint=BORN)
def born(t):
    t.given(born_with_one_page)


@case("grow.used", "A stack has the pages that were used of it", hint=GROW)
def pages_used(t):
    t.given(born_with_one_page)
    for size, pages in ((2500, 1), (8192, 3), (12000, 4)):
        used(t, size, pages)


@case("grow.fence", "The hart fences before it goes on with a new page", hint=(
      "It may have cached that nothing is mapped there: set the entries, then fence."))
def fence(t):
    t.given(born_with_one_page)
    watch = t.boot("provoke STACK_USE 8192")
    guest, stack = watch.guest, watch.mark().stack
    fences = instructions(guest, SFENCE, SFENCE_MASK)
    watch.quiet()
    guest.insert(*watch.vectors())
    fault = guest.go()
    at, address = fault.csr("sepc"), fault.csr("stval")
    t.expect(fault.csr("scause") == STORE and stack.lo <= address < stack.hi - PAGE,
             "a store to what is not mapped of the stack", hex(address))
    guest.remove(*watch.vectors())
    guest.insert(at, *fences)
    fenced = False
    while guest.go().pc != at:
        fenced |= mapped(guest.at, stack) > 1
    guest.remove(at, *fences)
    t.expect(fenced, "an sfence.vma between the mapping of the page and its use", "none")
    watch.loud()
    watch.alive_until_end(0)


@case("grow.held", "A stack grows page by page under a spin lock, with no interrupt in between",
      hint="Tell the thread, too: the next growth compares what it knows with the hart's record.")
def held(t):
    t.given(born_with_one_page)
    unreported(t, "EXHAUST_SPINLOCK 24")  # calls, for all four pages


@case("grow.end", "A stack grows to 16 KiB, and then it overflows", hint=END)
def end(t):
    t.given(born_with_one_page)
    faulted(t, "EXHAUST_STACK", "overflow", pages=STACK // PAGE, verdict="killed")


@case("grow.guard", "A store below the stack faults, and nothing grows to there", hint=END)
def guard(t):
    t.given(born_with_one_page)
    for below in (16, GUARD):
        faulted(t, f"JUMP_FRAME {below}", "overflow", verdict="killed")


@case("grow.stray", "A pointer into what is not mapped makes no stack grow", hint=(
      "Only sp makes a stack grow: an address below a good sp is a stray pointer."))
def stray(t):
    t.given(born_with_one_page)
    report = faulted(t, f"STACK_GUARD_PAGE_LEADING write {2**64 - BELOW:#x}", "unmapped",
                     verdict="killed", owner="-")
    t.equal("the address", hex(report.trap.stval), hex(report.mark.stack.lo + BELOW))


@case("grow.refilled", "The spare pages are filled up after a stack has grown", hint=(
      "Ask for a software interrupt: it comes when interrupts are on, and may allocate."))
def refilled(t):
    t.given(born_with_one_page)
    unreported(t, "SPARE 3 STACK_USE 12000")


@case("grow.memory", "A process that finds only the last two spare pages is killed", hint=SPARE)
def memory(t):
    t.given(born_with_one_page)
    faulted(t, "SPARE 2 STACK_USE 8192", "growth", "memory", verdict="killed")


@case("grow.last_pages", "A thread that holds something gets the last spare pages", hint=SPARE)
def last_pages(t):
    t.given(born_with_one_page)
    unreported(t, "SPARE 2 EXHAUST_SPINLOCK 10")


@case("grow.no_page", "Without any spare page a thread that holds a spin lock ends the machine",
      hint=SPARE)
def no_page(t):
    t.given(born_with_one_page)
    faulted(t, "SPARE 0 EXHAUST_SPINLOCK 10", "growth", "memory", code=1, verdict="panic",
            why="spinlock")


@case("grow.account", "An account pays for what is mapped, and stops growth when it is full", hint=(
      "kstack_grow charges first, and counts in `charged`, which is given back with the stack."))
def account(t):
    t.given(born_with_one_page)
    watch = t.boot("usertests account-grow")
    report = watch.report()
    find_trap(report)
    check_line(report, "growth", pid=None, name="usertests", verdict="killed", why="-")
    t.expect(" grow=account" in report.text, "grow=account in the machine line", watch.another())
    watch.alive_until_end(0)
    said = watch.guest.output()
    t.expect("ALL TESTS PASSED" in said, "usertests account-grow to pass", watch.tail())


@case("grow.begins_anew", "The next process begins with one page, whatever the last one used",
      hint="kstack_free may cache a stack only as it was born.")
def begins_anew(t):
    t.given(born_with_one_page)
    watch = t.boot("gradeuser secrets STACK_USE 9000", mem=SMALL)
    for _ in range(2 * TURNS):
        mark = watch.mark()
        t.equal("pages of a new process's stack", mapped(watch.guest.at, mark.stack), 1)
    verdict(watch)
    watch.alive_until_end(0)
