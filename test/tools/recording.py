# SPDX-License-Identifier: MIT
"""A recording: a folder with all that QEMU needs to repeat a run, instruction by instruction.

  log           what came from outside, and at which instruction: QEMU's own format
  kernel, user/ what ran, with symbols
  fs.img        the disk as it was at the start
  firmware      what started the kernel
  console.log   what the machine printed
  about         the rest, and a checksum of each file

The machine has one hart, since QEMU records no more, and always begins anew: in a QEMU that has
loaded a snapshot the replay may stand still for ever, at least up to 7.2.
"""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "test/grade"))

# pylint: disable=wrong-import-position
import host  # noqa: E402
import rsp  # noqa: E402

FORMAT = 1  # of the file about
FIRMWARE = "opensbi-riscv64-generic-fw_dynamic.bin"
PATIENCE = 60  # seconds in which QEMU must have started
# It stands still after so many seconds without one instruction: if QEMU had CPU time meanwhile, and
# if not, since the machine may be busy.
STILL, STILL_CPU, STILL_IDLE = 10, 1, 60
LIMIT = 300  # seconds of QEMU's CPU time in which a run must have come to its end
HARMLESS = "-cpu", "-global"  # what QEMU_ARGS may ask of a machine that is recorded


class Refused(Exception):
    """What a user is told, in place of what was asked."""


def version(qemu):
    """Return what a QEMU says of its version."""
    try:
        said = subprocess.run([*qemu, "--version"], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    except OSError as error:
        raise Refused(f"{qemu[0]} does not start: {error.strerror}.") from None
    match = re.search(r"version (\S.*)", said)
    if not match:
        raise Refused(f"{qemu[0]} says no version: choose another one with QEMU=.")
    return match[1]


def firmware(qemu):
    """Return the file that QEMU takes with -bios default, or None."""
    said = subprocess.run([*qemu, "-L", "help"], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    return next((path for line in said.splitlines() if (path := Path(line, FIRMWARE)).is_file()),
                None)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def comma(path):
    """A path in one of QEMU's lists."""
    return str(path).replace(",", ",,")


def machine(folder, about, mode):
    """Return QEMU's arguments, without those of its console."""
    files = sorted(about["files"]) if "files" in about else [p.name for p in folder.iterdir()]
    bios = folder / "firmware" if "firmware" in files else "default"
    words = ["-machine", "virt", "-bios", str(bios), "-kernel", str(folder / "kernel")]
    words += ["-smp", "1", "-m", about["memory"], "-append", about["append"], *about["more"]]
    words += ["-icount", f"shift=auto,rr={mode},rrfile={comma(folder / 'log')}"]
    # The name stands first, where test/tools/boot looks.
    words += ["-drive", f"file={comma(folder / 'fs.img')},if=none,format=raw,id=disk,snapshot=on"]
    words += ["-drive", "driver=blkreplay,if=none,image=disk,id=x0"]
    return [*words, "-device", "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0", "-no-reboot"]


class Recording:
    """One that is there, and whole."""

    def __init__(self, folder, qemu):
        self.folder, self.qemu = Path(folder).resolve(), qemu
        again = "Please record again (make record-NAME)"
        if not self.folder.is_dir():
            half = Path(f"{folder}.new").is_dir()
            raise Refused(f"There is no recording {folder}{'; the last one was interrupted' * half}"
                          ": make record-NAME makes one of program NAME (RECORDING= chooses "
                          "another folder).")
        try:
            self.about = json.loads((self.folder / "about").read_text())
            files = self.about["files"].items()
            known = self.about["format"]
        except OSError:
            raise Refused(f"{folder} is no recording: it has no file about.  {again}, or name "
                          "another folder with RECORDING=.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(f"The recording {folder} is damaged: about cannot be read.  {again}, or "
                          "copy it again.") from None
        if known != FORMAT:
            raise Refused(f"The recording {folder} was made by another Bulwark (format {known}; "
                          f"this one knows {FORMAT}).  {again}.")
        for name, sum_ in files:
            try:
                if digest(self.folder / name) != sum_:
                    raise Refused(f"The recording {folder} is damaged: {name} is not what was "
                                  f"recorded.  {again}, or copy it again.")
            except OSError:
                raise Refused(f"The recording {folder} is not whole: it lacks {name}.  {again}, or "
                              "copy it again.") from None
        self.check_version()

    def check_version(self):
        """Refuse another release of QEMU; one with other repairs may do."""
        was, now = self.about["qemu"], version(self.qemu)
        if was.split(".")[:2] != now.split(".")[:2]:
            raise Refused(f"This recording was made by QEMU {was}, and {self.qemu[0]} is {now}: "
                          "only the same release repeats it.  Choose that one with QEMU=, or "
                          "record again.")
        if was != now:
            print(f"This recording was made by QEMU {was}, and {self.qemu[0]} is {now}: if the "
                  "replay differs, that is why.", file=sys.stderr)

    def arguments(self):
        return [*self.qemu, *machine(self.folder, self.about, "replay"),
                "-display", "none", "-monitor", "none"]


class Replay:
    """A QEMU that repeats a recording from its first instruction on."""

    def __init__(self, recording, stub=True):
        """stub: it waits for commands of GDB's; else it runs, and prints to its output."""
        self.folder = Path(tempfile.mkdtemp(prefix="bulwark-replay-"))
        words = [*recording.arguments(), "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        if stub:
            words += ["-S", "-no-shutdown", "-gdb", "chardev:gdb",
                      "-chardev", f"socket,id=gdb,path={self.folder}/gdb,server=on,wait=off",
                      "-chardev", f"file,id=console,path={self.folder}/out"]
        else:
            words += ["-chardev", "stdio,id=console,signal=off"]
        self.said = open(self.folder / "err", "w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [*words, "-serial", "chardev:console"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stub else subprocess.PIPE, stderr=self.said,
            preexec_fn=host.die_with_parent)
        try:
            self.stub = rsp.Stub(self.folder / "gdb", PATIENCE, self.alive) if stub else None
            if stub:
                self.stub.command(b"Qqemu.PhyMemMode:0")
            self.qmp = rsp.connect(self.folder / "qmp", PATIENCE, self.alive)
            self.qmp.settimeout(PATIENCE)
            self.lines = self.qmp.makefile("rw", encoding="utf-8")
            self.lines.readline()
            self.ask("qmp_capabilities")
        except (rsp.Gone, OSError, ValueError):
            self.process.wait(PATIENCE)
            why = self.complaint() or f"exit code {self.process.returncode}"
            self.close()
            raise Refused(f"QEMU does not replay this recording: {why}") from None
        except BaseException:
            self.close()
            raise

    def alive(self):
        return self.process.poll() is None

    def complaint(self):
        """What QEMU has said last, on its standard error."""
        self.said.seek(0)
        return (self.said.read().strip().splitlines() or [""])[-1]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.said.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, command, **arguments):
        """Give QEMU's other monitor a command.  Returns its answer, or None once QEMU is gone."""
        try:
            self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.lines.flush()
            while True:
                answer = json.loads(self.lines.readline())
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise Refused(f"QEMU refuses {command}: {answer['error']['desc']}")
        except (OSError, ValueError):
            return None

    def now(self):
        """How many instructions have been executed, or None once QEMU is gone."""
        answer = self.ask("query-replay")
        return answer and answer["icount"]

    def cpu(self):
        return host.cpu_seconds(self.process.pid) or 0


class Watch:
    """Sees whether a replay that runs comes along."""

    def __init__(self, replay, limit=LIMIT):
        self.replay, self.limit = replay, limit
        self.began = replay.cpu()
        self.at, self.since, self.then = None, time.monotonic(), self.began

    def verdict(self):
        """Return "" while all is well, else "still" or "limit"."""
        now, cpu = self.replay.now(), self.replay.cpu()
        if now != self.at:
            self.at, self.since, self.then = now, time.monotonic(), cpu
        since = time.monotonic() - self.since
        if since > STILL and cpu - self.then > STILL_CPU or since > STILL_IDLE:
            return "still"
        return "limit" if cpu - self.began > self.limit else ""
