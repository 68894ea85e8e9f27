# SPDX-License-Identifier: MIT
"""Harts, threads and processes; `ps`."""

import gdb
import kernel
import stacks

SLEEP_ROOM = "kern/sched/"  # functions there put any caller to sleep: the caller is of interest


# --- harts ---------------------------------------------------------------------------------------

def harts():
    """The kernel's harts, by index."""
    count = int(kernel.variable("hart_count"))
    if not count:
        raise gdb.GdbError(f"The kernel knows no hart yet: {kernel.BOOT_ON}.")
    every = kernel.variable("harts")
    return [every[i] for i in range(count)]


def here():
    """The selected hart, or None while it is not the kernel's."""
    number = kernel.register("mhartid")
    if not kernel.variable("hart_count"):
        return None
    return next((hart for hart in harts() if int(hart["id"]) == number), None)


viewed = None  # a thread that does not run, which is looked at as if it did (view.py)


def current():
    """The thread that the selected hart runs, or None."""
    hart = here()
    if viewed or not hart or not hart["current"]:
        return viewed
    return kernel.at(int(hart["current"]), thread_type())


def hart_threads():
    """What GDB takes for threads, by index of the hart."""
    index = {int(hart["id"]): int(hart["index"]) for hart in harts()}
    found = {}
    for thread in gdb.selected_inferior().threads():
        with kernel.on_thread(thread):  # which sees no kernel until it has turned on paging
            number = kernel.register("mhartid")
        if number in index:
            found[index[number]] = thread
    return found


# --- threads -------------------------------------------------------------------------------------

def thread_type():
    return kernel.struct("thread")


def every_thread():
    """All threads that have a stack and will run, or ran: each stack's record leads to its own."""
    size = kernel.offset(thread_type(), "sp")
    for stack in stacks.every_stack():
        pointer = int(stack.value["thread_sp"])
        if stack.owned and pointer:
            yield kernel.at(pointer - size, thread_type())


def runs_on(thread):
    """The hart on which the thread runs, or None."""
    return next((hart for hart in harts() if hart["current"] == thread.address), None)


def state_of(thread):
    return kernel.enum_name(thread["state"], "thread_state", "THREAD_")


def who(thread):
    """The thread in words."""
    pid, name = int(thread["pid"]), kernel.text(thread["name"])
    return f"pid {pid} ({name})" if pid else f"the kernel's thread {name}"


def saved_registers(thread):
    """The registers that a thread which does not run left on its stack."""
    frame = kernel.at(int(thread["sp"]), kernel.struct("switch_frame"))
    found = {f"s{i}": int(frame["s"][i]) for i in range(12)}
    ra = int(frame["ra"])
    return {**found, "fp": found["s0"], "ra": ra, "pc": ra,
            "sp": int(thread["sp"]) + kernel.struct("switch_frame").sizeof}


def return_addresses(thread):
    """Where the functions go on in which a thread sleeps, innermost first, by frame pointers."""
    registers = saved_registers(thread)
    lo, hi = int(thread["stack_lo"]), int(thread["stack_hi"])
    yield registers["pc"]
    fp = registers["s0"]
    while lo < fp - 16 and fp <= hi and fp % 16 == 0:
        before, ra = kernel.words(fp - 16, 2)
        yield ra
        if before <= fp:
            return
        fp = before


def waits_in(thread):
    """The function in which a thread sleeps, the first outside kern/sched/."""
    for pc in return_addresses(thread):
        block = gdb.block_for_pc(pc - 1)
        while block and not block.function:
            block = block.superblock
        if block and not block.function.symtab.filename.startswith(SLEEP_ROOM):
            return block.function.name
    return "-"


# --- processes -----------------------------------------------------------------------------------

def has_process():
    """Whether the kernel has booted as far as to make its first one."""
    return bool(kernel.variable("pids")["slots"])


def processes():
    """All processes, zombies included, by pid."""
    pids = kernel.variable("pids")
    if not has_process():
        raise gdb.GdbError(f"The kernel has no process yet: {kernel.BOOT_ON}.")
    reserved = int(kernel.variable("reserved").address)
    pointers = kernel.words(int(pids["slots"]), int(pids["mask"]) + 1)
    found = [kernel.at(pointer, kernel.struct("process"))
             for pointer in pointers if pointer not in (0, reserved)]
    return sorted(found, key=lambda process: int(process["pid"]))


def parse_pid(word):
    if not word.isdigit():
        raise gdb.GdbError(f"{word} is no pid: a number is (`ps` lists them).")
    return int(word)


def find(pid):
    for process in processes():
        if int(process["pid"]) == pid:
            return process
    raise gdb.GdbError(f"No process has pid {pid}: `ps` lists them.")


def thread_of(pid):
    thread = find(pid)["thread"]
    if not thread:
        raise gdb.GdbError(f"Pid {pid} is a zombie: it has no thread any more.")
    return thread.dereference()


def complete_pids(word):
    """The pids that begin with what has been typed of one."""
    try:
        kernel.need_kernel()
        every = [str(int(process["pid"])) for process in processes()]
        return [pid for pid in every if pid.startswith(word or "")]
    except kernel.ERRORS:
        return []


def space_of(thread):
    """The user space of a thread, or None."""
    pointer = int(thread["space"])
    return kernel.at(pointer, kernel.struct("space")) if pointer else None


class Ps(kernel.Command):
    """List the processes, and where each one that sleeps waits.

Usage: ps

A hart with a * runs the process now.  WAITS IN is the function that went to sleep; `pid PID bt`
shows how it came there.  PAGES is the user memory that is mapped.  lx-ps is the same."""

    name, aliases = "ps", ("lx-ps",)
    kind = gdb.COMMAND_STATUS

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_kernel()
        kernel.say("  PID PARENT STATE    HART  PAGES WAITS IN         NAME")
        for process in processes():
            self.show(process)

    @staticmethod
    def show(process):
        pid, parent, name = int(process["pid"]), process["parent"], kernel.text(process["name"])
        state, hart, pages, waits = "zombie", "- ", 0, "-"
        if process["thread"]:
            thread = process["thread"].dereference()
            state, running, space = state_of(thread), runs_on(thread), space_of(thread)
            hart = f"{int((running or thread['hart'])['index'])}{'*' if running else ' '}"
            pages = int(space["pages"]) if space else 0
            waits = waits_in(thread) if state == "sleeping" else "-"
        kernel.say(f"{pid:5} {int(parent['pid']) if parent else 0:6} {state:8} {hart:>5} "
                   f"{pages:6} {waits:16} {name}")


class Current(gdb.Function):
    """$lx_current(): the struct thread that the selected hart runs."""

    def __init__(self):
        super().__init__("lx_current")

    def invoke(self):
        kernel.need_kernel()
        thread = current()
        if not thread:
            raise gdb.GdbError("This hart runs no thread yet.")
        return thread


class TaskByPid(gdb.Function):
    """$lx_task_by_pid(PID): the struct thread of a process."""

    def __init__(self):
        super().__init__("lx_task_by_pid")

    def invoke(self, pid):
        kernel.need_kernel()
        return thread_of(int(pid))


Ps()
Current()
TaskByPid()
