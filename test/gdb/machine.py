# SPDX-License-Identifier: MIT
"""The machine's life, where GDB's own commands would mislead; `run`, `start`."""

import gdb
import kernel
import programs
from kernel import ANOTHER


class Run(kernel.Command):
    """Say why the machine cannot be run again from here.

Usage: run

The machine was there before GDB came: `continue` lets it go on."""

    name = "run"
    kind = gdb.COMMAND_RUNNING

    def run(self, argument):
        if not kernel.is_there():
            raise gdb.GdbError(kernel.GONE)
        raise gdb.GdbError("The machine is booted already: `continue` lets it go on.  To begin "
                           f"again: {ANOTHER}")


class Start(kernel.Command):
    """Let the machine boot up to boot_main, the kernel's first function in C.

Usage: start"""

    name = "start"
    kind = gdb.COMMAND_RUNNING

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_machine()
        if kernel.has_started():
            raise gdb.GdbError("The machine has started already: `continue` lets it go on.  To "
                               f"begin again: {ANOTHER}")
        gdb.execute("tbreak boot_main")
        gdb.execute("continue")


class NeedMachine(kernel.Command):
    """Refuse to go on without a machine: before the commands that let it run."""

    name, hidden = "bulwark-need-machine", True

    def run(self, argument):
        kernel.need_machine()
        programs.again()
        Steps.by_machine(argument == "stepi" or argument == "nexti" and leaves_kernel())


class Steps(kernel.Command):
    """Let GDB choose again how it steps: after a `stepi` or `nexti`.

GDB steps by a breakpoint where it expects the next instruction, as on Linux.  So a `step` does not
see the faults and interrupts on its way; but an instruction that faults, or an sret, would run on.
For `stepi`, and a `nexti` at an sret, the machine steps: what GDB lets it do on a system that it
does not know."""

    name, hidden = "bulwark-steps", True
    machine = False

    @classmethod
    def by_machine(cls, machine):
        if cls.machine != machine:
            gdb.execute(f"set osabi {'none' if machine else 'auto'}")
            cls.machine = machine

    def run(self, argument):
        self.by_machine(False)


def leaves_kernel():
    """Say whether the next instruction is an sret."""
    try:
        frame = gdb.newest_frame()
        [instruction] = frame.architecture().disassemble(frame.pc())
    except gdb.error:  # the harts run, or the pc is wild
        return False
    return instruction["asm"] == "sret"


def ended(event):
    if hasattr(event, "exit_code"):  # else GDB has left it, or killed it
        kernel.say(f"The machine has ended with exit code {event.exit_code}.  {ANOTHER}")


Run()
Start()
NeedMachine()
Steps()
for hooked in "continue", "step", "next", "stepi", "nexti", "finish":
    gdb.execute(f"define hook-{hooked}\nbulwark-need-machine {hooked}\nend", to_string=True)
for hooked in "stepi", "nexti":
    gdb.execute(f"define hookpost-{hooked}\nbulwark-steps\nend", to_string=True)
gdb.events.exited.connect(ended)
