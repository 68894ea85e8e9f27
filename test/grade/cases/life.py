# SPDX-License-Identifier: MIT
"""For the lab `life` alone: stacks are used again, all harts fence for a batch of them, and what
other groups ask of stacks holds for a kernel that does so.

A kernel that never keeps a stack has nothing to erase, and nothing to drain.  So most cases here
first ask for what they are about: that stacks are kept, or that they are lazy.
"""

from cases import hygiene, not_overflow
from facts import expect, mapped_stacks
from gradeuser import SMALL, verdict
from suite import case

TURNS, STACKS = 12, 4  # processes in turn, and stacks that they may need
FENCES = 4  # for 300 children
MAPPED = 12  # of init and its child, of the idle hart, of kernel threads, and in the cache
KEEP = "Let kstack_free put a stack into this hart's cache, and kstack_alloc take it from there."
LAZY = "Let vmalloc_free put an area on the lazy list, and the 256th one drain the list."
DRAIN = "page_alloc calls each reclaimer before it fails: is one yours, for all harts' caches?"


def keeps(t):
    watch = t.boot("gradeuser secrets STACK_USE 256", mem=SMALL)
    stacks = {watch.mark().stack for _ in range(TURNS)}
    expect(len(stacks) <= STACKS, f"{TURNS} processes in turn on at most {STACKS} stacks",
           len(stacks))
    verdict(watch)
    watch.alive_until_end(0)


def is_lazy(t):
    counted(t, f"fences {FENCES}")


def counted(t, what, **machine):
    watch = t.boot(f"gradeuser life {what}", mem=SMALL, **machine)
    verdict(watch)
    watch.alive_until_end(0)


@case("life.reuses", "Processes in turn run on the same few stacks", hint=KEEP)
def reuses(t):
    t.given(keeps)


@case("life.clean", "A stack from the cache shows nothing of the process before", 1, hygiene.ERASE)
def clean(t):
    t.given(keeps)
    hygiene.reused(t)


@case("life.clean_deep", "A stack from the cache shows nothing that was left deep on it", 1,
      "Erase down to the deepest byte that was used, not to where sp stood in the end.")
def clean_deep(t):
    t.given(keeps)
    hygiene.deep(t)


@case("life.clean_sparse", "A stack from the cache shows nothing left below sparse frames", 1,
      "A run of zeros may be as long as the largest frame, and there may be data below it.")
def clean_sparse(t):
    t.given(keeps)
    hygiene.sparse(t)


@case("life.distrusted", "A victim's stack is not handed out with what was on it", 1,
      "After a fault sp may have jumped: is a distrusted stack cached?")
def distrusted(t):
    t.given(keeps)
    hygiene.victim(t)


@case("life.drained", "Memory of cached stacks comes back when memory is short", 1, DRAIN)
def drained(t):
    t.given(keeps)
    counted(t, "pages", append="kstack_cache=16", cpus=2, icount=False)


@case("life.account", "An account pays for each stack in use, new or used again, and no other", 1,
      "Charge for a cached stack as for a new one, and return that when it is freed.")
def account(t):
    t.given(keeps)
    counted(t, "account", append="kstack_cache=16")


@case("life.harts", "Processes on three harts fork at once", 1,
      "A place in a cache must change in one step: a drain and an interrupt come at any time.")
def harts(t):
    t.given(keeps)
    counted(t, "harts", cpus=3, icount=False)


@case("life.few_fences", f"At most {FENCES} fences of all harts for 300 processes", 1, LAZY)
def few_fences(t):
    t.given(is_lazy)


@case("life.unmapped", "A stack that is not kept is unmapped at once", 1,
      "Clear V in vmalloc_free: a stray pointer must fault while the stack is lazy.")
def unmapped(t):
    t.given(is_lazy)
    watch = t.boot("gradeuser life crowd", mem=SMALL)
    verdict(watch)
    left = len(mapped_stacks(watch.guest.at.table()))
    expect(left <= MAPPED, f"at most {MAPPED} stacks mapped when 40 processes have ended", left)
    watch.alive_until_end(0)


@case("life.lazy_drained", "Memory of lazy stacks comes back when memory is short", 1,
      "Let arena_drain release all that was on the list.")
def lazy_drained(t):
    t.given(is_lazy)
    counted(t, "pages", append="kstack_cache=0")


@case("life.stale", "A store to a lazy stack faults", 1,
      "Clear V at once, and fence before the frames and the slot are used again.")
def stale(t):
    t.given(is_lazy)
    not_overflow.freed_stack(t)


@case("life.stale_remote", "A load from a drained stack that another hart had used", 1,
      "One fence, but of all harts.")
def stale_remote(t):
    t.given(is_lazy)
    not_overflow.freed_stack_remote(t)


@case("life.frame_remote", "The same, after the frame got a new owner", 1,
      "Fence before you give back what was on the list, not after.")
def frame_remote(t):
    t.given(is_lazy)
    not_overflow.reused_frame_remote(t)


@case("life.slot_remote", "The same, after the slot got a new stack", 1,
      "Fence before you give back what was on the list, not after.")
def slot_remote(t):
    t.given(is_lazy)
    not_overflow.reused_slot_remote(t)
