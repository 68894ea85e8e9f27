# SPDX-License-Identifier: MIT
"""The stack runs out: wherever that happens, it is noticed, named and measured."""

import re
import struct

from facts import (BREAKPOINT, GATHER, INTERRUPT, KILLED, LAST_RESORT, LOAD, SIE, SOFTWARE, SPIE,
                   SPP, SSIP, STORE, SUM, TIMER, Observer, expect, find_trap, judge, stack_of,
                   stack_of_sp)
from gradeuser import SMALL, verdict
from machine import FRAME, GUARD, IMAGE_PA, KASAN, PAGE, RENDEZVOUS, USER_END, WFI, Ended
from suite import case

CHECK_FIRST = "Check sp and the room for a frame before the trap entry stores anything through sp."
IN_FULL = "Check for room for the whole frame, not sp alone."
BY_SP = "Below the stack by up to the guard's size is overflow, whatever the cause of the trap."
HELD = "A turn at a pipe or the console is held like a lock: count it, or release it on exit."
FORCED = "Kill only in a system call, with interrupts on and no spin lock held; else panic."
RESERVE = ("Map the hart's spare pages below the stack and let it go on; kill it when it holds "
           "nothing.  A second overflow panics, unless what it holds can be given back.")


def overflow(t, program, scause=STORE, function=None, **options):
    """One report of class overflow, of a trap with that scause in that function of provoke."""
    report = t.fault(program, "overflow", **options)
    t.equal("scause", hex(report.trap.scause), hex(scause))
    if function:
        t.equal("the fault in", t.build.function(report.trap.sepc), function)
    return report


def in_reserve(t, program, why, past="past", **options):
    """It goes on in the reserve, and dies or ends by itself.  If it needs more, the kernel panics,
    or gives back what the process holds and kills it.  Returns the report of the first."""
    nobody = options.get("verdict") == "resumed"
    first = overflow(t, f"{program} {past}", function="recurse", reserve=why,
                     code=0 if nobody else KILLED, **options)
    interrupts = options.pop("interrupts", False)
    watch = t.boot(program)
    watch.mark()
    if not interrupts:
        watch.quiet()
    judge(watch.report(), "overflow", reserve=why, **options)
    second_overflow(watch, why, **options)
    return first


GIVEN_BACK = ("sleeplock", "transaction")  # what the kernel can do without the thread


def second_overflow(watch, why, verdict=None, **who):
    """What has gone on in the reserve overflows again."""
    line = watch.report().line
    if why in GIVEN_BACK:
        expect_line(line, {"class": "overflow", "verdict": "killed", "why": "-", "reserve": "-"})
        watch.alive_until_end(KILLED)
        return
    expect_line(line, {"class": "overflow", "verdict": "panic", "why": why, "reserve": "-"})
    watch.panics()


def expect_line(line, wanted):
    for key, value in wanted.items():
        allowed = value if isinstance(value, tuple) else (value,)
        expect(line[key] in allowed, f"{key}={' or '.join(allowed)} in the second machine line",
               f"{key}={line[key]}")


def distance(t, report, below):
    """At the fault sp is that many bytes below the stack."""
    t.equal("bytes from sp up to the stack", report.mark.stack.lo - report.trap.sp, below)


# --- large and small steps ------------------------------------------------------------------------


@case("overflow.recursion", "Endless recursion in a system call", 2, CHECK_FIRST)
def recursion(t):
    report = overflow(t, "provoke EXHAUST_STACK", function="recurse")
    lo = report.mark.stack.lo
    t.expect(lo - GUARD <= report.trap.stval < lo, "the first store below the stack to fault",
             hex(report.trap.stval))


@case("overflow.small_frames", "Recursion with frames of 16 bytes", 1, CHECK_FIRST)
def small_frames(t):
    distance(t, overflow(t, "provoke EXHAUST_FRAMES 16", function="provoke_frames"), 16)


def large_frame(t, size):
    """The first frame of that size reaches below any stack, and its lowest byte is stored to."""
    report = overflow(t, f"provoke EXHAUST_FRAMES {size}", function="provoke_frames")
    t.expect(0 < report.mark.sp - size - report.trap.sp < 2048, f"a frame of {size} bytes",
             hex(report.trap.sp))


@case("overflow.frame_guard_less_one", "A frame one byte smaller than the guard", 1, BY_SP)
def frame_guard_less_one(t):
    large_frame(t, GUARD - 1)


@case("overflow.frame_guard", "A frame as large as the guard", 1, BY_SP)
def frame_guard(t):
    large_frame(t, GUARD)


@case("overflow.frame_guard_plus_one", "A frame one byte larger than the guard", 1, BY_SP)
def frame_guard_plus_one(t):
    large_frame(t, GUARD + 1)


def jump(t, below):
    report = overflow(t, f"provoke JUMP_FRAME {below}", function="provoke_sp_store")
    distance(t, report, below)
    t.equal("the address", hex(report.trap.stval), hex(report.mark.stack.lo - below))


@case("overflow.first_byte", "sp one byte below the stack", 1, BY_SP)
def first_byte(t):
    jump(t, 1)


@case("overflow.last_byte", "sp at the lowest byte of the guard", 1, BY_SP)
def last_byte(t):
    jump(t, GUARD)


@case("overflow.past_guard", "A jump of sp over the whole guard, found at the next trap", 2,
      "Below the guard a store may not fault; the next trap's check finds a wild sp.")
def past_guard(t):
    report = t.fault(f"provoke JUMP_FRAME {GUARD + 16}", "wild-sp", owner=None)
    distance(t, report, GUARD + 16)


@case("overflow.alloca_into_guard", "An alloca-like jump into the guard", 1, BY_SP)
def alloca_into_guard(t):
    report = overflow(t, "provoke WILD_SP here-20000 store", function="provoke_sp_store")
    t.expect(0 < report.mark.stack.lo - report.trap.sp <= GUARD, "sp in the guard",
             hex(report.trap.sp))


@case("overflow.alloca_past_guard", "An alloca-like jump past the guard", 1,
      "Below the guard a store may not fault; the next trap's check finds a wild sp.")
def alloca_past_guard(t):
    report = t.fault("provoke WILD_SP here-40000 store", "wild-sp", owner=None)
    t.expect(report.mark.stack.lo - report.trap.sp > GUARD, "sp below the guard",
             hex(report.trap.sp))


# --- the trap path itself -------------------------------------------------------------------------


def low_at_timer(t, above):
    """A timer interrupt comes when sp is so little above the stack's base."""
    report = overflow(t, f"provoke WILD_SP lo+{above} interrupt", scause=TIMER,
                      function="provoke_sp_interrupt", interrupts=True)
    distance(t, report, -above)


@case("overflow.timer_at_base", "A timer interrupt with sp at the very base", 1, IN_FULL)
def timer_at_base(t):
    low_at_timer(t, 0)


@case("overflow.timer_8_above", "A timer interrupt with sp 8 bytes above the base", 1, IN_FULL)
def timer_8_above(t):
    low_at_timer(t, 8)


@case("overflow.timer_frame_less_16", "A timer interrupt 16 bytes short of room for the frame", 1,
      IN_FULL)
def timer_frame_less_16(t):
    low_at_timer(t, FRAME - 16)


@case("overflow.timer_frame_less_8", "A timer interrupt 8 bytes short of room for the frame", 2,
      IN_FULL)
def timer_frame_less_8(t):
    low_at_timer(t, FRAME - 8)


def in_handler(t, report):
    """The trap came while another trap was being handled."""
    trap = report.trap
    t.expect(not trap.sstatus & SPIE, "a fault with interrupts off", f"sstatus {trap.sstatus:#x}")
    t.expect(not trap.scause & INTERRUPT, "a fault in the handler", f"scause {trap.scause:#x}")


def interrupts_of(t, watch, count, above):
    """Run on until the timer has interrupted the loop of provoke_sp_interrupt that many times, with
    sp so much above the base of a stack, always the same.  Returns the memory of all stacks at
    each."""
    guest, vectors, seen, sp = watch.guest, watch.vectors(), [], None
    guest.insert(RENDEZVOUS, *vectors)
    while len(seen) < count:
        stop = watch.next_stop()
        expect(stop.pc != RENDEZVOUS, "an interrupt, and no report", watch.tail)
        trap = watch.record(stop)
        if trap.scause == TIMER and t.build.function(trap.sepc) == "provoke_sp_interrupt":
            sp = sp or stack_of(trap.sp).lo + above
            t.equal("sp of the interrupted thread", hex(trap.sp), hex(sp))
            seen.append(watch.read_stacks(stop.table()))
    guest.remove(RENDEZVOUS, *vectors)
    return seen


@case("overflow.timer_frame", "A timer interrupt with room for the frame, and for no more", 2,
      "Handlers run on the interrupt stack; a thread without room to be preempted goes on.")
def timer_frame(t):
    t.proof()
    watch = t.boot(f"provoke -n 2 -j 2 WILD_SP lo+{FRAME} interrupt")
    watch.mark()  # a tick may still put the other one on the hart; then this one stays ready
    interrupts_of(t, watch, 5, FRAME)


@case("overflow.timer_frame_plus_8", "A timer interrupt with sp odd, just above the frame's room",
      1, "There is room enough, but sp is no multiple of 16: wild-sp.")
def timer_frame_plus_8(t):
    report = t.fault(f"provoke WILD_SP lo+{FRAME + 8} interrupt", "wild-sp", interrupts=True)
    distance(t, report, -FRAME - 8)


@case("overflow.break_frame_less_16", "A breakpoint 16 bytes short of room for the frame", 1,
      IN_FULL)
def break_frame_less_16(t):
    report = overflow(t, f"provoke WILD_SP lo+{FRAME - 16} break", scause=BREAKPOINT)
    distance(t, report, 16 - FRAME)


@case("overflow.interrupts_to_the_end", "Interrupts come as sp goes down, step by step", 2,
      "Handlers use the interrupt stack, so sp gets 16 bytes too low for a frame, and no lower.")
def interrupts_to_the_end(t):
    report = overflow(t, "provoke WILD_SP lo+2048 sink", scause=SOFTWARE,
                      function="provoke_sp_sink", interrupts=True)
    distance(t, report, 16 - FRAME)


@case("overflow.interrupt_handler", "In an interrupt handler", 2, RESERVE)
def interrupt_handler(t):
    report = in_reserve(t, "provoke IN_INTERRUPT EXHAUST_STACK", "interrupt", interrupts=True,
                        verdict="resumed")
    in_handler(t, report)
    caller = t.observers[0].marks[0]
    t.expect(report.mark.stack != caller.stack, "the handler on another stack than the thread's",
             report.mark.stack)
    before = [trap.scause for trap in report.traps if trap.scause & INTERRUPT]
    t.expect(before and before[-1] == SOFTWARE, "an interrupt before the fault",
             " ".join(map(hex, before[-3:])))


@case("overflow.interrupt_relief", "An interrupt costs the thread no more stack than its frame", 2,
      "Push the frame on the thread's stack, and handle the interrupt on the hart's own.")
def interrupt_relief(t):
    t.proof()
    watch = t.boot("provoke WILD_SP lo+4096 interrupt")
    mark = watch.mark()
    first, *_, last = interrupts_of(t, watch, 4, 4096)
    free = slice(0, 4096 - FRAME)
    t.expect(first[mark.stack][free] == last[mark.stack][free],
             "nothing stored below the frame on the interrupted thread's stack", "another byte")


def copy_low(t):
    """The handler of a user copy's page fault overflows.  Returns (Report, that page fault)."""
    buffer = t.build.program("provoke")["text"]  # shared with the parent until it is written
    watch = t.boot(f"provoke -n 1 COPY_LOW lo+400 {buffer:#x}")
    report = watch.report()
    on = find_trap(report).sstatus & SPIE  # whether the fault is resolved with interrupts on
    judge(report, "overflow", pid=3, verdict="killed" if on else {"killed", "panic"}, why=None,
          reserve=None)
    taken = [trap for trap in report.traps if trap.stval == buffer]
    t.expect(taken, f"a page fault of the copy at {buffer:#x} before",
             " ".join(hex(trap.stval) for trap in report.traps))
    if report.line["verdict"] == "killed":
        watch.alive_until_end(0)
    else:
        watch.panics()
    return report, taken[-1]


@case("overflow.user_copy", "In the page fault of a user copy", 2, FORCED)
def user_copy(t):
    copy_low(t)


@case("overflow.user_copy_closed", "The handler of a copy's page fault cannot reach user memory", 1,
      "Clear SUM in the trap entry, whatever was interrupted; the return restores it.")
def user_copy_closed(t):
    report, fault = copy_low(t)
    t.expect(fault.sstatus & SUM, "SUM set in the user copy", hex(fault.sstatus))
    t.expect(not report.trap.sstatus & SUM, "SUM clear in the handler of its page fault",
             hex(report.trap.sstatus))


# --- in which context -----------------------------------------------------------------------------


@case("overflow.kernel_thread", "In a kernel thread", 2, RESERVE)
def kernel_thread(t):
    in_reserve(t, "provoke EXHAUST_KTHREAD", "kernel-thread", pid=0, process="exhaust",
               interrupts=True, verdict="resumed")


@case("overflow.forked_child", "In a child that has just been forked", 1,
      "Guard a new thread's stack and record its bounds before it first runs.")
def forked_child(t):
    overflow(t, "provoke -n 1 EXHAUST_STACK", function="recurse", code=0, pid=3)


@case("overflow.interrupts_off", "With interrupts off", 2, RESERVE)
def interrupts_off(t):
    in_reserve(t, "provoke EXHAUST_IRQOFF", "interrupts-off")


@case("overflow.spin_lock", "Holding a spin lock", 2, RESERVE)
def spin_lock(t):
    in_reserve(t, "provoke EXHAUST_SPINLOCK", "spinlock")


@case("overflow.sleep_lock", "Holding a sleep lock", 2,
      "Others would wait for ever for a lock that the victim holds: let it go on in the reserve.")
def sleep_lock(t):
    in_reserve(t, "provoke EXHAUST_SLEEPLOCK", "sleeplock")


@case("overflow.transaction", "In a transaction of the file system", 1,
      "A transaction that never ends keeps every later one from the disk: let it go on.")
def transaction(t):
    in_reserve(t, "provoke EXHAUST_TRANSACTION", "transaction")


@case("overflow.reserve_returned", "What holds something goes on, dies, and leaves nothing", 2,
      "Free the pages of the reserve with the stack; fill the hart's own again.")
def reserve_returned(t):
    for test in ("SLEEPLOCK", "SPINLOCK", "TRANSACTION", "IRQOFF"):
        watch = t.boot(f"provoke -n 3 EXHAUST_{test} past", mem=SMALL)
        for report in watch.reports(3):
            judge(report, "overflow", pid={3, 4, 5}, reserve=None)
            t.expect(report.line["reserve"] != "-", "reserve= in the machine line", "reserve=-")
        watch.nothing_lost("provoke")
        watch.alive_until_end(0)


def given_back(t, test):
    """Three processes die of it, one after the other, and no page is missing afterwards."""
    watch = t.boot(f"provoke -n 3 {test}", mem=SMALL)
    for _ in range(3):
        if watch.report().line["reserve"] != "-":
            line = watch.report().line
            expect_line(line, {"verdict": "killed", "why": "-"})
    watch.nothing_lost("provoke")
    watch.alive_until_end(0)


@case("overflow.call_given_back", "What a killed call held is given back", 3,
      "Record what a call holds, and give it back before the process exits.")
def call_given_back(t):
    if not KASAN:  # there the reserve may end within an allocator, which loses what it has in hand
        given_back(t, "EXHAUST_FORK")
    given_back(t, "EXHAUST_SLEEPLOCK")


@case("overflow.transaction_undone", "A killed call's changes to the disk happen wholly or not", 3,
      "Drop the blocks that it changed, and what was copied from them; read them again.")
def transaction_undone(t):
    given_back(t, "EXHAUST_TRANSACTION half")
    given_back(t, "EXHAUST_TRANSACTION")


def in_copy(t, how, **machine):
    """A process runs out of stack in the page fault of a user copy.  Whatever it holds then is held
    no more afterwards, or the kernel panics."""
    watch = t.boot(f"gradeuser copying {how}", **machine)
    mark, vectors = watch.mark(), watch.vectors()
    while True:
        stop = watch.guest.until(*vectors)
        if stop.csr("scause") in (LOAD, STORE) and stop.csr("sstatus") & (SPP | SUM) == SPP | SUM:
            break
    t.expect(stop.csr("stval") < USER_END, "a page fault of a user copy", hex(stop.csr("stval")))
    sp = stop.sp
    watch.guest.write(stop, "sp", mark.stack.lo + FRAME - 16)
    watch.traps.append(watch.record(stop))
    report = watch.report()
    judge(report, "overflow", pid=3, process="gradeuser", verdict={"killed", "panic"}, why=None,
          reserve=None)
    if report.line["reserve"] != "-":  # it goes on, with the sp that it had
        leaf = report.table.lookup(report.frame.address)
        at = leaf.pa + report.frame.address % PAGE + 8 * 2
        watch.guest.stub.write_memory(at, struct.pack("<Q", sp))
    if report.line["verdict"] == "panic":
        watch.panics()
    else:
        verdict(watch)
        watch.alive_until_end(0)


@case("overflow.holding_pipe", "In a copy to or from a pipe", 2, HELD)
def holding_pipe(t):
    in_copy(t, "pipe-read")
    in_copy(t, "pipe-write")


@case("overflow.holding_file", "In a copy to or from a file", 2, HELD)
def holding_file(t):
    in_copy(t, "file-read")
    in_copy(t, "file-write")


@case("overflow.holding_console", "In a copy of what was typed", 1, HELD)
def holding_console(t):
    in_copy(t, "console-read", typed=b"a line\nanother one\n")


@case("overflow.option", "Every fault panics when the boot arguments say so", 1,
      "panic_on_fault among the boot arguments forces a panic: why=option.")
def option(t):
    overflow(t, "provoke EXHAUST_STACK", append="panic_on_fault", function="recurse", code=1,
             why="option")


@case("overflow.console", "While it prints, with the console locked", 2,
      "The reporter takes no lock that the victim may hold.")
def console(t):
    in_reserve(t, "provoke EXHAUST_CONSOLE", ("spinlock", "interrupts-off"))


def instructions(guest, wanted, mask=-1):
    """Every such instruction of the image, by its physical memory before the guest has run."""
    code = guest.read_memory(IMAGE_PA, 256 * 1024)
    base = RENDEZVOUS - 4096
    return [base + 4 * i for i, (word,) in enumerate(struct.iter_unpack("<I", code))
            if word & mask == wanted]


def wfi_addresses(guest):
    return instructions(guest, WFI)


def hijack(watch, name, *arguments):
    """Have the hart that is stopped call a function of provoke, on the stack it is on."""
    stop = watch.guest.at
    watch.take_mark(stop)
    for number, value in enumerate(arguments):
        watch.guest.write(stop, f"a{number}", value)
    watch.guest.write(stop, "pc", watch.guest.build.provoke(name))


@case("overflow.idle", "On an idle stack", 2, RESERVE)
def idle(t):
    watch = t.boot("sleep 100")
    waits = wfi_addresses(watch.guest)
    watch.guest.insert(*waits)
    while True:
        stop = watch.guest.go()
        if stack_of_sp(stop.sp):
            break
    watch.guest.remove(*waits)
    hijack(watch, "recurse", 100000)
    report = watch.report()
    judge(report, "overflow", pid=0, process=None, verdict="resumed", reserve="idle")
    second_overflow(watch, "idle")


def border_faults(stack):
    """[(sp, class of a breakpoint there)]."""
    return [(stack.lo + FRAME - 16, "overflow"), (stack.lo + 1024, "exception"),
            (stack.hi, "exception"), (stack.hi + 16, "underflow")]


def judge_break(t, report, sp, kind, **who):
    """The report is of the breakpoint at that sp, not of what came after it."""
    judge(report, kind, **who)
    t.equal("scause", hex(report.trap.scause), hex(BREAKPOINT))
    t.equal("sp", hex(report.trap.sp), hex(sp))


@case("overflow.handler_bounds", "In a handler, at the borders of the interrupt stack", 2,
      "Record all bounds of the interrupt stack before the handler runs: floor and top, too.")
def handler_bounds(t):
    for number in range(4):
        watch = t.boot("provoke IN_INTERRUPT STACK_USE 256")
        thread, mark = watch.mark(), watch.mark()
        t.expect(mark.stack != thread.stack, "the handler on another stack than the thread's",
                 mark.stack)
        sp, kind = border_faults(mark.stack)[number]
        hijack(watch, "provoke_sp_break", sp)
        report = watch.report()
        if kind == "overflow":  # it goes on, and takes the same breakpoint with room for a frame
            judge_break(t, report, sp, kind, verdict="resumed", reserve="interrupt")
            line = watch.report().line
            expect_line(line, {"class": "exception", "verdict": "panic", "why": "interrupt"})
        else:
            judge_break(t, report, sp, kind, verdict="panic", why="interrupt")
        watch.panics()


@case("overflow.in_exit", "A victim faults again while it exits, at the borders of its stack", 3,
      "Record the victim's stack before you leave the emergency stack; let exit begin again.")
def in_exit(t):
    watch = t.boot("provoke -n 1 EXHAUST_STACK", mem=SMALL)
    mark = watch.mark()
    watch.quiet()
    judge(watch.report(), "overflow", pid=3)
    if on_the_way_out(t, watch, mark.stack):
        hijack(watch, "recurse", 100000)
        judge(watch.report(), "overflow", pid=3)
    for sp, kind in border_faults(mark.stack):
        if on_the_way_out(t, watch, mark.stack):
            hijack(watch, "provoke_sp_break", sp)
            judge_break(t, watch.report(), sp, kind, pid=3)
    watch.nothing_lost("provoke")
    watch.alive_until_end(0)


def on_the_way_out(t, watch, stack):
    """Run from the rendezvous to where interrupts are first on, on the victim's stack, by means of
    one that comes there, and is undone.  Returns whether they are: a kernel may leave them off."""
    guest, vectors = watch.guest, watch.vectors()
    pending = guest.at.csr("sip")
    guest.write(guest.at, "sip", pending | SSIP)
    guest.insert(*vectors)
    while (stop := watch.next_stop()).pc not in vectors:
        t.expect(stop.pc != RENDEZVOUS, "no further report", watch.another)
    guest.remove(*vectors)
    trap = watch.record(stop)
    if not (trap.sstatus & SPP and stack.lo < trap.sp <= stack.hi):
        return False
    guest.write(stop, "sip", stop.csr("sip") & ~SSIP | pending & SSIP)
    guest.write(stop, "sstatus", trap.sstatus | SIE)
    guest.write(stop, "pc", trap.sepc)
    guest.write(stop, "fp", 0)  # the backtrace is another case's business
    watch.quiet()  # another interrupt would set the record right
    return True


# --- many at once ---------------------------------------------------------------------------------


def on_hart(t, number):
    report = overflow(t, f"provoke ON_HART {number} EXHAUST_STACK", cpus=3, function="recurse",
                      interrupts=True)
    t.equal("hart", t.guests[-1].index(report.trap.hart), number)


@case("overflow.hart_0", "On hart 0 of three", 1, CHECK_FIRST)
def hart_0(t):
    on_hart(t, 0)


@case("overflow.hart_1", "On hart 1 of three", 1, "Each hart needs a vector, record and stacks.")
def hart_1(t):
    on_hart(t, 1)


@case("overflow.hart_2", "On hart 2 of three", 1, "Each hart needs a vector, record and stacks.")
def hart_2(t):
    on_hart(t, 2)


@case("overflow.all_harts", "On three harts at once", 3,
      "Each hart has an emergency stack of its own, and reports wait their turn.")
def all_harts(t):
    watch = t.boot("provoke -n 3 -j 3 EXHAUST_ALL", cpus=3, icount=False)
    seen = {}
    for report in watch.reports(3, together=True):
        judge(report, "overflow", pid={3, 4, 5})
        expect(report.emergency not in seen.values() and report.stop.hart not in seen,
               "another hart, and another emergency stack, each time",
               f"hart {report.stop.hart} on {report.emergency}")
        expect(report.text.count("kstack: ") == 1, "one whole report at a time", report.text[-300:])
        seen[report.stop.hart] = report.emergency
    watch.alive_until_end(0)


@case("overflow.during_report", "On one hart while another one reports", 3,
      "A second reporter waits until the first one has ended, so no report is lost or mixed up.")
def during_report(t):
    watch = t.boot("provoke -n 2 -j 2 EXHAUST_REPORTING", cpus=2, icount=False)
    pids = set()
    for report in watch.reports(2, together=True):
        judge(report, "overflow", pid={3, 4})
        pids.add(report.line["pid"])
        expect(report.text.count("kstack: ") == 1, "one whole report at a time", report.text[-300:])
    t.equal("processes reported", sorted(pids), [3, 4])
    watch.alive_until_end(0)


def panic(report):
    judge(report, "overflow", pid={3, 4}, verdict="panic", why="option")


@case("overflow.panic_waits", "A panic on one hart while another one reports", 3,
      "A panic ends the machine only after every report that other harts have begun.")
def panic_waits(t):
    watch = t.boot("provoke -n 2 -j 2 EXHAUST_ALL off", cpus=2, icount=False,
                   append="panic_on_fault")
    pids = set()
    for report in watch.reports(2, together=True):
        panic(report)
        pids.add(report.line["pid"])
    t.equal("processes reported", sorted(pids), [3, 4])
    watch.panics()
    watch = t.boot("provoke -n 2 -j 2 EXHAUST_REPORTING panic", cpus=2, icount=False)
    judge(watch.report(), "overflow", pid={3, 4})
    watch.panics()


def fell(traps):
    return any(trap.sstatus & SPP and not Observer.is_good(trap.sp) for trap in traps)


@case("overflow.whole_lines", "Reports and messages of several harts do not cut each other", 2,
      "A report waits for a message that has begun, and a message waits for a report.")
def whole_lines(t):
    watch = t.boot("provoke -n 2 -j 2 EXHAUST_REPORTING line", cpus=2, icount=False)
    watch.mark()
    watch.mark()
    vectors = watch.vectors()
    watch.guest.insert(RENDEZVOUS, watch.here, *vectors)
    while (stop := watch.next_stop()).pc != watch.here:  # in the middle of the line
        watch.traps.append(watch.record(stop))
    watch.take_mark(stop)
    before, other = watch.guest.output(), 1 - stop.hart
    while not fell(watch.traps) and watch.guest.run_alone(other, GATHER):
        watch.traps.append(watch.record(watch.guest.at))
    t.expect(fell(watch.traps), "an overflow meanwhile", f"{len(watch.traps)} traps")
    watch.guest.run_alone(other, GATHER / 4)  # it waits for seconds only
    t.equal("printed while another hart is in its line", watch.guest.output()[len(before):], "")
    for report in watch.reports(2):
        judge(report, "overflow", pid={3, 4})
    t.expect("\nprovoke: a line\n" in watch.guest.output(), "the whole line before the report",
             watch.tail())
    watch.alive_until_end(0)

    watch = t.boot("provoke -n 2 -j 2 EXHAUST_REPORTING message", cpus=2, icount=False)
    reports = watch.reports(2)
    for number in range(2):
        report = next(reports)
        judge(report, "overflow", pid={3, 4})
        if number == 0:
            watch.guest.run_alone(1 - report.stop.hart, GATHER)
        t.equal("messages up to the report's end", watch.guest.output().count("provoke: a message"),
                number)
    watch.alive_until_end(0)


# --- the reporter itself --------------------------------------------------------------------------


def last_resort(t, name, *arguments):
    """Let the reporter fault at the rendezvous: it prints one line by the firmware and ends."""
    watch = t.boot("provoke EXHAUST_STACK")
    report = watch.report()
    judge(report, "overflow")
    hijack(watch, name, *arguments)
    guest, emergency, traps = watch.guest, report.emergency, []
    vectors = watch.vectors()
    guest.insert(*vectors)
    try:
        while True:
            stop = guest.go()
            expect(stop.pc in vectors, "no further report", watch.tail)
            traps.append(watch.record(stop))
            expect(len(traps) < 4, "an end of traps after the last resort", f"{len(traps)} traps")
    except Ended as end:
        t.equal("exit code after the last resort", end.code, LAST_RESORT)
    line = re.findall(r"last resort.*", guest.output())
    t.expect(len(line) == 1, "one line such as `last resort: sepc=0x... scause=0x... stval=0x... "
             "sp=0x...`", f"{len(line)} lines")
    found = dict(re.findall(r"(\w+)=0x([0-9a-f]+)", line[0]))
    for key in ("sepc", "scause", "stval", "sp"):
        t.equal(f"{key} in that line", int(found.get(key, "0"), 16), getattr(traps[0], key))
    return emergency, traps[0]


@case("overflow.emergency_stack", "The emergency stack overflows during a report", 3,
      "An overflow while the record is the emergency stack goes to a path that needs no stack.")
def emergency_stack(t):
    emergency, trap = last_resort(t, "recurse", 100000)
    t.expect(emergency.lo - GUARD <= trap.sp < emergency.lo, "sp in the emergency stack's guard",
             hex(trap.sp))


@case("overflow.reporter_faults", "The reporter faults on a good stack", 2,
      "A fault of the reporter itself goes to the last resort, never to a second report.")
def reporter_faults(t):
    _, trap = last_resort(t, "provoke_load", 0)
    t.expect(Observer.is_good(trap.sp) and trap.stval == 0, "a good sp, address 0", hex(trap.sp))
