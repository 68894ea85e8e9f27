# SPDX-License-Identifier: MIT
"""What is typed, and machines whose devices are not the usual ones."""

import codecs
import contextlib
import os
import pty
import re
import select
import subprocess
import threading
import time

import guest
import pytest

CTRL_A, CTRL_C, CTRL_D, CTRL_H, CTRL_P = "\x01", "\x03", "\x04", "\x08", "\x10"
CTRL_U, CTRL_W, DELETE = "\x15", "\x17", "\x7f"


class Terminal:
    """A guest whose console is ours: on pipes, or by tools/boot on a pty, as a person has it."""

    def __init__(self, log=None, **machine):
        self.seen = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        words = guest.arguments(**machine)
        if log is None:
            self.qemu = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.keys, self.screen = self.qemu.stdin.fileno(), self.qemu.stdout.fileno()
            return
        self.keys, end = pty.openpty()
        self.screen = self.keys
        words.remove("-nographic")
        self.qemu = subprocess.Popen(["test/tools/boot", *words], stdin=end, stdout=end, stderr=end,
                                     cwd=guest.TOP, env={**os.environ, "BOOT_LOG": str(log)})
        os.close(end)

    def expect(self, text, seconds=60):
        """Read until text comes.  Returns what came up to its end."""
        end = time.monotonic() + seconds * guest.SCALE
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen!r}"
            if select.select([self.screen], [], [], left)[0]:
                data = os.read(self.screen, 65536)
                assert data, f"the machine ended; no {text!r} in {self.seen!r}"
                self.seen += self.decoder.decode(data).replace("\r", "")
        came, self.seen = self.seen.split(text, 1)
        return came + text

    def type(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.keys, data):]

    def paste(self, text):
        """Type a long text while what comes is being read, as far as the machine lives."""
        def feed():
            with contextlib.suppress(OSError):
                self.type(text)

        threading.Thread(target=feed, daemon=True).start()

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
    assert t.run(f"{CTRL_W}echo one two  three  {CTRL_W}{CTRL_W}2{CTRL_W}last") == "one last\n"
    assert t.run(f"echo \u00e9{DELETE}a\tb{DELETE}{DELETE}c") == "ac\n"
    t.type(f"echo lost{CTRL_C}")
    t.expect("^C\n")
    assert t.run("echo not lost") == "not lost\n"


UP, DOWN, RIGHT, LEFT, END, HOME = (f"\x1b[{letter}" for letter in "ABCDFH")


def test_editing_within_the_line(terminal):
    """What is typed in the middle goes there, on the screen as well."""
    t = terminal(cpus=2)
    assert t.run(f"echo ad{LEFT}bc{HOME}{END}e{RIGHT}") == "abcde\n"
    assert t.run(f"cho x{HOME}e{END}y\x1bOHz{DELETE}\x1b[4~z") == "xyz\n"
    assert t.run(f"echo xabc{LEFT}{LEFT}{LEFT}{DELETE}\x1b[3~z") == "zbc\n"
    assert t.run(f"echo one two{LEFT}{LEFT}{LEFT}{CTRL_W}three ") == "three two\n"
    assert t.run(f"cat none{LEFT}{CTRL_U}echo all of it") == "all of it\n"
    assert t.run(f"echo \u00e9\u00e8{LEFT}\u00ea{LEFT}{LEFT}\x1b[3~") == "\u00ea\u00e8\n"
    t.type(f"echo ac{LEFT}b")
    assert t.expect("bc\b").endswith("echo ac\bbc\b")
    t.type("\n")
    t.expect("\nabc\n$ ")


def test_history(terminal):
    """The arrow keys bring back earlier lines, of any program, and the line being typed."""
    t = terminal(cpus=1)
    for word in ("one", "two", "three"):
        t.run(f"echo {word}")
    assert t.run(UP * 3) == "one\n"
    assert t.run(f"{UP * 4}{DOWN}!") == "two!\n"
    assert t.run(f"echo new{UP * 2}{DOWN * 2}er") == "newer\n"
    assert t.run(f"{DOWN}{UP * 100}{DOWN * 100}echo lives") == "lives\n"
    t.type(f"{UP}{CTRL_C}")
    t.expect("^C\n")
    assert t.run(UP) == "lives\n"
    for i in range(50):
        t.run(f"# {i} {'x' * 200}")
    assert t.run(f"{UP * 100}{CTRL_U}echo still") == "still\n"


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


# Bytes that terminals send by themselves, and keys without a letter.
REPLIES = {
    "colour": "\x1b]11;rgb:0000/0000/0000\x1b\\",
    "title": "\x1b]lshell\a",
    "status string": "\x1bP1$r0m\x1b\\",
    "others": "\x1b_Gi=31;OK\x1b\\\x1b^x\x1b\\\x1bXy\x1b\\",
    "attributes": "\x1b[?64;1;2c\x1b[>41;354;0c",
    "place": "\x1b[24;80R",
    "bracketed paste": "\x1b[200~\x1b[201~",
    "mouse": "\x1b[<0;10;20M\x1b[<0;10;20m",
    "mouse of X10": "\x1b[M !!\x1b[M#ab",
    "focus": "\x1b[I\x1b[O",
    "NUL": "\0",
    "function keys": "\x1b[5~\x1bOP\x1b[15~\x1b[[A\x1b[1;2S",
    "keypad": "\x1bOM",
    "key with Alt": "\x1bx",
    "character set": "\x1b(B\x1b#8\x1b F\x1b$(C",
}


def test_replies_are_not_text(terminal):
    t = terminal(cpus=1)
    for name, reply in REPLIES.items():
        assert t.run(f"echo a{reply}b") == "ab\n", name
    assert t.run("echo cut\x1b]off") == "cut\n", "Enter ends what is not complete"
    t.type(f"\x1b]lost{CTRL_C}")
    t.expect("^C\n")
    assert t.run("echo here") == "here\n"


@pytest.mark.parametrize("cpus", [1, 3])
@pytest.mark.parametrize("way", ["pty", "pipe"])
def test_paste(terminal, tmp_path, way, cpus):
    """However much arrives at once, and while programs run that do not read: all is there."""
    lines = [f"line {i} of what was pasted, {i * i % 977}\n" for i in range(2000)]
    t = terminal(cpus=cpus, log=tmp_path / "log" if way == "pty" else None)
    t.paste("".join(["cat > pasted\n", *lines, CTRL_D, "echo fir''st\n" * 60, "sleep 5\n",
                     f"# {'x' * 100}\n" * 100, "echo the '' end\n"]))
    came = t.expect("the  end\n$ ")
    assert "\a" not in came
    assert came.count("first\n") == 60 and came.count("x") >= 10000
    assert "".join(lines) in came, "it is echoed, too"
    assert t.run("cat pasted") == "".join(lines)


def test_listing(terminal):
    """What was being typed stands there again after it."""
    t = terminal(cpus=2)
    t.type(f"echo half{CTRL_P}")
    came = t.expect("\n$ echo half")
    assert came.startswith("echo half\n") and came.count("PID") == 1
    assert re.search(r"  \d{3} +\d{4} init, waits for process\n.*\d sh\b", came)
    t.type(" a line\n")
    t.expect("\nhalf a line\n$ ")


def test_endless_listing(terminal):
    """^P held down takes little of the machine.  A fork is 10,000 instructions; it was 880,000."""
    t = terminal(cpus=1, extra=["-icount", "shift=0"])
    t.paste("bench fork\n" + CTRL_P * 100000)  # at once, or bench ends before the keys come
    came = t.expect(" instructions\n")
    assert int(re.search(r"bench: fork (\d+)", came)[1]) < 15000
    assert "PID PARENT" in came


def test_report_over_a_prompt(terminal):
    """The same for a report: it begins on a line of its own."""
    t = terminal(cpus=2)
    t.type("(sleep 20; provoke ACCESS_NULL) &\n")
    t.expect("$ ")
    t.type("echo half")
    t.expect("echo half")
    came = t.expect("reserve=-\n$ echo half")
    assert came.startswith("\n\npid ")
    t.type(" a line\n")
    t.expect("\nhalf a line\n$ ")


def test_message_between_lines(terminal):
    """A message comes after the lines before it, and one that it broke is printed again."""
    t = terminal(cpus=1)
    lines = (guest.TOP / "README.md").read_text().splitlines()
    t.type(f"cat{' README' * 15}; echo the '' end\n")
    came = ""
    for _ in range(10):
        came += t.expect(lines[-1])
        t.type(CTRL_P)
    came += t.expect("the  end\n")
    assert "PID" in came
    came = came.splitlines()
    for line in set(lines) - {""}:
        assert came.count(line) >= 15 * lines.count(line), line


def test_headline_stays(terminal):
    """On a screen of 24 lines the report's sentence is there when the prompt is."""
    t = terminal(cpus=1)
    came = t.run("provoke EXHAUST_STACK") + "$ "
    rows = [line[i:i + 80] for line in came.splitlines() for i in range(0, max(len(line), 1), 80)]
    assert "off the end of its kernel stack in recurse()." in "\n".join(rows[-24:])


def run_boot(log, keys, *words, **machine):
    """Run test/tools/boot with that on its standard input."""
    arguments = guest.arguments(**machine)
    arguments.remove("-nographic")
    return subprocess.run(["test/tools/boot", *arguments, *words], cwd=guest.TOP,
                          input=keys.encode(), env={**os.environ, "BOOT_LOG": str(log)},
                          stdout=subprocess.PIPE, check=False,
                          timeout=guest.WALL_SECONDS * guest.SCALE)


def test_no_input(tmp_path):
    """Without a standard input, as a job scheduler starts it, the machine ends as at its end."""
    words = ["test/tools/boot", *guest.arguments(append="-- sh")]
    words.remove("-nographic")
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *words], cwd=guest.TOP,
                          env={**os.environ, "BOOT_LOG": str(tmp_path / "log")},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=guest.WALL_SECONDS * guest.SCALE)
    assert done.returncode == 0 and b"$ " in done.stdout and not done.stderr, done.stderr


@pytest.mark.parametrize("keys, prints, code", [
    ("echo fir''st\n", "first\n", 0),
    ("", "$ ", 0),
    ("echo no newl''ine", "no newline\n", 0),
    ("cat\ndata\n", "\ndata\n", 0),
    ("sh\nsh\ncat\n", "$ ", 0),
    ("sleep 5\nfalse\n", "cannot run false", 127),
    (f"echo {CTRL_A}x''yz\n", "xyz\n", 0),
    ("poweroff 5\nnever\n", "", 5),
])
def test_input_ends(tmp_path, keys, prints, code):
    """Nothing is lost of input that is no terminal, and the machine ends with it."""
    done = run_boot(tmp_path / "log", keys, append="-- sh")
    output = done.stdout.decode(errors="replace").replace("\r", "")
    assert done.returncode == code and prints in output, output


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
