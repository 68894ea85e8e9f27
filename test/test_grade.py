# SPDX-License-Identifier: MIT
"""The grader: what it reads from a guest, what it writes, and that printing alone gets nothing."""

import ast
import json
import multiprocessing
import os
import pickle
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import guest
import pytest

GRADE = guest.TOP / "test" / "grade"
sys.path.insert(0, str(GRADE))

import facts  # noqa: E402
import machine  # noqa: E402
import places  # noqa: E402
import results  # noqa: E402
import rsp  # noqa: E402
import snapshot  # noqa: E402
import story  # noqa: E402
import submission  # noqa: E402
import suite  # noqa: E402
import sv39  # noqa: E402
import teach  # noqa: E402
from sv39 import A, D, G, PAGE, PageTable, R, V, W, X  # noqa: E402

LINE = ("kstack: class=overflow pid=2 name=provoke hart=0 scause=0xf sepc=0xffffffff80003ab4 "
        "stval=0xfffffff80000ff94 sp=0xfffffff80000ff10 lo=0xfffffff800010000 "
        "hi=0xfffffff800014000 past=240 verdict=killed owner=- why=- run=")


# --- machine lines -------------------------------------------------------------------------------


def test_line():
    record = facts.parse_line(LINE + "12")
    assert record["class"] == "overflow" and record["past"] == 240 and record["run"] == "12"
    assert record["sp"] == 0xFFFFFFF80000FF10


@pytest.mark.parametrize("line", [
    "", "kstack:", "kstack: class=overflow", " " + LINE + "1", LINE.replace("pid=2 ", "") + "1",
    LINE.replace("pid=2", "pid") + "1", LINE.replace("pid=2 name=provoke", "name=p pid=2") + "1",
    LINE.replace(" pid", "  pid") + "1", "x" + LINE + "1", LINE.replace("kstack", "KSTACK") + "1"])
def test_line_that_is_none(line):
    assert facts.parse_line(line) is None


def test_later_fields_change_nothing():
    record = facts.parse_line(LINE + "1 class=null past=0 junk")
    assert record["class"] == "overflow" and record["past"] == 240


def test_hostile_numbers():
    line = LINE.replace("past=240", "past=" + "9" * 100000).replace("pid=2", "pid=0x") + "1"
    record = facts.parse_line(line)
    assert record["past"] == "9" * 100000 and record["pid"] == "0x"
    assert facts.parse_line(LINE.replace("pid=2", "pid=007") + "1")["pid"] == 7


# --- page tables ---------------------------------------------------------------------------------


def tables(entries):
    """A reader of physical memory with these 8-byte words; what lies beyond page 63 is missing."""
    memory = bytearray(64 * PAGE)
    for pa, value in entries.items():
        struct.pack_into("<Q", memory, pa, value)
    return lambda pa, size: bytes(memory[pa: pa + size]) if pa + size <= len(memory) else None


def pte(pa, flags):
    return pa >> 12 << 10 | flags


def test_walk():
    va = 0xFFFFFFF800004000
    read = tables({
        PAGE + 8 * (va >> 30 & 511): pte(2 * PAGE, V),
        2 * PAGE + 8 * (va >> 21 & 511): pte(3 * PAGE, V),
        3 * PAGE + 8 * (va >> 12 & 511): pte(9 * PAGE, V | R | W | A | D | G),
        3 * PAGE + 8 * ((va >> 12 & 511) + 1): pte(10 * PAGE, V | W),  # reserved: not valid
        3 * PAGE + 8 * ((va >> 12 & 511) + 2): pte(10 * PAGE, R | W),  # not valid
        2 * PAGE + 8 * ((va >> 21 & 511) + 1): pte(PAGE, V | R),  # a misaligned superpage
        2 * PAGE + 8 * ((va >> 21 & 511) + 2): pte(4 << 21, V | R | X),
    })
    table = PageTable(read, 8 << 60 | 1)
    assert table.translate(va + 5) == 9 * PAGE + 5
    assert table.lookup(va).flags == V | R | W | A | D | G
    for missing in (va - 1, va + PAGE, va + 2 * PAGE, va + (1 << 21), 0, 1 << 38, 1 << 63):
        assert table.lookup(missing) is None, hex(missing)
    big = table.lookup((va & -1 << 21) + (2 << 21) + 12345)
    assert big.size == 1 << 21 and big.pa == 4 << 21
    assert [leaf.pa for leaf in table.leaves(0, 1 << 64)] == [9 * PAGE, 4 << 21]
    assert not PageTable(read, 1).paging


def test_walk_ends():
    """A table that is its own child, or lies where there is no memory, is nothing special."""
    table = PageTable(tables({PAGE: pte(PAGE, V), PAGE + 8: pte(1 << 40, V)}), 8 << 60 | 1)
    assert table.lookup(0) is None and table.lookup(1 << 30) is None
    assert list(table.leaves(0, 1 << 64)) == []


def test_maze():
    """Entries that all lead to the same tables make millions of ways; the walk ends before."""
    entries = {PAGE + 8 * i: pte(2 * PAGE, V) for i in range(512)}
    entries.update({2 * PAGE + 8 * i: pte(3 * PAGE, V) for i in range(512)})
    table = PageTable(tables(entries), 8 << 60 | 1)
    with pytest.raises(sv39.Maze):
        list(table.leaves(0, 1 << 64))
    assert table.left < 0


# --- a guest's memory ---


def test_memory_is_the_guests(tmp_path):
    """What the grader reads in its file is what the stub says, also across the end of RAM."""
    vm = machine.Guest(machine.Build(guest.BUILD), tmp_path / "log", program="true", mem="64M")
    try:
        vm.until(vm.build.program("init")["main"])
        end = machine.RAM + (64 << 20)
        for pa in (machine.RAM, machine.IMAGE_PA, machine.IMAGE_PA + 0x20001, end - 5000, end - 8):
            assert vm.read_memory(pa, 5000) == vm.stub.read_memory(pa, 5000)
    finally:
        vm.close()


def test_machines_that_have_booted(tmp_path):
    """The second guest goes on where the first was kept, and its timer, console and disk work."""
    build = machine.Build(guest.BUILD)
    build.shelf = snapshot.Shelf(tmp_path)
    outcome = suite.perform(suite.GO_ON, build, tmp_path)
    assert outcome.status == "pass", outcome.reason
    kept, = tmp_path.glob("*/facts")
    nonce = json.loads(kept.read_text())["nonce"]
    t = suite.Trial(suite.GO_ON, build, tmp_path)
    try:
        watch = t.boot("ls README.md")
        assert watch.guest.nonce == nonce and watch.guest.at is None
        watch.alive_until_end(1)
        assert watch.guest.output().count("Bulwark: 1 hart") == 1
        assert "README.md" in watch.tail()
        assert t.boot("true", early=True).guest.nonce != nonce
        assert t.boot("true", append="panic_on_fault").guest.nonce != nonce
        build.shelf.clear()
        assert t.boot("true").guest.nonce != nonce
    finally:
        t.close()


def test_machine_that_cannot_be_kept(tmp_path):
    """The case boots, then."""
    def fail(options, directory):
        raise snapshot.Unfit("no")

    assert snapshot.Shelf(tmp_path).get(fail, {}) is None
    assert snapshot.Shelf(tmp_path).get(None, {}) is None


def test_zeros_are_left_out_of_a_state():
    """A page that holds only zeros goes; one of another byte, and what is no state, stay."""
    def word(value):
        return value.to_bytes(8, "big")

    name, other, end = b"\x03one", b"\x03two", word(16)
    head = b"\x01\0\0\0\x02\x03ram" + bytes(8) + word(0x3000 | 4)
    head += name + word(0x2000) + word(0) + other + word(0x1000) + word(0) + end
    head += b"\x7e\0\0\0\x02\x03\0\0\0\x02"
    zeros = word(0 | 2) + name + b"\0" + word(0x1000 | 2 | 32) + b"\0"
    page, tail = b"p" * 4096, end + b"\x7e\0\0\0\x02" + b"the rest"
    whole = head + zeros + word(0x1000 | 8) + other + page + tail
    assert snapshot.without_zeros(whole) == head + word(0x1000 | 8) + other + page + tail
    ones = head + word(2) + name + b"\xff" + tail
    assert snapshot.without_zeros(ones) == ones
    assert snapshot.without_zeros(b"\0" * 99) == b"\0" * 99


def test_premise_is_tried_once(monkeypatch):
    """Each case that asks for it gets the same answer, also from another process."""
    monkeypatch.setattr(suite, "PREMISES", {})
    tried = []

    def premise(trial):
        tried.append(trial)
        raise facts.Failed("a report", "none")

    class Scenic(suite.Trial):
        def scene(self, spot):
            return {"premise": ""}

    for _ in range(3):
        with pytest.raises(facts.Failed, match="expected a report; seen none") as failed:
            Scenic(None, None, None).given(premise)
        assert failed.value.scene == {"premise": "premise"}
        suite.PREMISES = pickle.loads(pickle.dumps(suite.PREMISES))
    assert len(tried) == 1


# --- the protocol --------------------------------------------------------------------------------


def test_packets():
    assert rsp.expand(b"0* 1") == b"00001"
    assert rsp.unescape(b"a}\x03b") == b"a#b"
    assert rsp.strip_doctype('<?xml?><!DOCTYPE a "b"><c/>') == "<?xml?><c/>"


# --- results -------------------------------------------------------------------------------------

HOSTILE = '<script>"\x1b[31m\x00]]>& # \ufffe'


def options(tmp_path):
    return types.SimpleNamespace(json=tmp_path / "j", junit=tmp_path / "x", tap=tmp_path / "t",
                                 html=tmp_path / "h", quiet=False)


def make_cases():
    return [suite.Case(f"overflow.case{i}", f"title {i} {HOSTILE}", i, "a hint", ("core",), None)
            for i in (1, 2, 3, 4)]


def outcome(c, status):
    o = suite.Outcome.of(c)
    o.status, o.points = status, c.points if status == "pass" else 0
    o.expected, o.seen, o.reason, o.report = "one", HOSTILE, HOSTILE, "\npid 2 (x) fell\n" + HOSTILE
    return o


def test_results(tmp_path, capsys):
    cases = make_cases()
    report = results.Report(cases, options(tmp_path))
    for c, status in zip(cases, ("pass", "fail", "timeout", "error")):
        report.add(outcome(c, status))
    report.end(1.5)
    assert not report.full() and "Score: 1/10" in capsys.readouterr().out
    found = json.loads((tmp_path / "j").read_text())
    assert found["complete"] and (found["score"], found["max"]) == (1, 10)
    assert [c["status"] for c in found["cases"]] == ["pass", "fail", "timeout", "error"]
    tree = ET.parse(tmp_path / "x").getroot()
    assert tree.attrib["tests"] == "4" and tree.attrib["failures"] == "1"
    tap = (tmp_path / "t").read_text().splitlines()
    assert tap[:2] == ["TAP version 13", "1..4"] and tap[2].startswith("ok 1 - overflow.case1")
    assert sum(line.startswith("not ok ") for line in tap) == 3
    page = (tmp_path / "h").read_text()
    assert "<script>" not in page and "pid 2 (x) fell" in page and "http" not in page


def test_interrupted_run_keeps_what_it_has(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(results, "INTERVAL", 0)
    cases = make_cases()
    report = results.Report(cases, options(tmp_path))
    report.add(outcome(cases[2], "pass"))  # the first two are still running
    found = json.loads((tmp_path / "j").read_text())
    assert not found["complete"] and found["score"] == 3 and len(found["cases"]) == 1
    report.end(0.1)
    assert "title 3" in capsys.readouterr().out
    assert not report.full() and not json.loads((tmp_path / "j").read_text())["complete"]


def test_files_are_not_written_all_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "INTERVAL", 1000)
    cases = make_cases()
    report = results.Report(cases, options(tmp_path))
    report.add(outcome(cases[0], "pass"))
    assert json.loads((tmp_path / "j").read_text())["score"] == 0
    monkeypatch.setattr(results, "INTERVAL", 0)
    report.refresh()
    assert json.loads((tmp_path / "j").read_text())["score"] == 1


def test_little_is_kept_of_much(tmp_path):
    """A guest may print megabytes in a report, and a machine line as long."""
    o = suite.Outcome.of(make_cases()[0])
    record = facts.parse_line(LINE.replace("past=240", "past=" + "9" * 100000) + "1")
    watch = types.SimpleNamespace(records=[record] * 3000, reported="a" * (3 << 20) + "the end")
    o.reason = o.seen = "x" * 100000
    suite.finish(o, types.SimpleNamespace(guests=[], observers=[watch, watch]))
    assert o.report.endswith("the end") and len(o.report) < 66 << 10
    assert len(o.reason) == len(o.seen) < 5000
    assert len(o.records) == suite.RECORDS_KEPT and len(o.records[0]["past"]) < 5000


def test_broken_build(tmp_path, capsys):
    report = results.Report(make_cases(), options(tmp_path))
    report.give_up("the kernel does not build: a.c:1: error")
    report.end(0)
    assert "does not build" in capsys.readouterr().out
    found = json.loads((tmp_path / "j").read_text())
    assert found["score"] == 0 and {c["status"] for c in found["cases"]} == {"error"}


def test_selection():
    cases = suite.load()
    one = suite.select(cases, ["overflow.recursion"])
    assert [c.id for c in one] == ["overflow.recursion"]
    assert {c.group for c in suite.select(cases, ["layout", "wild_sp.*"])} == {"layout", "wild_sp"}
    assert all("core" in c.tags for c in suite.select(cases, ["tag:core"]))
    with pytest.raises(ValueError):
        suite.select(cases, ["overflow.recursio"])


def test_cases():
    for c in suite.load(growing=True):
        assert c.title and c.hint and c.points > 0 and set(c.tags) <= {"core", "stress"}, c.id


def test_functions_that_cases_name_are_not_inlined():
    """A compiler may inline all others, and reports name the caller then."""
    named = set()
    for path in (guest.TOP / "test/grade/cases").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.update([node.value] if re.fullmatch(r"\w+", node.value) else [])
    for path in (guest.TOP / "kern/provoke").glob("*.c"):
        text = path.read_text()
        for prefix, name in re.findall(r"^(\w.*?)\b(\w+)\([^;{}]*\) \{$", text, re.MULTILINE):
            if name in named and len(re.findall(rf"\b{name}\(", text)) > 1:
                assert "noinline" in prefix, f"{path.name}: {name}"


def test_table_is_fresh():
    made = results.table(suite.load(growing=True))
    assert (guest.TOP / "docs" / "cases.md").read_text() == made, "test/grade/grade --table"


def test_nothing_to_grade(tmp_path):
    run = subprocess.run([sys.executable, GRADE / "grade", "--build", tmp_path, "--json",
                          tmp_path / "j"], stdout=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1 and "no kernel to grade" in run.stdout
    assert json.loads((tmp_path / "j").read_text())["score"] == 0


@pytest.mark.parametrize("option, path", [
    ("--json", "/dev/null/j"), ("--html", "/"), ("--tap", "/proc/x"), ("--logs", "/dev/null")])
def test_unwritable(option, path):
    run = grade("--build", guest.BUILD, "--only", "layout.guards", option, path)
    assert run.returncode == 1 and run.stdout.count("\n") == 1
    assert run.stdout.startswith(f"grade: {path}") and "cannot be written" in run.stdout


# --- the run -------------------------------------------------------------------------------------


def grade(*words, **environment):
    return subprocess.run([sys.executable, GRADE / "grade", *words], text=True, check=False,
                          env={**os.environ, **environment}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def die(t):
    os.kill(os.getpid(), signal.SIGKILL)


def fill_memory(t):
    bytearray(3 << 30)


def look_at_limit(t):
    """What QEMU is started like has none."""
    started = machine.spawn(["sh", "-c", "ulimit -v"], stdout=subprocess.PIPE, text=True)
    t.equal("the limit", started.communicate()[0].strip(), "unlimited")


def test_workers(tmp_path, capsys):
    """One that dies, or needs too much memory, takes no other case with it."""
    runs = (die, fill_memory, look_at_limit)
    cases = [suite.Case(f"overflow.{run.__name__}", "t", 1, "h", ("core",), run) for run in runs]
    report = results.Report(cases, options(tmp_path))
    guest.load_script(GRADE / "grade").run(cases, None, tmp_path, 1, report)
    assert [o.status for o in report.done()] == ["error", "error", "pass"]
    assert "died, exit code -9" in report.done()[0].reason
    assert "MemoryError" in report.done()[1].reason


@pytest.mark.parametrize("name", ["COMPUTE_SECONDS", "TOUCH_SECONDS"])
def test_slowness(monkeypatch, name):
    """Where computing or fresh memory is dear, limits are longer; none is shorter."""
    monkeypatch.setattr(suite, "COMPUTE_SECONDS", 1)
    monkeypatch.setattr(suite, "TOUCH_SECONDS", 1)
    assert suite.slowness() == 1
    monkeypatch.setattr(suite, name, 1e-5)
    assert suite.slowness() > 5


def test_slowness_of_a_limited_process(monkeypatch):
    """A case's process has a limit of CPU time, and from then on its own clock goes by ticks."""
    monkeypatch.setattr(suite, "COMPUTE_SECONDS", 1e-5)
    monkeypatch.setattr(suite, "TOUCH_SECONDS", 1e9)
    context = multiprocessing.get_context("fork")
    found = context.SimpleQueue()

    def work():
        resource.setrlimit(resource.RLIMIT_CPU, (60, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        found.put([suite.slowness() for _ in range(10)])

    process = context.Process(target=work)
    process.start()
    process.join()
    assert min(found.get()) > 5


def run_made_up(tmp_path, monkeypatch, *runs, budget=35, whole=140, tags=("core",)):
    """Run cases that are those functions.  Returns the outcomes."""
    script = guest.load_script(GRADE / "grade")
    monkeypatch.setattr(script, "BUDGET", budget)
    monkeypatch.setattr(script, "WHOLE", whole)
    monkeypatch.setattr(script, "SCALE", 1)
    monkeypatch.setattr(suite, "COMPUTE_SECONDS", 1)  # no host is slower than that
    monkeypatch.setattr(suite, "TOUCH_SECONDS", 1)
    cases = [suite.Case(f"overflow.{run.__name__}{i}", "t", 1, "h", tags, run)
             for i, run in enumerate(runs)]
    report = results.Report(cases, options(tmp_path))
    script.run(cases, None, tmp_path, 1, report)
    return report.done()


def test_qemu_that_dies(tmp_path, monkeypatch):
    """Once, of its own defect: the case runs again, and counts.  Always: the kernel loses it."""
    tried = tmp_path / "tried"

    def once(t):
        if not tried.exists():
            tried.touch()
            raise machine.Crashed("QEMU died of signal 6")
        assert not machine.watchpoints  # which QEMU may have died of

    def always(t):
        raise machine.Crashed("QEMU died of signal 6")

    monkeypatch.setattr(machine, "watchpoints", True)
    found = run_made_up(tmp_path, monkeypatch, once, always)
    assert [(o.status, o.points) for o in found] == [("pass", 1), ("error", 0)]
    assert found[1].reason == "QEMU died of signal 6"


def test_rendezvous_without_watchpoints(tmp_path, monkeypatch):
    """Where QEMU has died of one, breakpoints do the same."""
    monkeypatch.setattr(machine, "watchpoints", False)
    monkeypatch.delattr(rsp.Stub, "set_watchpoint")
    suite.load()
    in_a_row = sys.modules["cases.survival"].in_a_row
    few = suite.Case("survival.few", "t", 1, "h", ("stress",), lambda t: in_a_row(t, 101, "16M"))
    report = results.Report([few], options(tmp_path))
    guest.load_script(GRADE / "grade").run([few], machine.Build(guest.BUILD), tmp_path, 1, report)
    assert report.done()[0].status == "pass", report.done()[0].reason


def burn(t):
    end = time.process_time() + 1.3
    while time.process_time() < end:
        pass


def rest(t):
    pass


def test_budget(tmp_path, monkeypatch):
    """What cases use beyond a fair share is taken from a budget; when it is used up, so is it."""
    done = run_made_up(tmp_path, monkeypatch, burn, burn, rest, rest, budget=.5)
    assert [o.status for o in done] == ["pass", "pass", "timeout", "timeout"]
    assert "used up the 0 s of CPU time" in done[2].reason and done[2].points == 0
    done = run_made_up(tmp_path, monkeypatch, *[rest] * 5, budget=.1)
    assert all(o.status == "pass" for o in done)
    done = run_made_up(tmp_path, monkeypatch, burn, burn, rest, whole=2)
    assert [o.status for o in done] == ["pass", "pass", "timeout"]
    assert "used up the 2 s of CPU time that all cases together" in done[2].reason


def test_busy_host(tmp_path, monkeypatch):
    """What the host was too busy for is tried again, alone; a second time there is no score."""
    mark = tmp_path / "tried"

    def busy_once(t):
        if not mark.exists():
            mark.touch()
            raise machine.Busy("so much to do")

    def busy(t):
        raise machine.Busy("so much to do")

    done = run_made_up(tmp_path, monkeypatch, busy_once, rest)
    assert [o.status for o in done] == ["pass", "pass"]
    with pytest.raises(submission.Unusable, match="no verdict about overflow.busy0: so much to do"):
        run_made_up(tmp_path, monkeypatch, busy, rest)


def test_waiting_for_a_processor_is_no_time(monkeypatch):
    """Wall time counts only while the host lets QEMU run."""
    now, waited = [1000.0], [5.0]
    monkeypatch.setattr(machine.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(machine, "waited_seconds", lambda pid: waited[0] / 2)
    clock = machine.Clock(os.getpid())
    for _ in range(100):
        now[0], waited[0] = now[0] + 10, waited[0] + 9
        assert clock.look() and clock.busy
        if now[0] < 1000 + machine.BUSY_LIMIT * machine.SCALE:
            clock.check()
    waited[0] = 0  # a thread has ended
    with pytest.raises(machine.TimedOut, match="wall time"):
        for _ in range(1000):
            now[0] += 10
            clock.look()
            clock.check()


def guests_of(place):
    """Processes with a file in that directory among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(place).encode() in path.read_bytes():
                found.append(path)
        except OSError:
            pass  # it has ended
    return found


@pytest.fixture
def temporary():
    """A directory with a short path: that of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="t") as path:
        yield Path(path)


@pytest.mark.parametrize("end", [
    lambda make: os.kill(make.pid, signal.SIGTERM),
    lambda make: os.killpg(make.pid, signal.SIGINT),  # as ^C does
], ids=["kill", "^C"])
def test_nothing_outlives_an_interrupted_run(tmp_path, temporary, end):
    """No guest, no file but the results; nor if it is make that is ended."""
    words = ["CASES=survival", "JOBS=2", f"LOGS={tmp_path}/logs", f"JSON={tmp_path}/j"]
    with open(tmp_path / "said", "wb") as said:
        make = subprocess.Popen(["make", "-s", "grade", *words], cwd=guest.TOP, stderr=said,
                                env={**os.environ, "TMPDIR": str(temporary)}, stdout=said,
                                stdin=subprocess.DEVNULL, start_new_session=True,
                                preexec_fn=guest.as_in_a_terminal)
    while not guests_of(f"{temporary}/grade-"):  # and not while a compiler runs
        assert make.poll() is None, (tmp_path / "said").read_text()
        time.sleep(0.1)
    end(make)
    make.wait(600)
    limit = time.monotonic() + 600
    while left := [*guests_of(temporary), *temporary.iterdir()]:
        assert time.monotonic() < limit, left
        time.sleep(0.1)
    assert "interrupted" in (tmp_path / "said").read_text()
    assert not json.loads((tmp_path / "j").read_text())["complete"]


# --- guests --------------------------------------------------------------------------------------


@pytest.fixture
def trial(tmp_path):
    c = suite.Case("overflow.test", "t", 1, "h", ("core",), None)
    t = suite.Trial(c, machine.Build(guest.BUILD), Path(tmp_path))
    yield t
    t.close()


def test_printed_line_is_no_report(trial, monkeypatch):
    """A user program prints a perfect machine line, nonce and all, and gets no point for it."""
    monkeypatch.setattr(machine.secrets, "token_hex", lambda n: "0123")
    watch = trial.boot("echo " + LINE + "0123")
    with pytest.raises(facts.Failed, match="a report, and the rendezvous after it"):
        watch.report()
    assert LINE + "0123" in trial.guests[0].output()


def test_report_is_not_anothers(trial):
    """A report of a fault that did happen is no report of a fault that did not."""
    watch = trial.boot("provoke STACK_GUARD_PAGE_LEADING write 1")
    report = watch.report()
    with pytest.raises(facts.Failed, match="class=overflow"):
        facts.judge(report, "overflow")
    report.frame.words[2] -= 288
    report.trap = None
    with pytest.raises(facts.Failed, match="sp in the frame.*, 288 bytes lower"):
        facts.judge(report, "guard-below")
    report.frame.words[2] += 288
    report.frame.words[0] += 4
    report.trap = None
    with pytest.raises(facts.Failed, match="a report of a trap that was taken"):
        facts.judge(report, "guard-below")


def test_frame_must_be_true(trial):
    watch = trial.boot("provoke EXHAUST_STACK")
    report = watch.report()
    facts.judge(report, "overflow")
    report.frame.words[facts.NAMES.index("stval")] ^= 8
    with pytest.raises(facts.Failed, match="stval in the frame"):
        facts.judge(report, "overflow")


def test_unharmed(trial):
    """One changed byte of the victim's stack is found."""
    watch = trial.boot("provoke EXHAUST_STACK")
    report = watch.report()
    trap = facts.find_trap(report)
    data = bytearray(trap.stacks[report.mark.stack])
    data[100] ^= 1
    trap.stacks[report.mark.stack] = bytes(data)
    with pytest.raises(facts.Failed, match="a changed byte at"):
        facts.check_unharmed(report)


def test_guests_limit(trial):
    """A guest that computes for ever ends as a timeout, in its own time."""
    watch = trial.boot("provoke WILD_SP here interrupt", limit=1)
    with pytest.raises(machine.TimedOut, match="guest's time"):
        watch.report()


@pytest.mark.parametrize("icount", [True, False])
def test_idle_guests_limit(trial, monkeypatch, icount):
    """So does one that waits for what will not come, and sooner, if the host lets it."""
    seen, runnable = [], machine.Clock.runnable
    monkeypatch.setattr(machine.Clock, "runnable", lambda clock: seen.append(runnable(clock)))
    monkeypatch.setattr(machine, "waited_seconds", lambda pid: 0.0)
    watch = trial.boot("sleep 1000", icount=icount, cpus=2)
    with pytest.raises(machine.TimedOut, match="nothing has run for 5 s"):
        watch.report()
    assert not all(seen)


def test_idle_guest_on_a_busy_host(trial, monkeypatch):
    """A guest whose QEMU waits for the host is not idle; its own time ends it."""
    monkeypatch.setattr(machine.Clock, "runnable", lambda clock: True)
    watch = trial.boot("sleep 1000", limit=8)
    with pytest.raises(machine.TimedOut, match="guest's time"):
        watch.report()


def test_output_is_limited(trial, monkeypatch):
    monkeypatch.setattr(machine, "OUTPUT_LIMIT", 64)
    monkeypatch.setattr(machine, "OUTPUT_RATE", 0)
    watch = trial.boot("provoke WILD_SP here interrupt")
    with pytest.raises(machine.TimedOut, match="has printed more than 0 KiB"):
        watch.report()


def test_cpu_time_is_limited(trial):
    """Of a guest whose own clock hardly moves, too."""
    watch = trial.boot("provoke WILD_SP here interrupt", limit=1000)
    trial.guests[0].cpu_limit = 1
    with pytest.raises(machine.TimedOut, match="1 s of CPU time"):
        watch.report()


# --- failures that teach -------------------------------------------------------------------------


def failed(id, expected, seen="something else", points=2):
    outcome = suite.Outcome(id, f"The case {id}", id.split(".")[0], points, hint="A hint.")
    outcome.status, outcome.expected, outcome.seen = "fail", expected, seen
    outcome.reason = f"expected {expected}; seen {seen}"
    return outcome


def test_every_fact_is_found():
    """What the judge of a report says when a fact is wrong leads to that fact, whose page is there
    and has the section."""
    for expected, word in (
            ("class=overflow in the machine line", "class"),
            ("past=16 in the machine line", "dist"),
            ("verdict=killed in the machine line", "panics where"),
            ("verdict=panic with why=spinlock in the machine line", "if a spin lock was held"),
            ("why=spinlock or interrupts-off in the machine line", "if a spin lock was held"),
            ("why=interrupts-off in the machine line", "if interrupts were off"),
            ("verdict=panic in the machine line", "kill and panic"),
            ("stval in the frame 0x8", "a CSR in"), ("t0 in the frame 0x8", "a register in"),
            ("sp in the frame 0x8", "another sp"),
            ("the frame of plant_inner, with plant_inner stopped at", "prologue or epilogue"),
            ("the caller of the copy, provoke_copy, in the backtrace", "what a trap"),
            ("the backtrace provoke_load plant_repeat", "does not end"),
            ("calls of recurse in the backtrace 9", "stands on the stack"),
            ("t0 in the report, such as", "missing"),
            ("a report, and the rendezvous after it", "without the report"),
            ("lo=0xfffffff80000c000 in the machine line", "ends of another stack"),
            ("a handler on another stack than the thread's", "interrupted thread's stack"),
            ("no mapping in the guards of the victim's stack, at 0x1000", "guard"),
            ("every stack as it was at the trap", "wrote to a stack"),
            ("pages for a program afterwards 700", "memory are lost"),
            ("an sfence.vma between the mapping of a stack and its use", "had fenced"),
            ("init to go on in user mode", "did not get back"),
            ("kernel code to run on a stack in the window", "no stack of the window"),
            ("no failed check in tour in `tour slip`", "check of a program"),
            ("init to end the machine with 255, the status", "like a killed process")):
        assert word in teach.find(failed("overflow.x", expected)).says, expected
    ended = failed("overflow.x", "a report, and the rendezvous after it",
                   "the machine ended with exit code 3: last resort")
    assert "last resort" in teach.find(ended).says
    lost = [failed("overflow.x", "init to end the machine with 0", "1: 2 killed, 2 pages lost"),
            failed("overflow.x", "no failed check in gradeuser", "1 of 2: pages lost:: 0x6"),
            failed("overflow.x", "pages for a program afterwards 7", "6, 1 fewer")]
    assert len(teach.causes(lost)) == 1
    for hart, wanted in ((1, "the machine to go on"), (0, "a report, and the rendezvous after it")):
        panic = failed("overflow.x", wanted, "the machine ended with exit code 1: a line | panic: "
                       f"vm/a.c:7: assertion failed: a == b (hart {hart})")
        assert teach.find(panic).says == "the kernel panicked: vm/a.c:7: assertion failed: a == b"
        assert "file and line" in dict(teach.lines(panic))["hint"]
    panic.seen = "the machine ended with exit code 1: a line | panic: no memory (hart 0)"
    assert dict(teach.lines(panic))["hint"] == teach.PLAIN_PANIC
    for fact in teach.FACTS:
        page, _, section = fact.page.partition("#")
        text = (guest.TOP / page).read_text()
        titles = [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-")
                  for t in re.findall(r"^#+ (.*)", text, re.MULTILINE)]
        assert not section or section in titles, fact.page


def test_failures_with_one_cause_are_one(capsys):
    """They are grouped, in the order in which to mend them, and explained once."""
    found = [failed("overflow.a", "class=overflow in the machine line", "class=unmapped"),
             failed("overflow.b", "class=wild-sp in the machine line", "class=unmapped"),
             failed("layout.c", "no mapping in the guards of the idle stack, at 0x1000")]
    groups = teach.causes(found)
    assert [len(g.outcomes) for g in groups] == [1, 2] and groups[1].points == 4
    lines = teach.summary(found)
    assert lines[1] == "3 cases fail, for 2 causes, in the order to mend them:"
    assert "make grade CASES=overflow.a" in lines[5]
    text = results.text(found[0])
    assert "make grade-gdb CASES=overflow.a" in text and "docs/traps.md#classes" in text
    assert "docs/" not in results.text(found[1], briefly=True)
    assert teach.summary(found[:1]) == []
    assert lines[6].strip() == ("class= expected overflow, seen unmapped (1); "
                                "wild-sp, seen unmapped (1)")


def test_what_failures_have_in_common():
    """One look says more than a list of 75 cases; a case that failed by what others take for
    granted is not the one to begin with; cases without a verdict are not the cause of all."""
    far = [failed("layout.a", "past=16 in the machine line", "past=304"),
           failed("overflow.b", "past=208 in the machine line", "past=496")]
    far[0].scene, far[0].hint = {"premise": "reports overflow"}, "Fence."
    late = failed("overflow.c", "")
    late.status, late.reason = "timeout", "nothing has run for 5 s"
    groups = teach.causes([late, *far])
    assert [group.common for group in groups] == ["past= is always 288 too large", ""]
    assert groups[0].first.id == "overflow.b" and "Fence." not in dict(teach.lines(far[0])).values()
    assert teach.causes([late, late, late, *far])[0].outcomes[0] is late
    near = failed("overflow.d", "past=1 in the machine line", "past=2")
    assert teach.pattern([far[0], near]) == "past= expected 16, seen 304 (1); 1, seen 2 (1)"


def test_repeats_are_titles(tmp_path, capsys):
    """What fails as four others have is not told at length."""
    report = results.Report([], options(tmp_path))
    report.options.quiet = False
    for number in range(6):
        report.say(failed(f"overflow.a{number}", "class=overflow in the machine line", "class=x"))
    said = capsys.readouterr().out
    assert said.count("seen:") == 4 and "[overflow.a5]  as above" in said


def test_hint_of_the_case():
    """It is left out where a report's words fail in a case that is about the trap entry."""
    for id, told in (("overflow.a", False), ("not_overflow.a", True)):
        outcome = failed(id, "class=overflow in the machine line", "class=wild-sp")
        outcome.hint = "Check for room for the whole frame."
        assert (outcome.hint in dict(teach.lines(outcome)).values()) == told


def test_pages_in_a_guard():
    layout = suite.load() and sys.modules["cases.layout"]
    stack = types.SimpleNamespace(lo=0x4000, hi=0x8000)
    pages = [0x4000, 0x5000, 0x6000, 0x7000]
    assert layout.in_guard(stack, pages) == ""
    assert layout.in_guard(stack, [0x3000, *pages]).endswith(", the one below this stack")
    assert "stack of the slot below" in layout.in_guard(stack, [0, *pages])
    assert layout.in_guard(stack, [0, 0x1000, *pages]) == ": 2 of 4 pages of the guard"


LO = 0xFFFFFFF800014000
ENTRY = 0xFFFFFFFF80007F5C


class MadeUpPlaces:
    """Two functions of a kernel."""

    def describe(self, address):
        return {ENTRY: "trap_entry+0x10 (trap/entry.S:118)",
                ENTRY + 4096: "recurse+0x24 (kern/provoke/exhaust.c:31)"}.get(address, "")

    def name(self, address):
        return self.describe(address).partition(" ")[0]

    def source(self, address):
        return self.describe(address).partition("(")[2].rstrip(")")

    def look_up(self, addresses):
        pass


def scene(**changes):
    def trap(sepc, stval, sp):
        return dict(hart=0, sepc=sepc, scause=15, stval=stval, sp=sp, bad_sp=True,
                    page=None)

    made = {"who": "pid 3 (x)", "stack": [LO, LO + machine.STACK], "vector": ENTRY, "count": 57,
            "traps": [trap(ENTRY + 4096, LO - 76, LO - 208), trap(ENTRY, LO - 488, LO - 496)],
            "report": None, "spot": None, "harts": [], "premise": ""}
    return {**made, **changes}


def test_story():
    """It names who stored, where that is, and who faulted while that was handled."""
    first, then = story.tell(scene(), MadeUpPlaces())
    assert first.startswith("recurse+0x24 (kern/provoke/exhaust.c:31) stored to 0xfffffff800013fb4,"
                            " 76 bytes below the stack of pid 3 (x), in the guard; sp was ")
    assert then.startswith("Then the trap entry itself: trap_entry+0x10 (trap/entry.S:118) stored")
    assert then.endswith("and so on, 57 faults.")
    constant = dict(hart=0, sepc=ENTRY, scause=15, stval=ENTRY, sp=LO, bad_sp=False)
    for page, words in (("VR---GA-", "(mapped VR---GA-)"), ("", "(not mapped)")):
        said = story.tell(scene(traps=[{**constant, "page": page}]), MadeUpPlaces())
        assert said[0].startswith("trap_entry+0x10 (trap/entry.S:118) stored to "
                                  f"{ENTRY:#x} {words};")
    at = story.Teller(scene()).at
    assert at(LO, 0).endswith("on the stack of pid 3 (x), 0 bytes above its base")
    assert at(LO + machine.STACK, 0).endswith(f"{machine.STACK} bytes above its base")
    assert at(LO + machine.STACK).endswith("1 byte above that stack, in the guard")
    assert at(LO + machine.SLOT).endswith("in the stack half of another slot")
    assert at(8) == "0x8" and at(1 << 20).endswith("a user address")
    stuck = story.tell(scene(traps=[], harts=[(1, ENTRY, ENTRY + 4096), (0, 64, 0)]),
                       MadeUpPlaces())
    assert stuck == ["When time was up, hart 1 was in trap_entry+0x10 (trap/entry.S:118), with ra "
                     "in recurse+0x24.", "When time was up, hart 0 was in user mode."]


def test_drawing():
    """What points to a border stands at the border; nothing is drawn where nothing points."""
    lines = story.draw(scene())
    assert [line[:18] for line in lines if line[:2] == "0x"] == [
        f"{at:#x}" for at in (LO + machine.STACK, LO, LO - 76, LO - 208, LO - 488, LO - 496,
                              LO - machine.GUARD)]
    assert lines[0].endswith("-+") and "| stack of pid 3 (x) " in lines[1]
    assert any(line.endswith("| <- store: 76 below the stack") for line in lines)
    assert len({line.index(line.strip()[-1]) for line in lines if "<-" not in line}) == 1
    report = {"sp": LO + machine.STACK, "frame": LO + 8}
    spot = {"address": LO + machine.STACK + 8, "what": "a page is mapped", "whose": "idle stack",
            "stack": scene()["stack"]}
    lines = story.draw(scene(traps=[], report=report, spot=spot, stack=None))
    assert lines[0].startswith(f"{LO + machine.SLOT:#x} +--")
    assert any(line.startswith(f"{LO + machine.STACK:#x} +--") and "sp of the reporter" in line
               for line in lines)
    assert story.draw(scene(traps=[])) == story.draw(scene(stack=None)) == []


def test_places(tmp_path):
    """An address of the kernel has a function, and a line of the source if there is a tool."""
    kernel = guest.BUILD / "kernel"
    found = places.Places(kernel)
    symbols = {name: address for address, name in found.symbols()}
    address = symbols["trap_entry"] + 4
    assert found.name(address) == "trap_entry+0x4"
    assert re.fullmatch(r"trap_entry\+0x4 \(trap/entry\.S:\d+\)", found.describe(address))
    found.tool = None
    assert found.describe(address + 4) == "trap_entry+0x8" and found.describe(4096) == ""
    assert found.describe(address).endswith(")")  # it is known
    for content in (b"", b"\x7fELF" + bytes(300), kernel.read_bytes()[:5000]):
        (tmp_path / "kernel").write_bytes(content)
        assert places.Places(tmp_path / "kernel").describe(address) == ""


def test_places_are_looked_up_once(monkeypatch):
    """However many there are, a new set of addresses takes one process, and an old one none."""
    ran, run = [], subprocess.run
    monkeypatch.setattr(places.subprocess, "run", lambda *w, **k: ran.append(w) or run(*w, **k))
    found = places.Places(guest.BUILD / "kernel")
    start = next(address for address, name in found.symbols() if name == "trap_entry")
    found.look_up(range(start, start + 400, 4))
    assert len(ran) == 1 and all(found.source(a) for a in range(start, start + 400, 4))
    assert len(ran) == 1
    monkeypatch.setattr(places, "SECONDS", 0)
    assert found.source(start + 400) == "" and found.tool is None


def test_trap_entry_that_faults_is_one_cause():
    """By whatever fact it shows."""
    found = [failed("overflow.a", "a report after at most 64 faults"),
             failed("overflow.b", "a report of a trap that was taken (sepc 0x1)"),
             failed("overflow.c", "a report, and the rendezvous after it")]
    for outcome in found:
        outcome.scene = scene()
        story.explain(outcome, MadeUpPlaces())
    cause, = teach.causes(found)
    assert "trap entry went on" in cause.says
    assert cause.common == f"taken for good: sp {found[0].passed} (3)"
    for sp, words in ((LO - 8, "no multiple"), (LO - 16, "guard below"), (LO, "without room"),
                      (LO + 16384 + 16, "above"), (LO + 32768 + 512, "another stack"),
                      (LO - 32768, "another stack"), (LO + 49152 + 16, "another guard"),
                      (4096, "outside")):
        found[0].scene["traps"][0]["sp"] = sp
        assert words in story.passed(found[0].scene), hex(sp)
    found[0].scene = scene()
    probing = MadeUpPlaces()
    probing.name = lambda address: "probe_read+0x0"
    assert story.in_entry(found[0].scene, MadeUpPlaces())
    assert not story.in_entry(found[0].scene, probing)
    found[0].scene["traps"][1].update(bad_sp=False, sp=LO + 8192)  # as if the reporter probed
    story.explain(found[0], MadeUpPlaces())
    assert len(teach.causes(found)) == 2


def test_trap_entry_that_takes_a_bad_sp():
    """It pushes its frame there, or returns as if nothing were wrong."""
    first = scene()["traps"][0]
    made = scene(traps=[first], report={"sp": LO + 8, "frame": first["sp"] - machine.FRAME})
    assert story.went_on(made, MadeUpPlaces())
    assert "pushed its frame below that sp, at 0x" in story.tell(made, MadeUpPlaces())[1]
    made = scene(traps=[first, first])
    assert story.went_on(made, MadeUpPlaces())
    assert story.tell(made, MadeUpPlaces())[1] == ("The kernel handled that and went on there, "
                                                   "57 times.")
    above = LO + machine.STACK + 16  # the frame's last words are in the guard, sp below it is good
    made = scene(traps=[{**first, "sp": above}, {**scene()["traps"][1], "bad_sp": False,
                                                 "sp": above - machine.FRAME}])
    made["report"] = {"sp": LO, "frame": LO}
    assert story.went_on(made, MadeUpPlaces()) and len(story.tell(made, MadeUpPlaces())) == 2
    for good in (dict(traps=[]), dict(traps=[first]),
                 dict(traps=[{**first, "bad_sp": False}] * 2)):
        assert not story.went_on(scene(**good), MadeUpPlaces())


def test_addresses_in_a_failure_are_named():
    outcome = failed("overflow.a", f"class=overflow, sepc {ENTRY:#x}", f"sepc {ENTRY:#x}9")
    story.explain(outcome, MadeUpPlaces())
    said = dict(teach.lines(outcome))
    assert said["expected"].endswith(f"sepc {ENTRY:#x} [trap_entry+0x10 (trap/entry.S:118)]")
    assert "[" not in said["seen"] and "story" not in said
    report = {"sp": 0, "frame": 0, "stack": [LO + machine.SLOT, LO + machine.SLOT + machine.STACK]}
    outcome.expected, outcome.scene = "t0 in the frame 0x8", scene(report=report)
    outcome.seen = f"{LO + machine.SLOT:#x}"
    story.explain(outcome, MadeUpPlaces())
    assert dict(teach.lines(outcome))["seen"].endswith("[the lower end of the emergency stack]")


def test_failure_has_a_scene(trial):
    """That of the report which was wrong, and of what came since."""
    trial.case = suite.Case("overflow.test", "t", 1, "h", ("core",), lambda t: t.fault(
        "provoke EXHAUST_STACK", "wild-sp"))
    outcome = suite.perform(trial.case, trial.build, trial.logs)
    assert outcome.status == "fail" and outcome.scene["count"] >= 1
    story.explain(outcome, places.Places(guest.BUILD / "kernel"))
    assert re.match(r"recurse\+0x\w+ \(kern/provoke/exhaust\.c:\d+\) stored to 0x\w+, \d+ bytes "
                    r"below the stack of pid 2 \(provoke\), in the guard; sp was ",
                    outcome.story[0])
    assert any("<- store" in line for line in outcome.drawing) and not outcome.went_on
    results.text(outcome)


def test_timeout_says_where_the_harts_were(tmp_path):
    def hang(t):
        t.boot("provoke WILD_SP here interrupt", limit=1).report()

    c = suite.Case("overflow.test", "t", 1, "h", ("core",), hang)
    outcome = suite.perform(c, machine.Build(guest.BUILD), tmp_path)
    assert outcome.status == "timeout" and outcome.scene["harts"]
    assert "Bulwark: 1 hart" in dict(teach.lines(outcome))["printed"]
    story.explain(outcome, places.Places(guest.BUILD / "kernel"))
    assert "When time was up, hart 0 was in " in outcome.story[-1]


def test_case_in_gdb():
    """make grade-gdb says how the guest of a case is started, and refuses what is no one case."""
    grade = [sys.executable, GRADE / "grade", "--gdb", "--only"]
    done = subprocess.run([*grade, "overflow.recursion"], text=True, check=False,
                          env={**os.environ, "PATH": "/nowhere", "BUILD": "build"},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=guest.TOP)
    assert "CPUS=1 MEM=128M 'APPEND=-- provoke EXHAUST_STACK'" in done.stdout
    done = subprocess.run([*grade, "overflow"], text=True, check=False, stderr=subprocess.PIPE)
    assert done.returncode == 1 and "name one case" in done.stderr
