# SPDX-License-Identifier: MIT
"""`frames`: how many bytes each function's frame takes."""

import gdb
import kernel
import stacks
import threads

FIRMWARE = 3  # what QEMU calls the privilege of M-mode
FRAMES_MAX = 4096  # more than two stacks have words for


class Run:
    """Frames in a row that are equal."""

    def __init__(self, number, name, pc, size):
        self.number, self.name, self.pc, self.size, self.count = number, name, pc, size, 1

    def show(self):
        size = f"{self.size:8}" if self.size is not None else f"{'?':>8}"
        times = f"  x{self.count}" if self.count > 1 else ""
        kernel.say(f"  #{self.number:<3} {size} bytes  {self.name}{times}")


def is_trap(frame):
    return frame.type() == gdb.SIGTRAMP_FRAME


def name_of(frame):
    if is_trap(frame):
        return f"trap frame ({frame.name()})"
    function = frame.function()
    if not function:
        return frame.name() or f"{frame.pc():#x}"
    return f"{function.name}+{frame.pc() - int(function.value().address):#x}"


def caller_of(frame):
    """The next frame, or None: the first function of a stack returns to 0."""
    older = frame.older()
    return older if older and older.pc() else None


def sp_of(frame):
    return int(frame.read_register("sp")) & kernel.WORD


def size_of(frame, older, stack):
    """The bytes of a frame, or None.  What a trap pushed counts as a frame."""
    if is_trap(frame):
        return kernel.struct("trap_frame").sizeof
    sp = sp_of(frame)
    if older and older.pc() >= kernel.layout("USER_END"):
        size = sp_of(older) - sp
        return size if 0 <= size <= kernel.layout("KSTACK_SIZE") else None
    return stack.hi - sp if stack and not older else None


def stack_in_words(stack, sp):
    """Whose stack it is and how much of it is in use."""
    used, whole = stack.hi - sp, stack.hi - stack.bottom
    left = f"{whole - used} left" if used <= whole else f"{used - whole} too many"
    return f"The stack of {stack.who()}: {used} of {whole} bytes in use, {left}."


def show(frame):
    """Print the frames from that one on, as long as they are the kernel's."""
    every, last, run, number = list(stacks.every_stack()), None, None, 0
    while frame and frame.pc() >= kernel.layout("USER_END") and number < FRAMES_MAX:
        sp, older = sp_of(frame), caller_of(frame)
        if frame.type() == gdb.INLINE_FRAME:  # part of its caller's
            frame, number = older, number + 1
            continue
        stack = stacks.stack_of(sp, every)
        new = Run(number, name_of(frame), frame.pc(), size_of(frame, older, stack))
        if run and (run.pc, run.size) == (new.pc, new.size) and stack == last:
            run.count += 1
        else:
            if run:
                run.show()
            if stack and stack != last:
                kernel.say(stack_in_words(stack, sp))
            run = new
        last, frame, number = stack, older, number + 1
    if run:
        run.show()
    if frame and frame.pc() < kernel.layout("USER_END"):
        kernel.say("  -- user mode --")


class Frames(kernel.Command):
    """Show how many bytes of stack each function of the backtrace takes.

Usage: frames

Equal frames in a row are one line, with x and their count.  What a trap pushed is a frame, too.  A
function that was inlined has none: its bytes are its caller's.
Where a trap left one stack for another one, the new stack is named.  `pid PID frames` does the same
for a thread that sleeps."""

    name = "frames"
    kind = gdb.COMMAND_STACK

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_kernel()
        frame = gdb.newest_frame()
        if kernel.register("priv") == FIRMWARE:
            raise gdb.GdbError("This hart is in the firmware: choose another one, or `continue`.")
        if frame.pc() < kernel.layout("USER_END"):
            thread = threads.current()
            raise gdb.GdbError(f"This hart runs {threads.who(thread) if thread else 'a program'} "
                               "in user mode, so no kernel stack is in use.")
        show(frame)


Frames()
