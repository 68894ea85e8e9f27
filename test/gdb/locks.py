# SPDX-License-Identifier: MIT
"""`locks`: who holds which lock, and who waits for it.

A spin lock is on the list of the hart that holds it.  A thread only counts its sleep locks, so the
locks themselves are looked for: where threads wait, in the kernel's variables, and on the holder's
stack, where a pointer to the lock or to what it is part of lies.
"""

import gdb
import explain
import kernel
import paging
import threads

PARTS = (("inode", "lock"), ("buf", "filling"))  # what has a sleep lock in it, and lies on a heap
FRAMES = 16  # how far up spin_wait is looked for


def place(address):
    found = explain.symbol_at(address)
    return found[0] if found else f"{address:#x}"


def named(lock):
    name = lock["name"].string() if lock["name"] else "?"
    return f'"{name}" ({place(int(lock.address))})'


# --- spin locks ----------------------------------------------------------------------------------

def count_of(thread):
    """How many sleep locks it holds.  A thread that is doomed to end counts one less."""
    return int(thread["sleeplocks"]) + int(thread["doomed"]) & 0xffffffff


def held_by(hart):
    """The spin locks that a hart holds, last taken first."""
    pointer = hart["held"]
    while pointer:
        yield pointer.dereference()
        pointer = pointer["held_next"]


def spun_for():
    """The address of the lock for which each hart spins, by its index."""
    found = {}
    for index, thread in threads.hart_threads().items():
        with kernel.on_thread(thread):
            frame = gdb.newest_frame()
            for _ in range(FRAMES):
                if not frame or frame.name() == "spin_wait":
                    break
                frame = frame.older()
            if frame and frame.name() == "spin_wait":
                try:
                    found[index] = int(frame.read_var("l"))
                except (ValueError, *kernel.ERRORS):
                    found[index] = 0
    return found


def show_spin_locks():
    kernel.say("Spin locks:")
    spins, shown = spun_for(), 0
    for hart in threads.harts():
        for lock in held_by(hart):
            waiting = [f"hart {i}" for i, l in spins.items() if l == int(lock.address)]
            kernel.say(f"  {named(lock)}: held by {who_on(hart)}" +
                       (f"; waited for by {', '.join(waiting)}" if waiting else ""))
            shown += 1
    for index in (i for i, address in spins.items() if not address):
        kernel.say(f"  hart {index} waits for a lock that GDB cannot see")
    if not shown:
        kernel.say("  no hart holds one")


def who_on(hart):
    thread = hart["current"]
    return f"hart {int(hart['index'])}" + \
        (f", {threads.who(thread.dereference())}" if thread else "")


# --- sleep locks ---------------------------------------------------------------------------------

class Waiting:
    """A thread that sleeps in a wait queue."""

    def __init__(self, thread, head):
        self.thread = thread
        queue = kernel.at(head, kernel.struct("waitq"))
        self.queue, self.lock = head, queue["lock"].dereference()
        start = head - kernel.offset(kernel.struct("sleeplock"), "waiters")
        guard = start + kernel.offset(kernel.struct("sleeplock"), "guard")
        self.sleeplock = start if guard == int(queue["lock"]) else None


def sleepers(every):
    """The threads that sleep in a queue: its head is the node of the ring that is no thread's."""
    field = kernel.offset(threads.thread_type(), "wait_node")
    nodes = {int(thread.address) + field: thread for thread in every}
    for node, thread in nodes.items():
        head, steps = int(thread["wait_node"]["next"]), 0
        while head in nodes and head != node and steps < len(nodes):
            head, steps = int(nodes[head]["wait_node"]["next"]), steps + 1
        if head not in nodes:
            yield Waiting(thread, head)


def owned_lock(address, owner):
    """The sleep lock at that address, if it is one that the thread holds, or None."""
    type_ = kernel.struct("sleeplock")
    try:
        data = kernel.words(address, type_.sizeof // 8)
    except gdb.MemoryError:
        return None
    name = kernel.offset(kernel.struct("spinlock"), "name") // 8
    if data[kernel.offset(type_, "owner") // 8] != owner or \
            data[name] < kernel.layout("IMAGE_BASE"):
        return None
    return kernel.at(address, type_)


def variables_of(owner):
    """Where a sleep lock of the thread's may be among the kernel's variables."""
    start, end = (int(gdb.parse_and_eval(f"(unsigned long)&{name}"))
                  for name in ("data_start", "bss_end"))
    guard = int(gdb.parse_and_eval("(unsigned long)&boot_stack_guard"))
    field, size = kernel.offset(kernel.struct("sleeplock"), "owner"), kernel.layout("PAGE_SIZE")
    for page in range(start, min(end, guard), size):
        for i, word in enumerate(kernel.words(page, size // 8)):
            if word == owner:
                yield page + 8 * i - field


def pointers_of(thread):
    """What the words on a thread's stack, and its registers, point to on the heap."""
    lo, hi = int(thread["stack_lo"]), int(thread["stack_hi"])
    running = threads.runs_on(thread)
    found = set()
    if running:
        with kernel.on_thread(threads.hart_threads()[int(running["index"])]):
            found |= {kernel.register(f"s{i}") for i in range(1, 12)}
            found |= {kernel.register(f"a{i}") for i in range(8)}
    else:
        lo = int(thread["sp"])
    lo -= lo % 8
    for page in range(lo - lo % 4096, hi, 4096):
        found |= set(kernel.words(max(page, lo), (page + 4096 - max(page, lo)) // 8))
    return {word for word in found if word % 8 == 0 and paging.alias(word) is not None}


def held_sleep_locks(thread):
    """The sleep locks that a thread holds, as far as they can be found, by address."""
    owner, wanted, found = int(thread.address), count_of(thread), {}
    if not wanted:
        return found
    offsets = [0] + [kernel.offset(kernel.struct(outer), part) for outer, part in PARTS]
    candidates = [*variables_of(owner)]
    candidates += [word + offset for word in pointers_of(thread) for offset in offsets]
    for address in candidates:
        lock = owned_lock(address, owner) if len(found) < wanted else None
        if lock:
            found[address] = lock
    return found


def show_sleep_locks(every, waiting):
    kernel.say("Sleep locks:")
    shown = 0
    for thread in every:
        held = held_sleep_locks(thread)
        for one in waiting:
            if one.sleeplock and one.sleeplock not in held:
                lock = owned_lock(one.sleeplock, int(thread.address))
                held.update({one.sleeplock: lock} if lock else {})
        for address, lock in sorted(held.items()):
            names = [threads.who(one.thread) for one in waiting if one.sleeplock == address]
            kernel.say(f"  {named(lock['guard'])}: held by {threads.who(thread)}" +
                       (f"; waited for by {', '.join(names)}" if names else ""))
        missing = count_of(thread) - len(held)
        if missing > 0:
            kernel.say(f"  {threads.who(thread)} holds {missing} more, which GDB cannot find")
        shown += count_of(thread)
    if not shown:
        kernel.say("  no thread holds one")


class Locks(kernel.Command):
    """Show which locks are held, by whom, and who waits for them.

Usage: locks

Spin locks, by hart; sleep locks, by thread; then each thread that sleeps in a wait queue, with the
spin lock of that queue.  A thread counts its sleep locks but does not list them, so GDB looks for
them in the kernel's variables and from the thread's stack."""

    name = "locks"
    kind = gdb.COMMAND_STATUS

    def run(self, argument):
        self.no_argument(argument)
        kernel.need_kernel()
        every = list(threads.every_thread())
        waiting = list(sleepers(every))
        show_spin_locks()
        show_sleep_locks(every, waiting)
        kernel.say("Wait queues:")
        for one in waiting:
            does = "is about to sleep" if threads.runs_on(one.thread) else \
                f"sleeps in {threads.waits_in(one.thread)}"
            kernel.say(f"  {threads.who(one.thread)} {does}: queue {place(one.queue)}, lock "
                       f"{named(one.lock)}")
        if not waiting:
            kernel.say("  no thread sleeps in one")


Locks()
