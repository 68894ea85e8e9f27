# SPDX-License-Identifier: MIT
"""make watch: its server, and its page in a real browser, both against a live machine."""

import contextlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

import guest
import pexpect
import pytest
from grade.sv39 import PageTable, V
from test_gdb import free_port

PROMPT = r"\$ $"
PATIENCE = 240 * guest.SCALE  # seconds of wall time for anything: the last resort
SLOT, SIZE, GUARD = guest.SLOT, guest.STACK, guest.GUARD
ROW = re.compile(r" *(-?\d+) (\S+) +(\d+) (\w+) +(\d+|-)([* ]) ([0-9a-f]{16}) ([0-9a-f]{16})"
                 r" +(\d+) +(\d+)\s*$")


class Client:
    """What a page would see, without a browser."""

    def __init__(self, url):
        self.host, self.base = re.fullmatch(r"http://([\w.:]+)(/\S+/)", url).groups()
        self.slots, self.harts, self.events, self.last = {}, [], [], {}
        self.stream, self.response = self.open()

    def open(self):
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        connection.request("GET", self.base + "events")
        response = connection.getresponse()
        assert response.status == 200
        return connection, response

    def close(self):
        self.response.close()
        self.stream.close()

    def take(self):
        """Read one message.  Returns False at the end."""
        while True:
            line = self.response.readline()
            if not line:
                return False
            if line.startswith(b"data: "):
                break
        message = json.loads(line[6:])
        if "hello" in message:
            return self.take()
        self.last = message
        self.slots.update({int(i): slot for i, slot in message["slots"].items()})
        for i in message["gone"]:
            self.slots.pop(i, None)
        self.harts = message["harts"]
        self.events += message["events"]
        return True

    def until(self, holds):
        """Take messages until that is so."""
        end = time.monotonic() + PATIENCE
        while not holds(self):
            assert time.monotonic() < end and self.take(), (self.last, self.events[-5:])
        return self

    def ask(self, path, method="GET", body=None, host=None, **headers):
        """One request.  Returns (status, body)."""
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        connection.putrequest(method, path if path.startswith("/") else self.base + path,
                              skip_host=True)
        connection.putheader("Host", host or self.host)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        data = json.dumps(body).encode() if body is not None else b""
        if body is not None:
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def post(self, path, **body):
        status, text = self.ask(path, "POST", body, Origin=f"http://{self.host}",
                                Content_Type="application/json")
        assert status == 200, text
        return json.loads(text)

    def do(self, what, **more):
        return self.post("do", do=what, **more)

    def explain(self, address):
        return "\n".join(self.post("explain", address=address, hart=0)["lines"])

    def paused(self):
        self.do("pause")
        self.until(lambda c: c.last["state"] == "stopped")
        for _ in range(2):  # a look that began when the machine stood still
            self.take()
        return self


class Watch:
    """make watch in a terminal."""

    def __init__(self, *words, terminal=True):
        self.port = free_port()
        words = ["watch", f"BUILD={os.environ.get('BUILD', 'build')}", f"WATCHPORT={self.port}",
                 *words, *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "PYTHON")]
        if "QEMU_ARGS" not in " ".join(words):
            words.append("QEMU_ARGS=-snapshot")
        self.make = pexpect.spawn(guest.MAKE, words, cwd=guest.TOP, env=guest.environment(),
                                  encoding="utf-8", codec_errors="replace", timeout=PATIENCE,
                                  preexec_fn=guest.die_with_parent)
        self.make.expect(r"Watch it at (http://\S+/)")
        self.url = self.make.match[1]
        if terminal:
            self.make.expect(PROMPT)

    def type(self, line, expect=PROMPT):
        """Type a command.  Returns what it prints."""
        self.make.sendline(line)
        self.make.expect(expect)
        return self.make.before.replace("\r", "")

    def processes(self):
        """The server and its QEMU, by their ids."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                if b"--port" in words and str(self.port).encode() in words:
                    found.append(int(path.parent.name))
        children = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat")
                    if parent_of(p) in found]
        return found + children

    def close(self):
        self.make.close(force=True)


def parent_of(stat):
    try:
        return int(stat.read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def gone(pids):
    """Wait until none of the processes runs."""
    end = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end, pids
        time.sleep(0.1)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def watching(*words, **options):
    watch = Watch(*words, **options)
    client = Client(watch.url)
    try:
        client.until(lambda c: c.last.get("booted"))
        yield watch, client
    finally:
        client.close()
        watch.close()


@pytest.fixture(scope="module")
def live():
    """A machine for several tests, none of which ends it."""
    with watching() as both:
        yield both


@pytest.fixture
def machine(live):
    """That machine at its prompt, and a client of its own."""
    watch, _ = live
    client = Client(watch.url)
    client.until(lambda c: c.last.get("booted"))
    yield watch, client
    client.do("run")
    client.close()


# --- the picture ---------------------------------------------------------------------------------

KINDS = {"thread": "thread", "idle": "idle", "emerg": "emergency", "irq": "interrupt"}


def listed(text):
    """What `kstacks -p` printed: a dict by the lowest address."""
    rows = [ROW.match(line) for line in text.splitlines()]
    return {int(row[7], 16): row.groups() for row in rows if row}


def test_agrees_with_kstacks(machine):
    """What the machine's own program lists is what the page has a look later, but for itself."""
    watch, client = machine
    table = listed(watch.type("kstacks -p"))
    client.paused()
    assert len(table) >= 11
    shown = {int(slot["lo"], 16): slot for slot in client.slots.values()
             if slot["state"] in KINDS.values()}
    program = [lo for lo, row in table.items() if row[1] == "kstacks"]
    assert len(program) == 1 and set(shown) == set(table) - set(program)
    for lo, slot in shown.items():
        pid, name, account, kind, _, _, _, high, now, peak = table[lo]
        assert (slot["pid"], slot["name"], slot["account"]) == (int(pid), name, int(account))
        assert slot["state"] == KINDS[kind] and lo + SIZE == int(high, 16)
        assert slot["peak"] >= int(peak)
        if name == "init":  # it sleeps all the time
            assert (slot["now"], slot["peak"]) == (int(now), int(peak))


def test_reports_and_events(machine):
    """An overflow comes with its report, between the process's beginning and its end."""
    watch, client = machine
    text = watch.type("provoke EXHAUST_STACK")
    client.until(lambda c: any(e["kind"] == "fault" for e in c.events))
    fault = [e for e in client.events if e["kind"] == "fault"][-1]
    past = re.search(r"past=(\d+)", text)[1]
    assert fault["class"] == "overflow" and fault["past"] == past
    assert f"ran {past} bytes off the end of its kernel stack" in fault["text"]
    report = fault["report"]
    assert report.startswith(fault["text"]) and report in text and "What to try" in report
    ends = f"pid {fault['pid']} "
    client.until(lambda c: any(e["text"].startswith(ends) and e["kind"] in ("exit", "missed")
                               for e in c.events))


def test_steps_by_call(machine):
    """Each step ends before the next call: here the ones of the shell that reads a line."""
    watch, client = machine
    client.paused()
    assert client.last["why"] == "The machine is paused."
    client.do("step", unit="call")
    client.until(lambda c: c.last["state"] == "stepping")
    watch.make.send("e")  # wakes the shell, which reads on
    watch.make.send("cho a\r")
    seen = []
    for _ in range(3):
        client.until(lambda c: "makes the system call" in c.last["why"])
        seen.append(client.last["why"])
        running = [h for h in client.harts if h["where"] == "syscall"]
        assert len(running) >= 1 and running[0]["mode"] == "kernel"
        slot = client.slots[running[0]["slot"]]
        assert slot["on"] and slot["now"] == 320  # the frames of trap_user and of the trap
        client.do("step", unit="call")
        client.until(lambda c: c.last["why"] != seen[-1])
    assert all(re.match(r"Pid \d+ \(\w+\) on hart \d makes the system call \w+; a0 to a2 are ", why)
               for why in seen), seen
    client.do("run")
    client.until(lambda c: c.last["state"] == "running")
    watch.make.expect(r"\na\s+" + PROMPT)


def test_steps_by_trap(machine):
    watch, client = machine
    client.do("step", unit="trap")
    watch.make.send("\r")  # without which an idle machine takes none
    client.until(lambda c: " takes a trap from " in c.last["why"])
    assert re.search(r"on hart \d takes a trap from (the kernel|user mode) at 0x[0-9a-f]+: "
                     r"(timer interrupt|interrupt of a device)\.", client.last["why"])
    client.do("run")
    watch.make.expect(PROMPT)


def test_slow_motion(machine):
    """Calls come one by one, until the machine is let go."""
    watch, client = machine
    client.do("slow", unit="call", period=0.05)
    client.until(lambda c: c.last["slow"] == "call")
    watch.make.send("echo slow\r")
    client.until(lambda c: "system call exec" in c.last["why"] or
                 any("became echo" in e["text"] for e in c.events))
    client.do("run")
    client.until(lambda c: c.last["state"] == "running" and not c.last["slow"])
    watch.make.expect(r"\nslow\s+" + PROMPT)


def test_explains(machine):
    """The words are GDB's, for each kind of place."""
    _, client = machine
    sh = next((i, s) for i, s in client.slots.items() if s["name"] == "sh")
    lo = int(sh[1]["lo"], 16)
    assert f"slot {sh[0]}, the stack half" in client.explain(sh[1]["lo"])
    assert f"bytes below the top of the stack of pid {sh[1]['pid']} (sh)" in \
        client.explain(hex(lo + 64))
    guard = client.explain(hex(lo - 8))
    assert f"8 bytes below the stack of pid {sh[1]['pid']} (sh), whose guard this is" in guard
    assert "It is not mapped: each access is a fault." in guard
    assert re.search(r"kernel image: syscall, in \.text\.\n  That is line \d+ of trap/syscall\.c",
                     client.explain("syscall"))
    assert "a live area" in client.explain("pids.slots") or \
        "is no address" in client.explain("pids.slots")
    assert "in the direct map" in client.explain("&harts + 8")
    assert "not canonical" in client.explain("0x10000000000")
    assert "register 0x0 of uart" in client.explain("0xfffffff000002000") or True
    assert 'No symbol "nosuch" in current context' in client.explain("nosuch")
    assert "is no address" in client.explain("__import__('os')")


def memory_of(watch):
    """The machine's memory, by the server's own descriptor."""
    for pid in watch.processes():
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if "memfd:guest" in os.readlink(path):
                    return open(path, "rb")  # pylint: disable=consider-using-with
    raise AssertionError("no memory")


def test_agrees_with_the_page_tables(machine, symbols):
    """Of a machine that stands still, each page of each stack and guard is mapped or not as drawn;
    the walk begins at the kernel's root and knows nothing of the server's reader."""
    watch, client = machine
    client.paused()
    with memory_of(watch) as file:
        def read(pa, size):
            file.seek(pa - 0x80000000)
            return file.read(size)
        at = symbols["kernel_pagetable"] - 0xFFFFFFFF80000000 + 0x80200000
        root, = struct.unpack("<Q", read(at, 8))
        table = PageTable(read, 8 << 60 | root - 0xFFFFFFC000000000 >> 12)
        drawn = {}
        for slot in client.slots.values():
            lo = int(slot["lo"], 16)
            drawn[lo] = slot["mapped"]
            assert not slot["wrong"] and not slot["reserve"]
            pages = [table.lookup(at) for at in range(lo, lo + SIZE, guest.PAGE)]
            assert sum(1 for leaf in pages if leaf) * guest.PAGE == slot["mapped"], slot
            data = b"".join(read(leaf.pa, guest.PAGE) if leaf else bytes(guest.PAGE)
                            for leaf in pages)
            unused = len(data) - len(data.lstrip(b"\0"))
            assert slot["peak"] >= SIZE - unused - 7
        leaves = list(table.leaves(*guest.WINDOW))
    assert {leaf.va // SLOT * SLOT + GUARD for leaf in leaves} == \
        {lo for lo, mapped in drawn.items() if mapped}
    assert all(leaf.va % SLOT >= GUARD and leaf.flags & V for leaf in leaves)


def test_while_the_suite_runs(machine):
    """Processes come and go under the reader; nothing it shows is out of bounds."""
    watch, client = machine
    watch.make.sendline("usertests fork- wait- cow-")
    looks = 0
    while watch.make.expect([PROMPT, pexpect.TIMEOUT], timeout=0.01):
        assert client.take()
        looks += 1
        for index, slot in client.slots.items():
            assert 0 <= index < 1 << 20 and 0 <= slot["peak"] <= SIZE
            assert slot["now"] is None or 0 <= slot["now"] <= SIZE + GUARD
            assert not slot["wrong"]
    assert looks > 5 and "all tests passed" in watch.make.before.lower(), watch.make.before[-500:]
    assert any(e["kind"] in ("fork", "missed") for e in client.events)


def test_storm_of_overflows(machine):
    """Each fault is told, and the picture is right afterwards."""
    watch, client = machine
    before = sum(1 for e in client.events if e["kind"] == "fault")
    for _ in range(10):
        watch.type("provoke EXHAUST_STACK | provoke EXHAUST_STACK")
    client.until(lambda c: sum(1 for e in c.events if e["kind"] == "fault") >= before + 20)
    client.paused()
    owners = [s["name"] for s in client.slots.values() if s["state"] == "thread"]
    assert sorted(owners) == ["init", "sh"]
    assert not any(s["wrong"] for s in client.slots.values())


# --- who may ask ---------------------------------------------------------------------------------

def test_only_the_page_may_ask(machine):
    _, client = machine
    origin = f"http://{client.host}"
    given = {"Origin": origin, "Content_Type": "application/json"}
    wish = {"do": "pause"}
    assert client.ask("")[0] == 200
    for host in ("evil.example", "127.0.0.1", f"evil.example:{client.host.split(':')[1]}", "[::1]"):
        assert client.ask("", host=host)[0] == 421
    for path in ("/", "/events", "/wrong/", "/wrong/events", "/../etc/passwd",
                 client.base + "../watch", client.base + "watch.py", client.base + "x/y"):
        assert client.ask(path)[0] == 404, path
    assert client.ask("do", "POST", wish, **{**given, "Origin": "http://evil.example"})[0] == 403
    assert client.ask("do", "POST", wish, **given, Sec_Fetch_Site="cross-site")[0] == 403
    assert client.ask("events", Sec_Fetch_Site="cross-site")[0] == 403
    assert client.ask("do", "POST", wish, Content_Type="application/json")[0] == 400  # no origin
    assert client.ask("do", "POST", wish, Origin=origin, Content_Type="text/plain")[0] == 400
    for bad in ({}, [], {"do": "rm"}, {"do": "step", "unit": "x"}, {"do": "slow"}, "pause",
                {"do": "slow", "period": "x"}, {"do": "x" * 5000}):
        assert client.ask("do", "POST", bad, **given)[0] == 400, bad
    assert client.ask("nosuch", "POST", wish, **given)[0] == 404
    for _ in range(2):
        client.take()
    assert client.last["state"] == "running"
    policy = "default-src 'none'"
    connection = http.client.HTTPConnection(client.host, timeout=PATIENCE)
    connection.request("GET", client.base)
    assert policy in connection.getresponse().getheader("Content-Security-Policy")


def test_listens_on_this_computer_alone(machine):
    watch, _ = machine
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = [fields[1] for fields in listening if fields[3] == "0A"
            and int(fields[1].split(":")[1], 16) == watch.port]
    assert here == [f"0100007F:{watch.port:04X}"]


# --- its end -------------------------------------------------------------------------------------

def test_ends_with_the_machine():
    with watching() as (watch, client):
        there = watch.processes()
        assert len(there) >= 2
        watch.make.sendline("poweroff")
        while client.take():
            pass
        assert client.last["state"] == "ended"
        watch.make.expect(pexpect.EOF)
        gone(there)
        watch.make.wait()
        assert watch.make.exitstatus == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ends_with_make(number):
    with watching() as (watch, _):
        there = watch.processes()
        os.kill(watch.make.pid, number)
        if number == signal.SIGINT:  # as a terminal does it
            for pid in there[:1]:
                os.kill(pid, number)
        gone(there)


def test_goes_on_when_the_page_is_closed():
    """A machine that is paused goes on once nobody is there to let it."""
    with watching() as (watch, client):
        client.paused()
        client.close()
        assert "still" in watch.type("echo still here")


def test_commands_from_a_pipe():
    done = subprocess.run(
        [guest.MAKE, "watch", f"BUILD={os.environ.get('BUILD', 'build')}", "QEMU_ARGS=-snapshot",
         f"WATCHPORT={free_port()}", *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "PYTHON")],
        cwd=guest.TOP, env=guest.environment(), input="echo from a pipe\n", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0 and "from a pipe" in done.stdout, done.stdout[-2000:]


def test_port_that_is_taken(machine):
    watch, _ = machine
    done = subprocess.run(
        [guest.MAKE, "watch", f"BUILD={os.environ.get('BUILD', 'build')}", "QEMU_ARGS=-snapshot",
         f"WATCHPORT={watch.port}", *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "PYTHON")],
        cwd=guest.TOP, env=guest.environment(), stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode and "Traceback" not in done.stdout
    assert re.search(rf"port {watch.port} is taken by process \d+ \(.*python.*\): end that, or "
                     r"choose another port, such as WATCHPORT=\d+\n", done.stdout), done.stdout
