# SPDX-License-Identifier: MIT
"""The stack runs out: wherever that happens, it is noticed, named and measured."""

from facts import STORE
from suite import case


@case("overflow.recursion", "Endless recursion in a system call", 2,
      "Check sp and the room for a frame before the trap entry stores anything through sp.")
def recursion(t):
    trap = t.fault("provoke EXHAUST_STACK", "overflow").trap
    t.equal("scause", trap.scause, STORE)
    t.equal("the fault in", t.build.function(trap.sepc), "recurse")
