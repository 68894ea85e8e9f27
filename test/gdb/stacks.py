# SPDX-License-Identifier: MIT
"""The slots of the stack window, and who has them; `kstacks`."""

import gdb
import kernel
import paging
import threads

CHUNK = 4096  # bytes that are read at once: a page
BAR = 44  # columns that stand for a stack; a line has 79


class Stack:
    """A slot that is taken, and the stack in it."""

    def __init__(self, index, value):
        self.index, self.value = index, value
        self.lo = int(value["lo"])
        self.hi = self.lo + kernel.layout("KSTACK_SIZE")
        self.owned = int(value["kind"]) != 0
        self.pid, self.name = int(value["pid"]), kernel.text(value["name"])

    @property
    def kind(self):
        return kernel.enum_name(self.value["kind"], "stack_kind", "STACK_") if self.owned \
            else "cached" if self.mapped else "freed"

    @property
    def guarded(self):
        """Whether it stands in the window; with VMAP_STACK=n it may be a block elsewhere."""
        return kernel.layout("KSTACK_BASE") <= self.lo < kernel.layout("KSTACK_END")

    @property
    def mapped(self):
        return self.has_page(self.hi - CHUNK)

    def has_page(self, address):
        """With KSTACK_GROW=y the lower pages come when they are needed."""
        return not self.guarded or paging.window_entry(address) & paging.V != 0

    @property
    def bottom(self):
        """The lowest byte in use: in the reserve, if the stack has run out (docs/survival.md)."""
        reserve = self.lo - kernel.layout("KSTACK_RESERVE")
        return reserve if self.guarded and paging.window_entry(reserve) & paging.V else self.lo

    def who(self):
        """The owner in words."""
        if self.pid < 0:
            return "nobody"
        kind = "" if self.kind == "thread" else f", {self.kind}"
        return f"pid {self.pid} ({self.name}{kind})" if self.pid else f"the kernel ({self.name})"

    def contains(self, address):
        return self.lo <= address < self.hi

    def guards(self):
        """Draw the guards below and above: xxx where nothing is mapped, !!! where something is,
        xx+ where the reserve is."""
        if not self.guarded:
            return "   ", "   "
        size, reserve = kernel.layout("KSTACK_GUARD"), kernel.layout("KSTACK_RESERVE")
        bounds = (self.lo - size, self.bottom), (self.hi, self.hi + size - reserve)
        below, above = ("!!!" if any(paging.window_entry(at) & paging.V for at in
                                     range(start, end, kernel.layout("PAGE_SIZE"))) else "xxx"
                        for start, end in bounds)
        return below[:2] + "+" if self.bottom < self.lo else below, above

    def peak(self):
        """The most bytes that its owner ever used: a new stack is all zeros."""
        for at in filter(self.has_page, range(self.lo, self.hi, CHUNK)):
            unused = CHUNK - len(kernel.read(at, CHUNK).lstrip(b"\0"))
            if unused < CHUNK:
                return self.hi - at - unused // 8 * 8
        return 0


def every_stack():
    """All slots that are taken, in order of address."""
    window, table = kernel.variable("kstack_window"), kernel.variable("kstacks")
    if not table:
        raise gdb.GdbError(f"The kernel has made no stack yet: {kernel.BOOT_ON}.")
    count, type_, start = int(window["granules"]["count"]), kernel.struct("kstack"), int(table)
    bits = kernel.read(int(window["granules"]["map"]), (count + 63) // 64 * 8)
    for index in range(count):
        if bits[index // 8] >> index % 8 & 1:
            yield Stack(index, kernel.at(start + index * type_.sizeof, type_))


def stack_of(sp, every):
    """The stack, of those, that a stack pointer is on, or whose lower guard it is in, or None."""
    on = [stack for stack in every if stack.bottom <= sp <= stack.hi]
    below = [stack for stack in every
             if stack.guarded and stack.lo - kernel.layout("KSTACK_GUARD") <= sp < stack.lo]
    return (on + below + [None])[0]


def depth(stack, hart, running):
    """Bytes in use now.  hart is the one that runs on the stack, or whose thread has it, or None;
    running are GDB's threads, by index of the hart."""
    if hart:
        with kernel.on_thread(running[int(hart["index"])]):
            frame = gdb.newest_frame()
            # An interrupt or a fault may have left the stack for another one.
            while frame and frame.pc() >= kernel.layout("USER_END"):
                sp = int(frame.read_register("sp")) & kernel.WORD
                if stack.bottom <= sp <= stack.hi:
                    return stack.hi - sp
                frame = frame.older()
        return 0
    pointer = int(stack.value["thread_sp"])
    sp = kernel.words(pointer, 1)[0] if pointer else 0
    return stack.hi - sp if stack.bottom <= sp <= stack.hi else 0


class Row:
    """What is shown of a stack."""

    def __init__(self, stack, harts, running):
        self.stack = stack
        self.on = next((h for h in harts if stack.lo < int(h["stack_hi"]) <= stack.hi), None)
        pointer = int(stack.value["thread_sp"])  # the first field of the owner's thread
        theirs = next((h for h in harts if pointer and int(h["current"]) == pointer), None)
        left = next((h for h in harts if stack.hi in (int(h["emergency_hi"]),
                                                      int(h["interrupt_hi"]))), None)
        self.hart = self.on or theirs or left
        self.now = depth(stack, self.hart, running) if stack.owned else 0
        if not self.hart and stack.value["thread_hart"]:
            self.hart = stack.value["thread_hart"].dereference()
        self.peak = max(stack.peak(), self.now) if stack.mapped else 0

    def table(self):
        s, account = self.stack, int(self.stack.value["account_id"])
        hart = f"{int(self.hart['index'])}" if self.hart else "-"
        return (f"{s.pid:4} {s.name:12} {account:4} {s.kind:9} {hart:>2}{'*' if self.on else ' '} "
                f"{s.lo:016x} {s.hi:016x} {self.now:5} {self.peak:5}")

    def bar(self):
        size = self.stack.hi - self.stack.lo
        now, peak = (min(-(-n * BAR // size), BAR) for n in (self.now, self.peak))
        bar = "." * (BAR - peak) + ":" * (peak - now) + "#" * now
        below, above = self.stack.guards()
        return (f"{self.stack.pid:4} {self.stack.name:13} |{below}|{bar}|{above}| "
                f"{self.peak * 100 // size:3}%")


class Kstacks(kernel.Command):
    """Draw every kernel stack: its owner, guards, depth now and deepest ever.

Usage: kstacks

First a table, then a picture in which the low end of a stack, where it would overflow, is on the
left.  A cached stack has no owner and shows the last one.  A guard that is mapped, which must not
be, is drawn as !!!; one that lent its upper part to a stack that ran out, as xx+."""

    name = "kstacks"
    kind = gdb.COMMAND_STACK

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_kernel()
        harts, running = threads.harts(), threads.hart_threads()
        rows = [Row(stack, harts, running) for stack in every_stack()]
        kernel.say(" PID NAME         ACCT KIND     HART LOW              HIGH               NOW  "
                   "PEAK")
        for row in rows:
            kernel.say(row.table())
        kernel.say("\n  x guard   . never used   : used before   # in use now   (* above: running)")
        kernel.say(f"{'':18} |   |low{'high':>{BAR - 3}}|   | peak")
        for row in rows:
            kernel.say(row.bar())


Kstacks()
