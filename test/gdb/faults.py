# SPDX-License-Identifier: MIT
"""Stop where the kernel finds a fault of its own; `overflow`, `watch-guard`.

The reporter runs on the emergency stack, and all is still as at the fault.
"""

import gdb
import explain
import kernel
import reverse
import stacks
import threads

FRAMES = 12  # that are shown


def where():
    return kernel.function("report_print")


def fault_now():
    """The fault that the reporter, at its first instruction, is to print."""
    return kernel.at(kernel.register("a0"), kernel.struct("fault"))


def in_words(fault):
    """One sentence, with what to do about it left to the kernel's report."""
    class_ = kernel.enum_name(fault["class"], "fault_class", "FAULT_")
    pc, past = int(fault["frame"]["sepc"]), int(fault["past"])
    found = explain.symbol_at(pc)
    verdict = "it will kill the process"
    if fault["why"]:
        verdict = f"it will panic ({fault['why'].string()})"
    elif fault["reserve"]:
        verdict = f"it will go on in the reserve of the stack ({fault['reserve'].string()})"
    return (f"Fault of class {class_}{f' ({past} bytes past the stack)' if past else ''}: "
            f"pid {int(fault['pid'])} ({fault['name'].string()}) on hart "
            f"{int(fault['hart']['index'])}, in {found[0] if found else hex(pc)}.  The kernel is "
            f"about to report it; then {verdict}.")


class Overflow(kernel.Command):
    """Go on up to the next kernel fault; show its class and the backtrace.

Usage: overflow [origin]

`overflow origin` goes back, in a recording (`make reverse`): to the call with which the last KiB of
the stack began, and if the stack has run out, to the first store past its end.
It stops before the report, on the emergency stack of the hart; bt goes on into the stack that
broke.  Another breakpoint may stop the machine earlier: `overflow` again goes on."""

    name, usage = "overflow", "[origin]"
    kind = gdb.COMMAND_RUNNING

    def complete(self, _text, word):
        return ["origin"] if "origin".startswith(word or "") else []

    def run(self, argument):
        if argument == "origin":
            reverse.origin()
            return
        self.no_argument(argument)
        kernel.need_machine()
        stop = gdb.Breakpoint(f"*{where():#x}", temporary=True)
        try:
            gdb.execute("continue")
            came = kernel.is_there() and gdb.newest_frame().pc() == where()
        except gdb.error:  # the connection ended with the machine
            came = False
        finally:
            if stop.is_valid():
                stop.delete()
        if not kernel.is_there():
            raise gdb.GdbError(f"The machine has ended, and no kernel fault came from here on.  "
                               f"{kernel.ANOTHER}")
        if not came:
            raise gdb.GdbError("The recording ends here, or something else stopped the machine: "
                               "`reverse-continue` goes to the start, `overflow` on."
                               if reverse.can_go_back() else
                               "Something else stopped the machine first: `overflow` again goes "
                               "on.")
        kernel.pages.clear()
        kernel.say(in_words(fault_now()))
        backtrace()


def backtrace():
    """The innermost frames: of a recursion there may be hundreds."""
    gdb.execute(f"backtrace {FRAMES}", True)  # as if typed: it says when there are more


class GuardBreakpoint(gdb.Breakpoint):
    """Stops at a fault that comes from a guard: of one stack, or of any."""

    def __init__(self, stack, whose):
        super().__init__(f"*{where():#x}")
        self.bounds = (stack.lo, stack.hi) if stack else None
        kernel.say(f"It stops at a fault in {whose}.")

    def stop(self):
        kernel.pages.clear()
        try:
            fault = fault_now()
            mine = self.bounds and int(fault["stack"]["hi"]) == self.bounds[1]
            return any(self.guards(int(address), mine)
                       for address in (fault["sp"], fault["frame"]["stval"]))
        except kernel.ERRORS:
            return True

    def guards(self, address, mine):
        """Whether a guard that counts has the address.  What is above a stack is below the next
        one, so it counts only for the thread whose stack it is."""
        size, slot = kernel.layout("KSTACK_GUARD"), kernel.layout("KSTACK_SLOT")
        if self.bounds:
            lo, hi = self.bounds
            return lo - size <= address < lo or mine and hi <= address < hi + size
        base = kernel.layout("KSTACK_BASE")
        return base <= address < kernel.layout("KSTACK_END") and (address - base) % slot < size


class WatchGuard(kernel.Command):
    """Stop at the next fault in a guard: any one, or those of the stack of PID.

Usage: watch-guard [PID]

A watchpoint on a guard never fires, because nothing is mapped there: the fault comes first.  This
is a breakpoint where the kernel reports the fault; `delete` ends it."""

    name, usage = "watch-guard", "[PID]"
    kind = gdb.COMMAND_BREAKPOINTS

    def run(self, argument):
        if not argument:
            kernel.need_machine()
            GuardBreakpoint(None, "a guard of any kernel stack")
            return
        kernel.need_kernel()
        thread = threads.thread_of(threads.parse_pid(argument))
        stack = next(s for s in stacks.every_stack() if s.lo < int(thread["stack_hi"]) <= s.hi)
        if not stack.guarded:
            raise gdb.GdbError(f"The stack of {stack.who()} has no guards (VMAP_STACK=n).")
        GuardBreakpoint(stack, f"the guards of the stack of {stack.who()}")

    def complete(self, _text, word):
        return threads.complete_pids(word)


Overflow()
WatchGuard()
