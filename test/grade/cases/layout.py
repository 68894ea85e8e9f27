# SPDX-License-Identifier: MIT
"""Where stacks are, what surrounds them, and who may do what there."""

from facts import expect, mapped_stacks
from machine import STACK
from suite import case
from sv39 import PAGE, A, D, G, R, U, V, W, X

QUIET = "provoke STACK_USE 1024"  # a test that reaches its mark and returns


def at_mark(t, **machine):
    """Boot to a system call.  Returns (Observer, Mark, page table in force)."""
    watch = t.boot(QUIET, **machine)
    mark = watch.mark()
    return watch, mark, watch.guest.at.table()


@case("layout.guards", "Nothing but stacks is mapped in the window", 2,
      "Map only the upper half of a slot; its lower half and the next slot's are the guards.")
def guards(t):
    _, _, table = at_mark(t, cpus=2)
    for stack, leaves in mapped_stacks(table).items():
        seen = sorted(leaf.va for leaf in leaves)
        expect(seen == list(range(stack.lo, stack.hi, PAGE)),
               f"pages from {stack.lo:#x} to {stack.hi:#x} in this slot and no others",
               " ".join(f"{va:#x}" for va in seen))


@case("layout.rights", "Stacks are readable and writable by the kernel alone", 2,
      "The leaves of a stack have V, R, W, G, A and D; never U, never X.")
def rights(t):
    _, _, table = at_mark(t, cpus=2)
    for leaves in mapped_stacks(table).values():
        for leaf in leaves:
            expect(leaf.flags & ~(1 << 8) == V | R | W | G | A | D and not leaf.flags & (U | X),
                   "VRW--GAD for each page of a stack", leaf.describe())


@case("layout.frames", "No two stacks share a page of memory", 1,
      "Each page of a stack needs a frame of its own.")
def frames(t):
    _, _, table = at_mark(t, cpus=2)
    owner = {}
    for stack, leaves in mapped_stacks(table).items():
        expect(len(leaves) * PAGE == STACK, f"{STACK} bytes mapped for {stack}", len(leaves) * PAGE)
        for leaf in leaves:
            expect(leaf.pa not in owner, f"frames of {stack} used for nothing else",
                   lambda pa=leaf.pa: f"frame {pa:#x} is {owner[pa]} too")
            owner[leaf.pa] = stack
