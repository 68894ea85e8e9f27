# SPDX-License-Identifier: MIT
"""Disk images in the format of xv6-riscv, written and read without this tree's mkfs or headers.

What is laid out is what the format says, in the way that the stock tool does it: files in a row,
the size of the root directory rounded up to the next whole block, even from a whole one.
"""

import struct

BLOCK = 1024
DIRECT = 12
MAGIC = 0x10203040
DIRECTORY, FILE, DEVICE = 1, 2, 3
INODE = struct.Struct("<hhhhI13I")


class Image:
    """gaps: unused blocks before the log, the inodes, the bitmap and the data."""

    def __init__(self, size=2000, ninodes=200, nlog=30, gaps=(0, 0, 0, 0)):
        self.size, self.ninodes, self.nlog = size, ninodes, nlog
        self.logstart = 2 + gaps[0]
        self.inodestart = self.logstart + nlog + gaps[1]
        self.bmapstart = self.inodestart + ninodes // 16 + 1 + gaps[2]
        self.next_block = self.bmapstart + size // 8192 + 1 + gaps[3]
        self.next_inode = 1
        self.nblocks = size - self.next_block
        self.data = bytearray(size * BLOCK)
        self.put(1, struct.pack("<8I", MAGIC, size, self.nblocks, ninodes, nlog, self.logstart,
                                self.inodestart, self.bmapstart))
        self.entries = {}  # of a directory, by its inode
        self.mkdir()

    def put(self, block, data):
        self.data[block * BLOCK:block * BLOCK + len(data)] = data

    def take_block(self):
        assert self.next_block < self.size
        self.next_block += 1
        return self.next_block - 1

    def put_inode(self, inum, kind, links, size, addrs, major=0):
        at = self.inodestart * BLOCK + inum * INODE.size
        INODE.pack_into(self.data, at, kind, major, 0, links, size, *addrs)

    def put_contents(self, data):
        """Store the bytes in new blocks; return the 13 addresses."""
        blocks = []
        indirect = 0
        for at in range(0, len(data), BLOCK):
            if len(blocks) == DIRECT:
                indirect = self.take_block()
            blocks.append(self.take_block())
            self.put(blocks[-1], data[at:at + BLOCK])
        rest = blocks[DIRECT:]
        if rest:
            self.put(indirect, struct.pack(f"<{len(rest)}I", *rest))
        return (blocks[:DIRECT] + [0] * DIRECT)[:DIRECT] + [indirect]

    def add(self, name, data, parent=1, kind=FILE, links=1, major=0):
        """Make a file; without a name nothing refers to it.  Returns its inode and addresses."""
        inum = self.next_inode
        assert inum < self.ninodes
        self.next_inode += 1
        addrs = self.put_contents(data)
        self.put_inode(inum, kind, links, len(data), addrs, major)
        if name:
            self.entries[parent].append((inum, name))
        return inum, addrs

    def mkdir(self, name=None, parent=1):
        """Without a name: the root.  Its contents are written at the end."""
        inum = self.next_inode
        self.next_inode += 1
        self.entries[inum] = [(inum, "."), (parent, "..")]
        if name:
            self.entries[parent].append((inum, name))
        return inum

    def finish(self, path):
        for inum, entries in self.entries.items():
            data = b"".join(struct.pack("<H14s", n, name.encode()) for n, name in entries)
            size = (len(data) // BLOCK + 1) * BLOCK if inum == 1 else len(data)
            links = 1 + sum(n in self.entries for n, _ in entries[2:])
            self.put_inode(inum, DIRECTORY, links, size, self.put_contents(data))
        for block in range(self.next_block):
            self.data[self.bmapstart * BLOCK + block // 8] |= 1 << block % 8
        path.write_bytes(self.data)
        return path


class Reader:
    """Read an image, whichever system wrote it."""

    def __init__(self, path):
        self.data = path.read_bytes()
        (magic, self.size, _, self.ninodes, _, self.logstart, self.inodestart,
         self.bmapstart) = struct.unpack_from("<8I", self.data, BLOCK)
        assert magic == MAGIC

    def word(self, block, index):
        return struct.unpack_from("<I", self.data, block * BLOCK + 4 * index)[0]

    def inode(self, inum):
        """Return type, links, size and addresses."""
        kind, _, _, links, size, *addrs = INODE.unpack_from(
            self.data, self.inodestart * BLOCK + inum * INODE.size)
        return kind, links, size, addrs

    def major(self, inum):
        return struct.unpack_from("<h", self.data,
                                  self.inodestart * BLOCK + inum * INODE.size + 2)[0]

    def contents(self, inum):
        _, _, size, addrs = self.inode(inum)
        data = b""
        for n in range((size + BLOCK - 1) // BLOCK):
            block = addrs[n] if n < DIRECT else self.word(addrs[DIRECT], n - DIRECT)
            data += self.data[block * BLOCK:(block + 1) * BLOCK] if block else bytes(BLOCK)
        return data[:size]

    def names(self, inum=1):
        """Return the inode of each name in the directory."""
        entries = struct.iter_unpack("<H14s", self.contents(inum))
        return {name.split(b"\0")[0].decode(): n for n, name in entries if n}

    def read(self, path):
        inum = 1
        for name in path.split("/"):
            inum = self.names(inum)[name]
        return self.contents(inum)

    def is_used(self, block):
        return self.data[self.bmapstart * BLOCK + block // 8] >> block % 8 & 1
