# SPDX-License-Identifier: MIT
"""The machine's memory, read from its file while the machine runs.

Nothing is locked, so what is read may be half written, or gone: then a read gives None or numbers
that fit nothing, and whoever asks looks again.
"""

import mmap
import struct

from sv39 import PAGE, R, V, X

READ_MAX = 1 << 20  # bytes at once: more is a size that makes no sense
RAM = 0x80000000  # of QEMU's virt machine
WORD = (1 << 64) - 1


class Unreadable(LookupError):
    """Nothing that can be read is there."""


class Memory:
    """file: an open file with the guest's RAM; layout: the numbers of vm/layout.h."""

    def __init__(self, file, size, layout):
        self.size = size
        self.ram = mmap.mmap(file, size, mmap.MAP_SHARED, mmap.PROT_READ)
        self.direct = layout["DIRECT_BASE"], layout["DIRECT_END"]
        self.image, self.image_pa = layout["IMAGE_BASE"], layout["IMAGE_PA"]
        self.image_end = self.image + layout["IMAGE_MAX"]
        self.user_end = layout["USER_END"]
        self.root = None  # where the kernel's page table lies, once there is one

    def physical(self, pa, size):
        """Return bytes of RAM, or None."""
        at = pa - RAM
        return self.ram[at:at + size] if 0 <= at <= self.size - size else None

    def offset(self, va):
        """Where in the file a kernel address lies, or None."""
        va &= WORD
        if self.direct[0] <= va < self.direct[1]:
            at = va - self.direct[0] - RAM
        elif self.image <= va < self.image_end:
            at = va - self.image + self.image_pa - RAM
        else:
            pa = self.walk(self.root, va) if self.root else None
            if pa is None:
                return None
            at = pa - RAM
        return at if 0 <= at < self.size else None

    def walk(self, root, va):
        """Translate by the page table whose root is at that physical address.  None: unmapped."""
        table = root
        for level in (2, 1, 0):
            at = table - RAM + (va >> 12 + 9 * level & 511) * 8
            if not 0 <= at <= self.size - 8:
                return None
            entry, = struct.unpack_from("<Q", self.ram, at)
            if not entry & V:
                return None
            frame = (entry >> 10 & (1 << 44) - 1) << 12
            if entry & (R | X):
                return frame + (va & (1 << 12 + 9 * level) - 1)
            table = frame
        return None

    def read(self, va, size, root=None):
        """Return bytes at a virtual address; of user mode in the table root.  Raises Unreadable."""
        if size > READ_MAX:
            raise Unreadable(f"Cannot read {size} bytes at once")
        parts, end, here = [], va + size, va
        while here < end:
            step = min(PAGE - here % PAGE, end - here)
            if here < self.user_end:
                pa = self.walk(root, here) if root else None
                at = None if pa is None else pa - RAM
            else:
                at = self.offset(here)
            if at is None or not 0 <= at <= self.size - step:
                raise Unreadable(f"Cannot access memory at address {here:#x}")
            parts.append(self.ram[at:at + step])
            here += step
        return b"".join(parts)

    def word(self, va):
        """Return the 8 bytes at a kernel address as a number, 0 if nothing is there."""
        at = self.offset(va)
        return struct.unpack_from("<Q", self.ram, at)[0] if at is not None and \
            at <= self.size - 8 else 0
