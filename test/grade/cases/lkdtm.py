# SPDX-License-Identifier: MIT
"""Tests of Linux's lkdtm, by name, as far as they make sense here.  docs/lkdtm.md has the table."""

from facts import FETCH, LOAD, STORE
from machine import PROVOKE, PROVOKE_END
from suite import case
from sv39 import PAGE, U, W, X

NX = "Nothing but text is mapped with X."


def describe(leaf):
    return leaf.describe() if leaf else "no mapping"


def run(t, name, kind, scause, inside=None):
    """One test, as `echo NAME > /crash` runs it.  inside: what provoke's function is called."""
    report = t.fault(f"provoke {name}", kind)
    t.equal("scause", report.trap.scause, scause)
    if inside:
        t.equal("the fault in", t.build.function(report.trap.sepc), inside)
    return report


def jump(t, name, kind="exec-nx", has=0, lacks=0):
    """A jump to where no code is.  The page there has these flags and lacks those."""
    def look(report):
        leaf = report.table.lookup(report.trap.stval)
        t.expect(leaf and leaf.flags & has == has and not leaf.flags & lacks,
                 f"what {name} jumps to at {report.trap.stval:#x}", describe(leaf))

    report = t.fault(f"provoke {name}", kind, look=look if has or lacks else None)
    t.equal("scause", report.trap.scause, FETCH)
    t.equal("sepc", hex(report.trap.sepc), hex(report.trap.stval))
    return report


# --- bugs.c ---------------------------------------------------------------------------------------


@case("lkdtm.exhaust_stack", "EXHAUST_STACK", 1,
      "Check sp and the room for a frame before the trap entry stores anything through sp.")
def exhaust_stack(t):
    run(t, "EXHAUST_STACK", "overflow", STORE, "recurse")


@case("lkdtm.corrupt_stack", "CORRUPT_STACK", 1,
      "A return to nowhere ends the process: sepc may be anything, so do not read code there.")
def corrupt_stack(t):
    report = jump(t, "CORRUPT_STACK", "unmapped")
    t.equal("the return address", hex(report.trap.stval), "0x6161616161616160")


@case("lkdtm.stack_guard_page_leading", "STACK_GUARD_PAGE_LEADING", 1,
      "sp is good: classify by sp before stval.")
def stack_guard_page_leading(t):
    report = run(t, "STACK_GUARD_PAGE_LEADING", "guard-below", LOAD, "provoke_load")
    t.equal("the address", report.trap.stval, report.mark.stack.lo - 1)


@case("lkdtm.stack_guard_page_trailing", "STACK_GUARD_PAGE_TRAILING", 1,
      "The guard above a stack is the lower half of the next slot.")
def stack_guard_page_trailing(t):
    report = run(t, "STACK_GUARD_PAGE_TRAILING", "guard-above", LOAD, "provoke_load")
    t.equal("the address", report.trap.stval, report.mark.stack.hi)


# --- perms.c --------------------------------------------------------------------------------------


@case("lkdtm.exec_data", "EXEC_DATA", 1, NX)
def exec_data(t):
    jump(t, "EXEC_DATA", has=W, lacks=X | U)


@case("lkdtm.exec_stack", "EXEC_STACK", 1, "Stacks are mapped without X.")
def exec_stack(t):
    report = jump(t, "EXEC_STACK", has=W, lacks=X | U)
    stack, address = report.mark.stack, report.trap.stval
    t.expect(stack.lo <= address < stack.hi, f"a jump to {stack}", hex(address))


@case("lkdtm.exec_kmalloc", "EXEC_KMALLOC", 1, "The direct map never has X.")
def exec_kmalloc(t):
    jump(t, "EXEC_KMALLOC", has=W, lacks=X | U)


@case("lkdtm.exec_vmalloc", "EXEC_VMALLOC", 1, NX)
def exec_vmalloc(t):
    jump(t, "EXEC_VMALLOC", has=W, lacks=X | U)


@case("lkdtm.exec_rodata", "EXEC_RODATA", 1, "Constants get pages of their own, without X.")
def exec_rodata(t):
    jump(t, "EXEC_RODATA", lacks=W | X | U)


@case("lkdtm.exec_userspace", "EXEC_USERSPACE", 1,
      "Code in a page with U never runs in supervisor mode; the fault is user-access.")
def exec_userspace(t):
    jump(t, "EXEC_USERSPACE", "user-access", has=U | X)


@case("lkdtm.exec_null", "EXEC_NULL", 1, "Leave page 0 unmapped, or at least without the kernel.")
def exec_null(t):
    t.equal("sepc", jump(t, "EXEC_NULL", "null").trap.sepc, 0)


@case("lkdtm.access_userspace", "ACCESS_USERSPACE", 1, "Keep SUM clear but in the user copy.")
def access_userspace(t):
    report = run(t, "ACCESS_USERSPACE", "user-access", LOAD, "provoke_load")
    t.expect(report.trap.stval >= PAGE, "a user address", hex(report.trap.stval))


@case("lkdtm.access_null", "ACCESS_NULL", 1, "Leave page 0 unmapped.")
def access_null(t):
    t.equal("stval", run(t, "ACCESS_NULL", "null", LOAD, "provoke_load").trap.stval, 0)


@case("lkdtm.write_ro", "WRITE_RO", 1, "Constants are mapped read-only.")
def write_ro(t):
    run(t, "WRITE_RO", "write-rodata", STORE, "provoke_store")


@case("lkdtm.write_kern", "WRITE_KERN", 1, "Code is mapped without W.")
def write_kern(t):
    trap = run(t, "WRITE_KERN", "write-rodata", STORE, "provoke_store").trap
    t.expect(PROVOKE <= trap.stval < PROVOKE_END, "an address in the code", hex(trap.stval))


# --- heap.c ---------------------------------------------------------------------------------------


@case("lkdtm.vmalloc_linear_overflow", "VMALLOC_LINEAR_OVERFLOW", 1,
      "Leave a page unmapped behind each area of the vmalloc window.")
def vmalloc_linear_overflow(t):
    run(t, "VMALLOC_LINEAR_OVERFLOW", "unmapped", STORE, "provoke_store")
