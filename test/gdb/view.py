# SPDX-License-Identifier: MIT
"""`pid PID COMMAND`: look at a thread that does not run.

GDB knows harts only.  So the registers that the thread left on its stack, and its page table, are
put into the selected hart, COMMAND looks, and the hart gets its own ones back.  Meanwhile nothing
may run; so only commands that look are allowed.

GDB's own `thread` takes the number of a hart and stays as it is.
"""

import gdb
import kernel
import programs
import threads

LOOKING = set("""backtrace bt disassemble down echo explain f frame frames info l list lx-ps output
  p print printf ps ptwalk ptype up whatis where x""".split())


class view_of:  # pylint: disable=invalid-name  # reads as a statement
    """With a thread in place of the one that a hart runs."""

    def __init__(self, thread):
        self.thread, self.saved = thread, {}

    def registers(self):
        space = threads.space_of(self.thread)
        satp = int(space["satp"]) if space else int(kernel.variable("kernel_satp"))
        found = {**threads.saved_registers(self.thread), "satp": satp}
        del found["s0"]  # fp
        return found

    def __enter__(self):
        self.before, self.frame = gdb.selected_thread(), gdb.selected_frame()
        running = threads.runs_on(self.thread)
        if running:
            threads.hart_threads()[int(running["index"])].switch()
            return
        new = self.registers()
        gdb.newest_frame().select()
        self.saved = {name: kernel.register(name) for name in new}
        self.calls = gdb.parameter("may-call-functions")
        gdb.execute("set may-call-functions off", to_string=True)
        try:
            put(new)
        except BaseException:
            self.__exit__()
            raise
        threads.viewed = self.thread

    def __exit__(self, *_):
        threads.viewed = None
        if self.saved:
            put(self.saved)
            gdb.execute(f"set may-call-functions {'on' if self.calls else 'off'}", to_string=True)
        if gdb.selected_thread() != self.before:
            self.before.switch()
        if self.frame.is_valid() and gdb.selected_frame() != self.frame:
            self.frame.select()


def put(registers):
    """Write registers of the selected hart.  What GDB remembers of memory may not be there."""
    gdb.newest_frame().select()
    for name, value in registers.items():
        gdb.execute(f"set var ${name} = {value:#x}", to_string=True)
    try:
        gdb.execute("maintenance flush dcache", to_string=True)
    except gdb.error:
        pass  # an older GDB; what it may show wrong is the stack of another program


class Pid(kernel.Command):
    """Run a GDB command as if in the thread of a process, also if it sleeps.

Usage: pid PID COMMAND

COMMAND is one that looks, such as bt, frames, info frame or print.  `pid 1 bt` shows where process
1 sleeps, and goes on to its program."""

    name, usage = "pid", "PID COMMAND"
    kind = gdb.COMMAND_STACK

    def run(self, argument):
        pid, _, command = argument.partition(" ")
        command = command.strip()
        if not command:
            raise self.wrong()
        kernel.need_kernel()
        thread = threads.thread_of(threads.parse_pid(pid))
        first = command.split()[0].split("/")[0]
        if first not in LOOKING:
            raise gdb.GdbError(f"pid: {first} could let the thread run on from where it only is "
                               f"being looked at.  Allowed are: {' '.join(sorted(LOOKING))}.")
        with view_of(thread):
            programs.follow()
            gdb.execute(command)
        programs.follow()

    def complete(self, text, word):
        return gdb.COMPLETE_COMMAND if " " in text.lstrip() else threads.complete_pids(word)


Pid()
