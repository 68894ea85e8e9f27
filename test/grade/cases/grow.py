# SPDX-License-Identifier: MIT
"""Stacks that begin with one page: for kernels made with KSTACK_GROW=y, and the lab `grow`.

A kernel whose stacks are born whole has nothing to grow.  So most cases here first ask for what
they are about: that a stack begins with one page.
"""

import re

from cases.layout import SFENCE, SFENCE_MASK, instructions
from cases.hygiene import CROWD, SECRET
from cases.overflow import FRAME, interrupts_of
from facts import (GUARD, KILLED, STORE, check_line, contents, expect, find_trap, mapped_stacks,
                   stack_of_sp)
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


@case("grow.intact", "What the stack held, and the registers, are the same after it has grown", 2,
      "Growth only maps: return by the frame as it was saved, and touch no byte of the stack.")
def intact(t):
    t.given(born_with_one_page)
    watch = t.boot("provoke STACK_USE 12000")
    guest, stack, vectors = watch.guest, watch.mark().stack, watch.vectors()
    watch.quiet()
    for pages in range(2, STACK // PAGE + 1):
        guest.insert(*vectors)
        fault = guest.go()
        guest.remove(*vectors)
        registers, before = list(fault.x), held_by(fault, stack)
        again = guest.until(fault.csr("sepc"))
        t.equal("pages after the growth", mapped(again, stack), pages)
        t.expect(again.x == registers, "the registers as they were", "another value")
        t.expect(held_by(again, stack) == before, "the stack as it was, and zeros in its new page",
                 "another byte")
    watch.loud()
    watch.alive_until_end(0)


def held_by(stop, stack):
    """The bytes of that stack, of which those that are not mapped yet are zeros."""
    return contents(stop.guest, mapped_stacks(stop.table())[stack])


@case("grow.zeros", "The new pages of a stack show nothing of the program before", 2,
      "A spare page must be all zeros before it is mapped as part of a stack.")
def zeros(t):
    t.given(born_with_one_page)
    watch = t.boot("gradeuser page-secrets STACK_USE 9000", mem=SMALL)
    watch.mark()
    for _ in range(CROWD):
        stop = watch.guest.until(t.build.provoke("provoke_use_end"))
        stack = stack_of_sp(stop.sp)
        t.equal("pages of a stack of which 9000 bytes were used", mapped(stop, stack), 3)
        t.expect(SECRET not in held_by(stop, stack), "no secret on a stack that has grown",
                 "the secret of the program before")
    verdict(watch)
    watch.alive_until_end(0)


@case("grow.border", "An interrupt whose frame finds no room makes the stack grow, and comes", 2,
      "sp is good down to the end of the 16 KiB; what must be mapped is the frame below it.")
def border(t):
    t.given(born_with_one_page)
    for above, pages in ((FRAME, 1), (FRAME - 16, 2), (0, 2)):
        watch = t.boot(f"provoke WILD_SP hi-{PAGE - above} interrupt")
        stack = watch.mark().stack
        interrupts_of(t, watch, 3, 3 * PAGE + above)
        t.equal(f"pages with sp {above} bytes above one", mapped(watch.guest.at, stack), pages)
    faulted(t, f"WILD_SP hi-{PAGE - FRAME + 8} break", "wild-sp", verdict="killed")


@case("grow.interrupts", "Interrupts come as sp goes down through all pages of the stack", 1,
      "Each finds room for its frame or makes the stack grow; at its end the stack overflows.")
def interrupts(t):
    t.given(born_with_one_page)
    faulted(t, "WILD_SP hi-2048 sink", "overflow", pages=STACK // PAGE, verdict="killed")


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


@case("grow.reserve", "A stack that has just grown to its end goes on in the reserve", 2,
      "Three pages for the growth and two for the reserve: the hart has all of them at hand.")
def reserve(t):
    t.given(born_with_one_page)
    watch = t.boot("provoke -n 3 SPARE 5 EXHAUST_SPINLOCK past", mem=SMALL)
    for report in watch.reports(3):
        find_trap(report)
        check_line(report, "overflow", name="provoke", verdict="killed", reserve="spinlock")
        t.equal("mapped pages of the stack", mapped(report.stop, report.mark.stack), STACK // PAGE)
    watch.nothing_lost("provoke")
    watch.alive_until_end(0)


@case("grow.given_back", "The pages that a stack has grown by come back when its thread is gone", 2,
      "Unmap and free all pages that the stack has, not those that it began with.")
def given_back(t):
    t.given(born_with_one_page)
    watch = t.boot("provoke -n 6 -j 3 EXHAUST_STACK", mem=SMALL)
    for _ in watch.reports(6, witness=False):
        pass
    watch.nothing_lost("provoke")
    watch.alive_until_end(0)


@case("grow.others", "Another hart fences before it runs on a stack that has grown", 2,
      "The stack's generation is that of its last growth: a hart fences for it at the switch.")
def others(t):
    t.given(born_with_one_page)
    watch = t.boot("provoke ON_HART 1 ON_HART 0 STACK_USE 8192 ON_HART 1 STACK_USE", cpus=2,
                   icount=False)
    guest, fenced = watch.guest, set()
    fences = instructions(guest, SFENCE)
    *_, grown = [watch.mark() for _ in range(4)]
    guest.insert(watch.here, *fences)
    while guest.go().pc != watch.here:
        fenced.add(guest.at.hart)
    there = watch.take_mark(guest.at)
    guest.remove(watch.here, *fences)
    t.equal("the stack", there.stack, grown.stack)
    t.expect(there.hart != grown.hart, "the process on another hart", f"hart {there.hart}")
    t.expect(there.hart in fenced, "an sfence.vma on that hart, for all addresses", "none")
    watch.alive_until_end(0)


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
