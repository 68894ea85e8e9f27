# SPDX-License-Identifier: MIT
"""A page fault on memory that is mapped: a hart may have cached that it was not.

QEMU caches no invalid entries, so such a fault never comes by itself.  The debugger's stub makes
one: at an access that is in order, the hart gets what a fault would have left, and is sent to the
trap vector.
"""

import sys

import guest
import pytest

sys.path.insert(0, str(guest.TOP / "test/grade"))

import machine  # noqa: E402

LOAD = 13
SIE, SPIE, SPP = 1 << 1, 1 << 5, 1 << 8


def fault_at_load(vm, symbols, behind):
    """Run to a load, and make it fault.  behind: something was mapped since the hart has fenced.
    Returns the address loaded from."""
    stop = vm.until(symbols["provoke_load"])
    status = stop.csr("sstatus")
    assert status & SIE
    if behind:
        pa = symbols["generation"] - machine.IMAGE_BASE + machine.IMAGE_PA
        now = int.from_bytes(vm.stub.read_memory(pa, 8), "little")
        vm.stub.write_memory(pa, (now + 1).to_bytes(8, "little"))
    for name, value in (("sepc", stop.pc), ("scause", LOAD), ("stval", stop.x[10]),
                        ("sstatus", status & ~SIE | SPIE | SPP), ("pc", symbols["trap_entry"])):
        vm.write(stop, name, value)
    return stop.x[10]


@pytest.mark.parametrize("behind", [True, False])
def test_fault_on_mapped_memory(tmp_path, symbols, behind):
    """It is tried again, once for each change of the mappings; then it is reported."""
    program = "provoke STACK_GUARD_PAGE_LEADING read 0"
    vm = machine.Guest(machine.Build(guest.BUILD), tmp_path / "log", program=program)
    try:
        address = fault_at_load(vm, symbols, behind)
        if behind:
            again = vm.until(symbols["provoke_load"])
            assert again.x[10] == address and again.csr("sstatus") & SIE
        with pytest.raises(machine.Ended):
            while True:
                vm.go()
        output = vm.output()
    finally:
        vm.close()
    assert ("FAIL: STACK_GUARD_PAGE_LEADING survived" in output) == behind, output[-1500:]
    assert (f"class=unmapped pid=2 name=provoke hart=0 scause=0x{LOAD:x}" in output) != behind
    assert behind or f" stval={address:#x} " in output
