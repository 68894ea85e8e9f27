# SPDX-License-Identifier: MIT
"""No stack or page that is handed out shows what its last owner left there."""

import struct

from facts import Spot, expect, lowest
from gradeuser import SMALL, verdict
from machine import born
from suite import case

SECRET = struct.pack("<II", 0x5EC4E7, 0x5EC4E7)  # kern/provoke/faults.S
ROUNDS, CROWD = 6, 12  # user/gradeuser.c
ERASE = "Before you use a stack again, erase it down to the deepest byte that its owner used."


def unused(watch):
    """Memory below sp of the stack on which the guest has stopped."""
    stop, stack = watch.guest.at, watch.marks[-1].stack
    table = stop.table()
    lo = lowest(table, stack, born())
    memory = table.read_virtual(lo, stop.sp - lo)
    expect(memory, f"the stack mapped from {lo:#x} to sp", f"sp {stop.sp:#x}, not mapped")
    return bytes(lo - stack.lo) + memory


def look(watch):
    """The process that has just begun a test got a stack without a secret."""
    mark = watch.mark()
    at = unused(watch).find(SECRET)
    expect(at < 0, f"nothing of an earlier owner in {mark.stack}, below sp {mark.sp:#x}",
           lambda: f"its secret at {mark.stack.lo + at:#x}",
           Spot(mark.stack.lo + at, "the secret", mark.stack, "stack of a new process"))


def planted(watch, size):
    """Run to where a secret has been planted, size bytes of it."""
    watch.guest.until(watch.guest.build.provoke("provoke_secret_end"))
    sp = watch.guest.at.sp
    expect(watch.guest.at.table().read_virtual(sp, size) == SECRET * (size // len(SECRET)),
           f"a secret of {size} bytes planted at sp", f"sp {sp:#x}, and something else")


def handed_on(t, test, size):
    """The next child of gradeuser must not find what this one plants by the test."""
    t.proof()
    watch = t.boot(f"gradeuser secrets {test}", mem=SMALL)
    for _ in range(ROUNDS):
        watch.mark()
        planted(watch, size)
        look(watch)
    verdict(watch)
    watch.alive_until_end(0)


@case("hygiene.reused", "A new process's stack shows nothing of the process before", 2, ERASE)
def reused(t):
    handed_on(t, "STACK_SECRET 1024", 1024)


@case("hygiene.deep", "A new process's stack shows nothing that was left deep on it", 2, ERASE)
def deep(t):
    handed_on(t, "STACK_SECRET 14000", 14000)


@case("hygiene.sparse", "A new process's stack shows nothing left below large, sparse frames", 2,
      "A run of zeros may be as long as the largest frame, and there may be data below it.")
def sparse(t):
    handed_on(t, "STACK_SECRET 512 10", 512)


@case("hygiene.victim", "A new process's stack shows nothing of a victim whose sp had jumped", 2,
      "After a fault there may be data anywhere on a stack: erase all of it, or unmap it.")
def victim(t):
    handed_on(t, "STRAY_SECRET 2048", 256)


@case("hygiene.new_stacks", "Memory that becomes a stack shows nothing of the program before", 2,
      "Zero pages before you map them as a stack.")
def new_stacks(t):
    t.proof()
    watch = t.boot("gradeuser page-secrets STACK_USE 256", mem=SMALL)
    for _ in range(CROWD):
        look(watch)
    verdict(watch)
    watch.alive_until_end(0)


@case("hygiene.old_stacks", "Memory of stacks shows nothing to the program that gets it", 2,
      "Zero pages before a program gets them, whatever they were used for.")
def old_stacks(t):
    t.proof()
    watch = t.boot("gradeuser stack-secrets", mem=SMALL)
    watch.mark()
    for _ in range(CROWD):  # one may begin before another has planted
        planted(watch, 12000)
    verdict(watch)
    watch.alive_until_end(0)
