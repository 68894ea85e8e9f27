# SPDX-License-Identifier: MIT
"""An interrupt between a wild jump and the fault of its target: the kernel must not mind.

The moment is too short to be hit by running, so the debugger's stub makes it: as a timer interrupt
enters the kernel, sepc becomes what a wild jump would have made of it.
"""

import sys

import guest
import pytest

sys.path.insert(0, str(guest.TOP / "test/grade"))

import machine  # noqa: E402

TIMER = (1 << 63) + 5
SPP = 1 << 8


def interrupted(vm, symbols):
    """Run to the next interrupt of user mode by the timer.  Returns sepc."""
    while True:
        stop = vm.until(symbols["trap_entry"])
        if stop.csr("scause") == TIMER and not stop.csr("sstatus") & SPP:
            return stop.csr("sepc")


def jump_and_interrupt(log, symbols, program, target):
    """Run the program; at an interrupt of its endless loop set sepc.

    Returns exit code and output."""
    vm = machine.Guest(machine.Build(guest.BUILD), log, program=program)
    try:
        vm.until(symbols["trap_user"])
        before, sepc = None, 0
        while sepc != before:  # the program spins: nothing waits for the rest of it
            before, sepc = sepc, interrupted(vm, symbols)
        vm.write(vm.at, "sepc", target)
        try:
            while True:
                vm.go()
        except machine.Ended:
            return vm.code, vm.output()
    finally:
        vm.close()


@pytest.mark.parametrize("target", [0xFFFFFFFF80000000, 0xFFFFFFC080200000, 1 << 38, 0])
def test_from_user_mode(tmp_path, symbols, target):
    code, output = jump_and_interrupt(tmp_path / "log", symbols, "usertests kill-spinning", target)
    assert "panic" not in output, output[-1500:]
    assert "jump to where it may not execute" in output, output[-1500:]
    assert code is not None
