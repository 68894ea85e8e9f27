# SPDX-License-Identifier: MIT
"""What happened, seen from outside, and how it compares with what the kernel says.

The mark is where a test of provoke begins: its sp says which stack is the victim's.  From there to
the rendezvous each trap is recorded as its hart enters the vector, so that what the hardware
handed over is known before any instruction of the kernel has run.  A report counts only if its
frame is that of such a trap; the console alone proves nothing.
"""

import re
import secrets
import struct
from dataclasses import dataclass, field

from machine import (FRAME, GUARD, PROVOKE, PROVOKE_END, RENDEZVOUS, SLOT, STACK, WINDOW, Ended,
                     Stop, born)
from sv39 import PAGE, A, D, R, V, W

INTERRUPT = 1 << 63
SOFTWARE, TIMER, EXTERNAL = INTERRUPT | 1, INTERRUPT | 5, INTERRUPT | 9
ILLEGAL, BREAKPOINT, ECALL, FETCH, LOAD, STORE = 2, 3, 8, 12, 13, 15
SIE, SPIE, SPP, FS, SUM = 1 << 1, 1 << 5, 1 << 8, 3 << 13, 1 << 18
SSIP = 1 << 1
FIELDS = "class pid name hart scause sepc stval sp lo hi past verdict owner why run".split()
NAMES = ("sepc ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 "
         "t3 t4 t5 t6 scause stval sstatus").split()
PANIC, LAST_RESORT, KILLED = 1, 3, 255  # exit codes
STACKS_MAX = 256  # whose memory is read at a trap
TRAPS_TOLD = 2  # of those that came before a failure
FAULTS_MAX = 64  # in the kernel, on the way to one report
LEAST = 70  # per cent of a machine's memory that a program must be able to have
GATHER = 0.2  # seconds of CPU time in which a hart that may run alone comes to report


class Failed(Exception):
    """A case found something wrong."""

    def __init__(self, expected, seen, spot=None):
        """spot: what to draw of it, if it is about a stack: a Spot."""
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen, self.spot = expected, seen, spot

    def __reduce__(self):
        return Failed, (self.expected, str(self.seen), self.spot), self.__dict__


@dataclass(frozen=True)
class Spot:
    """An address in a slot, and what is there."""

    address: int
    what: str
    stack: object
    whose: str


def expect(condition, expected, seen, spot=None):
    if not condition:
        raise Failed(expected, seen() if callable(seen) else seen, spot)


def expect_equal(what, seen, expected):
    if seen != expected:
        raise Failed(f"{what} {show(expected)}", show(seen))


def show(value):
    return f"{value:#x}" if isinstance(value, int) and value > 4096 else str(value)


@dataclass(frozen=True)
class Stack:
    """The stack half of a slot."""

    lo: int

    @property
    def hi(self):
        return self.lo + STACK

    def __str__(self):
        return f"[{self.lo:#x}, {self.hi:#x})"


def in_window(va):
    return WINDOW[0] <= va < WINDOW[1]


def stack_of(va):
    """Return the Stack whose slot has the address, or None outside the window."""
    return Stack(va // SLOT * SLOT + GUARD) if in_window(va) else None


def stack_of_sp(sp):
    """Return the Stack that a good sp is on, which may be its upper border."""
    return stack_of(sp - 1)


def mapped_stacks(table):
    """Return {Stack: [leaf of each page]} of all that is mapped in the window."""
    stacks, frames = {}, set()
    for leaf in table.leaves(*WINDOW):
        expect(leaf.size == PAGE, "kernel stacks mapped by pages", leaf.describe())
        expect(leaf.pa not in frames, "no page of memory in two stacks", leaf.describe())
        frames.add(leaf.pa)
        stacks.setdefault(stack_of(leaf.va), []).append(leaf)
    return stacks


def lowest(table, stack, least):
    """Return from where on a stack must be mapped, if it has so many bytes from the start."""
    first = stack.hi - least
    return next((va for va in range(stack.lo, first, PAGE) if table.lookup(va)), first)


def contents(guest, leaves):
    """Return the bytes of a stack, which are zeros where it has yet to grow."""
    return b"".join(guest.read_memory(leaf.pa, PAGE) for leaf in leaves).rjust(STACK, b"\0")


def check_guarded(table, stack, whose, least=STACK):
    """The stack is mapped for reading and writing, and nothing on either side: all of it, or of
    one that grows no less than that, without a hole."""
    for va in range(lowest(table, stack, least), stack.hi, PAGE):
        leaf = table.lookup(va)
        expect(leaf and leaf.flags & (V | R | W | A | D) == V | R | W | A | D,
               f"the {whose} mapped, readable and writable, at {va:#x}",
               leaf.describe() if leaf else "no mapping",
               Spot(va, "this page of the stack", stack, whose))
    for va in [*range(stack.lo - GUARD, stack.lo, PAGE), *range(stack.hi, stack.hi + GUARD, PAGE)]:
        leaf = table.lookup(va)
        expect(not leaf, f"no mapping in the guards of the {whose}, at {va:#x}",
               lambda found=leaf: found.describe(), Spot(va, "a page is mapped", stack, whose))


@dataclass
class Trap:
    """A trap as its hart entered the vector."""

    hart: int
    x: list
    sepc: int
    scause: int
    stval: int
    sstatus: int
    stacks: dict = field(default_factory=dict)  # memory of each stack then: {Stack: bytes}

    @property
    def sp(self):
        return self.x[2]

    def words(self):
        """In the order of a trap frame."""
        return [self.sepc, *self.x[1:], self.scause, self.stval, self.sstatus]


@dataclass
class Frame:
    """A trap frame that the kernel made: kern/lib/trapframe.h."""

    address: int
    words: list

    def __getattr__(self, name):
        return self.words[NAMES.index(name)]


@dataclass
class Mark:
    """Where a test began: the hart, and the stack it ran on."""

    hart: int
    stack: Stack
    sp: int
    satp: int


@dataclass
class Report:
    """One report: the machine at the rendezvous, and what led there."""

    stop: Stop
    mark: Mark
    traps: list
    frame: Frame
    line: dict
    text: str  # the console's output of this report
    table: object
    emergency: Stack
    begun: int = 0  # how many of the traps came before the last report
    trap: Trap = None
    who: str = ""  # the victim's pid and name


def parse_line(line):
    """Return the fields of a machine line, numbers as ints, or None if it is none.

    Fields that stand after those we know are ignored.
    """
    words = line.split(" ")
    if words[0] != "kstack:" or [w.partition("=")[0] for w in words[1:len(FIELDS) + 1]] != FIELDS:
        return None
    record = dict(word.split("=", 1) for word in words[1:len(FIELDS) + 1] if "=" in word)
    if len(record) != len(FIELDS):
        return None
    later = dict(word.split("=", 1) for word in words[len(FIELDS) + 1:] if "=" in word)
    record["reserve"] = later.get("reserve", "-")
    for key, value in record.items():
        if re.fullmatch(r"-?[0-9]{1,20}|0x[0-9a-f]{1,16}", value) and key not in ("name", "run"):
            record[key] = int(value, 0) if value.startswith("0x") else int(value)
    return record


class Observer:
    """Follows one guest from mark to rendezvous to its end."""

    def __init__(self, guest):
        self.guest = guest
        self.here = guest.build.provoke("provoke_here")
        self.marks, self.traps = [], []
        self.held_off = None  # (hart, its sie)
        self.known = 0  # traps up to the last report
        self.printed = 0  # bytes of output that earlier reports account for
        self.records = []
        self.reported = ""  # the last report as it was printed
        self.who = "the test"  # whose the marked stack is
        self.vector = 0  # the trap entry
        self.latest = None  # the last Report

    # --- the mark --------------------------------------------------------------------------------

    def mark(self):
        """Run to where the test begins.  Its sp must lie on a stack in the window."""
        try:
            self.guest.until(self.here)
        except Ended as end:
            raise Failed("the test to begin", f"{end}: {self.tail()}") from None
        return self.take_mark(self.guest.at)

    def take_mark(self, stop):
        stack = stack_of_sp(stop.sp)
        expect(stack and stack.lo <= stop.sp <= stack.hi,
               "kernel code to run on a stack in the kernel-stack window", f"sp {stop.sp:#x}, "
               + ("in the lower half of a slot, which is the guard" if stack else "outside it"),
               stack and Spot(stop.sp, "sp", stack, "where the stack is to be"))
        if not self.marks:
            self.check_provoke(stop.table())
        self.marks.append(Mark(stop.hart, stack, stop.sp, stop.csr("satp")))
        return self.marks[-1]

    def check_provoke(self, table):
        """What runs as provoke's assembly is that."""
        code = self.guest.build.code
        expect(table.read_virtual(PROVOKE, len(code)) == code,
               f"the code of kern/provoke/faults.S at {PROVOKE:#x}", "other code, or none")

    def quiet(self):
        """Hold off interrupts on the hart that is stopped, until the next report, so that none
        comes between two instructions of a test.  The kernel's view of them does not change."""
        stop = self.guest.at
        self.held_off = (stop.hart, stop.csr("sie"))
        self.guest.stub.write_register(stop.hart, "sie", 0)

    def loud(self):
        if self.held_off:
            self.guest.stub.write_register(self.held_off[0], "sie", self.held_off[1])
        self.held_off = None

    def mark_of(self, hart, sp):
        """Return the latest mark that a fault on that hart, with that sp, belongs to."""
        near = [m for m in self.marks if m.stack.lo - GUARD <= sp < m.stack.hi]
        near = near or [m for m in self.marks if m.hart == hart] or self.marks
        expect(near, "a report of the test, which has not begun", f"sp {sp:#x}")
        return near[-1]

    def tail(self):
        lines = [line for line in self.guest.output().splitlines() if line.strip()]
        return " | ".join(line for line in lines[-3:] if not line.startswith("Boot HART"))

    def another(self):
        """What the report is about that has come where none may."""
        lines = [line for line in self.guest.output().splitlines() if line.strip()]
        line = parse_line(lines[-1]) if lines else None
        if not line:
            return self.tail()
        names = ("class", "pid", "sepc", "stval", "sp", "verdict", "why")
        return "one with " + " ".join(f"{name}={show(line[name])}" for name in names)

    # --- traps -----------------------------------------------------------------------------------

    def vectors(self):
        """Every address at which a trap may enter the kernel."""
        found = set()
        for hart in self.guest.present:
            stvec = self.guest.stub.read_register(hart, "stvec")
            base = self.vector = stvec & ~3
            found |= {base, *(base + 4 * n for n in (1, 5, 9))} if stvec & 3 == 1 else {base}
        return found

    def record(self, stop):
        """Record the trap that the hart is about to enter."""
        csrs = {n: stop.csr(n) for n in ("sepc", "scause", "stval", "sstatus")}
        trap = Trap(stop.hart, stop.x, **csrs)
        if trap.sstatus & SPP and not (trap.scause & INTERRUPT and self.is_good(trap.sp)):
            trap.stacks = self.read_stacks(stop.table())
        return trap

    @staticmethod
    def is_good(sp):
        stack = stack_of_sp(sp)
        return bool(stack) and sp % 16 == 0 and stack.lo + FRAME <= sp <= stack.hi

    def read_stacks(self, table):
        """Memory of all stacks that are mapped."""
        memory, stacks = {}, mapped_stacks(table)
        expect(len(stacks) <= STACKS_MAX, f"at most {STACKS_MAX} stacks mapped", len(stacks))
        for stack, leaves in stacks.items():
            memory[stack] = contents(self.guest, leaves)
        return memory

    def report(self):
        """Run to the next report.  Returns it, not yet judged."""
        return next(self.reports(1))

    def reports(self, count, witness=True, together=False, many=False):
        """Iterate over the next reports.  Each is to be judged before the next is asked for.

        witness False: do not record traps, for cases that only count.
        together: the first is held back until all other harts report, too.
        many: for hundreds; stop in as few ways as possible, after the first test has begun.
        """
        guest, vectors = self.guest, set()
        guest.insert(self.here)
        if many:
            guest.watch_rendezvous(True)
        else:
            guest.insert(RENDEZVOUS)
        if witness and self.marks:
            vectors = self.vectors()
            guest.insert(*vectors)
        try:
            while count:
                stop = self.next_stop()
                if stop.pc == self.here:
                    self.take_mark(stop)
                    if many:
                        guest.remove(self.here)
                    if witness and not vectors:
                        vectors = self.vectors()
                        guest.insert(*vectors)
                elif stop.pc == RENDEZVOUS:
                    count -= 1
                    self.loud()
                    yield self.take_report(stop)
                    if together:
                        self.gather(stop.hart, vectors)
                        together = False
                elif stop.pc in vectors:
                    self.traps.append(self.record(stop))
                    self.check_progress()
                elif many:  # other code loads from there, too
                    guest.watch_rendezvous(False)
                    guest.insert(RENDEZVOUS)
        finally:
            guest.remove(self.here, *vectors)
            guest.watch_rendezvous(False)

    def gather(self, reporter, vectors):
        """Hold that hart where it is until each other one has taken a trap with a bad sp, and has
        come as far from there as it does without the reporter."""
        for hart in range(self.guest.cpus):
            fell = False
            while hart != reporter and not fell and self.guest.run_alone(hart, GATHER):
                if self.guest.at.pc not in vectors:
                    return  # a report already: the next
                trap = self.record(self.guest.at)
                self.traps.append(trap)
                fell = trap.sstatus & SPP and not self.is_good(trap.sp)
            if fell and self.guest.run_alone(hart, GATHER):
                return

    def check_progress(self):
        """A kernel that faults in its own trap entry would go on for ever."""
        kernel = [trap for trap in self.traps[self.known:] if trap.stacks]
        expect(len(kernel) <= FAULTS_MAX, f"a report after at most {FAULTS_MAX} faults",
               lambda: f"{len(kernel)} faults, the last at pc {kernel[-1].sepc:#x} "
                       f"with sp {kernel[-1].sp:#x}")

    def next_stop(self):
        try:
            return self.guest.go()
        except Ended as end:
            raise Failed("a report, and the rendezvous after it", f"{end}: {self.tail()}") from None

    def take_report(self, stop):
        table = stop.table()
        expect(table.paging, "Sv39 to be on", f"satp {stop.csr('satp'):#x}")
        data = table.read_virtual(stop.x[10], FRAME - 8)
        expect(data, "a trap frame in a0 at the rendezvous", f"a0 {stop.x[10]:#x}, not mapped")
        new, self.printed = self.guest.output_from(self.printed)
        lines = [line for line in new.splitlines() if line.strip()]
        line = parse_line(lines[-1]) if lines else None
        expect(line, "the machine line as the last line before the rendezvous",
               repr(lines[-1][:200]) if lines else "no output")
        self.records.append(line)
        self.reported = new
        emergency = stack_of_sp(stop.sp)
        expect(emergency, "the reporter on a stack of the window", f"sp {stop.sp:#x}")
        frame = Frame(stop.x[10], list(struct.unpack("<35Q", data)))
        mark = self.mark_of(stop.hart, frame.sp)
        begun, self.known = self.known, len(self.traps)
        self.latest = Report(stop, mark, self.traps, frame, line, new, table, emergency, begun)
        return self.latest

    # --- for people ------------------------------------------------------------------------------

    def scene(self, spot=None):
        """What happened before the case failed, in plain data.  spot: of the failure."""
        report, faults = None, self.faults(self.known)
        if self.latest and not faults:
            report, faults = self.latest, self.faults(self.latest.begun, self.known)
        first = next((i for i, t in enumerate(faults)
                      if PROVOKE <= t.sepc < PROVOKE_END or self.is_bad(t)), 0)
        faults = [t for t in faults[first:] if t.hart == faults[first].hart]
        told = faults[:TRAPS_TOLD]
        if report and report.trap in faults[TRAPS_TOLD:]:
            told.append(report.trap)
        near = [m for m in self.marks if faults and stack_of(faults[0].sp) == m.stack]
        near = near or [report.mark] if report else near or self.marks
        return {
            "who": report and report.who or self.who,
            "stack": [near[-1].stack.lo, near[-1].stack.hi] if near else None,
            "vector": self.vector,
            "count": len(faults),
            "traps": [dict(hart=t.hart, sepc=t.sepc, scause=t.scause, stval=t.stval, sp=t.sp,
                           bad_sp=self.is_bad(t), page=self.page_of(report, t))
                      for t in told],
            "report": report and {"sp": report.stop.sp, "frame": report.frame.address,
                                  "stack": [report.emergency.lo, report.emergency.hi]},
            "spot": spot and {"address": spot.address, "what": spot.what, "whose": spot.whose,
                              "stack": [spot.stack.lo, spot.stack.hi]},
            "harts": self.guest.stuck,
            "premise": "",
        }

    @staticmethod
    def page_of(report, trap):
        """What the page table has at the address of that page fault, '' if nothing.  None if it is
        none, or not that of the report: then the page may have changed since."""
        if not report or trap is not report.trap or trap.scause not in (FETCH, LOAD, STORE):
            return None
        leaf = report.table.lookup(trap.stval)
        return leaf.describe().partition(" ")[0] if leaf else ""

    def is_bad(self, trap):
        """Whether sp was off its stack, also if it was on another one.  Not every thread has a
        mark, but that in which a test runs has."""
        tests = PROVOKE <= trap.sepc < PROVOKE_END and trap.hart in [m.hart for m in self.marks]
        stacks = [mark.stack for mark in self.marks]
        return not self.is_good(trap.sp) or tests and stack_of_sp(trap.sp) not in stacks

    def faults(self, start, end=None):
        """The traps of the kernel among those, but for interrupts that harm nobody."""
        return [t for t in self.traps[start:end]
                if t.sstatus & SPP and not (t.scause & INTERRUPT and self.is_good(t.sp))]

    # --- the end ---------------------------------------------------------------------------------

    def finish(self):
        """Run to the end of the machine; no further report may come.  Returns the exit code."""
        self.guest.insert(RENDEZVOUS)
        try:
            while self.guest.go().pc != RENDEZVOUS:
                pass
        except Ended as end:
            return end.code
        raise Failed("no further report", self.another())

    def panics(self):
        """The machine ends as after a panic: no report, and init does not run any more."""
        init = self.guest.build.program("init")
        self.guest.insert(RENDEZVOUS, init["poweroff"])
        try:
            while True:
                stop = self.guest.go()
                expect(stop.pc == init["poweroff"] and not self.runs(stop, init, init["main"]),
                       "nothing more after a panic", self.tail)
        except Ended as end:
            expect_equal("exit code after a panic", end.code, PANIC)

    def until_user(self, name, function):
        """Run to where that program, seen in user mode, enters its function.  Returns the Stop."""
        program = self.guest.build.program(name)
        address = program[function]
        self.guest.insert(RENDEZVOUS, address)
        try:
            while True:
                stop = self.guest.go()
                expect(stop.pc != RENDEZVOUS, "no further report", self.another)
                if stop.pc == address and self.runs(stop, program, program["main"]):
                    self.guest.remove(address)
                    return stop
        except Ended as end:
            raise Failed(f"{name} to go on in user mode", f"{end}: {self.tail()}") from None

    def alive_until_end(self, code):
        """User mode goes on: init itself, seen in user mode, ends the machine with that code, and
        before that a child of it has handed back what became of a number from here."""
        value = secrets.randbits(64)
        self.guest.write(self.until_user("init", "prove"), "a0", value)
        stop = self.until_user("init", "finish")
        expect(stop.x[10] == code, f"init to end the machine with {code}"
               + ", the status of a killed process" * (code == KILLED),
               lambda: f"{stop.x[10]}: {self.tail()}")
        expect_equal("what a new process of init hands back through a pipe", hex(stop.x[11]),
                     hex(scramble(value)))
        expect_equal("exit code", self.finish(), code)

    def nothing_lost(self, program):
        """Run to where the program compares how many pages it could have before and after."""
        stop = self.until_user(program, "pages_lost")
        before, after = stop.x[10:12]
        least = self.guest.pages * LEAST // 100
        expect(before >= least, f"at least {least} pages for a program", before)
        expect(after == before, f"pages for a program afterwards {before}",
               f"{after}, {before - after} fewer")

    @staticmethod
    def runs(stop, program, va, size=64):
        """Whether it is in user mode, and its page table has the program's code at va."""
        return stop.user and stop.table().read_virtual(va, size) == program.bytes_at(va, size)


# --- judgement ----------------------------------------------------------------------------------


def scramble(value):
    """What user/init/prove.c makes of a number."""
    for _ in range(1000):
        value = (value * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    return value


def past_of(kind, sp, stval, stack):
    """What docs/traps.md says that past= must be."""
    if kind == "overflow":
        return stack.lo - sp if sp < stack.lo else stack.lo + FRAME - sp
    return {"underflow": sp - stack.hi, "guard-below": stack.lo - stval,
            "guard-above": stval - stack.hi + 1}.get(kind, 0)


def check_place(report):
    """The reporter runs on a guarded stack of its own, with the victim's as it was."""
    stop, mark, table = report.stop, report.mark, report.table
    expect(report.emergency != mark.stack, "the report on another stack than the victim's",
           f"sp {stop.sp:#x}, the victim's stack is {mark.stack}")
    expect(report.emergency.lo < stop.sp <= report.emergency.hi and stop.sp % 16 == 0,
           "sp of the reporter on an emergency stack", f"{stop.sp:#x}")
    check_guarded(table, report.emergency, "emergency stack")
    check_guarded(table, mark.stack, "victim's stack", born())


def find_trap(report):
    """The frame is that of a trap which the hardware has taken since the mark."""
    frame = report.frame
    for trap in report.traps:
        if (trap.hart, trap.sepc, trap.sp) == (report.stop.hart, frame.sepc, frame.sp):
            report.trap = trap
    near = [t for t in report.traps if (t.hart, t.sepc) == (report.stop.hart, frame.sepc)]
    if near and not report.trap:
        off = near[-1].sp - frame.sp
        raise Failed(f"sp in the frame {near[-1].sp:#x}, as at the trap with sepc {frame.sepc:#x}",
                     f"{frame.sp:#x}, {abs(off)} bytes {'lower' if off > 0 else 'higher'}")
    if not report.trap:
        taken = ", ".join(f"sepc {t.sepc:#x} sp {t.sp:#x}" for t in report.traps[-3:])
        raise Failed(f"a report of a trap that was taken ({taken or 'none was'})",
                     f"sepc {frame.sepc:#x} sp {frame.sp:#x}")
    return report.trap


def check_frame(report):
    """What the frame says of the fault is what the hardware said."""
    trap, frame = find_trap(report), report.frame
    for name in ("scause", "stval"):
        expect_equal(f"{name} in the frame", getattr(frame, name), getattr(trap, name))
    stack = stack_of(frame.address)
    expect(stack in (report.emergency, report.mark.stack),
           "the frame on the emergency stack, or below a good sp", f"at {frame.address:#x}")


def check_line(report, kind, **fields):
    """Every field of the machine line against the facts."""
    trap, line, stack = report.trap, report.line, report.mark.stack
    guest = report.stop.guest
    facts = dict(run=guest.nonce, hart=guest.index(report.stop.hart), scause=trap.scause,
                 sepc=trap.sepc, stval=trap.stval, sp=trap.sp, lo=stack.lo, hi=stack.hi)
    facts["class"] = kind
    facts["past"] = past_of(kind, trap.sp, trap.stval, stack)
    for key, value in {**facts, **fields}.items():
        if value is None:
            continue
        allowed = value if isinstance(value, (set, tuple)) else (value,)
        if line[key] not in allowed:
            forced = fields.get("why") if key == "verdict" and value == "panic" else None
            if isinstance(forced, str):  # not said of a verdict alone
                allowed = [f"{value} with why={forced}"]
            raise Failed(f"{key}={' or '.join(map(show, allowed))} in the machine line",
                         f"{key}={show(line[key])}"
                         + f" with why={line['why']}" * (key == "verdict"))


def check_unharmed(report):
    """Between the trap and the rendezvous no stack has changed but the reporter's, and, below a
    good sp, the victim's."""
    before, now = report.trap.stacks, {}
    for stack, leaves in mapped_stacks(report.table).items():
        now[stack] = contents(report.stop.guest, leaves)
    others = report.stop.guest.cpus > 1  # their harts go on
    for stack, data in before.items():
        if stack == report.emergency or (others and stack != report.mark.stack):
            continue
        start = 0
        if stack == report.mark.stack and Observer.is_good(report.trap.sp):
            start = report.trap.sp - stack.lo
        after = now.get(stack, b"")
        if after[start:] != data[start:]:
            at = next((i for i in range(start, STACK) if after[i: i + 1] != data[i: i + 1]), 0)
            raise Failed("every stack as it was at the trap",
                         f"a changed byte at {stack.lo + at:#x} of {stack}"
                         + new_words(report.trap, data, after, start),
                         Spot(stack.lo + at, "the lowest byte that changed", stack, "this stack"))


def new_words(trap, before, after, start):
    """Say what has been stored: how much, and which registers of the trap that were."""
    spots = [i for i in range(start & ~7, STACK, 8) if before[i: i + 8] != after[i: i + 8]]
    if not spots or not after:
        return ", which is mapped no more" if not after else ""
    values = {value: name for name, value in zip(NAMES, trap.words()) if value > PAGE}
    words = [int.from_bytes(after[i: i + 8], "little") for i in spots]
    known = [values[word] for word in words if word in values]
    said = f", {len(spots)} words of it in all; there is now {show(words[0])}"
    return said + (f", and among them are registers of the trap: {' '.join(known[:8])}"
                   if known else "")


def judge(report, kind, pid=2, process="provoke", verdict="killed", why="-", owner="-",
          reserve="-"):
    """All facts of one report.  Returns the Trap.  Of pid to reserve each may be None, for what is
    not to be judged, or a set of what will do."""
    if why == "interrupt":
        report.who = "the interrupt handler"
    elif isinstance(pid, int) and isinstance(process, str):
        report.who = f"pid {pid} ({process})" if pid else f"the kernel thread {process}"
    find_trap(report)
    check_place(report)
    check_frame(report)
    check_line(report, kind, pid=pid, name=process, verdict=verdict, why=why, owner=owner,
               reserve=reserve)
    check_unharmed(report)
    return report.trap
