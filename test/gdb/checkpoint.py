# SPDX-License-Identifier: MIT
"""Keep the machine as it is, and come back, with any number of harts; `checkpoint`, `go-back`.

QEMU keeps its memory, its devices and what was written to the disk.  A run from there on is not the
same one again: what comes from outside comes at other instructions."""

import gdb
import kernel
import reverse

NAME = "bulwark"


def monitor(line):
    """Give QEMU's monitor a command that says nothing when it has worked."""
    said = gdb.execute(f"monitor {line}", to_string=True).strip()
    if "does not support snapshots" in said or "does not support a snapshot" in said:
        raise gdb.GdbError("QEMU keeps no state of a machine that writes to the image itself: "
                           "begin again by `make gdb QEMU_ARGS=-snapshot`, with the same APPEND.")
    if said:
        raise gdb.GdbError(f"QEMU refuses {line.split()[0]}: {said}")


def timers_again():
    gdb.selected_inferior().connection.send_packet("qBulwark.timers")


class Checkpoint(kernel.Command):
    """Keep the machine as it is now, for `go-back`.

Usage: checkpoint

The one before is given up.  QEMU has to run with -snapshot (`make gdb QEMU_ARGS=-snapshot`), so
that it keeps the disk, too."""

    name = "checkpoint"
    kind = gdb.COMMAND_RUNNING
    made = False

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_machine()
        if reverse.can_go_back():
            raise gdb.GdbError("In a recording every instruction is one: `help last-write` and "
                               "`reverse-stepi` go back.")
        monitor(f"savevm {NAME}")
        timers_again()
        Checkpoint.made = True
        kernel.say("`go-back` comes back here.")


class GoBack(kernel.Command):
    """Go back to the last checkpoint.

Usage: go-back

All harts, the memory and the disk are as they were.  From there on the run may be another one."""

    name = "go-back"
    kind = gdb.COMMAND_RUNNING

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_machine()
        if not Checkpoint.made:
            raise gdb.GdbError("There is no checkpoint: `checkpoint` makes one.")
        monitor(f"loadvm {NAME}")
        timers_again()
        for command in "maintenance flush register-cache", "maintenance flush dcache":
            gdb.execute(command, to_string=True)
        kernel.pages.clear()
        gdb.execute("frame")


Checkpoint()
GoBack()
