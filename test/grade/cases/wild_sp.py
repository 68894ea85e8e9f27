# SPDX-License-Identifier: MIT
"""A stack pointer that is not on the running stack, and did not run off it either.

The kernel may store nothing below such an sp: that memory belongs to something else.
"""

from facts import BREAKPOINT, LOAD, TIMER, judge
from gradeuser import SMALL, each
from machine import FRAME, GUARD, IMAGE_BASE, STACK, USER_END
from suite import case
from sv39 import PAGE, U, W, X

WILD = "Any sp outside the recorded stack and its guards is wild-sp, wherever it points."
UNTOUCHED = "Compare sp with the recorded bounds before the first store through it."
SIZE = FRAME + 32
CAUSES = {"break": BREAKPOINT, "load": LOAD, "interrupt": TIMER}


def wild(t, program, trap="break", mapped=None, marks=1, **who):
    """sp is set, and then a trap comes.  mapped: flags that the page at sp has, and has not."""
    watch = t.boot(program)
    for _ in range(marks):
        watch.mark()
    others = [mark.stack for mark in watch.marks[:-1]]
    del watch.marks[:-1]  # the others are not the victim's
    stop = watch.guest.until(t.build.provoke(f"provoke_sp_{trap}") + 8)  # behind mv sp, a0
    sp, table = stop.sp, stop.table()
    if trap != "interrupt":
        watch.quiet()
    if mapped:
        leaf = table.lookup(sp - 1)
        t.expect(leaf and leaf.flags & mapped[0] == mapped[0] and not leaf.flags & mapped[1],
                 f"a mapped page below sp {sp:#x}", leaf.describe() if leaf else "no mapping")
    before = table.read_virtual(sp - SIZE, SIZE)
    report = watch.report()
    judge(report, "wild-sp", **who)
    t.equal("sp", hex(report.trap.sp), hex(sp))
    t.equal("scause", hex(report.trap.scause), hex(CAUSES[trap]))
    t.expect(report.table.read_virtual(sp - SIZE, SIZE) == before,
             f"the {SIZE} bytes below sp {sp:#x} as they were", "a changed byte")
    watch.alive_until_end(255)
    return sp, report, others


@case("wild_sp.null", "sp is null", 1, WILD)
def null(t):
    t.equal("sp", wild(t, "provoke WILD_SP null")[0], 0)


@case("wild_sp.all_ones", "sp is the highest multiple of 16", 1, WILD)
def all_ones(t):
    wild(t, "provoke WILD_SP 0xfffffffffffffff0")


@case("wild_sp.user", "sp in user memory", 2, UNTOUCHED)
def user(t):
    sp = wild(t, "provoke WILD_SP user", mapped=(U | W, X))[0]
    t.expect(0 < sp < USER_END, "a user address", hex(sp))


@case("wild_sp.user_timer", "sp in user memory when a timer interrupt comes", 1, UNTOUCHED)
def user_timer(t):
    sp = wild(t, "provoke WILD_SP user interrupt", "interrupt", mapped=(U | W, X))[0]
    t.expect(0 < sp < USER_END, "a user address", hex(sp))


@case("wild_sp.text", "sp in the kernel's code", 1, UNTOUCHED)
def text(t):
    sp = wild(t, "provoke WILD_SP text", mapped=(X, W))[0]
    t.expect(sp > IMAGE_BASE, "an address of the image", hex(sp))


@case("wild_sp.direct_map", "sp in the direct map, which can be written", 2, UNTOUCHED)
def direct_map(t):
    wild(t, "provoke WILD_SP direct+2048", mapped=(W, U | X))


@case("wild_sp.direct_map_load", "sp in the direct map when a load faults", 1, UNTOUCHED)
def direct_map_load(t):
    wild(t, "provoke WILD_SP direct+2048 load", "load", mapped=(W, U | X))


@case("wild_sp.other_stack", "sp on the stack of another process", 2,
      "Being on some stack is not enough: it must be the one that this hart runs on.")
def other_stack(t):
    sp, _, others = wild(t, "gradeuser other sp", mapped=(W, U | X), marks=4, process="gradeuser",
                         owner=4)
    t.equal("sp", sp, others[1].hi - PAGE // 2)


@case("wild_sp.past_upper_guard", "sp just past the guard above its stack", 1,
      "Above the stack by up to the guard's size is underflow; one byte more is wild-sp.")
def past_upper_guard(t):
    above = [GUARD + 1, GUARD + 15, GUARD + 16]
    for (_, pid, report), n in zip(each(t, *[f"UNDERFLOW {n}" for n in above]), above):
        judge(report, "wild-sp", pid=pid, process="gradeuser", owner=None)
        t.equal("bytes from the stack up to sp", report.trap.sp - report.mark.stack.hi, n)


@case("wild_sp.odd", "sp on the right stack, but no multiple of 16", 1,
      "Check the alignment of sp, too, before pushing the frame.")
def odd(t):
    sp, report, _ = wild(t, "provoke WILD_SP odd", mapped=(W, U | X))
    t.expect(report.mark.stack.lo < sp < report.mark.stack.hi and sp % 16 == 8,
             "an odd sp on the stack", hex(sp))


@case("wild_sp.odd_timer", "sp one byte off when a timer interrupt comes", 1,
      "Check all four low bits of sp, not only bit 3.")
def odd_timer(t):
    sp, report, _ = wild(t, "provoke WILD_SP odd+1 interrupt", "interrupt", mapped=(W, U | X))
    t.expect(report.mark.stack.lo < sp < report.mark.stack.hi and sp % 16 == 9,
             "an odd sp on the stack", hex(sp))


def off_by(t, trap, changes):
    """In one guest, each process gets an sp that one of the changes makes of a good one."""
    watch = t.boot(f"provoke -n {len(changes)} WILD_SP odd {trap}", mem=SMALL)
    for number, change in enumerate(changes):
        mark = watch.mark()
        stop = watch.guest.until(t.build.provoke(f"provoke_sp_{trap}"))
        sp = change(mark.stack.lo + STACK // 2)
        watch.guest.write(stop, "a0", sp)
        report = watch.report()
        judge(report, "wild-sp", pid=3 + number)
        t.equal("sp", hex(report.trap.sp), hex(sp))
        t.equal("scause", hex(report.trap.scause), hex(CAUSES[trap]))
        watch.marks.clear()
    watch.nothing_lost("provoke")
    watch.alive_until_end(0)


@case("wild_sp.odd_bits", "sp off by 1, 2, 4 or 8 when an interrupt comes, or a breakpoint", 2,
      "Check all four low bits of sp, whatever the cause of the trap.")
def odd_bits(t):
    changes = [lambda sp, by=sign * by: sp + by for by in (1, 2, 4, 8) for sign in (1, -1)]
    off_by(t, "interrupt", changes)
    off_by(t, "break", changes)


@case("wild_sp.high_bits", "sp right but for one of its high bits", 2,
      "Compare all 64 bits of sp with the bounds of the stack.")
def high_bits(t):
    off_by(t, "break", [lambda sp, bit=bit: sp ^ 1 << bit for bit in range(36, 64, 2)])
