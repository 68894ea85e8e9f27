# SPDX-License-Identifier: MIT
"""The report holds what the hardware handed over, to the last bit."""

import re

from facts import NAMES
from suite import case


def check_registers(t, report):
    """Each register in the frame, and in the text, is as it was when the trap came."""
    truth = dict(zip(NAMES, report.trap.words()))
    for name, value in truth.items():
        t.equal(f"{name} in the frame", hex(getattr(report.frame, name)), hex(value))
        shown = re.search(rf"(?<!\S){'pc' if name == 'sepc' else name} +0x([0-9a-f]+)\b",
                          report.text.split("Registers as at the fault:")[-1])
        t.expect(shown and int(shown[1], 16) == value, f"{name} {value:#x} in the report",
                 shown[0] if shown else "nothing")


@case("evidence.registers", "All registers, planted, with sp gone", 3,
      "Spill to struct hart what the check needs, and put it back before the frame is saved.")
def registers(t):
    report = t.fault("provoke REGISTERS", "wild-sp")
    t.equal("the fault at", report.trap.sepc, t.build.provoke("provoke_registers_fault"))
    check_registers(t, report)
