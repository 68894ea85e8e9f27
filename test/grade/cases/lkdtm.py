# SPDX-License-Identifier: MIT
"""Tests of Linux's lkdtm, by name, as far as they make sense here.  docs/lkdtm.md has the table."""

from facts import FETCH
from suite import case


@case("lkdtm.exec_stack", "EXEC_STACK", hint="Stacks are mapped without X.")
def exec_stack(t):
    report = t.fault("provoke EXEC_STACK", "exec-nx")
    trap, stack = report.trap, report.mark.stack
    t.equal("scause", trap.scause, FETCH)
    t.equal("sepc", trap.sepc, trap.stval)
    t.expect(stack.lo <= trap.stval < stack.hi, f"a jump to {stack}", hex(trap.stval))
