# SPDX-License-Identifier: MIT
"""A client of the GDB remote serial protocol, as far as QEMU's stub needs one.

Harts are threads: hart n of the machine is thread n + 1.  Memory is read by physical address only
(Qqemu.PhyMemMode), so nothing that is read depends on which page table is in force.
"""

import re
import select
import socket
import time
import xml.etree.ElementTree as ET

CHUNK = 2048  # bytes of memory a packet: 4096 digits are QEMU's limit
GENERAL = 33  # x0 to x31, pc: what a g packet holds
SATP, STIMECMP = 0x180, 0x14D  # CSRs: their numbers differ as QEMU's do
MTIMECMP = 0x02004000  # of QEMU's virt machine, one word a hart
REGISTERS = {}  # numbers by name


class Gone(Exception):
    """The stub has closed the connection: QEMU has ended."""


class ProtocolError(Exception):
    """The stub answered what cannot be understood."""


class Stub:
    """One connection to a stub.  The machine is stopped between calls of resume and wait."""

    def __init__(self, address, patience, alive=lambda: True):
        """address: the path of a socket, or a host and port, or a socket that is connected; alive:
        whether QEMU still runs."""
        is_open = isinstance(address, socket.socket)
        self.socket = address if is_open else connect(address, patience, alive)
        self.socket.settimeout(patience)
        self.buffer = b""
        self.hart = None  # the one that register packets are about
        self.command(b"qSupported:xmlRegisters=riscv")
        target = self.read_feature("target.xml")  # QEMU numbers more registers once it is read
        if not REGISTERS:  # the same for every guest: they share QEMU and the kind of hart
            REGISTERS.update(self.read_register_numbers(target))
            # QEMU describes only the registers that may be used just now.
            REGISTERS["stimecmp"] = REGISTERS["satp"] - SATP + STIMECMP
        if self.command(b"Qqemu.PhyMemMode:1") != b"OK":
            raise ProtocolError("no physical memory mode")

    def close(self):
        self.socket.close()

    # --- packets ---------------------------------------------------------------------------------

    def send(self, body):
        checksum = sum(body) & 0xFF
        try:
            self.socket.sendall(b"$" + body + b"#%02x" % checksum)
        except OSError as error:
            raise Gone() from error

    def byte(self):
        if not self.buffer:
            try:
                self.buffer = self.socket.recv(65536)
            except socket.timeout as error:
                raise ProtocolError("QEMU's stub does not answer") from error
            except OSError as error:
                raise Gone() from error
            if not self.buffer:
                raise Gone()
        first, self.buffer = self.buffer[:1], self.buffer[1:]
        return first

    def until(self, mark):
        """Read up to and including the byte mark; return what stands before it."""
        body = b""
        while True:
            at = self.buffer.find(mark)
            if at >= 0:
                body, self.buffer = body + self.buffer[:at], self.buffer[at + 1:]
                return body
            body, self.buffer = body + self.buffer, b""
            body += self.byte()
            if body.endswith(mark):
                return body[:-1]

    def receive(self):
        """Return the body of the next packet, run-lengths expanded, and acknowledge it."""
        while self.byte() != b"$":
            pass
        body = self.until(b"#")
        self.byte(), self.byte()
        try:
            self.socket.sendall(b"+")
        except OSError:
            pass  # QEMU's last words; the next call says that it is gone
        return expand(body) if b"*" in body else body

    def command(self, body):
        self.send(body)
        return self.receive()

    def monitor(self, line):
        """Give QEMU's monitor a command.  Returns what it prints."""
        self.send(b"qRcmd," + line.encode().hex().encode())
        said, answer = b"", self.receive()
        while answer[:1] == b"O" and answer != b"OK":
            said, answer = said + bytes.fromhex(answer[1:].decode()), self.receive()
        return said.decode(errors="replace")

    # --- registers -------------------------------------------------------------------------------

    def read_feature(self, name):
        text = b""
        while True:
            part = self.command(b"qXfer:features:read:%s:%x,%x" % (name.encode(), len(text), 0xFFB))
            if part[:1] not in (b"l", b"m"):
                raise ProtocolError(f"no description of {name}")
            text += unescape(part[1:])
            if part[:1] == b"l":
                return text.decode()

    def read_register_numbers(self, target):
        """Return the number of each register by its name."""
        numbers, following = {}, 0
        for name in re.findall(r'include href="([^"]+)"', target):
            feature = ET.fromstring(strip_doctype(self.read_feature(name)))
            for register in feature.iter("reg"):
                following = int(register.attrib.get("regnum", following))
                numbers[register.attrib["name"]] = following
                following += 1
        return numbers

    def select(self, hart):
        if self.hart != hart:
            self.command(b"Hg%x" % (hart + 1))
            self.hart = hart

    def read_general(self, hart):
        """Return [x0, ..., x31, pc] of the hart."""
        self.select(hart)
        words = bytes.fromhex(self.command(b"g").decode())
        return [int.from_bytes(words[8 * i: 8 * i + 8], "little") for i in range(GENERAL)]

    def read_register(self, hart, name, default=None):
        """Return its value, or the default, if there is one, for a register that cannot be read."""
        self.select(hart)
        value = self.command(b"p%x" % REGISTERS[name])
        if not value or value[:1] == b"E":
            if default is not None:
                return default
            raise ProtocolError(f"cannot read {name}")
        return int.from_bytes(bytes.fromhex(value.decode()), "little")

    def write_register(self, hart, name, value):
        self.select(hart)
        digits = value.to_bytes(8, "little").hex().encode()
        if self.command(b"P%x=%s" % (REGISTERS[name], digits)) != b"OK":
            raise ProtocolError(f"cannot write {name}")

    def harts(self):
        """Return how many harts there are."""
        count, answer = 0, self.command(b"qfThreadInfo")
        while answer[:1] == b"m":
            count += answer.count(b",") + 1
            answer = self.command(b"qsThreadInfo")
        return count

    # --- memory ----------------------------------------------------------------------------------

    def read_memory(self, pa, size):
        """Return bytes of physical memory, or None where there is none."""
        data = b""
        while len(data) < size:
            step = min(CHUNK, size - len(data))
            answer = self.command(b"m%x,%x" % (pa + len(data), step))
            if not answer or answer[:1] == b"E":
                return None
            data += bytes.fromhex(answer.decode())
        return data

    def write_memory(self, pa, data):
        if self.command(b"M%x,%x:%s" % (pa, len(data), data.hex().encode())) != b"OK":
            raise ProtocolError(f"cannot write memory at {pa:#x}")

    def start_timers(self, harts):
        """After a state was loaded QEMU 7.2 knows when the timers are to come, but starts each only
        when that is written."""
        for hart in range(harts):
            at = MTIMECMP + 8 * hart
            when = self.read_memory(at, 8)
            if any(when):
                self.write_memory(at, when)
            when = self.read_register(hart, "stimecmp", 0)
            if when:
                self.write_register(hart, "stimecmp", when)

    # --- running ---------------------------------------------------------------------------------

    def set_breakpoint(self, address):
        if self.command(b"Z0,%x,4" % address) != b"OK":
            raise ProtocolError("cannot set a breakpoint")

    def clear_breakpoint(self, address):
        self.command(b"z0,%x,4" % address)

    def set_watchpoint(self, address):
        """Stop at loads from there."""
        if self.command(b"Z3,%x,4" % address) != b"OK":
            raise ProtocolError("cannot set a watchpoint")

    def clear_watchpoint(self, address):
        self.command(b"z3,%x,4" % address)

    def resume(self, hart=None):
        """Let all harts go on, or that one only."""
        self.send(b"vCont;c" if hart is None else b"vCont;c:%x" % (hart + 1))

    def interrupt(self):
        try:
            self.socket.sendall(b"\x03")
        except OSError as error:
            raise Gone() from error

    def step(self, hart):
        """Execute one instruction on that hart only, interrupts held off."""
        self.send(b"vCont;s:%x" % (hart + 1))
        return self.stop_reply(self.receive())

    def wait(self, seconds):
        """Wait for the machine to stop.  Return (signal, hart), or None if it goes on running."""
        deadline = time.monotonic() + seconds
        while not self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            if not self.peek():
                return None
        return self.stop_reply(self.receive())

    def peek(self):
        """Take what has come; drop acknowledgements.  Returns whether a packet has begun."""
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise Gone() from error
        if not data:
            raise Gone()
        self.buffer = (self.buffer + data).lstrip(b"+")
        return True

    def stop_reply(self, body):
        self.hart = None  # QEMU selects the hart that stopped
        if body[:1] in (b"W", b"X"):
            raise Gone()
        if body[:1] != b"T":
            raise ProtocolError(f"unexpected stop reply {body[:40]!r}")
        hart = 0
        for field in body[3:].split(b";"):
            if field.startswith(b"thread:"):
                hart = int(field[7:].split(b".")[-1], 16) - 1
        return int(body[1:3], 16), hart


def connect(address, patience, alive):
    deadline = time.monotonic() + patience
    is_port = isinstance(address, tuple)
    while True:
        s = socket.socket(socket.AF_INET if is_port else socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            s.connect(address if is_port else str(address))
            if is_port:  # else each packet waits for the acknowledgement of the last one's "+"
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        except OSError:
            s.close()
            if time.monotonic() > deadline or not alive():
                raise Gone() from None
            time.sleep(0.005)


def expand(body):
    """Undo run-length encoding: X*n is X and then n - 29 more of it."""
    out = bytearray()
    i = 0
    while i < len(body):
        if body[i: i + 1] == b"*" and out and i + 1 < len(body):
            out += out[-1:] * (body[i + 1] - 29)
            i += 2
        else:
            out.append(body[i])
            i += 1
    return bytes(out)


def unescape(data):
    out = bytearray()
    escaped = False
    for byte in data:
        if escaped:
            out.append(byte ^ 0x20)
        elif byte == 0x7D:
            escaped = True
            continue
        else:
            out.append(byte)
        escaped = False
    return bytes(out)


def strip_doctype(text):
    """XML without its document type, which names a file that is not there."""
    start = text.find("<!DOCTYPE")
    return text if start < 0 else text[:start] + text[text.index(">", start) + 1:]
