# SPDX-License-Identifier: MIT
"""What is typed, and machines whose devices are not the usual ones."""

import os
import select
import subprocess
import time

import guest
import pytest

CTRL_C, CTRL_D, CTRL_H, CTRL_P, CTRL_U, DELETE = "\x03", "\x04", "\x08", "\x10", "\x15", "\x7f"


class Terminal:
    """A guest whose console is ours."""

    def __init__(self, **machine):
        self.seen = ""
        self.qemu = subprocess.Popen(
            guest.arguments(**machine), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def expect(self, text, seconds=60):
        """Read until text comes.  Returns what came up to its end."""
        end = time.monotonic() + seconds * guest.SCALE
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen!r}"
            if select.select([self.qemu.stdout], [], [], left)[0]:
                data = os.read(self.qemu.stdout.fileno(), 65536)
                assert data, f"the machine ended; no {text!r} in {self.seen!r}"
                self.seen += data.decode(errors="replace").replace("\r", "")
        came, self.seen = self.seen.split(text, 1)
        return came + text

    def type(self, text):
        self.qemu.stdin.write(text.encode())
        self.qemu.stdin.flush()

    def run(self, line):
        """Type a line at the prompt.  Returns what it printed."""
        self.type(line + "\n")
        return self.expect("$ ").split("\n", 1)[1].removesuffix("$ ")


@pytest.fixture
def terminal():
    started = []

    def start(**machine):
        started.append(Terminal(**machine))
        started[-1].expect("$ ")
        return started[-1]

    yield start
    for t in started:
        t.qemu.kill()
        t.qemu.wait()


def test_line_editing(terminal):
    t = terminal(cpus=2)
    assert t.run(f"echo hello{CTRL_H}{DELETE}p") == "help\n"
    assert t.run(f"nonsense{CTRL_U}echo right") == "right\n"
    assert t.run(f"{CTRL_H * 5}echo still here") == "still here\n"
    assert t.run(f"echo \u00e9{DELETE}a\tb{DELETE}{DELETE}c") == "ac\n"
    assert t.run("echo u\x1b[Ap\x1bOB \x1b[1;5Cd\x1b") == "up d\n"
    t.type(f"echo lost{CTRL_C}")
    t.expect("^C\n")
    assert t.run("echo not lost") == "not lost\n"


def test_end_of_file(terminal):
    t = terminal(cpus=2)
    t.type("cat\n")
    t.type("one\n")
    t.expect("one\none\n")
    t.type(f"part{CTRL_D}")
    t.expect("partpart")
    t.type(CTRL_D)
    t.expect("$ ")
    assert t.run("echo back") == "back\n"


def test_overlong_line(terminal):
    """What does not fit rings the bell; the line before it is not lost."""
    t = terminal(cpus=1)
    t.type("echo " + "x" * 400)
    t.expect("\a")
    t.type("\n")
    assert "x" * 200 in t.expect("$ ")
    assert t.run("echo alive") == "alive\n"


def test_type_ahead(terminal):
    """Lines typed while a program runs wait for the next reader."""
    t = terminal(cpus=1)
    t.type("sleep 10\necho one\necho two\n")
    assert t.expect("two\n").count("one") >= 1
    t.expect("$ ")


def test_listing(terminal):
    t = terminal(cpus=2)
    t.type(CTRL_P)
    came = t.expect("sh\n")
    assert "init" in came and "PID" in came


def test_poweroff_keeps_output(boot):
    """All that was written comes out before the machine ends."""
    r = boot("cat README README README README README", cpus=2)
    assert r.code == 0, r.explain()
    assert r.output.count("MIT") >= 5, r.explain()


def test_no_plic(boot):
    r = boot("echo up", extra=["-machine", "aia=aplic"])
    assert r.code not in (0, None), r.explain()
    assert "PLIC" in r.output, r.explain()


def test_read_only_disk(boot, tmp_path):
    image = tmp_path / "fs.img"
    image.write_bytes(guest.IMAGE.read_bytes())
    extra = ["-drive", f"file={image},if=none,format=raw,readonly=on,id=ro"]
    extra += ["-device", "virtio-blk-device,drive=ro"]
    # init cannot keep the console that it makes, and the end of the machine says so.
    r = boot("echo up and running", image=None, extra=extra)
    assert r.code == 1 and "up and running" in r.output, r.explain()
    assert "last changes are not on the disk" in r.output, r.explain()
    r = boot("true", image=f"{image},snapshot=off")
    assert r.code == 0, r.explain()
    r = boot("echo up and running", image=None, extra=extra)
    assert r.code == 0 and "up and running" in r.output, r.explain()


@pytest.mark.parametrize("legacy", ["true", "false"])
def test_disk(boot, legacy):
    """Five writers at once; both layouts of the queue."""
    r = boot("stressfs", cpus=3, extra=["-global", f"virtio-mmio.force-legacy={legacy}"])
    assert r.code == 0, r.explain()


def test_other_virtio_devices(boot):
    """The disk is found among others."""
    extra = ["-device", "virtio-rng-device,bus=virtio-mmio-bus.5"]
    extra += ["-device", "virtio-net-device,bus=virtio-mmio-bus.2"]
    r = boot("echo up and running", extra=extra)
    assert r.code == 0, r.explain()
