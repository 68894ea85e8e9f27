# SPDX-License-Identifier: MIT
"""Where stacks are, what surrounds them, and who may read, write or execute there."""

from cases.overflow import instructions, wfi_addresses
from facts import check_guarded, expect, judge, mapped_stacks, stack_of_sp
from gradeuser import SMALL, each, verdict
from machine import DIRECT, GUARD, IMAGE_BASE, KASAN, SLOT, STACK, USER_END, WINDOW, born
from suite import case
from sv39 import PAGE, A, D, G, PageTable, R, U, V, W, X

KERNEL_HALF = 256  # the first root entry of it
GIGABYTE = 1 << 30
TOP = 1 << 64

SFENCE, SFENCE_MASK = 0x12000073, ~(31 << 15)  # for one address or all, and for every ASID

QUIET = "provoke STACK_USE 1024"  # a test that reaches its mark and returns
HALVES = "Map only the upper half of a slot; its lower half and the next slot's are the guards."
ROOTS = "Fill the kernel half of the root at boot; copy it to each page table; never change it."


def at_mark(t, **machine):
    """Boot to a system call.  Returns (Observer, Mark, page table in force)."""
    watch = t.boot(QUIET, **machine)
    mark = watch.mark()
    return watch, mark, watch.guest.at.table()


def check_halves(table):
    """In each slot all pages of the stack half are mapped, and no others.  Of a stack that grows
    the upper ones are."""
    for stack, leaves in mapped_stacks(table).items():
        seen = sorted(leaf.va for leaf in leaves)
        first = stack.lo + max(0, STACK - max(born(), PAGE * len(seen)))
        expect(seen == list(range(first, stack.hi, PAGE)),
               f"pages from {first:#x} to {stack.hi:#x} in this slot and no others",
               " ".join(f"{va:#x}" for va in seen) + in_guard(stack, seen))


def in_guard(stack, pages):
    """Say which pages of the guard below the stack are among these."""
    found = [va for va in pages if va < stack.lo]
    which = {(stack.lo - PAGE,): ", the one below this stack",
             (stack.lo - GUARD,): ", the one above the stack of the slot below"}
    return found and (f": {len(found)} of {GUARD // PAGE} pages of the guard"
                      + which.get(tuple(found), "")) or ""


def check_rights(table):
    for leaves in mapped_stacks(table).values():
        for leaf in leaves:
            expect(leaf.flags == V | R | W | G | A | D, "VRW--GAD for each page of a stack",
                   leaf.describe() + ", in a guard" * (leaf.va % SLOT < GUARD))


def check_frames(table):
    owner = {}
    for stack, leaves in mapped_stacks(table).items():
        for leaf in leaves:
            expect(leaf.pa not in owner, f"frames of {stack} used for nothing else",
                   lambda pa=leaf.pa: f"frame {pa:#x} is {owner[pa]} too")
            owner[leaf.pa] = stack


def kernel_roots(table):
    return table.entries(table.root)[KERNEL_HALF:]


def check_same_roots(guest, satps):
    """The page tables in these satp agree in the kernel half.  Returns how many there are."""
    tables = {satp: PageTable(guest.read_memory, satp) for satp in satps}
    first = kernel_roots(next(iter(tables.values())))
    for satp, table in tables.items():
        for i, (a, b) in enumerate(zip(first, kernel_roots(table))):
            expect(a == b, f"root entry {KERNEL_HALF + i} the same in every page table",
                   f"{a:#x} and, with satp {satp:#x}, {b:#x}")
    return len({table.root for table in tables.values()})


# --- stacks of every kind -------------------------------------------------------------------------


@case("layout.thread_stack", "A system call runs on a guarded stack of the window", 1, HALVES)
def thread_stack(t):
    _, mark, table = at_mark(t)
    check_guarded(table, mark.stack, "stack of a system call", born())


@case("layout.kernel_thread_stack", "A kernel thread runs on a guarded stack of the window", 1,
      "Give every thread its stack by the same function, kstack_alloc().")
def kernel_thread_stack(t):
    watch = t.boot("provoke EXHAUST_KTHREAD")
    caller, mark = watch.mark(), watch.mark()
    t.expect(mark.stack != caller.stack, "a stack of its own for the thread", mark.stack)
    check_guarded(watch.guest.at.table(), mark.stack, "stack of a kernel thread", born())


@case("layout.new_stack_elsewhere", "A new thread begins on another hart than made the stack", 1,
      "A hart may have cached that nothing is mapped there: fence before you run on a newer stack.")
def new_stack_elsewhere(t):
    watch = t.boot("provoke NEW_REMOTE", cpus=2, icount=False)
    caller = watch.mark()
    before = mapped_stacks(watch.guest.at.table())
    mark = watch.mark()
    t.expect(mark.hart != caller.hart, f"the thread on another hart than {caller.hart}", mark.hart)
    t.expect(mark.stack not in before, "a stack mapped since the test began", mark.stack)
    check_guarded(watch.guest.at.table(), mark.stack, "stack of the new thread", born())
    watch.alive_until_end(0)


@case("layout.fence_after_mapping", "The hart that maps a stack fences before the stack is used", 2,
      "The hart may have cached that nothing is mapped there: set the entries, then sfence.vma.")
def fence_after_mapping(t):
    t.proof()
    watch = t.boot("provoke MAKE_THREAD", append="kstack_cache=0")
    guest, fenced = watch.guest, set()
    fences = instructions(guest, SFENCE, SFENCE_MASK)
    watch.mark()
    before = set(mapped_stacks(guest.at.table()))
    guest.insert(watch.here, *fences)
    while guest.go().pc != watch.here:
        fenced |= set(mapped_stacks(guest.at.table())) - before
    mark = watch.take_mark(guest.at)
    guest.remove(watch.here, *fences)
    t.expect(mark.stack not in before, "a stack mapped since the test began", mark.stack)
    t.expect(mark.stack in fenced, f"an sfence.vma between the mapping of {mark.stack} and its use",
             "none")
    watch.alive_until_end(0)


@case("layout.idle_stacks", "Every hart idles on a guarded stack of the window, its own", 2,
      "On every hart, leave the boot stack for one in the window as soon as there is one.")
def idle_stacks(t):
    watch = t.boot("sleep 100", cpus=3, early=True)
    guest, found = watch.guest, {}
    guest.insert(*wfi_addresses(guest))
    for _ in range(5000):
        stop = guest.go()
        guest.write(stop, "pc", stop.pc + 4)  # a wfi need not wait; a step over it would
        if stop.hart in found:
            continue
        stack = stack_of_sp(stop.sp)
        expect(stack, "an idle hart on a stack of the window", f"sp {stop.sp:#x}")
        check_guarded(stop.table(), stack, f"idle stack of hart {stop.hart}")
        found[stop.hart] = stack
        if len(found) == 3:
            break
    t.equal("harts that idle", sorted(found), [0, 1, 2])
    t.equal("idle stacks", len(set(found.values())), 3)


@case("layout.emergency_stacks", "Every hart has a guarded emergency stack, its own", 2,
      "One emergency stack for all harts fails as soon as two overflow at once.")
def emergency_stacks(t):
    found = {}
    for hart in range(2):
        watch = t.boot(f"provoke ON_HART {hart} EXHAUST_STACK", cpus=2)
        report = watch.report()
        t.equal("hart", watch.guest.index(report.stop.hart), hart)
        expect(report.emergency != report.mark.stack, "a report on another stack",
               report.emergency)
        check_guarded(report.table, report.emergency, f"emergency stack of hart {hart}")
        found[report.emergency] = hart
    t.equal("emergency stacks", len(found), 2)


@case("layout.emergency_stacks_8", "Each of eight harts has an emergency stack", 2,
      "Give each hart an emergency stack as it starts, however many harts there are.")
def emergency_stacks_8(t):
    found, harts = {}, (0, 3, 4, 5, 6, 7)  # no more fit into the arguments
    tests = [f"ON_HART {hart} EXHAUST_STACK" for hart in harts]
    for (_, pid, report), hart in zip(each(t, *tests, cpus=8), harts):
        judge(report, "overflow", pid=pid, process="gradeuser")
        t.equal("hart", report.line["hart"], hart)
        expect(report.emergency not in found, f"an emergency stack of its own for hart {hart}",
               lambda: f"that of hart {found[report.emergency]}")
        found[report.emergency] = hart


@case("layout.hart_numbers", "Each of three harts numbered 1, 3 and 4 has an emergency stack", 2,
      "A hart's number is not an index: read the numbers from the device tree.")
def hart_numbers(t):
    found = {}
    tests = [f"ON_HART {index} EXHAUST_STACK" for index in range(3)]
    for (_, pid, report), index in zip(each(t, *tests, cpus=5, absent=(0, 2)), range(3)):
        judge(report, "overflow", pid=pid, process="gradeuser")
        t.equal("hart", report.line["hart"], index)
        found[report.stop.hart] = report.emergency
    t.equal("harts that reported", sorted(found), [1, 3, 4])
    t.equal("emergency stacks", len(set(found.values())), 3)


@case("layout.interrupt_stacks", "Every hart handles interrupts on a guarded stack, its own", 2,
      "An interrupt must need no more of a thread's stack than the frame.")
def interrupt_stacks(t):
    found = {}
    for hart in range(2):
        watch = t.boot(f"provoke ON_HART {hart} IN_INTERRUPT STACK_USE 1024", cpus=2)
        threads, mark = [watch.mark(), watch.mark()], watch.mark()
        t.equal("hart", watch.guest.index(mark.hart), hart)
        t.expect(mark.stack not in [m.stack for m in threads],
                 "a handler on another stack than the thread's", mark.stack)
        check_guarded(watch.guest.at.table(), mark.stack, f"interrupt stack of hart {hart}")
        found[mark.stack] = hart
        watch.alive_until_end(0)
    t.equal("interrupt stacks", len(found), 2)


# --- all that is mapped in the window -------------------------------------------------------------


@case("layout.guards", "Nothing but stacks is mapped in the window", 2, HALVES)
def guards(t):
    check_halves(at_mark(t, cpus=3)[2])


@case("layout.rights", "Stacks are readable and writable by the kernel alone", 2,
      "Map stacks with V, R, W, G, A and D, never with U or X.")
def rights(t):
    check_rights(at_mark(t, cpus=3)[2])


@case("layout.frames", "No two stacks share a page of memory", 1,
      "Each page of a stack needs a frame of its own.")
def frames(t):
    check_frames(at_mark(t, cpus=3)[2])


@case("layout.scattered", "Stacks need no contiguous memory", 2,
      "Allocate the pages of a stack one by one: the page table makes them neighbours.")
def scattered(t):
    t.proof()
    watch = t.boot("gradeuser scattered", mem="128M" if KASAN else SMALL, append="kstack_cache=0")
    watch.mark()
    verdict(watch)
    watch.alive_until_end(0)


@case("layout.aliases", "Nothing but the direct map reaches the frames of stacks", 2,
      "A frame of a stack is mapped in its slot and in the direct map, and nowhere else.")
def aliases(t):
    watch, _, table = at_mark(t, cpus=3)
    frames_of = {leaf.pa for leaves in mapped_stacks(table).values() for leaf in leaves}
    for leaf in [*table.leaves(0, USER_END), *table.leaves(DIRECT[1], WINDOW[0]),
                 *table.leaves(WINDOW[1], TOP)]:
        inside = [pa for pa in range(leaf.pa, leaf.pa + min(leaf.size, 1 << 21), PAGE)
                  if pa in frames_of]
        expect(not inside, "frames of stacks in their slots and the direct map only",
               lambda found=leaf: f"a frame of a stack is {found.describe()}")


@case("layout.no_user", "The user half has only user pages, the kernel half none", 1,
      "Set U in leaves below 2^38 and in no others.")
def no_user(t):
    table = at_mark(t)[2]
    for leaf in table.leaves(0, USER_END):
        expect(leaf.flags & U, "U in each leaf of the user half", leaf.describe())
    for leaf in table.leaves(DIRECT[0], TOP):
        expect(not leaf.flags & U, "no U in the kernel half", leaf.describe())


@case("layout.w_xor_x", "No page can be both written and executed, at whatever address", 2,
      "Text and constants are read-only in the direct map, too, which is never executable.")
def w_xor_x(t):
    table = at_mark(t)[2]
    executable, writable = [], []
    for leaf in table.leaves(DIRECT[0], TOP):
        expect(not (leaf.flags & W and leaf.flags & X), "W or X, never both", leaf.describe())
        expect(not leaf.flags & X or leaf.va >= IMAGE_BASE, "X in the image only", leaf.describe())
        if leaf.flags & X:
            executable.append(leaf)
        if leaf.flags & W:
            writable.append(leaf)
    expect(executable, "executable text", "none")
    for text in executable:
        for leaf in writable:
            expect(leaf.pa + leaf.size <= text.pa or text.pa + text.size <= leaf.pa,
                   "no writable mapping of the frames of text",
                   lambda a=leaf, b=text: f"{a.describe()} maps text, {b.describe()}")


@case("layout.preset", "Every leaf of the kernel has G, A and, if writable, D", 1,
      "Set A and D before you use a page: hardware may leave that to the kernel.")
def preset(t):
    for leaf in at_mark(t)[2].leaves(DIRECT[0], TOP):
        expect(leaf.flags & (G | A) == G | A and (leaf.flags & D or not leaf.flags & W),
               "G, A and, where there is W, D", leaf.describe())


# --- page tables ----------------------------------------------------------------------------------


@case("layout.roots_fixed", "The kernel half of the root never changes", 2, ROOTS)
def roots_fixed(t):
    watch = t.boot("provoke -n 40 -j 40 STACK_USE 256", cpus=2)
    watch.mark()
    roots = kernel_roots(watch.guest.at.table())
    for _ in range(39):
        watch.mark()
    later = kernel_roots(PageTable(watch.guest.read_memory, watch.marks[-1].satp))
    for i, (a, b) in enumerate(zip(roots, later)):
        expect(a == b, f"root entry {KERNEL_HALF + i} as it was 40 processes before, {a:#x}",
               f"{b:#x}")
    tables = len({mark.satp for mark in watch.marks})  # a freed one may come back
    t.expect(tables > 1, "more than one page table in all of them", tables)


@case("layout.roots_equal", "All live page tables agree in the kernel half", 2, ROOTS)
def roots_equal(t):
    watch = t.boot("provoke -n 3 -j 3 EXHAUST_ALL", cpus=3)
    satps = {watch.mark().satp for _ in range(3)}
    satps |= {watch.guest.stub.read_register(hart, "satp") for hart in range(3)}
    count = check_same_roots(watch.guest, satps)
    t.expect(count >= 3, "at least three page tables", count)


@case("layout.larger_than_memory", "The window holds more stacks than memory can back", 1,
      "A machine with 2 GiB runs out of memory long before the window runs out of slots.")
def larger_than_memory(t):
    watch, mark, table = at_mark(t, mem="2G")
    roots = table.entries(table.root)[WINDOW[0] >> 30 & 511: (WINDOW[1] >> 30 & 511)]
    room = sum(pte & (V | R | W | X) == V for pte in roots) * GIGABYTE // SLOT * STACK
    t.expect(room >= 2 * GIGABYTE, "root entries for at least 2 GiB of stacks", f"{room:#x} bytes")
    check_guarded(table, mark.stack, "stack of a system call", born())


@case("layout.after_1000_forks", "All of this still holds after 1,000 forks", 3, tags=("stress",),
      hint="Map, guard and own stacks that are used again like new ones.")
def after_1000_forks(t):
    watch = t.boot("forktest", early=True, append="nproc=1100", icount=False, cpus=2)
    guest = watch.guest
    watch.until_user("init", "main")
    roots = kernel_roots(guest.at.table())
    watch.until_user("init", "poweroff")
    table = guest.at.table()
    for check in (check_halves, check_rights, check_frames):
        check(table)
    t.expect(kernel_roots(table) == roots, "the kernel half of the root as it was before", "not so")
    check_same_roots(guest, [guest.stub.read_register(hart, "satp") for hart in range(2)])
    t.expect(len(mapped_stacks(table)) < 500, "stacks of dead processes given back",
             f"{len(mapped_stacks(table))} stacks mapped")
    watch.finish()
    t.expect("forktest: 1000 children, and fork still works" in guest.output(), "1,000 children",
             watch.tail())
