# SPDX-License-Identifier: MIT
"""A stack pointer that is not on the running stack, and did not run off it either."""

from facts import BREAKPOINT
from suite import case


@case("wild_sp.null", "sp is null",
      hint="Any sp outside the recorded stack and its guards is wild-sp.")
def null(t):
    trap = t.fault("provoke WILD_SP null break", "wild-sp").trap
    t.equal("scause", trap.scause, BREAKPOINT)
    t.equal("sp", trap.sp, 0)


@case("wild_sp.odd", "sp on the right stack, but no multiple of 16",
      hint="Check the alignment of sp, too, before pushing the frame.")
def odd(t):
    report = t.fault("provoke WILD_SP odd break", "wild-sp")
    sp, stack = report.trap.sp, report.mark.stack
    t.expect(stack.lo < sp < stack.hi and sp % 16 == 8, "an odd sp on the stack", hex(sp))
