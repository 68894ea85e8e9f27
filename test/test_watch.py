# SPDX-License-Identifier: MIT
"""make watch: its server, and its page in a real browser, both against a live machine."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import guest
import pexpect
import pytest
from grade.sv39 import PageTable, V
from test_book import why_no_browser
from test_gdb import free_port

try:
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

pytestmark = pytest.mark.xdist_group("watch")  # most share a machine, and a browser
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
                                  preexec_fn=guest.as_in_a_terminal)
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
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < end, f"these of {pids} still run: {left}"
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
    assert "Backtrace, innermost first" in report
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
    while len(seen) < 3 or "system call exec" not in seen[-1]:
        assert len(seen) < 60, seen  # each step gets on
        client.until(lambda c: "makes the system call" in c.last["why"])
        seen.append(client.last["why"])
        running = [h for h in client.harts if h["where"] == "syscall"]
        assert len(running) >= 1 and running[0]["mode"] == "kernel"
        slot = client.slots[running[0]["slot"]]
        assert slot["on"] and slot["now"] == guest.FRAME  # and nothing else yet
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
    assert "vmalloc window, in a live area" in client.explain("0xfffffff400000000")
    assert "is no address" in client.explain("pids.slots")
    assert "in the direct map" in client.explain("&harts + 8")
    assert "not canonical" in client.explain("0x10000000000")
    assert "device window: register 0x0 of test, at pa 0x100000" in \
        client.explain("0xfffffff000000000")
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
    watch.type("provoke EXHAUST_STACK")  # leaves a slot that has no stack any more
    client.paused()
    assert any(slot["mapped"] == 0 for slot in client.slots.values())
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


TORN = """
import random, struct, sys
sys.path[:0] = ["test/watch", "test/gdb"]
sys.path.append("test/grade")
import dwarf, kernel, memory, picture
path, elf = sys.argv[1:]
file, random = open(path, "r+b", buffering=0), random.Random(1)
size = file.seek(0, 2)
info = dwarf.Dwarf(elf)
ram = memory.Memory(file.fileno(), size, kernel.constants("vm/layout.h"))
eye = picture.Eye(info, ram)
good = eye.look({})
assert len(good["slots"]) >= 11, good
names = ("kstack_window", "kstacks", "kstack_caches", "harts", "hart_count", "pids",
         "kernel_pagetable", "vmalloc_general")
spans = [(ram.offset(at), type_.sizeof) for at, type_ in map(info.variable, names)]
spans.append((ram.offset(eye.field("kstacks")), 12 * eye.stack_size))
spans.append((ram.offset(eye.field("kstack_window", "ptes")), 12 * 64))
spans.append((ram.offset(eye.field("kstack_window", "areas")), 12 * 64))
looks = torn = 0
for _ in range(400):
    before = []
    for _ in range(random.choice((1, 1, 2, 8))):
        start, length = random.choice(spans)
        at = start + random.randrange(max(1, length // 8)) * 8
        file.seek(at)
        before.append((at, file.read(8)))
        word = random.choice((random.getrandbits(64), random.getrandbits(9), (1 << 64) - 1,
                              0xffffffc080000000 + random.getrandbits(27) & -8))
        file.seek(at)
        file.write(struct.pack("<Q", word))
    for ask in (lambda: eye.look({}), lambda: eye.explain(hex(0xfffffff800000000 +
                                                              random.getrandbits(19)), good, 0)):
        try:
            ask()
            looks += 1
        except picture.TORN:
            torn += 1
    for at, data in reversed(before):
        file.seek(at)
        file.write(data)
assert eye.look({})["slots"] == good["slots"]
print(looks, torn)
"""


def test_memory_that_makes_no_sense(machine, tmp_path):
    """Whatever stands in the kernel's records, a look ends, and says so or shows something."""
    watch, client = machine
    client.paused()
    with memory_of(watch) as file, open(tmp_path / "ram", "wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
    done = subprocess.run([sys.executable, "-c", TORN, tmp_path / "ram", guest.KERNEL],
                          cwd=guest.TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    looks, torn = map(int, done.stdout.split())
    assert looks > 100 and torn > 0


IDLE_LOOKS = 50


def cpu(pid, thread=None):
    """Seconds of CPU time that a process, or one of its threads, has taken."""
    path = Path(f"/proc/{pid}/task/{thread}/stat" if thread else f"/proc/{pid}/stat")
    fields = path.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_costs_little(machine):
    """While a machine computes, looking at it takes less than a tenth of one processor: of the
    server, and of QEMU's main thread for its answers.  That thread serves the disk and the timers,
    too, so what a look takes of it is measured while the machine idles."""
    watch, client = machine
    there = {pid: Path(f"/proc/{pid}/comm").read_text() for pid in watch.processes()}
    server = next(pid for pid, name in there.items() if "python" in name)
    qemu = next(pid for pid, name in there.items() if "qemu" in name)
    before = cpu(qemu, qemu)
    for _ in range(IDLE_LOOKS):
        assert client.take()
    answer = (cpu(qemu, qemu) - before) / IDLE_LOOKS
    before, start, work, told = cpu(server), time.monotonic(), cpu(qemu), len(client.events)
    watch.make.sendline("bench; bench; bench")
    looks = 0
    while watch.make.expect([PROMPT, pexpect.TIMEOUT], timeout=0.01):
        looks += client.take()
    share = (cpu(server) - before + looks * answer) / (time.monotonic() - start)
    assert looks > 5 and cpu(qemu) - work > 1 and len(client.events) > told
    assert share < 0.1, (share, answer)


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


# --- the page in a browser -----------------------------------------------------------------------

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
in_browser = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())


class Page:
    """The page, as a person has it."""

    def __init__(self, url):
        options = webdriver.ChromeOptions()
        for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu",
                     "window-size=1400,1000"):
            options.add_argument(f"--{word}")
        options.binary_location = BROWSER
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.chrome.service.Service(DRIVER)
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_script_timeout(PATIENCE)
        self.driver.get(url)
        self.until("document.querySelectorAll('.card').length >= 11")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, condition):
        """Wait until an expression is true.  Returns it."""
        end = time.monotonic() + PATIENCE
        while True:
            value = self.run(f"return {condition}")
            if value:
                return value
            assert time.monotonic() < end, (condition, self.run("return document.body.innerText"))
            time.sleep(0.1)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def keys(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def cards(self):
        """What each card shows, by its slot."""
        shown = self.run("""return [...document.querySelectorAll('.card')].map(c => [
            Number(c.dataset.slot), c.innerText, c.className, c.getAttribute('aria-label'),
            c.querySelector('.now').style.height, c.querySelector('.peak').style.height])""")
        return {slot: rest for slot, *rest in shown}

    def complaints(self):
        return [entry for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def browser(live):
    page = Page(live[0].url)
    yield page
    page.driver.quit()


@pytest.fixture
def page(browser, machine):
    """The page and the machine behind it, which runs; no key is held, nothing is said."""
    watch, client = machine
    browser.keys(Keys.ESCAPE)
    browser.run("document.activeElement.blur()")
    yield browser, watch, client
    assert not browser.complaints()


@in_browser
def test_page_agrees(page):
    """The boxes of a machine that stands still say what kstacks and the server said."""
    browser, watch, client = page
    table = listed(watch.type("kstacks -p"))
    client.paused()
    browser.until("document.body.dataset.state === 'stopped'")
    browser.until(f"document.querySelectorAll('.card').length === {len(client.slots)}")
    time.sleep(0.5)  # the last look has been drawn
    cards = browser.cards()
    assert set(cards) == set(client.slots)
    for index, (text, names, label, now, peak) in cards.items():
        slot = client.slots[index]
        if slot["state"] not in KINDS.values():
            assert slot["state"] in names.split() and "last owner" in label
            continue
        assert slot["name"] in text and slot["name"] in label
        assert int(slot["lo"], 16) in table
        assert f"at most {slot['peak']:,} of 16,384" in label
        assert abs(float(peak[:-1]) - slot["peak"] * 100 / SIZE) < 0.01
        if slot["now"] is not None:
            assert f"{slot['now']:,} bytes in use" in label and f"{slot['now']:,} now" in text
            assert abs(float(now[:-1]) - slot["now"] * 100 / SIZE) < 0.01
        assert ("on" in names.split()) == slot["on"]


@in_browser
def test_page_shows_an_overflow(page):
    """The slot, the notice and the report; and the next storm."""
    browser, watch, _ = page
    text = watch.type("provoke EXHAUST_STACK")
    past = re.search(r"past=(\d+)", text)[1]
    notice = browser.until("!document.getElementById('alarm').hidden && "
                           "document.getElementById('alarm-text').textContent")
    assert f"ran {past} bytes off the end of its kernel stack in recurse()." in notice
    broke = browser.until("document.querySelector('.card.broke')?.innerText")
    assert f"{past} B past" in broke and "provoke" in broke
    assert browser.find("[role=alert] #alarm-text").text == notice
    browser.find("#alarm-show").click()
    report = browser.until("document.querySelector('#events details[open] pre')?.textContent")
    assert "Backtrace, innermost first:" in report and report.startswith(notice)
    answer = browser.until("(t => t.includes('not mapped') && t)"
                           "(document.getElementById('answer').textContent)")
    assert "8 bytes below the stack" in answer or "its slot is free" in answer
    for _ in range(5):
        watch.type("provoke EXHAUST_STACK | provoke EXHAUST_STACK")
    browser.until("document.querySelectorAll('#events .fault').length >= 11")
    assert browser.run("return document.querySelector('#events').innerHTML").count("<script") == 0


@in_browser
def test_page_by_keys(page):
    """Pause, step, go on, move and explain without a mouse."""
    browser, watch, _ = page
    browser.keys("p")
    browser.until("document.getElementById('word').textContent === 'paused'")
    browser.keys("c")
    browser.until("document.getElementById('word').textContent === 'stepping'")
    watch.make.send("\r")
    browser.until("/makes the system call/.test(document.getElementById('why').textContent)")
    browser.keys("p")
    browser.until("document.getElementById('word').textContent === 'running'")
    watch.make.expect(PROMPT)
    browser.run("document.querySelector('.card[tabindex=\"0\"]').focus()")
    assert browser.run("return document.querySelectorAll('.card[tabindex=\"0\"]').length") == 1
    browser.keys(Keys.HOME)
    first = browser.run("return Number(document.activeElement.dataset.slot)")
    browser.keys(Keys.ARROW_RIGHT)
    assert browser.run("return Number(document.activeElement.dataset.slot)") > first
    browser.keys(Keys.ARROW_DOWN)
    browser.keys(Keys.HOME, Keys.ENTER)
    browser.until("/slot 0, the stack half/.test(document.getElementById('answer').textContent)")
    assert browser.find(".card[aria-current=true]").get_attribute("data-slot") == str(first)
    browser.keys("m")
    browser.until("document.getElementById('slow').getAttribute('aria-pressed') === 'true'")
    browser.keys("m")
    browser.until("document.getElementById('word').textContent === 'running'")


@in_browser
def test_page_explains_a_click(page):
    """A click into a well asks about that very place; a letter in the field is no key."""
    browser, _, client = page
    index, slot = next((i, s) for i, s in client.slots.items() if s["name"] == "init")
    well = browser.find(f".card[data-slot='{index}'] .well")
    size = well.size
    chain = webdriver.ActionChains(browser.driver)
    chain.move_to_element_with_offset(well, 0, int(size["height"] * 0.45)).click().perform()
    browser.until(f"/slot {index}, the guard half/.test(document.getElementById('answer')"
                  ".textContent)")
    asked = int(browser.find("#address").get_attribute("value"), 16)
    assert int(slot["lo"], 16) - GUARD <= asked < int(slot["lo"], 16)
    field = browser.find("#address")
    field.clear()
    field.send_keys("process_exit", Keys.ENTER)
    browser.until("/kernel image: process_exit/.test(document.getElementById('answer')"
                  ".textContent)")
    assert browser.run("return document.getElementById('word').textContent") == "running"


@in_browser
def test_page_takes_names_for_text(page):
    """A program may be called anything, and may print anything."""
    browser, _, client = page
    name = "<img src=x onerror=evil()>"
    index, slot = next((i, s) for i, s in client.slots.items() if s["name"] == "init")
    shown = browser.run("""take({ ...arguments[0], slots: { [arguments[1]]: arguments[2] } });
        return document.body.innerText""", {
        "state": "running", "why": name, "slow": "", "booted": True, "gone": [], "counts": {},
        "harts": [{**client.harts[0], "pid": 1, "name": name, "where": name}],
        "events": [{"id": 1 << 40, "kind": "fault", "at": "", "text": f"pid 1 ({name})",
                    "report": name, "lo": slot["lo"], "past": "8", "pid": "1", "class": name,
                    "verdict": "killed"}]}, str(index), {**slot, "name": name})
    assert shown.count("<img src=x") >= 6
    assert not browser.run("return document.querySelectorAll('img, [onerror]').length")
    browser.driver.refresh()
    browser.until("document.querySelectorAll('.card').length >= 11")


@in_browser
def test_page_has_names_for_all(page):
    """Whatever can be worked has a name, and the colours of both schemes are told apart."""
    browser, _, _ = page
    nameless = browser.run("""return [...document.querySelectorAll('button, input, select')].filter(
        e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
        .map(e => e.outerHTML)""")
    assert nameless == []
    for scheme in ("light", "dark"):
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
        low = browser.run(CONTRAST)
        assert low == [], (scheme, low)


# WCAG 1.4.3: text that has less than 4.5 to 1 on what lies behind it.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
  const part = c[i] / 255;
  return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4); }, 0);
const behind = (e) => { for (; e; e = e.parentElement) {
  const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; }
  return rgb('white'); };
return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() &&
  [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && !e.closest(':disabled') &&
  !e.matches('option, title, .hidden, .wrong')).filter((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5; }).map((e) => e.className + ' ' + e.textContent);
"""


@in_browser
def test_page_after_the_end():
    with watching() as (watch, _):
        page = Page(watch.url)
        try:
            watch.make.sendline("poweroff")
            page.until("['ended', 'lost'].includes(document.body.dataset.state)")
            assert page.run("return document.getElementById('pause').disabled")
            watch.make.expect(pexpect.EOF)
        finally:
            page.driver.quit()
