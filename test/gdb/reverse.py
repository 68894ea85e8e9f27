# SPDX-License-Identifier: MIT
"""Back in time, in a recording (`make reverse`); `last-write`, `overflow origin`.

test/tools/gdb-reverse has the machine, counts its instructions, and can begin it anew."""

import gdb
import explain
import faults
import frames
import kernel
import paging
import stacks
import threads

FORWARD_ONLY = ("This machine cannot go back, because it was not recorded: `make record-NAME`, "
                "then `make reverse`.  QEMU records machines of one hart alone.  With several "
                "`checkpoint` and `go-back` go back to where you were.")
WORD_SIZE = 8


def ask(packet):
    """Ask test/tools/gdb-reverse.  Returns its answer as text; "" from another machine."""
    connection = gdb.selected_inferior().connection
    if not hasattr(connection, "send_packet"):
        raise gdb.GdbError("This GDB is too old to go back by this command: 12 can, or "
                           "`reverse-continue` to a watchpoint.")
    answer = connection.send_packet("qBulwark." + packet) or b""
    text = answer.decode() if isinstance(answer, bytes) else answer
    if text == "E02":
        raise gdb.GdbError("Stopped by ^C; the machine is where it was.")
    if text == "E03":
        raise gdb.GdbError("QEMU's replay stands still or takes too long, twice: that happens to "
                           "QEMU.  The machine is where it was; try again.")
    return text


def can_go_back():
    try:
        return ask("where") != ""
    except kernel.ERRORS:
        return False


def where():
    """How many instructions the machine has executed."""
    return int(ask("where"), 16)


def go(store):
    """Go to where it is about to be made."""
    ask(f"go:{store.count:x},{store.pc:x}")
    for command in "maintenance flush register-cache", "maintenance flush dcache":
        gdb.execute(command, to_string=True)
    kernel.pages.clear()


class Store:
    """One that was made after count instructions, with pc, sp and the thread that ran."""

    def __init__(self, text):
        self.count, self.pc, self.sp, self.thread = (int(word, 16) for word in text.split(","))


def stores(address, size):
    """All stores to a place up to now, and one that is about to be made, the first one first."""
    peek = int(kernel.variable("harts")[0]["current"].address)
    places = [f"{at:x},{size:x}" for at in aliases(address)]
    answer = ask(f"stores:{peek:x};{';'.join(places)}")
    return [Store(text) for text in answer[1:].split(";") if text]


def aliases(address):
    """The address, and where the direct map shows the same memory."""
    yield address
    leaf = paging.leaf(paging.hart_root(), address)
    if leaf and paging.alias(address) is None:
        yield paging.direct(leaf.pa)


def place_in_words(pc):
    found = explain.symbol_at(pc)
    line = gdb.find_pc_line(pc)
    there = f" ({line.symtab.filename}:{line.line})" if line.symtab else ""
    return f"{found[0] if found else hex(pc)}{there}"


def runner():
    thread = threads.current()
    return threads.who(thread) if thread else "the kernel, before its first thread"


class Unwritten(gdb.GdbError):
    """No store was made there."""


def last_store(address, size, before):
    """Go back to the last store to a place, of those before that many instructions."""
    found = [store for store in stores(address, size) if store.count < before]
    if not found:
        raise Unwritten(f"No hart has stored to {address:#x} up to here: it holds what it held "
                           "at the start, or a device wrote it.")
    go(found[-1])


def need_recording():
    kernel.need_kernel()
    if not can_go_back():
        raise gdb.GdbError(FORWARD_ONLY)


# --- overflow origin -----------------------------------------------------------------------------

LAST = 1024  # bytes: the end of a stack, of interest once it runs out
REACH = 2 * LAST  # in which a store past the end is looked for: more than a frame and its array


def entered(stack):
    """The frame by whose call the stack came into its last bytes, and the one that called; or None.

    An inlined function has no frame of its own."""
    frame, bound, seen = gdb.newest_frame(), stack.lo + LAST, 0
    while frame and seen < frames.FRAMES_MAX and frame.pc() >= kernel.layout("USER_END"):
        older = frame.older()
        while older and older.type() == gdb.INLINE_FRAME:
            older = older.older()
        if older and frame.type() == gdb.NORMAL_FRAME and older.type() == gdb.NORMAL_FRAME and \
                frames.sp_of(frame) < bound <= frames.sp_of(older) <= stack.hi:
            return frame, older
        frame, seen = older, seen + 1
    return None


def broken_stack():
    """The stack that the fault, or else the running thread, is about, and the thread."""
    thread = threads.current()
    hi = int(thread["stack_hi"]) if thread else 0
    if int(gdb.newest_frame().pc()) == faults.where():
        hi = int(faults.fault_now()["stack"]["hi"])
    stack = next((one for one in stacks.every_stack() if one.hi == hi), None)
    if not stack:
        raise gdb.GdbError("No kernel stack is in use here: `overflow` goes on to the next fault.")
    return stack, thread


def first_past(stack, thread):
    """The first store past the stack's end that its own thread made from there, or None."""
    def mine(store):
        return (store.thread == int(thread.address) and
                stack.lo - REACH <= store.sp < stack.lo + LAST)
    return next(filter(mine, stores(stack.lo - REACH, REACH)), None)


def origin():
    """How the stack came to its end."""
    need_recording()
    stack, thread = broken_stack()
    kernel.pages.clear()
    came = entered(stack)
    past = first_past(stack, thread) if thread else None
    whose = stack.who()
    if not came and not past:
        raise gdb.GdbError(f"The stack of {whose} has not come to its last {LAST} bytes here.  If "
                           "something else wrote to it, `last-write ADDRESS` finds the store.")
    if came:
        frame, older = came
        kernel.say(f"The last {LAST} bytes of the stack of {whose} began with the call of "
                   f"{frame.name()} by {place_in_words(older.pc() - 4)}; there sp was "
                   f"{frames.sp_of(older):#x}.")
        ra = frames.sp_of(older) - WORD_SIZE
    if past:
        kernel.say(f"The first store past its end is in {place_in_words(past.pc)}.  It is about to "
                   "happen.")
        go(past)
    else:
        kernel.say("No store past its end was made up to here.  Here is that call:")
        last_store(ra, WORD_SIZE, where() + 1)
    gdb.execute("backtrace 4")


class LastWrite(kernel.Command):
    """Go back to the last store to the word at ADDRESS, in a recording.

Usage: last-write ADDRESS

It says which function, line and thread made the store, and stops before it; `stepi` makes it, and
`overflow` goes on to the fault again.  A store by way of the direct map is found, too; one by a
device is not."""

    name, usage = "last-write", "ADDRESS"
    kind = gdb.COMMAND_RUNNING

    def run(self, argument):
        if not argument:
            raise self.wrong()
        need_recording()
        address = kernel.address_of(argument)
        try:
            last_store(address, WORD_SIZE - address % WORD_SIZE, where())
        except Unwritten as error:
            if gdb.parse_and_eval(argument).address is None:
                raise
            raise Unwritten(f"{error}  `last-write &({argument})` looks for the store to "
                            f"{argument} itself.") from None
        pc = int(gdb.newest_frame().pc())
        kernel.say(f"The last store to {address:#x} is in {place_in_words(pc)}, by {runner()}.  It "
                   "is about to happen.")
        gdb.execute("frame")

    def complete(self, _text, _word):
        return gdb.COMPLETE_EXPRESSION


class Begin(kernel.Command):
    """Go to the first kernel fault of the recording, or to its end."""

    name, hidden = "bulwark-reverse", True

    def run(self, argument):
        ask(f"end:{kernel.function('power_off'):x}")
        stop = gdb.Breakpoint(f"*{faults.where():#x}", temporary=True)
        gdb.execute("continue", to_string=True)
        came = int(gdb.newest_frame().pc()) == faults.where()
        if stop.is_valid():
            stop.delete()
        if came:
            kernel.pages.clear()
            kernel.say("\n" + faults.in_words(faults.fault_now()))
            faults.backtrace()
        else:
            kernel.say("\nThe kernel had no fault: this is the end of the recording.")
        kernel.say("\nThis is a recording: `overflow origin` and `last-write ADDRESS` go back in "
                   "it,\nas do reverse-stepi, reverse-next, reverse-finish and reverse-continue.")


LastWrite()
Begin()
