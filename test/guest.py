# SPDX-License-Identifier: MIT
"""Fresh guests: boot one, let it run, read its verdict.

A guest is judged by its own exit code and by the machine lines of the run whose nonce it was
given.  Its time is limited by the CPU time that QEMU has used, which a loaded machine does not
stretch; wall clock is the last resort.
"""

import argparse
import importlib.machinery
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile
from grade.host import cpu_seconds, die_with_parent, hold

TOP = Path(__file__).resolve().parent.parent
BUILD = TOP / os.environ.get("BUILD", "build")
KERNEL = BUILD / "kernel"
IMAGE = BUILD / "fs.img"
LOGS = BUILD / "logs"
QEMU = os.environ.get("QEMU", "qemu-system-riscv64")
MAKE = os.environ.get("MAKE", "make")  # the one that runs, however it is called

CPU_SECONDS = 120  # of QEMU, for one guest
WALL_SECONDS = 600
PAGE = 4096
STACK = GUARD = 16384
SLOT = 32768
FRAME = 36 * 8
USER_END = 1 << 38
WINDOW = (0xFFFFFFF800000000, 0xFFFFFFFC00000000)
# Tests of usertests that make processes and take memory, for a kernel that differs in nothing else.
MEMORY = ("sbrk- all-memory no-memory cow- malloc lazy- fork- overcommit- pointer- fault- wait- "
          "reap exit- orphan orphans preemption kill- exec exec- elf- alloc- account- info-")
SCALE = float(os.environ.get("TEST_TIME_SCALE", "1"))  # for slow machines


@dataclass
class Result:
    """What a guest left behind."""

    code: int | None  # QEMU's exit code, None: it had to be stopped
    output: str
    nonce: str
    log: Path
    stopped: str = ""  # why it had to be stopped
    records: list = field(default_factory=list)  # machine lines of this run, as dicts

    def explain(self):
        """The end of the output, for an assertion's message."""
        tail = "\n".join(self.output.splitlines()[-25:])
        return f"exit code {self.code} {self.stopped}; log {self.log}\n{tail}"


def parse_records(output, nonce):
    """Return the machine lines that carry the nonce, as dicts; numbers become ints."""
    records = []
    for line in output.splitlines():
        if not line.startswith("kstack: "):
            continue
        record = dict(word.split("=", 1) for word in line.split()[1:])
        if record.get("run") != nonce:
            continue
        for key, value in record.items():
            if re.fullmatch(r"-?\d+|0x[0-9a-f]+", value) and key not in ("name", "run"):
                record[key] = int(value, 0)
        records.append(record)
    return records


def arguments(cpus=1, mem="128M", append="", image=IMAGE, extra=(), kernel=KERNEL):
    """QEMU's command line.  image None: no disk.

    What a guest writes must outlast QEMU, which may be killed, but not this machine: cache=unsafe.
    """
    args = [QEMU, "-machine", "virt", "-bios", "default", "-kernel", str(kernel), "-smp", str(cpus)]
    args += ["-m", mem, "-nographic", "-snapshot", "-no-reboot", "-append", append]
    if image:
        args += ["-drive", f"file={image},if=none,format=raw,id=x0,cache=unsafe"]
        args += ["-device", "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0"]
    return args + list(extra)


def new_log(name):
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / (re.sub(r"[^\w.-]+", "_", name) + f".{secrets.token_hex(3)}.log")


def run(program=None, name="guest", cpu_limit=CPU_SECONDS, until=None, append="", **machine):
    """Boot a guest, run /program (with its arguments) if given, wait for the end of the machine.

    until: stop the guest as soon as this regular expression matches its output.
    The log is deleted by the test that passes (see conftest.py).
    """
    nonce = secrets.token_hex(8)
    append = f"run={nonce} {append}" + (f" -- {program}" if program else "")
    log = new_log(name)
    with open(log, "wb") as out:
        qemu = subprocess.Popen(
            arguments(append=append, **machine),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        stopped = watch(qemu, log, cpu_limit * SCALE, until)
    output = log.read_text(errors="replace").replace("\r", "")
    code = None if stopped else qemu.returncode
    return Result(code, output, nonce, log, stopped, parse_records(output, nonce))


def as_in_a_terminal():
    """In a child: let it end with the process above, and hear ^C, even where the tests run in the
    background of a shell script: all that starts there ignores SIGINT."""
    die_with_parent()
    for number in signal.SIGINT, signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)


def watch(qemu, log, cpu_limit, until):
    """Wait for QEMU; stop it when its time is up or `until` is seen.  Returns why."""
    start = time.monotonic()
    why = ""
    while not why:
        try:
            qemu.wait(timeout=0.1)
            return ""
        except subprocess.TimeoutExpired:
            pass
        used = cpu_seconds(qemu.pid)
        if until and re.search(until, log.read_text(errors="replace")):
            why = "seen"
        elif used is not None and used > cpu_limit:
            why = f"timeout: {used:.0f} s of CPU time"
        elif time.monotonic() - start > WALL_SECONDS * SCALE:
            why = f"timeout: {WALL_SECONDS} s of wall time"
    qemu.kill()
    qemu.wait()
    return why


def fsck(image, *options):
    """Check a disk image.  Returns what fsck has printed and its exit code."""
    return subprocess.run([BUILD / "fsck", *options, image], capture_output=True, text=True,
                          errors="replace", check=False)


def number(least, most=999_999_999):
    """For argparse: what takes a whole number between the two."""
    def take(text):
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text}: a whole number from {least} to {most}")
        return int(text)
    return take


def load_script(path):
    """Import a script that is called by a name without .py."""
    name = "script_" + Path(path).name
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def chosen(*names):
    """Return the words NAME=value that this make was given of these names."""
    words = os.environ.get("MAKEFLAGS", "").split(" -- ")[-1].split()
    return [word for word in words if word.split("=")[0] in names]


def same_build():
    """Return what a command for make says so that it takes the same kernel: " NAME=value"..."""
    words = chosen("BUILD", "VMAP_STACK", "KSTACK_GROW", "KASAN", "LOCKDEP", "CROSS", "LLVM",
                   "MODERN", "QEMU")
    return "".join(f" {word}" for word in words)


def can_write(path):
    """Return whether the file can be made or written, without doing it."""
    path = Path(path).absolute()
    return not path.is_dir() and os.access(path if path.exists() else path.parent, os.W_OK)


def copy_tree(source, target, ignore=None):
    """Copy a folder in which others work.  What goes away meanwhile was temporary."""
    try:
        shutil.copytree(source, target, ignore=ignore)
    except shutil.Error as error:
        if any(os.path.lexists(path) for path, _, _ in error.args[0]):
            raise


def environment(**more):
    """Return the environment of a make that is no part of the one around."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return {**clean, **more}


def build_variant(name, *options, build=BUILD):
    """Build the kernel with other options in a directory of its own.  Returns the kernel's path.

    With the compiler that this make was asked to take, and for one caller at a time.
    """
    directory = Path(build) / name
    directory.mkdir(parents=True, exist_ok=True)
    given = chosen("CROSS", "LLVM", "HOSTCC")
    place = directory.relative_to(TOP) if directory.is_relative_to(TOP) else directory
    command = [MAKE, "-C", str(TOP), "kernel", f"BUILD={place}", *options, *given]
    with hold(directory):
        made = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if made.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{made.stdout[-2000:]}")
    return directory / "kernel"


def make_disk(path, *files, options=()):
    """Make an image of the programs, README, and these files.  Returns its path."""
    programs = sorted((BUILD / "bin").iterdir())
    subprocess.run([BUILD / "mkfs", *options, path, *programs, *files, BUILD / "README"],
                   check=True, stdout=subprocess.DEVNULL)
    return path


def beside(kernel, folder):
    """Put into the folder what a build of that kernel has, with programs and images of this one.
    Returns it."""
    for name in ("fs.img", "fsck", "mkfs", "bin", "user"):
        (folder / name).symlink_to((BUILD / name).resolve())
    for name in ("kernel", "kern", "options"):
        (folder / name).symlink_to(kernel.parent.resolve() / name)
    return folder


def build_growing():
    """Build the kernel whose stacks grow.  Returns its path."""
    return build_variant("grow", "KSTACK_GROW=y", "KASAN=n", "VMAP_STACK=y")


def build_unguarded(build=BUILD):
    """Build the kernel whose threads have stacks without guards.  Returns its path."""
    return build_variant("vmap-n", "VMAP_STACK=n", "KASAN=n", build=build)


class Symbols:
    """Names and addresses, read from the ELF file by pyelftools, never from the guest."""

    def __init__(self, path=KERNEL):
        with open(path, "rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            self.by_name = {s.name: s["st_value"] for s in table.iter_symbols() if s.name}
            self.functions = sorted(
                (s["st_value"], s["st_size"], s.name)
                for s in table.iter_symbols()
                if s["st_info"]["type"] == "STT_FUNC"
            )

    def __getitem__(self, name):
        return self.by_name[name]

    def function(self, address):
        """Name of the function that contains the address, or None."""
        for start, size, name in self.functions:
            if start <= address < start + max(size, 1):
                return name
        return None
