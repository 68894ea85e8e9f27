# SPDX-License-Identifier: MIT
"""A fresh guest under QEMU, with its stub in our hands, and its memory in a file of ours.

Where a guest's time decides a verdict it is the guest's own: with icount the clock counts
instructions, whatever else the host does.  Guests that need harts which really run at once are
limited by the CPU time of QEMU, and so are those that make QEMU slow.  Wall clock is the last
resort, and time in which the host lets QEMU or the grader wait for a processor does not count.
"""

import functools
import os
import re
import resource
import secrets
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

import host
import rsp
import snapshot
from sv39 import PAGE, PageTable, U

QEMU = os.environ.get("QEMU", "qemu-system-riscv64")
SCALE = float(os.environ.get("TEST_TIME_SCALE", "1"))
KASAN = os.environ.get("KASAN") == "y"  # frames and objects are larger then

IMAGE_BASE = 0xFFFFFFFF80000000  # vm/layout.h
IMAGE_PA = 0x80200000
RAM = 0x80000000  # of QEMU's virt machine
RENDEZVOUS = IMAGE_BASE + PAGE  # kernel.ld; it loads from its own address
RENDEZVOUS_LOAD = RENDEZVOUS + 8  # trap/rendezvous.S
PROVOKE = IMAGE_BASE + 2 * PAGE
PROVOKE_END = PROVOKE + 8 * PAGE  # it ends before
WINDOW = (0xFFFFFFF800000000, 0xFFFFFFFC00000000)
DIRECT = (0xFFFFFFC000000000, 0xFFFFFFE000000000)
STACK = GUARD = 16384
SLOT = 32768
FRAME = 36 * 8
USER_END = 1 << 38
WFI = 0x10500073
NOP = 0x00000013
MTIME = 0x0200BFF8  # of QEMU's virt machine

SHIFT = 5  # icount: an instruction takes 2**SHIFT ns of the guest's time
TIMEBASE = 10_000_000  # ticks of the guest's clock a second
GUEST_LIMIT = 10  # seconds of the guest's time, by default; more with more harts: they take turns
CPU_LIMIT = 20  # seconds of QEMU's CPU time, without icount
SLOW_LIMIT = 12  # the same with icount, by default: ten times what it should take
WALL_LIMIT = 240
BUSY_LIMIT = 1800  # seconds, with all waiting for processors
IDLE_LIMIT = 5  # seconds of the guest's time in which every hart waits
STEPS = 10  # tries to step over a breakpoint
POLL = 0.5  # seconds between two looks at a guest that says nothing
NAP = 0.2  # the same where one hart runs alone; it sleeps if it does so at NAPS looks in a row
NAPS = 5
UNDEFINED = 0  # the section of symbols that a file only uses
STUB_PATIENCE = 60
OUTPUT_LIMIT = 512 << 10  # bytes of console output, and OUTPUT_RATE a second of the limit
OUTPUT_RATE = 64 << 10
FILE_LIMIT = 64 << 20  # bytes of any file that QEMU writes


# Whether to use watchpoints.  QEMU up to 7.2 at least aborts, "Raised interrupt while not in I/O
# function", when an interruption by the host comes between its two looks at one.
watchpoints = True


def grows():
    """Whether the kernel's stacks grow: so it was made.  Asked when it counts, since a lab sets its
    options late."""
    return os.environ.get("KSTACK_GROW") == "y"


def born():
    """Return how many bytes a thread's stack has from the start."""
    return PAGE if grows() else STACK


class Ended(Exception):
    """The machine has ended; code is QEMU's exit code."""

    def __init__(self, code):
        super().__init__(f"the machine ended with exit code {code}")
        self.code = code


class TimedOut(Exception):
    """The guest took longer than it may."""


class Broken(Exception):
    """QEMU failed, not the guest."""


class Crashed(Broken):
    """QEMU ran into a defect of its own."""


class NoStart(Broken):
    """QEMU does not even start."""


class Busy(Exception):
    """The host is too busy for a verdict."""


def symbols(elf):
    """Yield (name, value, index of the section) of each symbol of a 64-bit file.  pyelftools takes
    a hundred times as long, in the process of each case."""
    table = elf.get_section_by_name(".symtab")
    names = elf.get_section(table["sh_link"]).data()
    for name, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", table.data()):
        yield names[name:names.index(b"\0", name)].decode(errors="replace"), value, section


class Build:
    """What was made from one kernel: DIR/kernel, DIR/fs.img, DIR/user/*.elf, DIR/kern/provoke/*.o.

    Of the kernel's symbols only provoke's are used, and only inside the pages that kernel.ld keeps
    for it; those of its assembly are offsets in its own object file.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        self.shelf = None  # of machines that have booted, where a run keeps some
        self.kernel = self.directory / "kernel"
        self.image = self.directory / "fs.img"
        table, assembly = self.read("kern/provoke/faults.S.o")
        self.assembly = dict(table)
        own, size = set(), len(assembly)
        for path in self.directory.glob("kern/provoke/*.c.o"):
            table, compiled = self.read(path)
            own.update(name for name, _ in table)
            size += len(compiled)
        # The linker makes code shorter, other headers perhaps longer.
        end = PROVOKE + size + PAGE
        table, text = self.read("kernel")
        self.code = text[PROVOKE - IMAGE_BASE:][:len(assembly)]
        self.compiled = {}
        for name, address in table:  # of two of one name the lower one is in provoke
            if name in own and PROVOKE <= address < min(end, self.compiled.get(name, end)):
                self.compiled[name] = address

    def read(self, name):
        """Return what the file defines, as (name, address), and the bytes of its .text."""
        with open(self.directory / name, "rb") as file:
            elf = ELFFile(file)
            table = [(name, value) for name, value, section in symbols(elf)
                     if section != UNDEFINED and re.match(r"[A-Za-z_]", name)]
            return table, elf.get_section_by_name(".text").data()

    def provoke(self, name):
        """Address of a function or label of kern/provoke/."""
        if name in self.assembly:
            return PROVOKE + self.assembly[name]
        return self.compiled[name]

    def function(self, address):
        """Name of provoke's function that the address is in, or None."""
        table = dict(self.compiled)
        table.update({name: PROVOKE + at for name, at in self.assembly.items()})
        below = [(at, name) for name, at in table.items() if at <= address]
        return max(below)[1] if below and address < max(table.values()) + PAGE else None

    def program(self, name):
        return program_at(self.directory / "user" / f"{name}.elf")


@functools.lru_cache(maxsize=None)
def program_at(path):
    return Program(path)


class Program:
    """A user program: addresses of its functions, and its code."""

    def __init__(self, path):
        with open(path, "rb") as file:
            elf = ELFFile(file)
            self.by_name = {name: value for name, value, _ in symbols(elf) if name}
            self.segments = [(s["p_vaddr"], s.data()) for s in elf.iter_segments()
                             if s["p_type"] == "PT_LOAD"]

    def __getitem__(self, name):
        return self.by_name[name]

    def segment(self, va):
        """Return (address, bytes) of what the file has around va."""
        for start, data in self.segments:
            if start <= va < start + len(data):
                return start, data
        return va, b""

    def bytes_at(self, va, size):
        start, data = self.segment(va)
        return data[va - start: va - start + size]


@dataclass
class Stop:
    """The machine, stopped.  Valid until it goes on, but for what was read before."""

    guest: object
    hart: int
    x: list  # x0 to x31
    pc: int

    def csr(self, name):
        return self.guest.stub.read_register(self.hart, name)

    @property
    def sp(self):
        return self.x[2]

    @property
    def user(self):
        return self.csr("priv") == 0

    def instruction(self):
        """Return the 32 bits at pc, or None if they are not in the kernel's half or not mapped."""
        code = self.table().read_virtual(self.pc, 4) if self.pc >> 63 else None
        return code and int.from_bytes(code, "little")

    def table(self):
        return PageTable(self.guest.read_memory, self.csr("satp"))


@functools.lru_cache(maxsize=None)
def keeper():
    """What to start a program with, so that it does not outlive the process above.  Asked before
    that forks, it asks once."""
    words = ("setpriv", "--pdeathsig", "KILL", "--")
    try:
        tried = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return words if tried.returncode == 0 else ()
    except OSError:
        return ()


def spawn(words, **options):
    """Start QEMU so that it neither outlives the grader nor fills the disk.  It has none of the
    grader's own limits.  With a keeper no large process need fork, as for preexec_fn."""
    before = {what: resource.getrlimit(what) for what in
              (resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_CPU)}
    options["preexec_fn"] = None if keeper() else host.die_with_parent
    try:
        for what, (_, most) in before.items():
            resource.setrlimit(what, (most, most))
        most = before[resource.RLIMIT_FSIZE][1]
        small = FILE_LIMIT if most == resource.RLIM_INFINITY else min(FILE_LIMIT, most)
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, most))
        return subprocess.Popen([*keeper(), *words], **options)
    finally:
        for what, limits in before.items():
            resource.setrlimit(what, limits)


def cpu_seconds(pid):
    return host.cpu_seconds(pid) or 0.0


def waited_seconds(pid):
    """How long the threads of a process have waited for a processor, together."""
    total = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(stat.read_text().split()[1])
        except (OSError, IndexError, ValueError):
            pass  # the thread has ended, or the host keeps no such account
    return total / 1e9


def shared_memory(scratch):
    """Return an open file for a guest's RAM, and its path for QEMU; in memory on Linux."""
    if hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd"):
        file = os.memfd_create("guest")
        return file, f"/proc/self/fd/{file}"
    return os.open(scratch / "ram", os.O_RDWR | os.O_CREAT, 0o600), scratch / "ram"


class Clock:
    """Wall time, without that in which this process or QEMU waited for a processor."""

    LOOK = 0.2  # seconds between two looks, at least

    def __init__(self, pid):
        self.pids = (pid, "self")
        self.start = self.last = time.monotonic()
        self.waited, self.excused = self.all_waited(), 0.0
        self.busy = False  # the host let them wait, between the last two looks

    def all_waited(self):
        return sum(map(waited_seconds, self.pids))

    def runnable(self):
        """Whether some thread of QEMU would run, or waits for the host's disk."""
        for stat in Path(f"/proc/{self.pids[0]}/task").glob("*/stat"):
            try:
                if stat.read_text().rsplit(")", 1)[1].split()[0] in "RD":
                    return True
            except OSError:
                pass
        return False

    def look(self):
        now = time.monotonic()
        passed = now - self.last
        if passed < self.LOOK:
            return False
        waited = self.all_waited()
        lost = max(0.0, waited - self.waited)
        self.last, self.waited = now, waited
        self.excused += min(passed, lost)
        self.busy = lost > passed / 4 or self.runnable()
        return True

    def check(self):
        """Raise TimedOut, or Busy, when it has gone on for too long."""
        passed = self.last - self.start
        if passed - self.excused > WALL_LIMIT * SCALE:
            raise TimedOut(f"{WALL_LIMIT * SCALE:.0f} s of wall time were not enough")
        if passed > BUSY_LIMIT * SCALE:
            raise Busy(f"no end after {BUSY_LIMIT * SCALE:.0f} s on a busy machine")

    def late(self, why):
        """What to raise when QEMU has not answered within STUB_PATIENCE."""
        self.look()
        return Busy(f"{why}, on a busy machine") if self.busy else Broken(why)


class Guest:
    """One machine.  icount False: harts run at once, and CPU time limits them.  absent: harts that
    the device tree calls broken.  typed: bytes that come from its keyboard.  start: the Snapshot
    of such a machine that it begins with; then init is about to run main()."""

    def __init__(self, build, log, program=None, cpus=1, mem="128M", append="", icount=True,
                 limit=None, disk=True, absent=(), typed=None, extra=(), start=None):
        self.build, self.log, self.icount, self.cpus = build, Path(log), icount, cpus
        self.present = [hart for hart in range(cpus) if hart not in absent]
        self.nonce = start.nonce if start else secrets.token_hex(8)
        self.pages = int(mem[:-1]) * {"M": 256, "G": 262144}[mem[-1]]
        self.limit = (limit or (GUEST_LIMIT * (1 + cpus) / 2 if icount else CPU_LIMIT)) * SCALE
        self.cpu_limit = max(self.limit if limit or not icount else 0, SLOW_LIMIT * SCALE)
        self.breakpoints = set()
        self.watching = False
        self.at = None  # the Stop that the machine is in
        self.boot_hart = 0 if cpus == 1 else None  # known once the machine runs
        self.code = None
        self.ticks = 0
        self.asleep_since, self.stalled = None, 0
        self.stuck = []  # (hart, pc, ra) where the machine was when its time was up
        self.scratch = Path(tempfile.mkdtemp(prefix="grade-"))
        self.memory, self.memory_path = shared_memory(self.scratch)
        os.ftruncate(self.memory, self.pages * PAGE)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        words = ["-p", *program.split()] if program else []
        line = " ".join([f"run={self.nonce}", append, *(["--"] if words else []), *words])
        state = self.begin(start)
        self.qemu = self.launch(line, mem, disk, typed, extra, start, state)
        self.wall = Clock(self.qemu.pid)
        try:
            self.stub = rsp.Stub(self.scratch / "gdb", STUB_PATIENCE * SCALE,
                                 lambda: self.qemu.poll() is None)
            if start:
                snapshot.load(self, state)
                self.take_up(start, words)
        except (rsp.Gone, rsp.ProtocolError, snapshot.Unfit) as error:
            if start:
                self.build.shelf.clear()
            why = self.complaint() or error
            late = self.wall.late(f"QEMU does not start: {why}")
            self.close()
            raise late if isinstance(late, Busy) else NoStart(str(late)) from error
        finally:
            if state is not None:
                os.close(state)

    def begin(self, start):
        """Prepare the log and the memory.  Returns the file with the machine's state, if it has
        one."""
        self.log.write_bytes(b"")
        if not start:
            return None
        start.fill(self.memory, self.log)
        return start.open_state()

    def launch(self, line, mem, disk, typed, extra, start, state):
        args = [QEMU, "-machine", "virt", "-nodefaults", "-smp", str(self.cpus), "-m", mem]
        args += ["-snapshot", "-no-reboot", "-S", "-display", "none", *self.console(typed)]
        args += ["-gdb", f"unix:{self.scratch / 'gdb'},server=on,wait=off"]
        if start:
            args += ["-bios", "none", "-incoming", "defer"]
        else:
            args += ["-bios", "default", "-kernel", str(self.build.kernel), "-append", line]
        if len(self.present) < self.cpus:
            args += ["-dtb", self.device_tree(args)]
        args += ["-machine", "memory-backend=ram", "-object", "memory-backend-file,id=ram,share=on,"
                 f"size={mem},mem-path={self.memory_path}"]
        if self.icount:
            args += ["-icount", f"shift={SHIFT}"]
        if disk:
            image = start.disk if start else self.build.image
            args += ["-drive", f"file={image},if=none,format=raw,id=x0"]
            args += ["-device", "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0"]
        files = [file for file in (self.memory, state) if file is not None]
        with open(self.scratch / "qemu", "wb") as complaints:
            return spawn(args + list(extra), stdin=subprocess.DEVNULL, stdout=complaints,
                         stderr=complaints, pass_fds=files)

    def device_tree(self, args):
        """Make QEMU's device tree for that machine, with some harts broken.  Returns its path."""
        path = self.scratch / "dtb"
        done = subprocess.run([*args, "-machine", f"dumpdtb={path}"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if not path.exists():
            raise Broken(f"QEMU gives no device tree: {done.stdout.decode(errors='replace')}")
        tree = path.read_bytes()
        for hart in set(range(self.cpus)) - set(self.present):
            node = tree.index(b"cpu@%x\0" % hart)
            status = tree.index(b"okay\0", node)
            tree = tree[:status] + b"fail" + tree[status + 4:]
        path.write_bytes(tree)
        return str(path)

    def console(self, typed):
        """Return what connects the console, and prepare it."""
        kind, path = "file,append=on", self.log
        if typed:
            kind, path = "pipe", self.scratch / "console"
            (self.scratch / "console.in").write_bytes(typed)
            (self.scratch / "console.out").symlink_to(self.log.absolute())
        path = str(path).replace(",", ",,")
        return ["-chardev", f"{kind},id=console,path={path}", "-serial", "chardev:console"]

    def take_up(self, start, words):
        """Go on from the snapshot: init, at the beginning of main(), gets these arguments."""
        self.boot_hart = start.boot_hart
        general = self.stub.read_general(start.hart)
        stop = Stop(self, start.hart, general[:32], general[32])
        table, sp, pointers = stop.table(), stop.sp, []
        for word in ["init", *words]:
            text = word.encode() + b"\0"
            sp -= len(text)
            self.write_virtual(table, sp, text)
            pointers.append(sp)
        sp = (sp - 8 * (len(pointers) + 1)) // 16 * 16
        self.write_virtual(table, sp, struct.pack(f"<{len(pointers) + 1}Q", *pointers, 0))
        for name, value in (("a0", len(pointers)), ("a1", sp), ("sp", sp)):
            self.write(stop, name, value)

    def complaint(self):
        try:
            said = (self.scratch / "qemu").read_text(errors="replace").strip()
            return next((line for line in said.splitlines() if "fatal" in line), said)[-300:]
        except OSError:
            return ""

    def close(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
        self.qemu.wait()
        if hasattr(self, "stub"):
            self.stub.close()
        os.close(self.memory)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def output(self):
        return self.output_from(0)[0]

    def output_from(self, start):
        """Return the console's output from byte start on, and where it ends."""
        try:
            with open(self.log, "rb") as file:
                file.seek(start)
                data = file.read()
        except OSError:
            return "", start
        return data.decode(errors="replace").replace("\r", ""), start + len(data)

    def read_memory(self, pa, size):
        """Return bytes of physical memory, or None where there is none.  The machine is stopped."""
        at = pa - RAM
        if 0 <= at and at + size <= self.pages * PAGE:
            return os.pread(self.memory, size, at)
        return self.stub.read_memory(pa, size)

    def write_virtual(self, table, va, data):
        """Write to memory of user mode."""
        leaf = table.lookup(va)
        if not leaf or not leaf.flags & U or va + len(data) > leaf.va + leaf.size:
            raise snapshot.Unfit(f"no memory for init's arguments at {va:#x}")
        os.pwrite(self.memory, data, leaf.pa + va - leaf.va - RAM)

    # --- breakpoints -----------------------------------------------------------------------------

    def insert(self, *addresses):
        for address in addresses:
            if address not in self.breakpoints:
                self.stub.set_breakpoint(address)
                self.breakpoints.add(address)

    def remove(self, *addresses):
        for address in addresses:
            if address in self.breakpoints and self.code is None:
                self.stub.clear_breakpoint(address)
                self.breakpoints.discard(address)

    def watch_rendezvous(self, on):
        """Stop at the rendezvous by a watchpoint, or do so no longer.  After a breakpoint QEMU
        translates the whole kernel anew, which costs more than a report does."""
        if not watchpoints:
            (self.insert if on else self.remove)(RENDEZVOUS)
        elif self.watching != on and self.code is None:
            (self.stub.set_watchpoint if on else self.stub.clear_watchpoint)(RENDEZVOUS)
            self.watching = on

    def step_over(self):
        """Let each hart that stands on a breakpoint execute the instruction below it."""
        if not self.at or self.at.pc not in self.breakpoints:
            return
        hart, pc = self.at.hart, self.at.pc
        if self.at.instruction() == NOP:
            self.write(self.at, "pc", pc + 4)
            return
        self.stub.clear_breakpoint(pc)
        # Another hart may have met a breakpoint when this one did.  Then QEMU reports a second stop
        # as soon as anything runs, before the step is done.
        for _ in range(STEPS):
            self.stub.step(hart)
            if self.stub.read_general(hart)[32] != pc:
                break
        self.stub.set_breakpoint(pc)

    def write(self, stop, name, value):
        """Set a register of the hart that is stopped."""
        self.stub.write_register(stop.hart, name, value)
        if name == "pc":
            stop.pc = value
        elif name in ("ra", "sp"):
            stop.x[1 if name == "ra" else 2] = value

    # --- running ---------------------------------------------------------------------------------

    def index(self, hart):
        """The kernel's number for a hart: the boot hart, whichever the firmware chose, is 0."""
        return [self.boot_hart, *(h for h in self.present if h != self.boot_hart)].index(hart)

    def go(self):
        """Let the machine run to its next breakpoint.  Returns the Stop.

        Raises Ended when the machine has ended, TimedOut when its time is up.
        """
        if self.boot_hart is None:
            self.boot_hart = 0
            self.boot_hart = self.until(IMAGE_PA).hart
        return self.run()

    def run(self):
        try:
            self.step_over()
            self.stub.resume()
            while True:
                stop = self.stub.wait(POLL)
                if stop is None:
                    self.wall.look()
                    self.stub.interrupt()
                    stop = self.stub.wait(STUB_PATIENCE * SCALE)
                    if stop is None:
                        raise self.wall.late("QEMU does not stop")
                    if stop[0] == signal.SIGINT:
                        self.check_limits()
                        self.stub.resume()
                        continue
                self.asleep_since, self.stalled = None, 0
                self.stopped(stop[1])
                self.check_time()
                return self.at
        except TimedOut:
            words = [(hart, self.stub.read_general(hart)) for hart in self.present]
            self.stuck = [(hart, x[32], x[1]) for hart, x in words]
            raise
        except rsp.Gone:
            raise Ended(self.ended()) from None
        except rsp.ProtocolError as error:
            raise self.wall.late(str(error)) from error

    def run_alone(self, hart, seconds):
        """Let one hart run until it meets a breakpoint, has used so much of QEMU's CPU time, or
        sleeps.  Returns whether it met one."""
        try:
            self.step_over()
            self.stub.resume(hart)
            end, look, naps = cpu_seconds(self.qemu.pid) + seconds, time.monotonic() + NAP, 0
            while True:
                stop = self.stub.wait(POLL / 50)
                spent = cpu_seconds(self.qemu.pid) > end
                if stop is None and (spent or time.monotonic() > look):
                    self.wall.look()
                    self.stub.interrupt()
                    stop = self.stub.wait(STUB_PATIENCE * SCALE)
                    if stop is None:
                        raise self.wall.late("QEMU does not stop")
                    naps = naps + 1 if not self.wall.busy and self.asleep(hart) else 0
                    if stop[0] == signal.SIGINT and not spent and naps < NAPS:
                        look, stop = time.monotonic() + NAP, None
                        self.stub.resume(hart)
                if stop is not None:
                    self.stopped(stop[1])
                    return stop[0] != signal.SIGINT
                self.wall.check()
        except rsp.Gone:
            raise Ended(self.ended()) from None
        except rsp.ProtocolError as error:
            raise self.wall.late(str(error)) from error

    def stopped(self, hart):
        words = self.stub.read_general(hart)
        self.at = Stop(self, hart, words[:32], words[32])
        if self.watching and self.at.pc in (RENDEZVOUS_LOAD, RENDEZVOUS_LOAD + 4):
            # Some versions of QEMU stop before the load, and would do so for ever.
            self.write(self.at, "pc", RENDEZVOUS_LOAD + 4)
            self.at.pc = RENDEZVOUS
        self.ticks = self.clock()
        return self.at

    def clock(self):
        """The guest's clock: mtime of the CLINT."""
        return int.from_bytes(self.stub.read_memory(MTIME, 8), "little")

    def ended(self):
        try:
            self.code = self.qemu.wait(STUB_PATIENCE * SCALE)
        except subprocess.TimeoutExpired:
            raise self.wall.late("QEMU does not end") from None
        if self.code == -signal.SIGXFSZ:
            raise TimedOut("the guest writes without end")
        if self.code < 0:
            raise Crashed(f"QEMU died of signal {-self.code}: {self.complaint()}")
        return self.code

    def check_limits(self):
        """The machine was interrupted to look at the clock."""
        before, self.ticks = self.ticks, self.clock()
        self.check_time()
        self.check_host()
        self.check_asleep(before)

    def check_time(self):
        """Raise TimedOut when the guest has used up what it was given."""
        if self.icount and self.ticks > self.limit * TIMEBASE:
            raise TimedOut(f"{self.limit:.0f} s of the guest's time were not enough")
        if self.wall.look():
            self.check_host()

    def check_host(self):
        self.wall.check()
        self.check_output()
        if cpu_seconds(self.qemu.pid) > self.cpu_limit:
            raise TimedOut(f"{self.cpu_limit:.0f} s of CPU time were not enough")

    def check_output(self):
        most = OUTPUT_LIMIT + OUTPUT_RATE * self.limit
        if self.log.exists() and self.log.stat().st_size > most:
            raise TimedOut(f"the guest has printed more than {most / 1024:.0f} KiB")

    def check_asleep(self, before):
        """Give up on a guest in which nothing but the clock moves, or not even that.  On a busy
        host it may be QEMU that waits, and its disk with it."""
        if self.wall.busy or not all(map(self.asleep, range(self.cpus))):
            self.asleep_since, self.stalled = None, 0
            return
        if self.asleep_since is None:
            self.asleep_since = self.ticks
        self.stalled = self.stalled + 1 if self.ticks == before else 0
        if self.stalled > 2:
            raise TimedOut("every hart waits for an interrupt, and none will come")
        if self.ticks - self.asleep_since > IDLE_LIMIT * TIMEBASE * SCALE:
            raise TimedOut(f"nothing has run for {IDLE_LIMIT * SCALE:.0f} s")

    def asleep(self, hart):
        """Whether the hart stands behind a wfi."""
        pc = self.stub.read_general(hart)[32]
        if self.stub.read_register(hart, "priv") == 3:
            code = self.read_memory(pc - 4, 4)
        else:
            satp = self.stub.read_register(hart, "satp")
            code = PageTable(self.read_memory, satp).read_virtual(pc - 4, 4)
        return code is not None and int.from_bytes(code, "little") == WFI

    def until(self, *addresses):
        """Run to one of these addresses, through all others.  Returns the Stop."""
        new = [a for a in addresses if a not in self.breakpoints]
        self.insert(*new)
        while self.go().pc not in addresses:
            pass
        self.remove(*new)
        return self.at
