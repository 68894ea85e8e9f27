# SPDX-License-Identifier: MIT
"""GDB that knows the kernel: loads each file's commands, and lists them (`help bulwark`)."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
sys.path.append(str(HERE.parent / "grade"))  # its page tables

# pylint: disable=wrong-import-position,unused-import  # each import makes commands
import checkpoint  # noqa: E402,F401
import explain  # noqa: E402,F401
import faults  # noqa: E402,F401
import frames  # noqa: E402,F401
import kernel  # noqa: E402
import locks  # noqa: E402,F401
import machine  # noqa: E402,F401
import paging  # noqa: E402,F401
import programs  # noqa: E402,F401
import reverse  # noqa: E402,F401
import stacks  # noqa: E402,F401
import threads  # noqa: E402,F401
import view  # noqa: E402,F401


def summary():
    rows = [f"{command.name + ' ' + command.usage:28} {command.__doc__.splitlines()[0]}"
            for command in sorted(kernel.Command.every, key=lambda command: command.name)]
    return ("List the commands that know the kernel.\n\nUsage: bulwark\n\n" + "\n".join(rows) +
            "\n\n`help COMMAND` says more; docs/gdb.md shows what each prints.")


class Bulwark(kernel.Command):
    """"""

    name = "bulwark"
    __doc__ = summary()

    def run(self, argument):
        self.no_argument(argument)
        kernel.say(self.__doc__)


Bulwark()
