# SPDX-License-Identifier: MIT
"""Machines that have booted, kept so that cases begin there: just before init's main() runs.

Nothing that a kernel does until then depends on the case: init gets its words, which say what to
run, afterwards.  A snapshot is what QEMU writes of a machine when it moves to another QEMU, and
its memory, its disk and what it has printed so far.  It lasts for one run of the suite, as does
its nonce.  Where QEMU cannot do all that, each case boots.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import rsp
from sv39 import PAGE

PATIENCE = 60  # seconds for QEMU to write or read a state
POLL = 0.002
# What a machine is in when it writes its state, and what it must be in to be read.
STOPPED, PAUSED = b"\0\0\0\x06debug\0\0", b"\0\0\0\x07paused\0"
# Of the options of a Guest, those that make another kind of machine; no others may be given.
OPTIONS = ("cpus", "mem", "append", "icount", "limit")
# Kinds that several cases use: (cpus, mem, append, icount).
KINDS = {
    (1, "128M", "", True), (1, "32M", "", True), (2, "128M", "", True), (3, "128M", "", True),
    (2, "128M", "", False),
}


class Unfit(Exception):
    """This machine cannot be kept, or not be started again."""


class Snapshot:
    """One of them, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        facts = json.loads((directory / "facts").read_text())
        self.nonce, self.hart, self.boot_hart = facts["nonce"], facts["hart"], facts["boot_hart"]

    @property
    def disk(self):
        return self.directory / "disk"

    def open_state(self):
        return os.open(self.directory / "state", os.O_RDONLY)

    def fill(self, memory, log):
        """Give a guest's file of memory and its log what they hold then."""
        with open(self.directory / "memory", "rb") as file:
            copy(file.fileno(), memory)
        shutil.copyfile(self.directory / "console", log)


def copy(source, target):
    """Copy a sparse file."""
    end = os.fstat(source).st_size
    os.ftruncate(target, end)
    at = 0
    while at < end:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:
            return  # nothing but a hole
        hole = os.lseek(source, at, os.SEEK_HOLE)
        while at < hole:
            os.lseek(target, at, os.SEEK_SET)
            at += os.sendfile(target, source, at, hole - at)


# What a stream of QEMU's has of memory: see migration/ram.c.  The low bits of each word say what it
# begins.
FLAGS = 0xFFF
ZERO, SIZE, CONTENT, END, CONTINUED = 2, 4, 8, 16, 32
PART, LAST, FOOTER = 2, 3, 0x7E


class Stream:
    """A reader of it, which copies to out what it reads."""

    def __init__(self, data):
        self.data, self.at, self.out = data, 0, bytearray()

    def peek(self, size):
        return self.data[self.at:self.at + size]

    def skip(self, size):
        self.at += size

    def take(self, size):
        part = self.peek(size)
        self.out += part
        self.at += size
        return part

    def word(self):
        return int.from_bytes(self.peek(8), "big")

    def name(self):
        size = self.data[self.at] + 1
        name = self.peek(size)
        self.at += size
        return name


def without_zeros(data):
    """Leave out of the stream all pages that hold nothing but zeros: those of 64 MiB of flash that
    is not there.  A new machine has them anyway, and to read them takes long."""
    start = re.search(rb"\x01(....)\x03ram\0\0\0\0....", data, re.DOTALL)
    if not start:
        return data
    stream, section = Stream(data), start[1]
    stream.take(start.end())
    left = stream.word()
    if left & FLAGS != SIZE:
        return data
    left -= SIZE
    stream.take(8)
    while left > 0:  # the blocks of memory: name, size, address
        stream.out += stream.name()
        left -= stream.word()
        stream.take(16)
    while True:
        if stream.word() != END:
            return data
        stream.take(8)
        if stream.peek(5) == bytes([FOOTER]) + section:
            stream.take(5)
        if stream.peek(5) not in (bytes([PART]) + section, bytes([LAST]) + section):
            stream.take(len(data))
            return bytes(stream.out)
        stream.take(5)
        block = b""
        while stream.word() != END:
            word = stream.word()
            stream.skip(8)
            if not word & CONTINUED:
                block = stream.name()
            kind = word & FLAGS & ~CONTINUED
            if kind == CONTENT:
                stream.out += (word & ~CONTINUED).to_bytes(8, "big") + block
                stream.take(PAGE)
            elif kind == ZERO and stream.peek(1) == b"\0":
                stream.skip(1)
            else:
                return data


def load(guest, state):
    """Let the QEMU of the guest, which waits for it, read the state.  Its machine stands still
    afterwards."""
    guest.stub.monitor("migrate_set_capability x-ignore-shared on")
    said = guest.stub.monitor(f"migrate_incoming fd:{state}")
    deadline, pause = time.monotonic() + PATIENCE, POLL
    while "inmigrate" in guest.stub.monitor("info status"):
        if time.monotonic() > deadline:
            raise Unfit(f"QEMU does not read the state of a machine: {said}")
        time.sleep(pause)
        pause *= 2
    guest.stub.start_timers(guest.cpus)


def save(guest, directory):
    """Write the state of a guest, which has stopped, and its memory."""
    address = guest.scratch / "state"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(address))
        server.listen(1)
        server.settimeout(PATIENCE)
        guest.stub.monitor("migrate_set_capability x-ignore-shared on")
        said = guest.stub.monitor(f'migrate -d "unix:{address}"')
        try:
            with server.accept()[0] as connection:
                connection.settimeout(PATIENCE)
                state = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        except OSError as error:
            raise Unfit(f"QEMU does not write the state of a machine: {error} {said}") from error
    if "completed" not in guest.stub.monitor("info migrate") or state.count(STOPPED) != 1:
        raise Unfit("QEMU writes a state that is of no use")
    (directory / "state").write_bytes(without_zeros(state.replace(STOPPED, PAUSED)))
    with open(directory / "memory", "wb") as file:
        copy(guest.memory, file.fileno())
    shutil.copyfile(guest.log, directory / "console")
    facts = {"nonce": guest.nonce, "hart": guest.at.hart, "boot_hart": guest.boot_hart}
    (directory / "facts").write_text(json.dumps(facts))


class Shelf:
    """The snapshots of one run, in a directory that all its processes share."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def clear(self):
        """From now on each case boots."""
        (self.directory / "none").touch()

    def get(self, make, options):
        """Return the snapshot for such a machine, or None: then boot one.  make(options, directory)
        makes it, if nobody has yet."""
        kind = (options.get("cpus", 1), options.get("mem", "128M"), options.get("append", ""),
                options.get("icount", True))
        if kind not in KINDS or set(options) - set(OPTIONS) or (self.directory / "none").exists():
            return None
        place = self.directory / "-".join(map(str, kind))
        with open(f"{place}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                place.mkdir()
                try:
                    make(options, place)
                except (Unfit, rsp.Gone, rsp.ProtocolError, OSError, subprocess.SubprocessError):
                    pass  # whoever needs it boots, and sees what there is to see
        return Snapshot(place) if (place / "facts").exists() else None
