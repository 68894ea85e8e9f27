# SPDX-License-Identifier: MIT
"""From one owner of a stack to the next, and in interrupt handlers."""

import pytest


@pytest.mark.parametrize("used", [16, 1024, 5000, 13000])
def test_next_thread(boot, used):
    """A dead thread's stack is there for the next one as soon as it has been left, all zeros."""
    r = boot(f"provoke REUSE_STACK {used}")
    assert "from one thread to the next, all zeros" in r.output, r.explain()


def test_next_thread_without_cache(boot):
    """Without a cache it is not: another one is mapped."""
    r = boot("provoke REUSE_STACK", append="kstack_cache=0")
    assert "FAIL: the stack of the thread that ended is not there" in r.output, r.explain()


@pytest.mark.parametrize("cache", [0, 2])
@pytest.mark.parametrize("at_once", [3, 600, 1000000])
@pytest.mark.parametrize("cpus", [1, 3])
def test_in_interrupts(boot, cpus, at_once, cache):
    """In a real handler: from and to the cache; enough to fence all harts; all memory there is."""
    r = boot(
        f"provoke STACK_IRQ {at_once}", cpus=cpus, mem="64M", append=f"kstack_cache={cache}"
    )
    assert "interrupt handlers" in r.output and "FAIL" not in r.output, r.explain()


@pytest.mark.parametrize("cache", [0, 16])
def test_cache_sizes(boot, cache):
    """Processes come and go with any size of cache."""
    tests = "fork-exit fork-tree fork-bomb orphans alloc-fork alloc-full alloc-interrupts"
    r = boot(f"usertests {tests}", cpus=3, append=f"kstack_cache={cache}")
    assert r.code == 0, r.explain()
