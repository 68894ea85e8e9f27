# SPDX-License-Identifier: MIT
"""fsck: each kind of damage, one by one, gives exactly its complaint.  test/host/test_fsck.c has
the hostile images."""

import json
import os
import re
import shutil
import struct
import subprocess

import guest
import pytest
from xv6image import BLOCK, DEVICE, Image, Reader

KINDS = set(re.findall(r'\b(?:problem|note)\(\s*(?:i \? )?"([\w-]+)"',
                       (guest.TOP / "user/fsck.c").read_text())) | {"dot"}
FILE, BIG, DIR, INNER, DEEP, CONSOLE = 2, 3, 4, 5, 6, 7


class Disk(Image):
    """/file (also /d/link), /big, /d, /d/e, /d/e/deep and /console."""

    def __init__(self, **geometry):
        super().__init__(**{"size": 300, "ninodes": 64, **geometry})
        self.pokes = []
        number, (self.file, *_) = self.add("file", b"short", links=2)
        assert number == FILE
        self.big = self.add("big", bytes(range(256)) * 80)[1]
        assert self.mkdir("d") == DIR and self.mkdir("e", DIR) == INNER
        self.entries[DIR].append((FILE, "link"))
        self.add("deep", b"", INNER)
        self.add("console", b"", kind=DEVICE, major=1)

    def later(self, offset, layout, *values):
        """Overwrite when all the rest is there: offset is a number, or of the image as it is."""
        self.pokes.append((offset, layout, values))

    def inode(self, inum, field, layout, *values):
        self.later(self.inodestart * BLOCK + inum * 64 + field, layout, *values)

    def super(self, word, value):
        self.later(BLOCK + 4 * word, "<I", value)

    def log(self, n, *homes):
        self.later(self.logstart * BLOCK, f"<{1 + len(homes)}I", n, *homes)

    def entry(self, directory, i, inum=None, name=None):
        """Change an entry: its inode, its name, or both."""
        place = lambda disk: disk.inode(directory)[3][0] * BLOCK + i * 16  # noqa: E731
        if inum is not None:
            self.later(place, "<H", inum)
        if name is not None:
            self.later(lambda disk: place(disk) + 2, "<14s", name)

    def unmark(self, block):
        self.later(lambda disk: ("clear", block), None)

    def mark(self, block):
        self.later(lambda disk: ("set", block), None)

    def finish(self, path):
        super().finish(path)
        data = bytearray(path.read_bytes())
        reader = Reader(path)
        for offset, layout, values in self.pokes:
            offset = offset(reader) if callable(offset) else offset
            if layout:
                struct.pack_into(layout, data, offset, *values)
                continue
            at, bit = self.bmapstart * BLOCK + offset[1] // 8, 1 << offset[1] % 8
            data[at] = data[at] & ~bit | (bit if offset[0] == "set" else 0)
        path.write_bytes(data)
        return path


def block_of(inum, index=0):
    return lambda disk: disk.inode(inum)[3][index]


DAMAGE = []


def damage(kinds, *texts, notes="", **geometry):
    """The function damages a disk.  fsck then makes complaints of these kinds, in this order, and
    says these texts; `notes` are kinds of what is no damage."""
    def add(function):
        DAMAGE.append(pytest.param(function, kinds.split(), notes.split(), texts, geometry,
                                   id=function.__name__))
        return function
    return add


@damage("super-size", "superblock: 1300 blocks, but the image has only 300")
def size_of_superblock(disk):
    disk.super(1, 1300)


@damage("super-log", "superblock: a log of 14 blocks; a transaction needs 15")
def small_log(disk):
    disk.super(4, 14)


@damage("super-log", "is not between block 1 and the inodes at 32")
def log_over_inodes(disk):
    disk.super(4, 31)


@damage("super-inodes", "superblock: 1 inodes, and the root is number 1")
def no_inodes(disk):
    disk.super(3, 1)


@damage("super-inodes", "superblock: 4294967295 inodes from block 32 reach the bitmap at 37")
def many_inodes(disk):
    disk.super(3, 0xFFFFFFFF)


@damage("super-data", "superblock: 300 of 300 blocks are for data; the bitmap at 37")
def all_data(disk):
    disk.super(2, 300)


@damage("super-data", "the bitmap at 299 leaves no room")
def bitmap_at_end(disk):
    disk.super(7, 299)


@damage("log-header", "log: the header says 30 blocks, and 29 have room")
def log_too_long(disk):
    disk.log(30)


@damage("log-header", "log: the header names 128 blocks in two sectors", size=600, nlog=200)
def log_of_two_sectors(disk):
    disk.log(128, *range(300, 428))


@damage("log-block log-block", "log: it has a copy of block 1, which", "copy of block 300, which")
def log_anywhere(disk):
    disk.log(3, 1, 200, 300)


@damage("super-data", "0 blocks are for data; a mount takes all behind the bitmap, from 38")
def no_data(disk):
    disk.super(2, 0)


@damage("super-data block-free", "a mount takes all", "block 38: marked free, but /file (inode 2)")
def no_data_and_more(disk):
    disk.super(2, 0)
    disk.unmark(38)


@damage("super-data", "superblock: 0 of 37 blocks are for data; the bitmap at 37 leaves no room")
def no_room_for_data(disk):
    disk.super(1, 37)
    disk.super(2, 0)


@damage("log-twice", "log: it has two copies of block 250; the later one counts",
        notes="log")
def log_twice(disk):
    disk.log(2, 250, 250)


@damage("", "log: committed and not yet in place, the next mount installs them: blocks 250 251",
        notes="log")
def committed(disk):
    disk.log(2, 250, 251)


@damage("", notes="")
def nothing(_disk):
    pass


@damage("inode-zero", "inode 0: in use")
def inode_zero(disk):
    disk.inode(0, 0, "<h", 2)


@damage("root", "inode 1: the root is no directory (type 2)")
def root_is_a_file(disk):
    disk.inode(1, 0, "<h", 2)


@damage("type", "/file (inode 2): its type is 9")
def type_of_inode(disk):
    disk.inode(FILE, 0, "<h", 9)


@damage("type", ": its type is -1")
def negative_type(disk):
    disk.inode(FILE, 0, "<h", -1)


@damage("size", "/big (inode 3): 274433 bytes; a file has at most 274432")
def size_of_file(disk):
    disk.inode(BIG, 8, "<I", 274433)


@damage("size", "/d (inode 4): a directory of 65 bytes, no whole number of entries")
def size_of_directory(disk):
    disk.inode(DIR, 8, "<I", 65)


@damage("device", "/console (inode 7): a device with 5 bytes or blocks")
def bytes_of_device(disk):
    disk.inode(CONSOLE, 8, "<I", 5)


@damage("device", "/big (inode 3): device numbers 5 and 6, but it is no device")
def device_numbers(disk):
    disk.inode(BIG, 2, "<hh", 5, 6)


@damage("block-range", "/big (inode 3): block 4 of it is block 3, outside the data, 38 to 299")
def block_in_log(disk):
    disk.inode(BIG, 12 + 4 * 4, "<I", 3)
    disk.unmark(disk.big[4])


@damage("block-range", "/big (inode 3): block 13 of it is block 4294967295, outside the data")
def block_outside(disk):
    disk.unmark(struct.unpack_from("<I", disk.data, disk.big[12] * BLOCK + 4)[0])
    disk.later(disk.big[12] * BLOCK + 4, "<I", 0xFFFFFFFF)


@damage("block-range block-unused", "/big (inode 3): its indirect block is block 300, outside",
        f"blocks {38 + 13} to {38 + 21}: marked in use, but nothing uses them")
def indirect_outside(disk):
    disk.inode(BIG, 12 + 12 * 4, "<I", 300)


@damage("block-shared", "/big (inode 3): block 4 of it is block 38, which belongs to /file")
def block_of_another(disk):
    disk.inode(BIG, 12 + 4 * 4, "<I", 38)
    disk.unmark(disk.big[4])


@damage("block-shared", "/big (inode 3): block 4 of it is block 40, which it uses already")
def block_of_itself(disk):
    disk.inode(BIG, 12 + 4 * 4, "<I", disk.big[1])
    disk.unmark(disk.big[4])


@damage("block-missing", "/big (inode 3): 20480 bytes, but block 2 of it is missing (2 in all)")
def blocks_missing(disk):
    disk.inode(BIG, 12 + 2 * 4, "<II", 0, 0)
    disk.unmark(disk.big[2])
    disk.unmark(disk.big[3])


@damage("block-missing", "20481 bytes, but block 20 of it is missing (1 in all)")
def size_without_block(disk):
    disk.inode(BIG, 8, "<I", 20481)


def wide(disk, blocks, entry):
    """Make /wide, whose size is of more blocks than it has: the last is not there.  In its table
    there is the entry, if any."""
    inum, names = disk.mkdir("wide"), (blocks - 1) * 64 - 2
    disk.entries[inum] += [(FILE, f"n{i}") for i in range(names)]
    disk.inode(FILE, 6, "<h", 2 + names)
    disk.inode(inum, 8, "<I", blocks * BLOCK)
    if entry is not None:
        disk.inode(inum, 12 + 12 * 4, "<I", 290)
        disk.later(290 * BLOCK, "<I", entry)
        disk.mark(290)


@damage("")
def last_block_of_directory(disk):
    wide(disk, 12, None)


@damage("")
def last_block_and_table_of_directory(disk):
    wide(disk, 13, None)


@damage("block-missing", "/wide (inode 8): 13312 bytes, but block 12 of it is missing (1 in all)")
def last_block_in_table_of_directory(disk):
    wide(disk, 13, 0)


@damage("block-range", "/wide (inode 8): block 12 of it is block 3, outside the data")
def table_of_directory(disk):
    wide(disk, 13, 3)


@damage("", "/big (inode 3): 19 blocks lie beyond its 1024 bytes", notes="block-beyond")
def blocks_beyond(disk):
    disk.inode(BIG, 8, "<I", 1024)


@damage("block-range " * 8 + "blocks", "12 more of its blocks are wrong")
def many_blocks(disk):
    disk.inode(BIG, 12, "<12I", *[1] * 12)
    for block in disk.big[:12]:
        disk.unmark(block)
    for i in range(8):
        disk.unmark(struct.unpack_from("<I", disk.data, disk.big[12] * BLOCK + 4 * i)[0])
        disk.later(disk.big[12] * BLOCK + 4 * i, "<I", 2)


@damage("dot", "/d (inode 4): . is inode 1")
def dot_elsewhere(disk):
    disk.entry(DIR, 0, 1)


@damage("dot", "/d (inode 4): entry 0 is not .")
def no_dot(disk):
    disk.entry(DIR, 0, name=b"x")


@damage("dotdot", "/d/e (inode 5): .. is inode 1, but it stands in /d (inode 4)")
def dotdot_elsewhere(disk):
    disk.entry(INNER, 1, 1)


@damage("dotdot", "/d/e (inode 5): entry 1 is not ..")
def no_dotdot(disk):
    disk.entry(INNER, 1, 0)


@damage("dot dotdot", "entry 0 is not .", "entry 1 is not ..")
def empty_directory(disk):
    inum = disk.mkdir("empty")
    disk.inode(inum, 8, "<I", 0)
    disk.inode(inum, 12, "<I", 0)
    disk.unmark(disk.next_block + 3)  # what finish() gives it: the root's, d's and e's come first


@damage("name", "/d/e (inode 5): entry 2, for inode 6, has no name")
def no_name(disk):
    disk.entry(INNER, 2, name=b"")


@damage("name", "/d/e (inode 5): entry 2 has a / in its name, a/b")
def slash(disk):
    disk.entry(INNER, 2, name=b"a/b")


@damage("name", "/d/e (inode 5): entry 2 is .., too")
def dots_again(disk):
    disk.entry(INNER, 2, name=b"..")


@damage("name", r"entry 2 has a / in its name, \x0a\x5c/\xff")
def unprintable(disk):
    disk.entry(INNER, 2, name=b"\n\\/\xff")


@damage("name-twice", "/d (inode 4): the name link is there twice, for inodes 2 and 3")
def name_twice(disk):
    disk.entries[DIR].append((BIG, "link"))
    disk.inode(BIG, 6, "<h", 2)


@damage("entry-range", "/d (inode 4): nil is inode 64, and there are 64")
def entry_outside(disk):
    disk.entries[DIR].append((64, "nil"))


@damage("entry-free", "/d (inode 4): nil is inode 63, which is free")
def entry_of_free_inode(disk):
    disk.entries[DIR].append((63, "nil"))


@damage("dir-twice", "is inode 5, a directory that stands elsewhere, too")
def two_places(disk):
    disk.entry(DIR, 4, INNER, b"again")
    disk.inode(DIR, 8, "<I", 80)


@damage("dir-twice", "/d/e (inode 5): up is inode 1, a directory that stands elsewhere, too")
def root_inside(disk):
    disk.entry(INNER, 3, 1, b"up")
    disk.inode(INNER, 8, "<I", 64)


@damage("links", "/file (inode 2): 3 links, not 2: names 2, directories in it 0")
def links_of_file(disk):
    disk.inode(FILE, 6, "<h", 3)


@damage("links", "/d (inode 4): 1 link, not 2: names 1, directories in it 1")
def links_of_directory(disk):
    disk.inode(DIR, 6, "<h", 1)


@damage("links", "/big (inode 3): 0 links, not 1")
def no_links(disk):
    disk.inode(BIG, 6, "<h", 0)


@damage("links", "/ (inode 1): -1 links, not 2")
def negative_links(disk):
    disk.inode(1, 6, "<h", -1)


@damage("lost", "inode 8: 1 link, but no directory names it")
def lost_file(disk):
    disk.add(None, b"lost")


@damage("lost", "inode 8: 2 links, but no directory names it")
def lost_tree(disk):
    lost = disk.mkdir(None)
    disk.add("in", b"a file", disk.mkdir("inner", lost))


@damage("loop", "inode 8: a directory that stands in itself; the root does not lead to it")
def loop(disk):
    outer = disk.mkdir(None, 9)
    inner = disk.mkdir("inner", outer)
    disk.entries[inner] += [(outer, "outer"), (disk.add(None, b"a file")[0], "file")]


@damage("", "inode 8: no links", "inode 9: no links", notes="orphan orphan")
def orphans(disk):
    disk.add(None, b"open", links=0)
    disk.inode(disk.mkdir(None), 6, "<h", 0)


@damage("lost lost", "inode 65535: no links: it was open when the machine stopped, and the next",
        "inode 65536: no links, and no mount frees it: its number is above 65535",
        "inode 65599: 1 link, but no directory names it", notes="orphan", size=4400, ninodes=65600)
def numbers_of_more_than_16_bits(disk):
    for inum, links in (65535, 0), (65536, 0), (65599, 1):
        disk.next_inode = inum
        disk.add(None, b"open", links=links)


@damage("size", "inode 8: no links: it was open when the machine stopped\n", notes="orphan")
def orphan_that_stays(disk):
    inum, _ = disk.add(None, b"open", links=0)
    disk.inode(inum, 8, "<I", 274433)


@damage("", "inode 8: 1 blocks lie beyond", "inode 8: no links", "the next mount frees it",
        notes="block-beyond orphan")
def orphan_without_entries(disk):
    """What a power cut leaves of a mkdir that found no block, or of a directory half freed."""
    inum = disk.mkdir(None)
    disk.inode(inum, 6, "<h", 0)
    disk.inode(inum, 8, "<I", 0)


@damage("orphan-names", "inode 8: a directory without links, but with 1 name", notes="orphan")
def full_orphan(disk):
    orphan = disk.mkdir(None)
    disk.add("in", b"a file", orphan)
    disk.inode(orphan, 6, "<h", 0)


@damage("block-free", "block 38: marked free, but /file (inode 2) uses it")
def free_in_bitmap(disk):
    disk.unmark(38)


@damage("block-free", "block 37: marked free, but the file system itself uses it")
def bitmap_is_free(disk):
    disk.unmark(37)


@damage("block-unused block-unused", "blocks 200 to 202: marked in use, but nothing uses them",
        "blocks 299 to 299")
def unused(disk):
    for block in (200, 201, 202, 299):
        disk.mark(block)


@damage("block-shared dot dir-twice dotdot", "/d/e (inode 5): block 0 of it is block",
        "which belongs to /d (inode 4)")
def two_directories_in_one_block(disk):
    disk.later(lambda d: disk.inodestart * BLOCK + INNER * 64 + 12, "<I", disk.next_block + 1)
    disk.later(lambda d: disk.inodestart * BLOCK + DEEP * 64, "<64s", bytes(64))
    disk.unmark(disk.next_block + 2)


@pytest.mark.parametrize("function, kinds, notes, texts, geometry", DAMAGE)
def test_finds(tmp_path, function, kinds, notes, texts, geometry):
    disk = Disk(**geometry)
    function(disk)
    path = disk.finish(tmp_path / "fs.img")
    before = path.read_bytes()
    found = guest.fsck(path, "--json")
    result = json.loads(found.stdout)
    assert [c["kind"] for c in result["problems"]] == kinds, found.stdout
    assert [c["kind"] for c in result["notes"]] == notes, found.stdout
    assert found.returncode == result["exit"] == (4 if kinds else 0) and found.stderr == ""
    plain = guest.fsck(path)
    assert plain.returncode == found.returncode
    lines = [c["text"] for c in result["problems"]] + [f"note: {c['text']}"
                                                       for c in result["notes"]]
    assert sorted(plain.stdout.splitlines()[:-1]) == sorted(lines)
    for text in texts:
        assert text in plain.stdout
    count = f"damaged, {len(kinds)} problem{'s' * (len(kinds) != 1)}"
    assert f"{path}: {count if kinds else 'clean'}" in plain.stdout.splitlines()[-1]
    assert path.read_bytes() == before


def test_every_kind():
    """None without a test, none that the page leaves out."""
    tested = {kind for param in DAMAGE for kinds in param.values[1:3] for kind in kinds}
    page = (guest.TOP / "docs/fsck.md").read_text()
    assert tested == KINDS == set(re.findall(r"^\| `([\w-]+)`", page, re.MULTILINE))


def test_json_says_where(tmp_path):
    disk = Disk()
    links_of_file(disk)
    block_outside(disk)
    result = json.loads(guest.fsck(disk.finish(tmp_path / "fs.img"), "--json").stdout)
    assert result["image"] == str(tmp_path / "fs.img") and result["left_out"] == 0
    block, links = result["problems"]
    assert (block["inode"], block["path"], block["block"]) == (BIG, "/big", 0xFFFFFFFF)
    assert (links["inode"], links["path"]) == (FILE, "/file") and "block" not in links


def test_leaves_out(tmp_path):
    """A bitmap of zeros: a thousand complaints are enough."""
    path = shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    data = bytearray(path.read_bytes())
    at = Reader(path).bmapstart * BLOCK
    data[at:at + BLOCK] = bytes(BLOCK)
    path.write_bytes(data)
    result = json.loads(guest.fsck(path, "--json").stdout)
    used = sum(bin(byte).count("1") for byte in guest.IMAGE.read_bytes()[at:at + BLOCK])
    assert len(result["problems"]) == min(used, 1000)
    assert result["left_out"] == max(used - 1000, 0)
    if used > 1000:
        assert f"... and {used - 1000} more" in guest.fsck(path).stdout


def test_log_is_installed(tmp_path):
    """It is checked as a mount would find it; --recovered shows that, and the image stays."""
    disk = Disk()
    disk.later(disk.logstart * BLOCK, "<2I", 1, 38)
    disk.later((disk.logstart + 1) * BLOCK, "<5s", b"newer")
    path, other = disk.finish(tmp_path / "fs.img"), tmp_path / "recovered.img"
    before = path.read_bytes()
    found = guest.fsck(path, "--json", "--recovered", other)
    assert found.returncode == 0 and json.loads(found.stdout)["installed"] == [38]
    assert path.read_bytes() == before and Reader(path).read("file") == b"short"
    assert Reader(other).read("file") == b"newer" and Reader(other).word(disk.logstart, 0) == 0
    assert guest.fsck(other, "--json").stdout == found.stdout.replace(
        "[38]", "[]").replace(str(path), str(other)).replace(
        re.search(r'"notes": (\[.*?\n? *\{.*?\}\])', found.stdout, re.DOTALL)[1], "[]")


def log_with_two_copies(disk):
    """Of the first block of /file."""
    disk.log(2, disk.file, disk.file)
    disk.later((disk.logstart + 1) * BLOCK, "<5s", b"older")
    disk.later((disk.logstart + 2) * BLOCK, "<5s", b"newer")


def log_without_data(disk):
    disk.super(2, 0)
    disk.log(1, disk.file)
    disk.later((disk.logstart + 1) * BLOCK, "<5s", b"newer")


@pytest.mark.parametrize("function", [log_with_two_copies, log_without_data])
def test_damage_that_a_mount_takes(tmp_path, function):
    """What fsck calls damage and the kernel does not look for: both install the same."""
    disk = Disk(size=900)
    for name in ("init", "true"):
        disk.add(name, (guest.BUILD / "bin" / name).read_bytes())
    disk.add("crash", b"", kind=DEVICE, major=64)
    function(disk)
    path, other = disk.finish(tmp_path / "fs.img"), tmp_path / "recovered.img"
    assert guest.fsck(path, "--recovered", other).returncode == 4
    assert Reader(other).read("file") == b"newer"
    r = guest.run("true", name=f"fsck-{function.__name__}", image=f"{path},snapshot=off")
    assert r.code == 0, r.explain()
    assert path.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("contents, text", [
    (None, "cannot open"), (b"", "0 bytes are too few"), (bytes(5000), "magic number is 0x0"),
])
def test_no_file_system(tmp_path, contents, text):
    path = tmp_path / "fs.img"
    if contents is not None:
        path.write_bytes(contents)
    found = guest.fsck(path, "--json")
    assert found.returncode == 8 and text in found.stderr
    assert text in json.loads(found.stdout)["error"] and found.stderr.count("\n") == 1


def test_operational_errors(tmp_path):
    path = shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    found = guest.fsck(path, "--recovered", tmp_path / "no" / "x")
    assert found.returncode == 8 and "cannot write" in found.stderr and found.stdout == ""
    assert guest.fsck(tmp_path).returncode == 8
    for offset, what in (2 * BLOCK, "log"), (BLOCK + 12, "superblock"):
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(struct.pack("<I", 0xFFFFFFFF))
        found = guest.fsck(path, "--recovered", tmp_path / "x")
        assert found.returncode == 8 and f"a mount refuses this {what}\n" in found.stderr
        assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name, other", [
    ("fs.img", "./fs.img"), ("fs.img", "d/fs.img"), ("fs.img", "symbolic"), ("fs.img", "hard"),
    ("fs.img.tmp", "fs.img"), ("fs.img.tmp", "d/fs.img"), ("fs.img", "link"),
])
def test_recovered_over_the_image(tmp_path, name, other):
    """By any name, also that of the file in which the result is collected."""
    path = tmp_path / name
    disk = Disk()
    disk.log(1, disk.file)
    before = disk.finish(path).read_bytes()
    (tmp_path / "d").symlink_to(".")
    (tmp_path / "symbolic").symlink_to(name)
    (tmp_path / "link.tmp").symlink_to(name)
    os.link(path, tmp_path / "hard")
    there = sorted(tmp_path.iterdir())
    for recovered in other, tmp_path / other:
        done = subprocess.run([guest.BUILD / "fsck", "--recovered", recovered, name],
                              cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 8 and "is the image itself" in done.stderr, done.stderr
        assert done.stdout == "" and sorted(tmp_path.iterdir()) == there
        assert path.read_bytes() == before
    assert (tmp_path / "symbolic").is_symlink()


@pytest.mark.parametrize("words", [[], ["-x", "a"], ["a", "b"], ["--recovered"], [""]])
def test_usage(words):
    done = subprocess.run([guest.BUILD / "fsck", *words], capture_output=True, text=True)
    assert done.returncode == 16 and done.stderr.startswith("usage: fsck ") and not done.stdout


def make_fsck(*words):
    command = [guest.MAKE, "fsck", f"BUILD={guest.BUILD.relative_to(guest.TOP)}", *words]
    return subprocess.run(command, cwd=guest.TOP, env=guest.environment(), capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)


@pytest.mark.skipif(not guest.BUILD.is_relative_to(guest.TOP), reason="a folder elsewhere")
def test_make_fsck(tmp_path):
    done = make_fsck()
    assert done.returncode == 0 and done.stdout.endswith("fs.img: clean\n"), done.stderr
    disk = Disk()
    lost_file(disk)
    path = disk.finish(tmp_path / "it's mine.img")
    done = make_fsck(f"IMAGE={path}")
    assert "inode 8: 1 link, but no directory names it" in done.stdout and "Error 4" in done.stderr
    done = make_fsck(f"IMAGE={tmp_path}/nil")
    assert f"there is no {tmp_path}/nil to check" in done.stderr and "Error 8" in done.stderr
