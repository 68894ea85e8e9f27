# SPDX-License-Identifier: MIT
"""The machine's two handles: QEMU's monitor, which looks, and its stub, which stops and steps.

Both are pairs of sockets of which QEMU has inherited one end: nothing of them is on the disk, and
no other process can reach them.
"""

import json
import queue
import re
import select
import signal
import socket
import struct
import threading
import time

import rsp

REGISTERS = re.compile(r"\b(pc|mhartid|x2/sp)\s+([0-9a-f]{16})")
CALL = ("syscall",)
TRAP = ("syscall", "trap_user", "trap_kernel_interrupt", "trap_kernel_exception")
PATIENCE = 20  # seconds for an answer of QEMU's
CAUSES = {0: "misaligned fetch", 1: "fetch that has no access", 2: "illegal instruction",
          3: "breakpoint", 4: "misaligned load", 5: "load that has no access",
          6: "misaligned store", 7: "store that has no access",
          12: "page fault of a fetch", 13: "page fault of a load", 15: "page fault of a store"}
INTERRUPTS = {1: "software interrupt", 5: "timer interrupt", 9: "interrupt of a device"}


class Monitor:
    """QMP."""

    def __init__(self, end):
        end.settimeout(PATIENCE)
        self.file = end.makefile("rwb", buffering=0)
        self.lines = end.makefile("rb")
        self.lines.readline()  # its greeting
        self.ask("qmp_capabilities")

    def ask(self, name, **arguments):
        """Returns the answer.  Raises OSError when QEMU is gone."""
        self.file.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self.lines.readline()
            if not line:
                raise OSError("QEMU has closed its monitor")
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                return None

    def registers(self):
        """Return {hart: its registers}, as they are while it runs: nothing is stopped."""
        told = self.ask("human-monitor-command", **{"command-line": "info registers -a"}) or ""
        found = {}
        for part in told.split("CPU#")[1:]:
            values = {name.split("/")[-1]: int(digits, 16)
                      for name, digits in REGISTERS.findall(part)}
            if {"pc", "sp", "mhartid"} <= set(values):
                found[values["mhartid"]] = values
        return found

    def runs(self):
        status = self.ask("query-status")
        return bool(status and status["running"])


class Control(threading.Thread):
    """Has the stub.  What the page asks for is done here, one after the other.

    state: "running", "stopped", "stepping" (it runs to the next system call or trap), "ended".
    """

    def __init__(self, stub, dwarf, memory, changed):
        """stub: an rsp.Stub whose machine runs."""
        super().__init__(daemon=True)
        self.stub = stub
        self.dwarf, self.memory, self.changed = dwarf, memory, changed
        self.wishes, (self.wake, self.bell) = queue.Queue(), socket.socketpair()
        self.state, self.why = "running", ""
        self.slow = None  # (unit, seconds between two steps)
        self.next = 0.0  # when the next one is due
        self.stands = None  # the hart that stands on a breakpoint's address, and that address
        self.steps = 0
        self.places = []
        self.calls = {}

    def ask(self, *wish):
        self.wishes.put(wish)
        self.bell.send(b"!")

    # --- the thread ------------------------------------------------------------------------------

    def run(self):
        try:
            while True:
                self.turn()
        except (rsp.Gone, rsp.ProtocolError, OSError):
            self.set("ended", "The machine has ended.")

    def turn(self):
        wait = None
        if self.slow and self.state == "stopped":
            wait = max(0.0, self.next - time.monotonic())
        ready = select.select([self.stub.socket, self.wake], [], [], wait)[0]
        if self.wake in ready:
            self.wake.recv(1)
            wish = self.wishes.get()
            getattr(self, "do_" + wish[0])(*wish[1:])
        elif self.stub.socket in ready or self.stub.buffer:
            stop = self.stub.wait(0.1)  # it is there, but perhaps not whole
            if stop:
                self.stopped(*stop)
        elif self.slow and self.state == "stopped":
            self.begin_step(self.slow[0])

    def set(self, state, why):
        self.state, self.why = state, why
        self.changed()

    # --- what is asked for -----------------------------------------------------------------------

    def do_pause(self):
        self.slow = None
        if self.state in ("running", "stepping"):
            self.stub.interrupt()
        else:
            self.changed()

    def do_run(self):
        self.slow = None
        if self.state == "stepping":
            self.interrupt_now()
        if self.state == "stopped":
            self.go()
            self.set("running", "")
        else:
            self.changed()

    def do_step(self, unit):
        self.slow = None
        if self.state == "stepping":
            return
        self.begin_step(unit)

    def do_slow(self, unit, period):
        self.slow, self.next = (unit, period), 0.0
        if self.state == "running":
            self.begin_step(unit)
        self.changed()

    def do_noticed(self, runs):
        """The monitor says whether the machine runs: its user may have typed there, too."""
        if runs and self.state == "stopped":
            self.slow = None
            self.set("running", "")

    # --- running ---------------------------------------------------------------------------------

    def interrupt_now(self):
        """Stop the machine, and wait until it has stopped."""
        self.stub.interrupt()
        stop = self.stub.wait(PATIENCE)
        if stop:
            self.stopped(*stop)

    def begin_step(self, unit):
        if self.state == "running":
            self.interrupt_now()
        if self.state != "stopped":
            return
        over = self.step_over()
        self.places = [a for a in map(self.dwarf.function, CALL if unit == "call" else TRAP) if a]
        for place in self.places:
            self.stub.set_breakpoint(place)
        if over:  # another hart got there meanwhile
            self.stands = over
            self.arrived(*over)
            return
        self.state, self.why = "stepping", f"It runs to the next {WORDS[unit]}."
        self.stub.resume()
        self.changed()

    def step_over(self):
        """Let the hart that stands where a breakpoint will be execute that instruction."""
        if self.stands:
            hart, place = self.stands
            self.stands = None
            for _ in range(10):
                if self.stub.read_general(hart)[32] != place:
                    break
                self.stub.step(hart)

    def go(self):
        self.stands = None
        self.stub.resume()

    def stopped(self, number, hart):
        for place in self.places:
            self.stub.clear_breakpoint(place)
        places, self.places = self.places, []
        self.next = time.monotonic() + (self.slow[1] if self.slow else 0)
        pc = self.stub.read_general(hart)[32]
        if number == signal.SIGTRAP and not places:  # a second hart met a breakpoint that is gone
            self.stub.resume()
        elif number == signal.SIGTRAP and pc in places:
            self.arrived(hart, pc)
        else:
            self.stands = None
            self.set("stopped", "The machine is paused." if number == signal.SIGINT else
                     "The machine has stopped.")

    def arrived(self, hart, pc):
        self.stands = (hart, pc)
        self.steps += 1
        self.set("stopped", self.describe(hart))

    # --- what a hart is about to do --------------------------------------------------------------

    def describe(self, hart):
        """Say which call or trap a hart is about to handle: a0 is its frame."""
        registers = self.stub.read_general(hart)
        try:
            words = struct.unpack("<36Q", self.memory.read(registers[10], 36 * 8))
        except (ValueError, LookupError):
            return "It stopped before a trap whose frame cannot be read."
        who = f"{self.runner(registers[4])} on hart {self.index(registers[4], hart)}"
        cause = words[32]
        if registers[32] == self.dwarf.function("syscall"):
            name = self.call(words[17])
            given = ", ".join(f"{word:#x}" if word > 4095 else str(word) for word in words[10:13])
            return f"{who} makes the system call {name}; a0 to a2 are {given}."
        if cause >> 63:
            what = INTERRUPTS.get(cause & WORD, f"interrupt {cause & WORD}")
        else:
            what = CAUSES.get(cause, f"exception {cause}")
        where = "the kernel" if words[0] >> 63 else "user mode"
        return f"{who} takes a trap from {where} at {words[0]:#x}: {what}."

    def call(self, number):
        if not self.calls:
            self.calls = self.dwarf.enum_names("syscall_number", "SYS_")
        return self.calls.get(number, f"{number}, which there is not")

    def index(self, tp, hart):
        type_ = self.dwarf.struct("hart")
        try:
            return int.from_bytes(self.memory.read(tp + type_.offset("index"), 4), "little")
        except LookupError:
            return hart

    def runner(self, tp):
        """The thread of the hart whose struct is at tp."""
        hart, thread = self.dwarf.struct("hart"), self.dwarf.struct("thread")
        current = self.memory.word(tp + hart.offset("current"))
        try:
            pid = int.from_bytes(self.memory.read(current + thread.offset("pid"), 4), "little")
            name = self.memory.read(current + thread.offset("name"),
                                    thread.by_name["name"].type.sizeof)
        except LookupError:
            return "Something"
        name = name.split(b"\0")[0].decode(errors="replace")
        return f"Pid {pid} ({name})" if pid else f"The kernel's thread {name}"


WORDS = {"call": "system call", "trap": "trap"}
WORD = (1 << 63) - 1
