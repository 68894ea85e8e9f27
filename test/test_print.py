# SPDX-License-Identifier: MIT
"""A message of a hart that the host holds back in the middle, while another hart reports.

The debugger's stub makes both: it lets one hart run while the other does not.
"""

import sys

import guest
import pytest
from elftools.elf.elffile import ELFFile

sys.path.insert(0, str(guest.TOP / "test/grade"))

import machine  # noqa: E402

MESSAGE = b"The machine waits for the debugger.\n\0"  # any that is in the kernel
HELD_BACK = 2  # seconds


def message_address():
    with open(guest.KERNEL, "rb") as file:
        rodata = ELFFile(file).get_section_by_name(".rodata")
        return rodata["sh_addr"] + rodata.data().index(MESSAGE)


def call(vm, hart, function, result, argument=0):
    """Have the hart call a function that returns to result."""
    for number, value in ("ra", result), ("a0", argument), ("pc", function):
        vm.stub.write_register(hart, number, value)


def run_alone(vm, hart, to, seconds=machine.STUB_PATIENCE * guest.SCALE):
    """Let that hart run, and the other one not.  Returns whether it comes to the address."""
    vm.stub.set_breakpoint(to)
    vm.stub.resume(hart)
    stop = vm.stub.wait(seconds)
    if not stop:
        vm.stub.interrupt()
        vm.stub.wait(machine.STUB_PATIENCE)
    vm.stub.clear_breakpoint(to)
    return vm.stub.read_general(hart)[32] == to


@pytest.fixture
def vm(tmp_path):
    vm = machine.Guest(machine.Build(guest.BUILD), tmp_path / "log", program="sleep 1000", cpus=2,
                       icount=False)
    yield vm
    vm.close()


def test_report_waits_for_a_message(vm, symbols):
    end = symbols["print_end_report"]
    start = symbols["boot_secondary"]  # where a hart begins
    printer, reporter = vm.until(start).hart, vm.boot_hart
    assert run_alone(vm, reporter, symbols["syscall"])
    call(vm, printer, symbols["kprintf"], start, message_address())
    assert run_alone(vm, printer, symbols["format"])
    call(vm, reporter, symbols["print_begin_report"], end)
    assert not run_alone(vm, reporter, end, HELD_BACK)
    assert run_alone(vm, printer, start)
    assert MESSAGE[:-1].decode() in vm.output()
    assert run_alone(vm, reporter, end)
