# SPDX-License-Identifier: MIT
"""Watch a guest's kernel stacks: how many bytes each way into the kernel takes of its stack.

At each entry of the kernel the machine stops, and all of the stack below the entry's frame is set
to zeros.  What is not zero there at the next entry is what the kernel has used since.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "grade"))

import guest
import machine

ECALL, INTERRUPT = 8, 1 << 63
A0, A7, SCAUSE = 10, 17, 32  # of a frame, in words
ZEROS = bytes(machine.PAGE)
STACK_CHANGE = 0x00010113, 0x000FFFFF  # addi sp, sp, N


class Watch:
    """One guest.  After run(), most is {what entered the kernel: bytes}, output what it printed."""

    def __init__(self, log, program, limit, interrupts=True, **options):
        """interrupts: stop at those of the kernel, too.  Else one may have come to any stack."""
        self.interrupts = interrupts
        self.vm = machine.Guest(machine.Build(guest.BUILD), log, program=program, limit=limit,
                                **options)
        symbols = guest.Symbols()
        self.names = {symbols[name]: name for name in
                      ("syscall", "trap_user", "trap_kernel_interrupt", "kernel_fault",
                       "kstack_free")}
        self.first = symbols["boot_enter_stack"]
        self.image = symbols["boot_stack"], symbols["boot_stack_top"]
        self.entered = {}  # top of a stack: what it was entered for
        self.interrupted = set()  # tops of stacks on which an interrupt came since
        self.pages = {}  # top of a stack: addresses in the file of the machine's memory
        self.most, self.output = {}, ""

    def run(self):
        """Run to the end of the machine."""
        try:
            self.vm.until(self.first)
            lo, hi = (address - machine.IMAGE_BASE + machine.IMAGE_PA - machine.RAM
                      for address in self.image)
            self.pages["boot"] = list(range(lo, hi, machine.PAGE))
            self.entered["boot"] = "boot"
            self.leave("boot")
            self.vm.insert(*(address for address, name in self.names.items()
                             if self.interrupts or name != "trap_kernel_interrupt"))
            while True:
                self.at(self.vm.go())
        except machine.Ended:
            pass
        finally:
            for top in self.pages:
                self.entered.setdefault(top, "idle")
                self.leave(top)
            self.output = self.vm.output()
            self.vm.close()
        return self

    def at(self, stop):
        name, table = self.names[stop.pc], stop.table()
        if name == "kstack_free":
            top = int.from_bytes(table.read_virtual(stop.x[A0], 8), "little") + machine.STACK
            self.find(table, top)
            self.leave(top, " and its end")
            for known in (self.entered, self.pages):
                known.pop(top, None)
        else:
            top = -(-stop.sp // machine.SLOT) * machine.SLOT
            self.find(table, top)
            self.leave(top)
            self.entered[top] = self.what(name, table.read_virtual(stop.x[A0], machine.FRAME))
            self.clear(top, stop.sp - top + machine.STACK)
            if name == "trap_kernel_interrupt":
                interrupted = -(-stop.x[A0] // machine.SLOT) * machine.SLOT
                self.find(table, interrupted)
                self.interrupted.add(interrupted)
        self.skip(stop, table)

    def find(self, table, top):
        if top not in self.pages:
            found = [table.translate(at) for at in range(top - machine.STACK, top, machine.PAGE)]
            self.pages[top] = [pa - machine.RAM for pa in found]

    def what(self, name, frame):
        words = [int.from_bytes(frame[i: i + 8], "little") for i in range(0, len(frame), 8)]
        if name == "kernel_fault":
            return "fault"
        mode = "kernel" if name == "trap_kernel_interrupt" else "user"
        if mode == "user" and words[SCAUSE] == ECALL:
            return f"call {words[A7]}"
        kind = "interrupt" if words[SCAUSE] & INTERRUPT else "exception"
        return f"{mode} {kind} {words[SCAUSE] & 63}"

    def leave(self, top, ending=""):
        """Note what the stack with that top was used to since it was entered."""
        what = self.entered.get(top, "thread") + ending
        interrupted = top in self.interrupted or (top != "boot" and not self.interrupts)
        self.note(top, what + (", interrupted" if interrupted else ""))
        self.interrupted.discard(top)

    def note(self, top, what):
        used = len(self.pages[top]) * machine.PAGE
        for at in self.pages[top]:
            page = os.pread(self.vm.memory, machine.PAGE, at)
            used -= machine.PAGE
            if page != ZEROS:
                used += len(page.lstrip(b"\0")) + 7 & ~7
                break
        self.most[what] = max(self.most.get(what, 0), used)

    def clear(self, top, size):
        for at in self.pages[top]:
            os.pwrite(self.vm.memory, ZEROS[:min(machine.PAGE, size)], at)
            size = max(0, size - machine.PAGE)

    def skip(self, stop, table):
        """Do the first instruction of the function in its place, if that makes its frame: to step
        over a breakpoint, QEMU would translate the whole kernel again."""
        code = int.from_bytes(table.read_virtual(stop.pc, 4), "little")
        if code & STACK_CHANGE[1] == STACK_CHANGE[0]:
            size = (code >> 20) - (code >> 31 << 12)
            self.vm.write(stop, "sp", stop.sp + size)
            self.vm.write(stop, "pc", stop.pc + 4)
