# SPDX-License-Identifier: MIT
"""The symbols of user programs; `program`, `ubreak`.

Programs share their addresses, so GDB knows the symbols of one at a time: of the one that the
selected hart runs, found by the process's name, unless the user has chosen one.  Before the kernel
runs no address is a program's; but breakpoints in the one before stay, for the way forward.
"""

import re
from pathlib import Path

import gdb
import kernel
import threads

loaded = None  # the name of the program whose symbols GDB has
chosen = False  # by the user
aside = None  # the one whose symbols come again when the machine goes on


def folder():
    return Path(gdb.current_progspace().filename).parent / "user"


def every_program():
    return sorted(path.stem for path in folder().glob("*.elf"))


def load(name):
    """Take the symbols of that program, and of no other one.

    A breakpoint at a function of the kernel does not become one in a program that has the name,
    too."""
    global loaded, aside  # pylint: disable=global-statement
    if loaded == name:
        return
    path = folder() / f"{name}.elf"
    if not path.exists():
        raise gdb.GdbError(f"There is no program {name}: the folder {folder()} has "
                           f"{' '.join(every_program())}.")
    unload()
    gdb.execute(f'add-symbol-file "{path}"', to_string=True)
    loaded, aside = name, None
    for line in gdb.execute("info breakpoints", to_string=True).splitlines():
        match = re.match(r"(\d+\.\d+) +y-? +(0x[0-9a-f]+) ", line)
        if match and int(match[2], 16) < kernel.layout("USER_END"):
            gdb.execute(f"disable {match[1]}", to_string=True)


def unload():
    global loaded  # pylint: disable=global-statement
    if loaded:
        gdb.execute(f'remove-symbol-file "{folder() / loaded}.elf"', to_string=True)
        loaded = None


def again():
    """Before the machine goes on: have the symbols that were put aside."""
    if aside:
        load(aside)


def name_now():
    """The name of the program that the selected hart runs, or None."""
    kernel.pages.clear()
    thread = threads.current()
    return kernel.text(thread["name"]) if thread and int(thread["pid"]) else None


def follow():
    """Take the symbols of the running program.  Called at each stop; says nothing."""
    global aside  # pylint: disable=global-statement
    try:
        if chosen:
            return
        if not kernel.register("satp") >> 60:
            aside = loaded or aside
            unload()
            return
        name = name_now()
        if name and name != loaded and (folder() / f"{name}.elf").exists():
            load(name)
    except kernel.ERRORS:
        pass  # no machine, or too early


class Program(kernel.Command):
    """Take the symbols of a user program; without NAME, of the one that runs.

Usage: program [NAME]

GDB takes the symbols of the program that the selected hart runs, by the name of its process.  After
`program cat` it has those of cat, whatever runs, for `break user/cat.c:main`; such a breakpoint
stops in each program that passes the address, other than `ubreak`.  lx-symbols is the same."""

    name, usage, aliases = "program", "[NAME]", ("lx-symbols",)
    kind = gdb.COMMAND_FILES

    def run(self, argument):
        global chosen  # pylint: disable=global-statement
        if len(argument.split()) > 1:
            raise self.wrong()
        if argument:
            load(argument)
        chosen = bool(argument)
        follow()
        kernel.say(f"The symbols are those of {loaded}{', until you type `program`' * chosen}."
                   if loaded else "GDB will take the symbols of each program that it stops in.")

    def complete(self, _text, word):
        return [name for name in every_program() if name.startswith(word or "")]


class UserBreakpoint(gdb.Breakpoint):
    """Stops where one program runs.  At an address, so it stays when other symbols come."""

    def __init__(self, program, where, place):
        super().__init__(f"*{where:#x}")
        self.program = program
        kernel.say(f"It stops only in {program}, at {place}.")

    def stop(self):
        try:
            return name_now() == self.program
        except kernel.ERRORS:
            return True


class Ubreak(kernel.Command):
    """Set a breakpoint that stops only in one user program.

Usage: ubreak PROGRAM FUNCTION

FUNCTION is one of the program's, or FILE:LINE.  Programs share their addresses; this one looks at
the name of the process."""

    name, usage = "ubreak", "PROGRAM FUNCTION"
    kind = gdb.COMMAND_BREAKPOINTS

    def run(self, argument):
        given = argument.split()
        if len(given) != 2:
            raise self.wrong()
        program, place = given
        kernel.need_machine()
        load(program)
        try:
            lines = gdb.decode_line(place)[1] or ()
        except gdb.error:
            lines = ()
        where = [line.pc for line in lines if 0 < line.pc < kernel.layout("USER_END")]
        if not where:
            raise gdb.GdbError(f"{program} has no {place}.")
        UserBreakpoint(program, where[0], place)

    def complete(self, text, word):
        if " " in text.lstrip():
            return gdb.COMPLETE_SYMBOL
        return [name for name in every_program() if name.startswith(word or "")]


Program()
Ubreak()
for hooked in "stop", "backtrace", "up", "down", "frame":
    gdb.execute(f"define hook-{hooked}\npython programs.follow()\nend", to_string=True)
gdb.execute("python import programs")
