# SPDX-License-Identifier: MIT
"""Faults that are no overflow, and must not be called one."""

from facts import LOAD, STORE
from machine import GUARD
from suite import case


def guard_below(t, how, distance, scause):
    """Access the byte so far below the stack, with a good sp."""
    report = t.fault(f"provoke STACK_GUARD_PAGE_LEADING {how} {distance}", "guard-below")
    trap = report.trap
    t.equal("scause", trap.scause, scause)
    t.equal("the fault in", t.build.function(trap.sepc),
            "provoke_store" if scause == STORE else "provoke_load")
    t.equal("the address", trap.stval, report.mark.stack.lo - distance)


@case("not_overflow.leading_write_last", "A store just below the stack is no overflow",
      hint="sp is good: classify by sp before stval.")
def leading_write_last(t):
    guard_below(t, "write", 1, STORE)


@case("not_overflow.leading_read_first", "A load from the first byte of the guard below",
      hint="The whole guard is unmapped, to its first byte.")
def leading_read_first(t):
    guard_below(t, "read", GUARD, LOAD)
