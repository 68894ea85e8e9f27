# SPDX-License-Identifier: MIT
"""Page tables as the hardware sees them: a walk of Sv39 over physical memory.

RISC-V privileged 4.4.
"""

import struct
from dataclasses import dataclass

PAGE = 4096
V, R, W, X, U, G, A, D = (1 << i for i in range(8))
NAMES = "VRWXUGAD"
TABLES_MAX = 4096  # tables on one walk: a guest may make a maze of them


class Maze(Exception):
    """A page table of more tables than anyone needs."""


@dataclass(frozen=True)
class Leaf:
    va: int
    pa: int
    size: int
    flags: int

    def describe(self):
        letters = "".join(c if self.flags >> i & 1 else "-" for i, c in enumerate(NAMES))
        return f"{letters} at {self.va:#x}"


def canonical(va):
    return va | ~((1 << 39) - 1) & (1 << 64) - 1 if va >> 38 & 1 else va


class PageTable:
    """One page table, as it stands while the machine is stopped."""

    def __init__(self, read, satp):
        """read(pa, size) returns bytes of physical memory or None; satp is the register."""
        self.read = read
        self.root = (satp & (1 << 44) - 1) << 12
        self.paging = satp >> 60 == 8
        self.cache = {}
        self.left = 0  # tables that the walk may still meet

    def entries(self, pa):
        if pa not in self.cache:
            data = self.read(pa, PAGE)
            self.cache[pa] = struct.unpack("<512Q", data) if data else (0,) * 512
        return self.cache[pa]

    def lookup(self, va):
        """Return the leaf that translates va, or None."""
        va &= (1 << 64) - 1
        if not self.paging or canonical(va & (1 << 39) - 1) != va:
            return None
        table = self.root
        for level in (2, 1, 0):
            shift = 12 + 9 * level
            pte = self.entries(table)[va >> shift & 511]
            leaf = self.as_leaf(pte, va >> shift << shift, 1 << shift)
            if leaf:
                return leaf
            if not pte & V or pte & (R | W | X):
                return None
            table = pte >> 10 << 12 & (1 << 56) - 1
        return None

    @staticmethod
    def as_leaf(pte, va, size):
        """Return the leaf of that entry, or None: it is no leaf, or not a valid one."""
        if not pte & V or not pte & (R | X) or pte & (R | W) == W:
            return None
        pa = (pte >> 10 & (1 << 44) - 1) << 12
        if pa & (size - 1):
            return None  # a misaligned superpage faults
        return Leaf(va, pa, size, pte & 0xFF)

    def translate(self, va):
        leaf = self.lookup(va)
        return None if leaf is None else leaf.pa + (va & (1 << 64) - 1) - leaf.va

    def leaves(self, start, end):
        """Iterate over the leaves that lie in [start, end)."""
        self.left = TABLES_MAX
        if self.paging:
            yield from self.walk(self.root, 2, 0, start, end)

    def walk(self, table, level, base, start, end):
        size = 1 << 12 + 9 * level
        self.left -= 1
        if self.left < 0:
            raise Maze()
        for i, pte in enumerate(self.entries(table)):
            va = base + i * size
            if level == 2:
                va = canonical(va)
            if not pte & V or va + size <= start or va >= end:
                continue
            leaf = self.as_leaf(pte, va, size)
            if leaf:
                yield leaf
            elif level and not pte & (R | W | X):
                yield from self.walk(pte >> 10 << 12 & (1 << 56) - 1, level - 1, va, start, end)

    def read_virtual(self, va, size):
        """Return bytes at a virtual address, or None if some of them are not mapped."""
        data = b""
        while len(data) < size:
            at = va + len(data)
            step = min(PAGE - at % PAGE, size - len(data))
            pa = self.translate(at)
            part = None if pa is None else self.read(pa, step)
            if part is None:
                return None
            data += part
        return data
