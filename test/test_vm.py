# SPDX-License-Identifier: MIT
"""The address space: the self-check finds what is planted, and a fence reaches every hart."""

import re

import guest
import pytest


@pytest.mark.parametrize("cpus", [1, 3])
def test_check(boot, cpus):
    r = boot("provoke VM_CHECK", cpus=cpus)
    assert "the address space is as it must be" in r.output, r.explain()
    assert r.code == 0, r.explain()


@pytest.mark.parametrize(
    "spoil, offset, words",
    [
        ("guard", guest.GUARD - guest.PAGE, "is a guard or free, and mapped"),
        ("above", 0, "is a guard or free, and mapped"),
        ("exec", guest.GUARD, "is writable and executable"),
        ("user", guest.GUARD, "is open to user mode"),
        ("alias", guest.GUARD, "is a writable alias of text or rodata"),
    ],
)
def test_violation(boot, spoil, offset, words):
    r = boot(f"provoke VM_CHECK {spoil}")
    assert r.code not in (0, None), r.explain()
    found = re.search(r"panic: address space: (0x[0-9a-f]+) " + words, r.output)
    assert found, r.explain()
    address = int(found[1], 16)
    assert guest.WINDOW[0] <= address < guest.WINDOW[1]
    assert address % guest.SLOT == offset


def test_violation_in_a_users_page_table(boot):
    r = boot("provoke VM_CHECK root")
    assert r.code not in (0, None), r.explain()
    assert re.search(r"panic: address space: root entry 511 of page table", r.output), r.explain()


def test_missing_table(boot):
    """A table of the stack window is not in the page table (docs/vmap-stack.md, 2)."""
    r = boot("provoke VM_CHECK table")
    assert r.code not in (0, None), r.explain()
    found = re.search(r"panic: address space: (0x[0-9a-f]+) is not translated by the arena's own "
                      r"table", r.output)
    assert found and guest.WINDOW[0] <= int(found[1], 16) < guest.WINDOW[1], r.explain()


def test_missing_fault_stack(boot):
    """A hart's emergency stack is another thread's stack (docs/vmap-stack.md, 3)."""
    r = boot("provoke VM_CHECK emergency", cpus=2)
    assert r.code not in (0, None), r.explain()
    assert "panic: hart 1 has no emergency stack: " in r.output, r.explain()


def test_window_smaller_than_memory(boot):
    """More memory than the window has stacks for (docs/vmap-stack.md, 1)."""
    r = boot("true", mem="9G")
    assert r.code not in (0, None), r.explain()
    assert "9216 MiB of RAM could hold 589824 kernel stacks, the window 524288" in r.output


@pytest.mark.parametrize("reuse", ["", " frame"])
def test_remote_fence(boot, symbols, reuse):
    """A hart that has a freed stack in its translation cache must not reach it any more, nor what
    its frame is used for next."""
    r = boot(f"provoke STALE_REMOTE{reuse}", cpus=3)
    assert "FAIL" not in r.output, r.explain()
    assert r.code not in (0, None), r.explain()
    [record] = r.records
    assert record["class"] == "stale-stack" and record["why"] == "kernel-thread"
    assert record["sepc"] == symbols.by_name["provoke_load"]


def test_remote_fence_and_a_new_stack(boot):
    """When the slot has a new stack, that is what the other hart finds there."""
    r = boot("provoke STALE_REMOTE slot", cpus=3)
    assert r.code == 0 and "FAIL" not in r.output, r.explain()


def test_new_stack_elsewhere(boot):
    """A hart meets a stack that is newer than its last fence; the switch asserts that it fences."""
    r = boot("provoke NEW_REMOTE", cpus=3)
    assert r.code == 0 and "FAIL" not in r.output, r.explain()
