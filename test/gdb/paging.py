# SPDX-License-Identifier: MIT
"""Page tables, Sv39; `ptwalk`.  RISC-V privileged 4.4."""

import gdb
import kernel
import threads
from sv39 import NAMES, PAGE, R, V, W, X, canonical

SIZES = {0: "4 KiB page", 1: "2 MiB page", 2: "1 GiB page"}
COW = kernel.constants("vm/pagetable.h")["PTE_COW"]


def bits(entry):
    """The bits of an entry by their letters, as the manual draws them: D first."""
    letters = "".join(name if entry >> i & 1 else "-" for i, name in enumerate(NAMES))[::-1]
    return letters + (" COW" if entry & COW else "")


def frame_of(entry):
    return (entry >> 10 & (1 << 44) - 1) << 12


def direct(pa):
    """Where the direct map shows a physical address."""
    return kernel.layout("DIRECT_BASE") + pa


def in_image(pa):
    """Where the kernel image shows a physical address, or None."""
    base, start = kernel.layout("IMAGE_BASE"), kernel.layout("IMAGE_PA")
    end = int(gdb.parse_and_eval("(unsigned long)&image_end"))
    return pa - start + base if start <= pa < start + end - base else None


def table_at(pa):
    """Where a page table can be read.  That of the boot is in the image, before the direct map."""
    return in_image(pa) or direct(pa)


def alias(va):
    """The physical address of one in the direct map, or None."""
    base = kernel.layout("DIRECT_BASE")
    return va - base if base <= va < kernel.layout("DIRECT_END") else None


def is_canonical(va):
    return canonical(va & (1 << 39) - 1) == va


class Step:
    """One entry on the way to an address."""

    def __init__(self, level, where, entry, va):
        self.level, self.where, self.entry, self.va = level, where, entry, va

    @property
    def valid(self):
        return self.entry & V != 0

    @property
    def leaf(self):
        return self.valid and self.entry & (R | W | X) != 0

    @property
    def pa(self):
        """Where a leaf puts the address."""
        return frame_of(self.entry) + (self.va & (1 << 12 + 9 * self.level) - 1)

    def show(self):
        index = self.va >> 12 + 9 * self.level & 511
        if self.leaf:
            means = f"{SIZES[self.level]} at pa {frame_of(self.entry):#x}"
        elif self.valid:
            means = f"table at pa {frame_of(self.entry):#x}"
        else:
            means = "not valid" + (f", but holds frame {frame_of(self.entry):#x}"
                                   if frame_of(self.entry) else "")
        return (f"  level {self.level}  entry {index:3} at {self.where:#x} = {self.entry:#018x}  "
                f"{bits(self.entry)}  {means}")


def walk(root, va):
    """The entries that translate va in the table whose root is at that address, the leaf last."""
    steps, table = [], root
    for level in (2, 1, 0):
        where = table + (va >> 12 + 9 * level & 511) * 8
        steps.append(Step(level, where, kernel.words(where, 1)[0], va))
        if not steps[-1].valid or steps[-1].leaf:
            break
        table = table_at(frame_of(steps[-1].entry))
    return steps


def leaf(root, va):
    """The leaf that translates va, or None."""
    last = walk(root, va)[-1]
    return last if last.leaf else None


def hart_root():
    """The root of the page table that the selected hart uses."""
    return table_at((kernel.register("satp") & (1 << 44) - 1) << 12)


def kernel_root():
    return int(kernel.variable("kernel_pagetable"))


def root_of(thread):
    space = threads.space_of(thread)
    return int(space["pt"]) if space else kernel_root()


def window_entry(va):
    """The level-0 entry of an address of the stack window; 0 beyond its slots."""
    window = kernel.variable("kstack_window")
    page = (va - int(window["base"])) >> 12
    slots = int(window["granules"]["count"])
    if not 0 <= page < slots << int(window["shift"]) - 12:
        return 0
    return kernel.words(int(window["ptes"]) + 8 * page, 1)[0]


def user_leaves(root):
    """Iterate over (va, entry) of the pages in the user half."""
    def tables(address, level, base, count):
        for i, entry in enumerate(kernel.words(address, count)):
            va = base + (i << 12 + 9 * level)
            if entry & V and (entry & (R | W | X) or not level):
                yield va, entry
            elif entry & V:
                yield from tables(direct(frame_of(entry)), level - 1, va, PAGE // 8)
    yield from tables(root, 2, 0, kernel.constants("vm/pagetable.h")["PT_KERNEL_FIRST"])


def show_walk(root, va, whose):
    """Print the walk.  Returns its last step."""
    kernel.say(f"Page table of {whose}:")
    steps = walk(root, va)
    for step in steps:
        kernel.say(step.show())
    return steps[-1]


class Ptwalk(kernel.Command):
    """Walk the page table to an address, and show each entry and its bits.

Usage: ptwalk VA [PID]

VA is an expression without blanks.  The table is the selected hart's, or that of process PID.  Bits
are D A G U X W R V, and COW, the kernel's own: the frame may be shared, and is copied when written
to."""

    name, usage = "ptwalk", "VA [PID]"

    def run(self, argument):
        given = argument.split()
        if len(given) not in (1, 2):
            raise self.wrong()
        kernel.need_kernel()
        va = kernel.address_of(given[0])
        if not is_canonical(va):
            raise gdb.GdbError(f"{va:#x} is not canonical: Sv39 has no such address, since its "
                               "bits 63 to 39 differ from bit 38.")
        if len(given) == 2:
            thread = threads.thread_of(threads.parse_pid(given[1]))
            root, whose = root_of(thread), threads.who(thread)
        else:
            root, whose = hart_root(), self.of_hart()
        last = show_walk(root, va, whose)
        if last.leaf:
            kernel.say(f"{va:#x} is at pa {last.pa:#x}.")
        else:
            kernel.say(f"{va:#x} is not mapped.")

    @staticmethod
    def of_hart():
        hart = threads.here()
        return f"hart {int(hart['index'])}" if hart else "this hart"

    def complete(self, text, word):
        return threads.complete_pids(word) if " " in text.lstrip() else gdb.COMPLETE_EXPRESSION


Ptwalk()
