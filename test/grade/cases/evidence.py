# SPDX-License-Identifier: MIT
"""The report holds what the hardware handed over, to the last bit, and what led there."""

import re
import struct

from facts import BREAKPOINT, FS, NAMES, SPIE, SUM, TIMER, expect, judge
from gradeuser import SMALL, each, judge_each, stack_bytes, verdict
from machine import FRAME, GUARD, KASAN, NOP, PROVOKE, PROVOKE_END
from suite import case

SPILL = "Save in struct hart what the check needs, and restore it before you save the frame."
EXACT = "past= says by how many bytes, as docs/traps.md defines it for each class."
UNWIND = "Start at the frame's sepc, ra, s0 and sp; each s0 points just above a saved ra and s0."
ABI_NAMES = dict(zip(NAMES[1:32], (f"x{n}" for n in range(1, 32))), sepc="pc")
HEX = r"(?:0x|(?=[0-9a-f]{16}\b))([0-9a-f]+)\b"
RET = 0x00008067
LOAD_NULL = 0x00004003  # lbu zero, 0(zero)
FUNCTION_MAX = 256  # bytes
FRAMES = "a backtrace with lines such as `#0 544 bytes recurse+0x24 x28`"


# --- registers ------------------------------------------------------------------------------------


def for_people(report):
    """The text without the machine line."""
    return "\n".join(line for line in report.text.splitlines() if not line.startswith("kstack: "))


def printed(text, name):
    """Numbers that stand after the register's name, or all in the text if there are none."""
    names = f"{name}|{ABI_NAMES[name]}" if name in ABI_NAMES else name
    shown = re.findall(rf"(?<![\w+])(?:{names})[ \t):=]+{HEX}", text, re.IGNORECASE)
    return {int(number, 16) for number in
            shown or re.findall(rf"\b{HEX}", text, re.IGNORECASE)}


def check_registers(t, report):
    """Each register in the frame and in the text is as it was when the trap came."""
    text = for_people(report)
    for name, value in zip(NAMES, report.trap.words()):
        t.equal(f"{name} in the frame", hex(getattr(report.frame, name)), hex(value))
        shown = printed(text, name)
        t.expect(value in shown, f"{name} in the report, such as `{name} {value:#x}`",
                 " ".join(map(hex, sorted(shown)[:3])) or "nothing")


def planted(t, where, seed, kind):
    """Every xN but tp and sp is seed + N when the load from null faults."""
    report = t.fault(f"provoke REGISTERS {where} {seed:#x}", kind)
    trap = report.trap
    t.equal("the fault at", hex(trap.sepc), hex(t.build.provoke("provoke_registers_fault")))
    for number in [1, 3, *range(5, 32)]:
        t.equal(f"x{number} as planted", hex(trap.x[number]), hex(seed + number))
    check_registers(t, report)


@case("evidence.registers", "All registers, planted, with sp gone", 3, SPILL)
def registers(t):
    planted(t, "0x1000000000000002", 0x1000000000000000, "wild-sp")


@case("evidence.registers_overflow", "All registers, planted, with sp in the guard", 2, SPILL)
def registers_overflow(t):
    planted(t, "lo-16", 0xFEDCBA9876543210, "overflow")


@case("evidence.registers_good_sp", "All registers, planted, on a good stack", 2,
      "The frame holds what the trap found, before any C code has run.")
def registers_good_sp(t):
    planted(t, "here", 0x0123456789ABCD00, "null")


@case("evidence.fault_address", "scause and stval of a store to a given address", 1,
      "Read scause and stval in the entry code: the next trap overwrites them.")
def fault_address(t):
    report = t.fault("provoke ACCESS_NULL write 0x3123456789", "user-access")
    t.equal("stval", hex(report.trap.stval), hex(0x3123456789))
    check_registers(t, report)


@case("evidence.interrupt_cause", "scause of an interrupt, its top bit included", 1,
      "scause has 64 bits; the top one says interrupt.")
def interrupt_cause(t):
    report = t.fault("provoke WILD_SP null interrupt", "wild-sp", interrupts=True)
    t.equal("scause", hex(report.trap.scause), hex(TIMER))
    check_registers(t, report)


@case("evidence.sstatus_bits", "sstatus keeps the bits that the entry code changes",
      2, "Save sstatus before the entry code changes any bit of it, on every way in.")
def sstatus_bits(t):
    kinds = {"REGISTERS null": "wild-sp", "REGISTERS lo-16": "overflow", "REGISTERS here": "null"}
    watch = t.boot("gradeuser each " + " , ".join(kinds), mem=SMALL)
    fault = t.build.provoke("provoke_registers_fault")
    for number, kind in enumerate(kinds.values()):
        watch.mark()
        watch.quiet()
        stop = watch.guest.until(fault)
        watch.guest.write(stop, "sstatus", stop.csr("sstatus") | SUM | FS)
        report = watch.report()
        judge(report, kind, pid=3 + number, process="gradeuser", owner=None)
        t.equal("SUM and FS in sstatus", report.trap.sstatus & (SUM | FS), SUM | FS)
        check_registers(t, report)
        watch.marks.clear()
    watch.nothing_lost("gradeuser")
    verdict(watch)
    watch.alive_until_end(0)


@case("evidence.sstatus", "sstatus as at the fault, with interrupts off", 1,
      "Save sstatus before the entry code changes any bit of it.")
def sstatus(t):
    report = t.fault("provoke EXHAUST_IRQOFF past", "overflow", reserve="interrupts-off")
    t.equal("SPIE in sstatus", report.trap.sstatus & SPIE, 0)
    check_registers(t, report)


# --- the backtrace --------------------------------------------------------------------------------


def backtrace(report):
    """The lines of the backtrace: [(bytes, name, offset, count)].  A function, the bytes of its
    frame and how many there are may stand in any order, and anything else with them."""
    found = []
    for line in for_people(report).splitlines():
        where = re.search(r"([A-Za-z_][\w.]*)\+0x([0-9a-f]+)", line)
        size = re.search(r"(?<![\w+])(\d+) ?(?:bytes|B)\b", line)
        count = re.search(r"(?<!\w)[x*](\d+)\b|\b(\d+) times\b", line)
        if where and size:
            times = int(count[1] or count[2]) if count else 1
            found.append((int(size[1]), where[1], int(where[2], 16), times))
    expect(found, FRAMES, "none")
    return found


def unfold(lines):
    return [(size, name, offset) for size, name, offset, count in lines
            for _ in range(min(count, 10000))]


def walk(report):
    """What the stack itself says: [(pc, bytes of the frame)], innermost first, while in provoke.

    The innermost function is a leaf: nothing of it is on the stack.
    """
    trap, stack, memory = report.trap, report.mark.stack, stack_bytes(report)

    def word(address):
        return int.from_bytes(memory[address - stack.lo: address - stack.lo + 8], "little")

    frames, sp, fp, pc = [(trap.sepc, 0)], trap.sp, trap.x[8], trap.x[1] - 4
    while PROVOKE <= pc < PROVOKE_END and sp < fp <= stack.hi:
        frames.append((pc, fp - sp))
        pc, sp, fp = word(fp - 8) - 4, fp, word(fp - 16)
    return frames


def planted_calls(t, depth):
    """A load from null below depth + 1 calls of plant_repeat.  Returns the lines of the report,
    which agree with the stack."""
    report = t.fault(f"provoke PLANT {depth}", "null")
    lines, truth = backtrace(report), walk(report)
    t.expect(len(truth) >= depth + 5, "the planted calls on the stack", f"{len(truth)} frames")
    shown = [(t.build.provoke(name) + offset, size)
             for size, name, offset in unfold(lines)[:len(truth)]
             if name in t.build.compiled or name in t.build.assembly]
    for number, (seen, true) in enumerate(zip(shown, truth)):
        t.expect(seen == true, f"frame {number} of {true[1]} bytes at {true[0]:#x} "
                 f"in {t.build.function(true[0])}", f"{seen[1]} bytes at {seen[0]:#x}")
    t.equal("frames of provoke in the backtrace", len(shown), len(truth))
    return lines


@case("evidence.backtrace", "The backtrace names the planted calls, with the size of each frame", 3,
      UNWIND)
def backtrace_chain(t):
    names = [name for _, name, _ in unfold(planted_calls(t, 1))]
    t.equal("the innermost functions", " ".join(names[:5]),
            "provoke_load plant_repeat plant_repeat plant_inner plant_outer")


@case("evidence.backtrace_folds", "The backtrace folds equal frames and counts them", 2,
      "Print frames with the same pc and size as one line with a count: x37.")
def backtrace_folds(t):
    lines = planted_calls(t, 37)
    calls = [line for line in lines if line[1] == "plant_repeat"]
    t.equal("calls of plant_repeat", sum(line[3] for line in calls), 38)
    t.expect(len(calls) <= 3, "them folded to a line or two", f"{len(calls)} lines")


@case("evidence.backtrace_overflow", "The backtrace of an overflow counts every call", 3,
      "The innermost frame may be half built: read the prologue up to sepc to see how far it got.")
def backtrace_overflow(t):
    report = t.fault("provoke EXHAUST_STACK", "overflow")
    stack, memory, sp = report.mark.stack, stack_bytes(report), report.trap.sp
    lines = backtrace(report)
    words = [int.from_bytes(memory[at: at + 8], "little") for at in range(0, len(memory), 8)]
    # All calls but the first have this return address, at the same distance from one another.
    again = report.trap.x[1]
    t.equal("the recursion in", t.build.function(again), "recurse")
    slots = [stack.lo + 8 * i for i, value in enumerate(words) if value == again]
    size = slots[1] - slots[0]
    innermost = sp + size - 8
    t.equal("the remainder of the stack by the size of a frame", (slots[-1] - innermost) % size, 0)
    calls = 2 + (slots[-1] - innermost) // size
    t.equal("calls of recurse in the backtrace",
            sum(line[3] for line in lines if line[1] == "recurse"), calls)
    t.equal("bytes from sp to the end of the backtrace",
            sum(line[0] * line[3] for line in lines), stack.hi - FRAME - sp)


def broken_links(t, depth, whither):
    """A load from null below calls of plant_repeat, with the saved s0 of number depth changed to
    the frame pointer of number whither, or to one above the stack if that is None.  The backtrace
    ends with the former."""
    watch = t.boot("provoke PLANT 10")
    stack = watch.mark().stack
    watch.quiet()
    stop = watch.guest.until(t.build.provoke("provoke_load"))
    table, fps = stop.table(), [stop.x[8]]
    while len(fps) <= depth:
        fps.append(int.from_bytes(table.read_virtual(fps[-1] - 16, 8), "little"))
    leaf = table.lookup(fps[depth] - 16)
    changed = stack.hi + 16 if whither is None else fps[whither]
    watch.guest.stub.write_memory(leaf.pa + fps[depth] - 16 - leaf.va,
                                  changed.to_bytes(8, "little"))
    report = watch.report()
    judge(report, "null")
    check_registers(t, report)
    lines = unfold(backtrace(report))
    t.equal("the backtrace", " ".join(name for _, name, _ in lines),
            " ".join(["provoke_load", *["plant_repeat"] * (depth + 1)]))
    t.equal("bytes in it", sum(size for size, _, _ in lines), fps[depth] - stop.sp)
    watch.alive_until_end(255)


def frame_in_itself(t):
    """A breakpoint seems to come in the handler of a trap whose frame has its own address as sp."""
    watch = t.boot("provoke STACK_USE 13000 COPY_LOW here 0")  # all of a stack that grows is there
    watch.mark()
    stack, vectors = watch.mark().stack, watch.vectors()
    watch.quiet()
    first = watch.guest.until(*vectors).sp
    stop = watch.guest.until(*vectors)
    t.equal("the trap behind the copy", stop.csr("scause"), BREAKPOINT)
    table, at = stop.table(), stack.lo + 32
    handler = table.read_virtual(first - FRAME - 8, 8)  # where the first trap's handler returned to
    words = [stop.csr("sepc"), int.from_bytes(handler, "little"), at] + [0] * 33
    stub, leaf = watch.guest.stub, table.lookup(at)
    stub.write_memory(leaf.pa + at - leaf.va, struct.pack("<36Q", *words))
    watch.guest.write(stop, "ra", words[1])
    watch.guest.write(stop, "sp", at)
    watch.traps.append(watch.record(stop))
    report = watch.report()
    judge(report, "overflow")
    check_registers(t, report)
    watch.alive_until_end(255)


@case("evidence.backtrace_cycle", "The backtrace ends where a saved s0 or sp points to itself, "
      "down or off the stack", 2, "A caller's frame lies on the stack, above that of the function "
      "it called, and a trap's above its handler's. Stop where that is not so.")
def backtrace_cycle(t):
    broken_links(t, 0, 0)
    broken_links(t, 1, 0)
    broken_links(t, 1, None)
    frame_in_itself(t)


def small_calls(t, kind, depth, size):
    """A load from null below depth + 1 calls with frames of that many bytes, on average."""
    report = t.fault(f"provoke PLANT {depth} {kind}", "null")
    truth = walk(report)
    t.expect(len(truth) >= depth + 2, "the calls on the stack", f"{len(truth)} frames")
    seen = [(size, name) for size, name, _ in unfold(backtrace(report))
            if name.startswith("provoke_calls")]
    t.equal("calls in the backtrace", len(seen), depth + 1)
    t.equal("bytes of them", sum(bytes for bytes, _ in seen), (depth + 1) * size)


@case("evidence.backtrace_whole", "The backtrace shows all frames, however many there are",
      2, "End a backtrace at the stack's borders or a saved s0 that goes down, not by a count.")
def backtrace_whole(t):
    small_calls(t, "small", 799, 16)
    small_calls(t, "mixed", 499, 24)


def code(stop, function):
    """The instructions of a function up to its return."""
    data = stop.table().read_virtual(function, FUNCTION_MAX) or b""
    words = [word for word, in struct.iter_unpack("<I", data)]
    expect(RET in words, "a function that returns", f"no return in {len(data)} bytes")
    return words[:words.index(RET) + 1]


def patch(guest, stop, address, word):
    """Put an instruction in the place of another."""
    leaf = stop.table().lookup(address)
    guest.stub.write_memory(leaf.pa + address - leaf.va, word.to_bytes(4, "little"))


def stopped_at(t, offset):
    """plant_inner loads from null instead of executing the instruction at that offset, which is
    back when the kernel looks.  Returns how many bytes of code the function has."""
    watch = t.boot("provoke PLANT 1")
    guest, stack, vectors = watch.guest, watch.mark().stack, watch.vectors()
    watch.quiet()
    start = t.build.provoke("plant_inner")
    entry = guest.until(start)
    words = code(entry, start)
    patch(guest, entry, t.build.provoke("provoke_load"), NOP)  # its own load would come first
    patch(guest, entry, start + offset, LOAD_NULL)
    stop = guest.until(*vectors)
    patch(guest, stop, start + offset, words[offset // 4])
    watch.traps.append(watch.record(stop))
    report = watch.report()
    judge(report, "null")
    lines = unfold(backtrace(report))
    sp, caller = report.trap.sp, entry.x[1] - 4
    where = f"with plant_inner stopped at +{offset:#x} of {4 * len(words):#x} bytes"
    for line, (pc, size) in zip(lines, [(start + offset, entry.sp - sp),
                                        (caller, entry.x[8] - entry.sp)]):
        name = t.build.function(pc)
        at = pc - t.build.provoke(name)
        t.expect(line == (size, name, at), f"the frame of {name}, {where}: {size} bytes {name}"
                 f"+{at:#x}", "{} bytes {}+{:#x}".format(*line))
    t.equal(f"bytes from sp to the end of the backtrace, {where}",
            sum(size for size, _, _ in lines), stack.hi - FRAME - sp)
    watch.alive_until_end(255)
    return 4 * len(words)


@case("evidence.backtrace_innermost", "The backtrace is right at each instruction of the innermost "
      "function, from the first to its return", 3,
      "Up to sepc the prologue counts, and from sepc the epilogue: what was done, what is to do.")
def backtrace_innermost(t):
    offset = 0
    while stopped_at(t, offset) > offset + 4:
        offset += 4


def across_interrupt(t):
    """A load from null in an interrupt handler.  The backtrace goes on with the thread that was
    interrupted, and accounts for each byte of its stack."""
    watch = t.boot("provoke IN_INTERRUPT PLANT 1")
    guest, thread, vectors = watch.guest, watch.mark().stack, watch.vectors()
    while (stop := guest.until(watch.here, *vectors)).pc != watch.here:
        interrupted = watch.record(stop)
    watch.take_mark(stop)
    watch.quiet()
    report = watch.report()
    judge(report, "null", verdict="panic", why="interrupt")
    lines = unfold(backtrace(report))
    t.equal("the innermost functions", " ".join(name for _, name, _ in lines[:5]),
            "provoke_load plant_repeat plant_repeat plant_inner plant_outer")
    name = t.build.function(interrupted.sepc)
    at = [i for i, line in enumerate(lines)
          if line[1:] == (name, interrupted.sepc - t.build.provoke(name))]
    t.expect(at, f"the function that was interrupted, {name}, in the backtrace",
             " ".join(name for _, name, _ in lines))
    t.equal("bytes of the interrupted thread's frames", sum(size for size, _, _ in lines[at[0]:]),
            thread.hi - FRAME - interrupted.sp)
    watch.panics()


def across_exception(t):
    """An overflow in the page fault of a user copy.  The backtrace goes on with the copy."""
    report = t.fault(f"provoke COPY_LOW lo+{464 if KASAN else 400} 0", "overflow")
    names = [name for _, name, _ in unfold(backtrace(report))]
    t.expect("provoke_copy" in names, "the caller of the copy, provoke_copy, in the backtrace",
             " ".join(names))


@case("evidence.backtrace_trap", "The backtrace goes on with what a trap interrupted, on the same "
      "stack or on another", 3, "Where a function returns to the trap entry, go on at the frame "
      "that the entry pushed: its sepc, ra, s0 and sp.")
def backtrace_trap(t):
    across_interrupt(t)
    across_exception(t)


# --- past -----------------------------------------------------------------------------------------


def check_past(t, kind, *tests):
    """tests: (test, what past= has to be)."""
    reports = judge_each(t, kind, *[test for test, _ in tests])
    for (test, past), report in zip(tests, reports):
        t.equal(f"past= of {test}", report.line["past"], past)


@case("evidence.past_below", "past= for sp below the stack", 1, EXACT)
def past_below(t):
    check_past(t, "overflow", *[(f"JUMP_FRAME {n}", n) for n in (1, 15, 4096, GUARD)])


@case("evidence.past_above_base", "past= where there is no room for a frame", 1, EXACT)
def past_above_base(t):
    check_past(t, "overflow", *[(f"WILD_SP lo+{n}", FRAME - n) for n in (0, 1, 16, FRAME - 1)])


@case("evidence.past_underflow", "past= for sp above the stack", 1, EXACT)
def past_underflow(t):
    check_past(t, "underflow", *[(f"UNDERFLOW {n}", n) for n in (1, 16, 4097, GUARD)])


@case("evidence.past_guards", "past= for addresses in the guards", 1, EXACT)
def past_guards(t):
    check_past(t, "guard-below",
               *[(f"STACK_GUARD_PAGE_LEADING write {n}", n) for n in (1, 4097, GUARD)])
    check_past(t, "guard-above",
               *[(f"STACK_GUARD_PAGE_TRAILING read {n}", n) for n in (1, 4097, GUARD)])


# --- words ----------------------------------------------------------------------------------------


@case("evidence.name", "A process with a strange name cannot spoil the machine line", 1,
      "Bytes of the name outside A-Za-z0-9._- print as %XX.")
def strange_name(t):
    t.fault("gradeuser named EXHAUST_STACK", "overflow", process="a%20b%3D%0Ak%25%01z")


@case("evidence.sentence", "The report begins with a sentence: process, bytes and function", 1,
      "Begin with a sentence for people: pid, name, bytes and the function.")
def sentence(t):
    report = t.fault("provoke EXHAUST_STACK", "overflow")
    words = ("pid 2", "(provoke)", str(report.line["past"]), "recurse")
    t.expect(any(all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line) for word in words)
                 for line in report.text.splitlines()),
             f"a line with {', '.join(words)}", report.text.strip()[-600:])


@case("evidence.each_its_own", "Reports one after another are about their own faults", 2,
      "Clear or set each field, so that nothing is left from the last report.")
def each_its_own(t):
    kinds = {"EXHAUST_STACK": "overflow", "ACCESS_NULL read": "null", "UNDERFLOW": "underflow",
             "WRITE_RO": "write-rodata", "WILD_SP null": "wild-sp", "ILLEGAL": "exception"}
    for test, pid, report in each(t, *kinds):
        judge(report, kinds[test], pid=pid, process="gradeuser")
        check_registers(t, report)
