# SPDX-License-Identifier: MIT
"""Which function and which line of the student's source an address of the kernel is in.

For people alone: the symbols and the lines are the kernel's own, so no verdict rests on them.
Whatever is missing here, a tool or the lines themselves, leaves an address without its name.
"""

import bisect
import os
import re
import shutil
import subprocess

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from machine import IMAGE_BASE

IMAGE_END = IMAGE_BASE + (64 << 20)
# Of GNU the cross compiler's comes with it; each reads any kernel that carries DWARF.
CROSSES = ("riscv64-unknown-elf-", "riscv64-linux-gnu-", "riscv64-elf-", "llvm-")
SECONDS = 10  # of wall time for the tool
SYMBOLS_MAX = 100_000
NAME = re.compile(r"[A-Za-z_][\w.$]{0,99}")
SOURCE = re.compile(r".*(?:^|/)((?:boot|trap|kern|vm)/[\w./-]{1,99}:[1-9]\d{0,8})\b")


def in_image(address):
    return IMAGE_BASE <= address < IMAGE_END


def find_tool():
    for prefix in (os.environ.get("CROSS", ""), *CROSSES):
        if prefix and shutil.which(f"{prefix}addr2line"):
            return f"{prefix}addr2line"
    return None


class Places:
    """Of one kernel.  confine: what the tool's process calls first, user: as whom it runs; a
    submission's kernel is nothing to read with rights of one's own."""

    def __init__(self, kernel, confine=None, user=None):
        self.kernel, self.confine, self.user = kernel, confine, user
        self.table = None  # [(address, name)], sorted; read when first asked for
        self.lines = {}  # what the tool has said, by address
        self.tool = find_tool()

    def symbols(self):
        if self.table is None:
            try:
                with open(self.kernel, "rb") as file:
                    section = ELFFile(file).get_section_by_name(".symtab")
                    self.table = sorted(
                        (s["st_value"], s.name) for _, s in zip(range(SYMBOLS_MAX),
                                                                section.iter_symbols())
                        if in_image(s["st_value"]) and NAME.fullmatch(s.name))
            except (OSError, ELFError, ValueError, AttributeError, TypeError):
                self.table = []
        return self.table

    def name(self, address):
        """Return function+0xOFFSET, or ''."""
        table = self.symbols()
        at = bisect.bisect_right(table, (address, "\x7f")) if in_image(address) else 0
        if not at:
            return ""
        start, name = table[at - 1]
        return f"{name}+{address - start:#x}"

    def look_up(self, addresses):
        """Ask the tool about all of them that are new, at once."""
        new = sorted({a for a in addresses if in_image(a) and a not in self.lines})
        if not new or not self.tool:
            return
        self.lines.update(dict.fromkeys(new, ""))
        user = {} if self.user is None else {"user": self.user, "group": self.user,
                                             "extra_groups": []}
        try:
            done = subprocess.run(
                [self.tool, "-e", str(self.kernel)], input="".join(f"{a:#x}\n" for a in new),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace",
                timeout=SECONDS, preexec_fn=self.confine, check=False, **user)
        except (OSError, ValueError, subprocess.SubprocessError):
            self.tool = None
            return
        for address, line in zip(new, done.stdout.splitlines()):
            found = SOURCE.match(line)
            self.lines[address] = found[1] if found else ""

    def source(self, address):
        """Return FILE:LINE, or ''."""
        self.look_up([address])
        return self.lines.get(address, "")

    def describe(self, address):
        """Return the function, with its source if that is known; or ''."""
        name, source = self.name(address), self.source(address)
        return f"{name} ({source})" if name and source else name
