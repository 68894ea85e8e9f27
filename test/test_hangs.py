# SPDX-License-Identifier: MIT
"""Hangs: each kind ends in a report that says who waits, for what, and what each hart does.  What
only looks like a hang goes on."""

import fcntl
import os
import re
import signal
import subprocess
import threading
import time

import guest
import pytest

PANIC = 1
SOON = "hang=2"  # seconds for a spin lock; twice that for a hart, six times for a sleep lock


def harts_of(output):
    """What the report says of each hart: {index: (its line, its backtrace)}."""
    parts = re.findall(r"^Hart (\d+) runs (.*)\n((?:  .*\n)*)", output, re.MULTILINE)
    return {int(index): (line, trace) for index, line, trace in parts}


@pytest.mark.parametrize("cpus", [1, 3])
def test_spin_lock(boot, cpus):
    r = boot("provoke SPINLOCKUP", cpus=cpus, append=SOON)
    assert r.code == PANIC, r.explain()
    found = re.search(r"^Hart (\d), pid 2 \(provoke\), has waited for a spin lock for 2 s\.$",
                      r.output, re.MULTILINE)
    harts = harts_of(r.output)
    assert found and sorted(harts) == list(range(cpus)), r.explain()
    line, trace = harts[int(found[1])]
    assert line.startswith('pid 2 (provoke), waits for the spin lock "kept"')
    assert "spin_wait+" in trace and "provoke_spinlockup+" in trace and "-- user mode --" in trace
    others = "".join(line for line, _ in harts.values())
    if cpus == 1:
        assert line.endswith("which is taken but held by no hart:")
    else:
        assert 'keeper, holds "kept", and does not answer: its interrupts are off.' in others
        assert "thread_idle+" in "".join(trace for _, trace in harts.values())
    assert f"panic: hart {found[1]} hangs: spin-lock" in r.output


def test_hart_without_interrupts(boot):
    r = boot("provoke HARDLOCKUP", cpus=3, append=SOON)
    assert r.code == PANIC, r.explain()
    found = re.search(r"^Hart (\d), pid 2 \(provoke\), has taken no interrupt for 4 s\.$", r.output,
                      re.MULTILINE)
    harts = harts_of(r.output)
    assert found and sorted(harts) == [0, 1, 2], r.explain()
    assert harts.pop(int(found[1])) == (
        "pid 2 (provoke), and does not answer: its interrupts are off.", "")
    assert all("thread_idle+" in trace for _, trace in harts.values())


@pytest.mark.parametrize("cpus", [1, 3])
def test_hart_that_does_not_switch(boot, cpus):
    r = boot("provoke SOFTLOCKUP", cpus=cpus, append=SOON)
    assert r.code == PANIC, r.explain()
    found = re.search(
        r"^Hart (\d), pid 2 \(provoke\), has kept a ready thread waiting for 4 s\.$", r.output,
        re.MULTILINE)
    harts = harts_of(r.output)
    assert found and sorted(harts) == list(range(cpus)), r.explain()
    assert re.search(r"loop_deep\+.*\n.*loop_deep\+\w+  x\d\d", harts[int(found[1])][1])


@pytest.mark.parametrize("cpus", [1, 3])
def test_threads_that_wait_for_each_other(boot, cpus):
    """Both are reported, once, and the machine goes on."""
    r = boot("provoke HUNG_TASK 30", cpus=cpus, append=SOON, extra=["-icount", "shift=3,sleep=off"])
    assert r.code == 0, r.explain()
    for me, other, lock in (1, 2, "right"), (2, 1, "left"):
        assert r.output.count(f"thread philosopher-{me} has waited for a sleep lock for 12 s.") == 1
        assert re.search(rf'philosopher-{me} waits for the sleep lock "{lock}", held by kernel '
                         rf"thread philosopher-{other}:\n(  .*\n)*.*sleep_lock\+.*\n.*lock_both\+",
                         r.output)
    assert r.output.count("That is a deadlock") == 2
    assert sorted(harts_of(r.output)) == list(range(cpus))


SLOW = ["-icount", "shift=8"]  # 20 seconds of the guest in a quarter of a second of the host's


@pytest.mark.parametrize("words", ["hang=1 hang=0", "gdb"])
def test_not_watched(boot, words):
    """With gdb a debugger may hold harts back."""
    r = boot("provoke SPINLOCKUP", append=words, cpu_limit=3, extra=SLOW)
    assert r.stopped.startswith("timeout"), r.explain()
    assert "hangs" not in r.output


def test_default_limit(boot):
    """20 seconds, and that long comes within what the test above waits."""
    r = boot("provoke SPINLOCKUP", cpu_limit=3, extra=SLOW)
    assert r.code == PANIC and "has waited for a spin lock for 20 s." in r.output, r.explain()


def test_limit_must_be_a_number(boot):
    r = boot("true", append="hang=soon")
    assert r.code == PANIC and "panic: hang=soon: must be a number from 0 to 3600" in r.output


def test_idle_is_no_hang(boot):
    """Neither are a thread that only sleeps, and harts that have nothing to do."""
    r = boot("sleep 100", cpus=3, append=SOON)
    assert r.code == 0 and "hangs" not in r.output, r.explain()


@pytest.mark.long
@pytest.mark.parametrize("cpus", [3, 8])
def test_time_that_jumps_is_no_hang(cpus):
    """A machine that stands still, as a stopped process, while its clock goes on.  More harts than
    the host has processors wait for each other, too."""
    words = guest.arguments(cpus=cpus, append=f"{SOON} -- usertests -q pipe- fork-")
    qemu = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, preexec_fn=guest.die_with_parent)
    reader = threading.Thread(target=lambda: output.append(qemu.stdout.read()))
    output = []
    reader.start()
    while qemu.poll() is None:
        time.sleep(1)
        qemu.send_signal(signal.SIGSTOP)
        time.sleep(6)
        qemu.send_signal(signal.SIGCONT)
    reader.join()
    assert qemu.returncode == 0 and b"ALL TESTS PASSED" in output[0], output[0][-2000:]
    assert b" hangs" not in output[0]


# --- LOCKDEP=y -----------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def kernel():
    return guest.build_variant("lockdep", "LOCKDEP=y", "KASAN=n")


@pytest.mark.parametrize("word, locks, orders", [
    ("", "two one", ["one two first take_two", "two one now take_two"]),
    ("ring", "three one", ["one two first take_two", "two three first take_two",
                           "three one now take_two"]),
    ("back", "three one", ["one two first take_two", "two three first take_two",
                           "three one now take_two"]),
    ("same", "one one", ["one one now take_two"]),
    ("sleep", "right left", ["left right first take_two_asleep",
                             "right left now take_two_asleep"]),
])
@pytest.mark.parametrize("cpus", [1, 3])
def test_lock_order(boot, kernel, word, locks, orders, cpus):
    """The locks, and for each order that makes the ring where it was learned."""
    r = boot(f"provoke LOCK_ORDER {word}".strip(), kernel=kernel, cpus=cpus)
    assert r.code == PANIC, r.explain()
    held, taken = locks.split()
    kind = "sleep" if word == "sleep" else "spin"
    assert f'The {kind} lock "{taken}" is taken with "{held}" held. ' in r.output, r.explain()
    assert f'panic: lockdep: the order of "{held}" and "{taken}" is not always the same' in r.output
    shown = re.findall(r'^  "(.*)", then "(.*)", (first|now) (?:taken )?in:\n((?:    .*\n)+)',
                       r.output, re.MULTILINE)
    assert [f"{a} {b} {when} {order.split()[3]}" for (a, b, when, _), order in zip(shown, orders)] \
        == orders, r.explain()
    for (_, _, _, trace), order in zip(shown, orders):
        assert re.search(r"(take_two(_asleep)?|provoke_lock_order)\+0x\w+\n", trace), order
        assert "crash_write+" in trace


@pytest.mark.parametrize("command, what", [
    ("LOCK_SLEEP", "A thread is about to sleep"),
    ("LOCK_SLEEP yield", "A thread is about to sleep"),
    ("LOCK_INTERRUPT", "Interrupts come on"),
    ("LOCK_INTERRUPT early", "Interrupts come on"),
])
def test_spin_lock_held(boot, kernel, command, what):
    r = boot(f"provoke {command}", kernel=kernel)
    assert r.code == PANIC, r.explain()
    function = "provoke_" + command.split()[0].lower()
    assert re.search(rf'^{what} with the spin lock "one" held\.\n  Taken in {function}\+0x',
                     r.output, re.MULTILINE), r.explain()
    assert f'panic: lockdep: {what} with "one" held' in r.output


def test_sleep_in_interrupt(boot, kernel):
    r = boot("provoke IN_INTERRUPT HUNG_TASK 1", kernel=kernel)
    assert r.code == PANIC, r.explain()
    assert "panic: lockdep: an interrupt handler is about to sleep" in r.output


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 3])
def test_kernel_keeps_its_order(boot, kernel, tmp_path, cpus):
    """usertests reach most of the kernel, and what they reach takes its locks in one order."""
    image = tmp_path / "fs.img"
    image.write_bytes(guest.IMAGE.read_bytes())
    r = boot("usertests -q", kernel=kernel, cpus=cpus, image=f"{image},snapshot=off", cpu_limit=400)
    assert r.code == 0 and "lockdep" not in r.output, r.explain()


def test_stopped_terminal():
    """A hart that prints a report to a terminal stopped with ^S waits as long as that, and so do
    those that want to print.  That is no hang."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ: less than two reports
    qemu = subprocess.Popen(guest.arguments(cpus=3, append="hang=1"), stdin=subprocess.PIPE,
                            stdout=writer, preexec_fn=guest.die_with_parent)
    os.close(writer)
    output, more = b"", b"x"
    try:
        while b"$ " not in output and more:
            more = os.read(reader, 4096)
            output += more
        qemu.stdin.write(b"provoke EXHAUST_STACK\n" * 4)
        qemu.stdin.flush()
        before = guest.cpu_seconds(qemu.pid)
        while guest.cpu_seconds(qemu.pid) - before < 10:  # three harts: more than 2 s of the guest
            time.sleep(0.2)
        while output.count(b"verdict=killed") < 4 and more:
            more = os.read(reader, 4096)
            output += more
    finally:
        qemu.kill()
        qemu.communicate()
        os.close(reader)
    assert more and b"panic" not in output, output.decode(errors="replace")[-2500:]
