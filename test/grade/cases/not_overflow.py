# SPDX-License-Identifier: MIT
"""Faults that are no overflow and must not be called one, and accesses that are no fault."""

from facts import (BREAKPOINT, FETCH, ILLEGAL, INTERRUPT, LOAD, STORE, SUM, Stack, check_guarded,
                   judge, mapped_stacks, stack_of)
from gradeuser import KERNEL_ADDRESSES, SMALL, each, stack_borders, user_faults, verdict
from machine import (DIRECT, GUARD, IMAGE_BASE, IMAGE_PA, PROVOKE, PROVOKE_END, SLOT, STACK,
                     USER_END, born)
from suite import case
from sv39 import PAGE, U, W, X

WHOLE_GUARD = "The guards are 16 KiB on either side, unmapped from the first byte to the last."
BY_SP = "sp is good: classify by sp before stval."
NINETY = STACK * 9 // 10
NEW_FRAME = b"\x5a" * PAGE  # kern/provoke/stacks.c
NEW_STACK = b"\xa5" * PAGE


def access(t, report, scause):
    """The fault is that of provoke's one load, or one store."""
    t.equal("scause", report.trap.scause, scause)
    t.equal("the fault in", t.build.function(report.trap.sepc),
            "provoke_store" if scause == STORE else "provoke_load")
    return report.trap


def store_or_load(how):
    return STORE if how == "write" else LOAD


# --- no fault -------------------------------------------------------------------------------------


@case("not_overflow.ninety_percent", "A trap when nine tenths of the stack are in use", 2,
      "Keep only room for a frame: do not report before the stack is really used up.")
def ninety_percent(t):
    t.proof()
    watch = t.boot("provoke STACK_USE 14016")
    mark = watch.mark()
    end = watch.guest.until(t.build.provoke("provoke_use_end"))
    lowest = end.sp
    t.expect(NINETY <= mark.stack.hi - lowest < NINETY + 512, f"{NINETY} bytes in use",
             mark.stack.hi - lowest)
    stored = b"".join(at.to_bytes(8, "little") * 2 for at in range(lowest, lowest + 14016, 16))
    t.expect(end.table().read_virtual(lowest, 14016) == stored, "what provoke stored there",
             "something else")
    trap = watch.record(watch.guest.until(*watch.vectors()))
    t.equal("sp at the trap", hex(trap.sp), hex(lowest))
    watch.alive_until_end(0)


def inside(t, test, offset):
    """A byte of the stack itself can be read and written, without a trap."""
    t.proof()
    for how in ("read", "write"):
        watch = t.boot(f"provoke {test} {how} 0")
        mark = watch.mark()
        function = t.build.provoke("provoke_store" if how == "write" else "provoke_load")
        before = watch.guest.until(function)
        address = mark.stack.lo + offset
        t.equal("the address", before.x[10], address)
        byte = before.table().read_virtual(address, 1)
        after = watch.guest.until(function + 4, *watch.vectors())
        while after.pc != function + 4 and after.csr("scause") & INTERRUPT:
            after = watch.guest.until(function + 4, *watch.vectors())
        t.equal("the access done, pc", hex(after.pc), hex(function + 4))
        if how == "read":
            t.equal("the byte read", after.x[10], byte[0])
        else:
            t.equal("the byte written", after.table().read_virtual(address, 1), b"\0")
        watch.alive_until_end(0)


@case("not_overflow.lowest_byte", "The lowest byte of the stack can be used", 1,
      "The stack is mapped from lo on; the guard ends there.")
def lowest_byte(t):
    inside(t, "STACK_USE 13000 STACK_GUARD_PAGE_LEADING", 0)  # one that grows has grown


@case("not_overflow.highest_byte", "The highest byte of the stack can be used", 1,
      "The stack is mapped up to hi - 1; the guard begins at hi.")
def highest_byte(t):
    inside(t, "STACK_GUARD_PAGE_TRAILING", STACK - 1)


# --- this stack's guards --------------------------------------------------------------------------


def guard_below(t, how, distance):
    """Access the byte so far below the stack, with a good sp."""
    report = t.fault(f"provoke STACK_GUARD_PAGE_LEADING {how} {distance}", "guard-below")
    access(t, report, store_or_load(how))
    t.equal("the address", report.trap.stval, report.mark.stack.lo - distance)


def guard_above(t, how, distance):
    """Access byte number distance above the stack, with a good sp."""
    report = t.fault(f"provoke STACK_GUARD_PAGE_TRAILING {how} {distance}", "guard-above")
    access(t, report, store_or_load(how))
    t.equal("the address", report.trap.stval, report.mark.stack.hi + distance - 1)


@case("not_overflow.leading_read_first", "A load from the first byte of the guard below", 1,
      WHOLE_GUARD)
def leading_read_first(t):
    guard_below(t, "read", GUARD)


@case("not_overflow.leading_read_last", "A load from the last byte of the guard below", 1, BY_SP)
def leading_read_last(t):
    guard_below(t, "read", 1)


@case("not_overflow.leading_write_first", "A store to the first byte of the guard below", 1,
      WHOLE_GUARD)
def leading_write_first(t):
    guard_below(t, "write", GUARD)


@case("not_overflow.leading_write_last", "A store just below the stack", 1, BY_SP)
def leading_write_last(t):
    guard_below(t, "write", 1)


@case("not_overflow.trailing_read_first", "A load from the first byte of the guard above", 1,
      "The next slot's lower guard is this stack's upper guard: never give it away.")
def trailing_read_first(t):
    guard_above(t, "read", 1)


@case("not_overflow.trailing_read_last", "A load from the last byte of the guard above", 1,
      WHOLE_GUARD)
def trailing_read_last(t):
    guard_above(t, "read", GUARD)


@case("not_overflow.trailing_write_first", "A store just above the stack", 1,
      "A good sp and an address above hi is guard-above, no underflow.")
def trailing_write_first(t):
    guard_above(t, "write", 1)


@case("not_overflow.trailing_write_last", "A store to the last byte of the guard above", 1,
      WHOLE_GUARD)
def trailing_write_last(t):
    guard_above(t, "write", GUARD)


# --- other stacks ---------------------------------------------------------------------------------


def guard_of_another(t, how, distance):
    """Process 2 accesses a byte below the stack of process 4, which sleeps."""
    watch = t.boot(f"gradeuser other {how} {distance}")
    owner = [watch.mark() for _ in range(3)][1].stack
    report = watch.report()
    # Where the two are neighbours it is this stack's own guard.
    near = report.mark.stack.hi == owner.lo - GUARD
    judge(report, "guard-above" if near else "guard-other", process="gradeuser",
          owner="-" if near else 4)
    access(t, report, store_or_load(how))
    t.equal("the address", report.trap.stval, owner.lo - distance)
    watch.alive_until_end(255)


@case("not_overflow.other_guard_write", "A stray store to the guard of another process", 2,
      "Shift and mask any address to get its slot; the slot knows its owner.")
def other_guard_write(t):
    guard_of_another(t, "write", 8)


@case("not_overflow.other_guard_read", "A stray load from the guard of another process", 1,
      "Shift and mask any address to get its slot; the slot knows its owner.")
def other_guard_read(t):
    guard_of_another(t, "read", GUARD)


@case("not_overflow.other_guard_above", "A stray store just above a stack, into a free slot", 2,
      "A slot's guard is also that of the stack below: name that owner if the slot has none.")
def other_guard_above(t):
    watch = t.boot("gradeuser above write")
    report = watch.report()
    address = report.frame.stval
    below, slot = stack_of(address - SLOT), stack_of(address)
    *stacks, own = [mark.stack for mark in watch.marks]  # of the processes from 3 on, and of 2
    # Process 3 may be gone.
    t.expect(below in stacks and slot not in [*stacks[1:], own],
             "an address between the stack of a process and a slot without one", hex(address))
    judge(report, "guard-other", process="gradeuser", owner=3 + stacks.index(below))
    access(t, report, STORE)
    watch.alive_until_end(255)


def check_freed(t, report):
    """The address is in the stack half of a slot that nothing is mapped in."""
    base = report.trap.stval // SLOT * SLOT + GUARD
    t.expect(report.trap.stval >= base, "an address in a stack", hex(report.trap.stval))
    for va in range(base, base + STACK, PAGE):
        leaf = report.table.lookup(va)
        t.expect(not leaf, f"nothing mapped in the freed stack {Stack(base)}",
                 lambda found=leaf: found.describe())


@case("not_overflow.freed_stack", "A store to a stack that was freed", 2,
      "Unmap a stack when it is freed, and fence, before its frames are used again.")
def freed_stack(t):
    report = t.fault("provoke STALE_STACK write 8", "stale-stack", owner=2)
    access(t, report, STORE)
    check_freed(t, report)


def stack_of_reader(t, report):
    """The stack of a kernel thread, which has no mark of its own."""
    sp = report.frame.sp
    stack = Stack((sp - 1) // SLOT * SLOT + GUARD)
    t.expect(stack != report.mark.stack and stack.lo < sp <= stack.hi,
             "a thread on a stack of its own", hex(sp))
    return stack


def freed_remotely(t, program, cpus=2):
    """The hart that had loaded from a stack loads again when it is freed.  Returns the Report and
    the frame that the address was in."""
    watch = t.boot(program, cpus=cpus, icount=False)
    watch.mark()
    live = watch.guest.until(t.build.provoke("provoke_load"))  # from the live stack
    frame = live.table().lookup(live.x[10])
    t.expect(frame, "a mapped stack to load from", f"no mapping at {live.x[10]:#x}")
    report = watch.report()
    t.equal("the hart that loads again", report.stop.hart, live.hart)
    report.mark.stack = stack_of_reader(t, report)
    judge(report, "stale-stack", pid=0, process="reader", verdict="panic", owner=2,
          why=("kernel-thread", "interrupts-off"))
    access(t, report, LOAD)
    t.equal("the address", hex(report.trap.stval), hex(live.x[10]))
    check_freed(t, report)
    return watch, frame


@case("not_overflow.freed_stack_remote", "A load from a freed stack that another hart had used", 2,
      "Unmapping is done only when every hart has fenced, not just the one that unmaps.")
def freed_stack_remote(t):
    watch, _ = freed_remotely(t, "provoke STALE_REMOTE")
    watch.panics()


@case("not_overflow.freed_stack_remote_6", "The same on the last of six harts", 2,
      "A fence of all harts reaches each of them, however many there are.")
def freed_stack_remote_6(t):
    watch, _ = freed_remotely(t, "provoke ON_HART 4 STALE_REMOTE", cpus=6)
    watch.panics()


@case("not_overflow.reused_frame_remote", "The same, after the frame got a new owner", 2,
      "Give a frame to a new owner only when every hart has fenced: one may still access it.")
def reused_frame_remote(t):
    watch, frame = freed_remotely(t, "provoke STALE_REMOTE frame")
    now = watch.guest.read_memory(frame.pa, PAGE)
    t.expect(now == NEW_FRAME, "the new owner's data in that frame", f"{now[:16].hex()}...")
    watch.panics()


@case("not_overflow.reused_slot_remote", "The same, after the slot got a new stack", 2,
      "Use an address again only when every hart has fenced: two harts may see two stacks there.")
def reused_slot_remote(t):
    t.proof()
    watch = t.boot("provoke STALE_REMOTE slot", cpus=2, icount=False)
    watch.mark()
    load = t.build.provoke("provoke_load")
    old = watch.guest.until(load)
    frame = old.table().lookup(old.x[10])
    watch.guest.until(load)  # again, from the same address
    now = watch.guest.until(load + 4)
    leaf = now.table().lookup(frame.va)
    t.expect(leaf and leaf.pa != frame.pa, "another frame behind that address",
             leaf.describe() if leaf else "no mapping")
    memory = watch.guest.read_memory
    t.equal("the new stack", memory(leaf.pa, PAGE) == NEW_STACK, True)
    t.equal("the old frame, which has another owner", memory(frame.pa, PAGE) == NEW_FRAME, True)
    t.equal("the byte that the other hart reads", hex(now.x[10]), hex(NEW_STACK[0]))
    watch.alive_until_end(0)


@case("not_overflow.slots_rest", "A freed slot is used again only after all others", 2,
      "Begin each search for a slot where the last one ended: stale pointers hit nothing for long.")
def slots_rest(t):
    t.proof()
    watch = t.boot("provoke REUSE_COUNT", mem=SMALL)
    mark = watch.mark()
    others = watch.guest.until(t.build.provoke("provoke_count")).x[10]
    live = len(mapped_stacks(watch.guest.at.table()))
    check_guarded(watch.guest.at.table(), mark.stack, "stack of a system call", born())
    slots = watch.guest.pages * PAGE // STACK
    t.expect(others >= slots * 9 // 10 - live, f"nearly {slots} slots in use before", others)
    watch.alive_until_end(0)


# --- addresses ------------------------------------------------------------------------------------


def address_fault(t, program, kind, scause, **options):
    return access(t, t.fault(program, kind, **options), scause)


@case("not_overflow.null", "A load through a null pointer", 1, "Leave page 0 unmapped.")
def null(t):
    trap = address_fault(t, "provoke ACCESS_NULL read", "null", LOAD)
    t.equal("the address", trap.stval, 0)


@case("not_overflow.null_far", "A store to the last byte that counts as null", 1,
      "Addresses below 4096 count as null: a null pointer to a structure, plus a member's offset.")
def null_far(t):
    trap = address_fault(t, "provoke ACCESS_NULL write 4095", "null", STORE)
    t.equal("the address", trap.stval, 4095)


@case("not_overflow.null_past", "A load from the first byte that does not count as null", 1,
      "Addresses below 4096 count as null; user memory begins there.")
def null_past(t):
    trap = address_fault(t, "provoke ACCESS_NULL read 4096", "user-access", LOAD)
    t.equal("the address", trap.stval, 4096)


@case("not_overflow.past_user", "Loads from the last byte of the user half and from just above", 1,
      "User addresses are those below 2^38; from there up to the kernel half there is nothing.")
def past_user(t):
    kinds = {USER_END - 1: "user-access", USER_END: "unmapped", (1 << 63) - 1: "unmapped"}
    tests = [f"ACCESS_NULL read {address:#x}" for address in kinds]
    for (_, pid, report), address in zip(each(t, *tests), kinds):
        judge(report, kinds[address], pid=pid, process="gradeuser")
        t.equal("the address", hex(access(t, report, LOAD).stval), hex(address))


def user_access(t, how):
    def look(report):
        leaf = report.table.lookup(report.trap.stval)
        t.expect(leaf and leaf.flags & (U | W) == U | W, "memory of the program at it",
                 leaf.describe() if leaf else "no mapping")

    report = t.fault(f"provoke ACCESS_USERSPACE {how}", "user-access", look=look)
    trap = access(t, report, store_or_load(how))
    t.expect(PAGE <= trap.stval < USER_END, "a user address", hex(trap.stval))
    t.equal("SUM in sstatus", trap.sstatus >> 18 & 1, 0)


@case("not_overflow.user_read", "A load from user memory without the user copy", 1,
      "Keep SUM clear except in the user copy; clear it in the trap entry.")
def user_read(t):
    user_access(t, "read")


@case("not_overflow.user_write", "A store to user memory without the user copy", 1,
      "Keep SUM clear except in the user copy; clear it in the trap entry.")
def user_write(t):
    user_access(t, "write")


def in_image(address):
    """The address in the image of a byte that is given there or in the direct map."""
    return address - DIRECT[0] - IMAGE_PA + IMAGE_BASE if address < DIRECT[1] else address


def read_only(t, test, direct, text):
    def look(report):
        address = report.trap.stval
        leaf, image = report.table.lookup(address), report.table.lookup(in_image(address))
        t.expect(leaf and not leaf.flags & W, "a page that is not writable",
                 leaf.describe() if leaf else "no mapping")
        t.expect(image and bool(image.flags & X) == text, "the same byte in the image",
                 image.describe() if image else "no mapping")

    report = t.fault(f"provoke {test} {'direct' if direct else ''}", "write-rodata", look=look)
    trap = access(t, report, STORE)
    t.equal("an address in the direct map", DIRECT[0] <= trap.stval < DIRECT[1], direct)
    t.equal("an address in provoke's code", PROVOKE <= in_image(trap.stval) < PROVOKE_END, text)


@case("not_overflow.rodata_write", "A store to constants", 1,
      "Constants are mapped read-only, in pages of their own.")
def rodata_write(t):
    read_only(t, "WRITE_RO", False, False)


@case("not_overflow.rodata_write_alias", "A store to constants by their address in the direct map",
      1, "Map as read-only in the direct map what is read-only in the image.")
def rodata_write_alias(t):
    read_only(t, "WRITE_RO", True, False)


@case("not_overflow.text_write_alias", "A store to code by its address in the direct map", 1,
      "Map as read-only in the direct map what is read-only in the image.")
def text_write_alias(t):
    read_only(t, "WRITE_KERN", True, True)


@case("not_overflow.jump_to_data", "A jump to data", 1, "Nothing but text is mapped with X.")
def jump_to_data(t):
    def look(report):
        leaf = report.table.lookup(report.trap.stval)
        t.expect(leaf and leaf.flags & W and not leaf.flags & X, "data there",
                 leaf.describe() if leaf else "no mapping")

    trap = t.fault("provoke EXEC_DATA", "exec-nx", look=look).trap
    t.equal("scause", trap.scause, FETCH)
    t.equal("sepc", hex(trap.sepc), hex(trap.stval))


@case("not_overflow.unmapped", "A load and a store where nothing is mapped", 1,
      "No guard, no stack, no user address and no mapping: the class is unmapped.")
def unmapped(t):
    for (_, pid, report), scause in zip(each(t, "UNMAPPED read", "UNMAPPED write 1"),
                                        (LOAD, STORE)):
        judge(report, "unmapped", pid=pid, process="gradeuser")
        trap = access(t, report, scause)
        t.expect(not report.table.lookup(trap.stval), "no mapping there", hex(trap.stval))


@case("not_overflow.exceptions", "An illegal instruction and a breakpoint", 1,
      "With a good sp, any trap that is no page fault is of class exception.")
def exceptions(t):
    for (_, pid, report), scause in zip(each(t, "ILLEGAL", "BREAKPOINT"), (ILLEGAL, BREAKPOINT)):
        judge(report, "exception", pid=pid, process="gradeuser")
        t.equal("scause", report.trap.scause, scause)
        t.expect(t.build.function(report.trap.sepc), "a fault in provoke", hex(report.trap.sepc))


# --- faults in user mode --------------------------------------------------------------------------

NO_REPORT = "A fault in user mode kills the process without a kernel report; the kernel goes on."


def user_faults_at_kernel(t, how, scause):
    """Each process that touches such an address in user mode faults there and is killed."""
    t.proof()
    mark, faults = user_faults(t, f"fault {how}")
    for address in [*stack_borders(mark.stack), *KERNEL_ADDRESSES]:
        t.expect((scause, address) in faults, f"a fault in user mode at {address:#x}",
                 f"{len(faults)} others")


@case("not_overflow.user_mode_reads", "Programs read kernel memory, stacks and guards", 1,
      NO_REPORT)
def user_mode_reads(t):
    user_faults_at_kernel(t, "read", LOAD)


@case("not_overflow.user_mode_writes", "Programs write to kernel memory, stacks and guards", 1,
      NO_REPORT)
def user_mode_writes(t):
    user_faults_at_kernel(t, "write", STORE)


@case("not_overflow.user_mode_jumps", "Programs jump to kernel memory, stacks and guards", 1,
      NO_REPORT)
def user_mode_jumps(t):
    user_faults_at_kernel(t, "jump", FETCH)


@case("not_overflow.user_stack", "A program overflows its user stack", 1,
      "The page below the user stack is a guard: kill the process, without a kernel report.")
def user_stack(t):
    t.proof()
    _, faults = user_faults(t, "overflow")
    t.expect(any(scause == STORE and 0 < stval < USER_END for scause, stval in faults[-1:]),
             "a store below the user stack as the last fault", faults[-1:])


# --- bad pointers in system calls -----------------------------------------------------------------

EFAULT = "Check the range of a user pointer, then use the user copy, which survives faults."


def pointers(t, kind):
    """Calls with pointers to the kernel, its stacks, guards and nowhere fail and do nothing."""
    t.proof()
    watch = t.boot(f"gradeuser pointers {kind}")
    stack = watch.mark().stack
    watched = [stack.lo, stack.hi - 8, IMAGE_BASE, PROVOKE]

    def contents():
        return [watch.guest.at.table().read_virtual(va, 8) for va in watched]

    before = contents()
    t.expect(verdict(watch) >= 20, "all bad pointers tried", watch.tail())
    t.equal("kernel memory that the pointers named", contents(), before)
    watch.alive_until_end(0)


@case("not_overflow.efault_read", "read to bad pointers", 1, EFAULT)
def efault_read(t):
    pointers(t, "read")


@case("not_overflow.efault_write", "write from bad pointers", 1, EFAULT)
def efault_write(t):
    pointers(t, "write")


@case("not_overflow.efault_closed", "After a bad pointer user memory is closed again", 2,
      "Clear SUM on every way out of the user copy, also after a fault.")
def efault_closed(t):
    report = t.fault("provoke COPY_LOW here 0", "exception")
    trap = report.trap
    t.equal("the trap in", t.build.function(trap.sepc), "provoke_copy")
    t.expect(trap.x[10], "an error code of the user copy", trap.x[10])
    faults = [fault for fault in report.traps if (fault.scause, fault.stval) == (STORE, 0)]
    t.expect(faults and faults[-1].sstatus & SUM, "a fault in the user copy before, with SUM set",
             " ".join(hex(fault.sstatus) for fault in faults))
    t.expect(not trap.sstatus & SUM, "SUM clear behind it", hex(trap.sstatus))


@case("not_overflow.copy_kernel", "A user copy with a bad kernel address", 2,
      "A user copy survives faults at the user's address only: any other fault is the kernel's.")
def copy_kernel(t):
    kinds = {"to lo-8": "guard-below", "from lo-1": "guard-below", "string hi": "guard-above",
             "to 0": "null", "from 0": "null", "from text": "write-rodata",
             f"to {DIRECT[1]:#x}": "unmapped"}
    for (_, pid, report), how in zip(each(t, *[f"COPY_KERNEL {how}" for how in kinds]), kinds):
        judge(report, kinds[how], pid=pid, process="gradeuser")
        t.equal("scause", report.trap.scause, LOAD if how.startswith("to") else STORE)


@case("not_overflow.efault_path", "Bad pointers as paths, in every call that takes one", 1, EFAULT)
def efault_path(t):
    pointers(t, "path")


@case("not_overflow.efault_exec", "Bad pointers in the arguments of exec", 1, EFAULT)
def efault_exec(t):
    pointers(t, "exec")


@case("not_overflow.efault_result", "Bad pointers for results: fstat, pipe, wait and others", 1,
      EFAULT)
def efault_result(t):
    pointers(t, "result")
