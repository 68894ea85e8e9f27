# SPDX-License-Identifier: MIT
"""Cases, their groups, and what a case gets to work with.

A case is a function in cases/GROUP.py under the decorator case().  It gets a Trial, boots guests
with it, and returns if all is well; it raises Failed (facts.expect does) if not.
"""

import fnmatch
import importlib
import mmap
import re
import resource
import shutil
import time
from dataclasses import dataclass, field

import rsp
import snapshot
import sv39
from facts import FIELDS, KILLED, PANIC, TIMER, Failed, Observer, expect, judge
from gradeuser import disk
from machine import Broken, Busy, Crashed, Ended, Guest, NoStart, TimedOut

GROUPS = ("layout", "overflow", "not_overflow", "wild_sp", "evidence", "survival", "hygiene", "dma",
          "lkdtm")
GROWING = ("grow",)  # which count where stacks grow
LAB_GROUPS = ("tour", "life")  # which count in labs alone
EVERY_GROUP = GROUPS + GROWING + LAB_GROUPS
CASES = {}  # by id, in the order of declaration
PREMISES = {}  # what premises of cases turned out to be in this run, by name

# What a guest prints may have any size; this much of it, its end, is kept.
REPORT_KEPT = 64 << 10
TEXT_KEPT = 4 << 10
RECORDS_KEPT = 1000
# CPU time that the two pieces of work in slowness() take where the limits were made, and how much
# of what a guest costs is of the second kind.
COMPUTE_SECONDS = 0.002
TOUCH_SECONDS = 0.001
TOUCH_SHARE = 0.3
TOUCHED = 256  # pages


@dataclass(frozen=True)
class Case:
    id: str
    title: str
    points: int
    hint: str
    tags: tuple
    run: object
    hidden: bool = False  # students do not see what it found: a lab's definition says so

    @property
    def group(self):
        return self.id.split(".")[0]


def case(id, title, points=1, hint="", tags=("core",)):
    """Declare a case.  id: group.name, which never changes once graded.  tags: core for what the
    mutants are run against, stress for what takes longer."""
    assert re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", id) and id not in CASES, id
    assert id.split(".")[0] in EVERY_GROUP, id

    def declare(run):
        CASES[id] = Case(id, title, points, hint, tuple(tags), run)
        return run

    return declare


def load(lab=False, growing=False):
    """Import every group, with those about stacks that grow if so, or all that labs have.  Returns
    their cases."""
    groups = EVERY_GROUP if lab else GROUPS + GROWING if growing else GROUPS
    for group in groups:
        importlib.import_module(f"cases.{group}")
    order = {group: i for i, group in enumerate(groups)}
    return sorted((c for c in CASES.values() if c.group in order), key=lambda c: order[c.group])


def select(cases, words):
    """Return the cases that the words name: a group, an id, an id with * in it, or tag:NAME."""
    chosen = []
    for word in words:
        found = [c for c in cases if word in (c.id, c.group) or fnmatch.fnmatchcase(c.id, word)
                 or word.startswith("tag:") and word[4:] in c.tags]
        if not found:
            raise ValueError(f"no case, group or tag is called {word}")
        chosen += found
    return [c for c in cases if c in chosen]


def boots(t):
    """What every case takes for granted."""
    t.boot("true").alive_until_end(0)


def goes_on(t):
    """Interrupts of the timer come in a machine that has booted before, and it ends."""
    watch = t.boot("provoke WILD_SP lo+4096 interrupt")
    watch.mark()
    vectors, count = watch.vectors(), 0
    while count < 2:
        count += watch.guest.until(*vectors).csr("scause") == TIMER
    t.boot("sleep 1").alive_until_end(0)


BOOT = Case("boot", "The kernel boots, runs /true, and ends", 0, "", (), boots)
GO_ON = Case("go_on", "A kernel that has booted goes on in another QEMU", 0, "", (), goes_on)


@dataclass
class Outcome:
    """The one result model: every output format is made from these."""

    id: str
    title: str
    group: str
    max: int
    points: int = 0
    status: str = "error"  # pass, fail, timeout, error
    expected: str = ""
    seen: str = ""
    reason: str = ""
    hint: str = ""
    guest_ticks: int = 0  # of the guest's clock, 10 MHz, all its guests together
    seconds: float = 0.0  # of wall time
    cpu_seconds: float = 0.0  # of CPU time, QEMU's and the grader's
    slowness: float = 1.0  # of this host meanwhile, 1 or more
    log: str = ""  # console of the last guest
    records: list = field(default_factory=list)  # machine lines that a rendezvous confirmed
    report: str = ""  # the last report as it was printed
    scene: dict = field(default_factory=dict)  # of a failure: Observer.scene()
    story: list = field(default_factory=list)  # sentences about it, and a drawing of the stack
    drawing: list = field(default_factory=list)
    went_on: bool = False  # the trap entry took a bad sp for a good one
    passed: str = ""  # what kind of sp that was
    names: dict = field(default_factory=dict)  # of the addresses in expected and seen
    fault_of: str = ""  # qemu or host, when it was not the kernel's; crash, when it may not be

    @classmethod
    def of(cls, c):
        return cls(c.id, c.title, c.group, c.points, hint=c.hint)


class Trial:
    """One run of one case."""

    def __init__(self, c, build, logs):
        self.case, self.build, self.logs = c, build, logs
        self.guests, self.observers = [], []

    def boot(self, program=None, early=False, **machine):
        """Start a fresh guest that runs the program (init does, and powers off with its status).

        machine: see Guest.  Returns its Observer.  The guest has executed nothing yet, or, unless
        early, it may stand where init is about to run main().
        """
        log = self.logs / f"{self.case.id}.{len(self.guests)}.log"
        shelf = None if early else self.build.shelf
        start = shelf and shelf.get(self.keep, machine)
        guest = Guest(self.build, log, program=program, start=start, **machine)
        self.guests.append(guest)
        self.observers.append(Observer(guest))
        return self.observers[-1]

    def keep(self, machine, directory):
        """Boot such a machine until init is about to run main(), and keep it in the directory."""
        copy = directory / "disk"
        shutil.copyfile(self.build.image, copy)
        guest = Guest(self.build, directory / "log", program="true", **machine, **disk(copy))
        try:
            Observer(guest).until_user("init", "main")
            snapshot.save(guest, directory)
        except (Failed, TimedOut, Ended, Broken) as error:
            raise snapshot.Unfit(str(error)) from error
        finally:
            guest.close()

    def fault(self, program, kind, code=KILLED, owner="-", why="-", pid=2, process="provoke",
              look=None, interrupts=False, verdict=None, reserve="-", **machine):
        """Boot, run the program to its one report, judge that, and see how it ends: the machine's
        exit code tells whether the process was killed or the kernel panics.  look(report) is called
        before it goes on, while there is memory to look at.  interrupts: let them come while the
        test runs.  verdict: if it is neither."""
        verdict = verdict or ("panic" if code == PANIC else "killed")
        watch = self.boot(program, **machine)
        watch.who = f"pid {pid} ({process})" if pid else f"the kernel thread {process}"
        watch.mark()
        if not interrupts:
            watch.quiet()
        report = watch.report()
        judge(report, kind, pid, process, verdict, why, owner, reserve)
        if look:
            look(report)
        if verdict != "panic":
            watch.alive_until_end(code)
        else:
            watch.panics()
        return report

    def given(self, premise):
        """Fail unless premise(trial) passes.  It is tried in a guest of its own, once in a run of
        the suite: each case that asks for it gets the same answer."""
        name = premise.__name__
        if name not in PREMISES:
            try:
                premise(self)
                PREMISES[name] = None
            except (Failed, TimedOut) as failure:
                failure.scene = self.scene(getattr(failure, "spot", None))
                if failure.scene:
                    failure.scene["premise"] = name.replace("_", " ")
                PREMISES[name] = failure
        if PREMISES[name]:
            raise PREMISES[name]

    def proof(self):
        """The kernel does report an overflow.  For cases in which nothing is to be reported, so
        that they are worth nothing where nothing ever is, or all is invented."""
        self.given(reports_overflow)

    @staticmethod
    def expect(condition, expected, seen):
        expect(condition, expected, seen)

    @staticmethod
    def equal(what, seen, expected):
        expect(seen == expected, f"{what} {expected}", seen)

    def tail(self):
        return self.observers[-1].tail() if self.observers else ""

    def scene(self, spot):
        """What happened before the case failed: Observer.scene(), or nothing."""
        try:
            return self.observers[-1].scene(spot) if self.observers else {}
        except (rsp.Gone, rsp.ProtocolError):
            return {}

    def close(self):
        for guest in self.guests:
            guest.close()


def reports_overflow(t):
    t.fault("provoke JUMP_FRAME 16", "overflow")


def perform(c, build, logs):
    """Run one case.  Returns its Outcome; raises nothing that is the case's fault."""
    outcome, trial, start = Outcome.of(c), Trial(c, build, logs), time.monotonic()
    scene = spot = None
    try:
        c.run(trial)
        outcome.status, outcome.points = "pass", c.points
    except Failed as failure:
        outcome.status = "fail"
        outcome.expected, outcome.seen = failure.expected, str(failure.seen)
        outcome.reason, spot = str(failure), failure.spot
        scene = getattr(failure, "scene", None)
    except Ended as end:
        outcome.status, outcome.reason = "fail", str(end)
        outcome.expected, outcome.seen = "the machine to go on", f"{end}: {trial.tail()}"
    except sv39.Maze:
        outcome.status, outcome.seen = "fail", "more"
        outcome.expected = f"a page table of at most {sv39.TABLES_MAX} tables for the stacks"
        outcome.reason = f"expected {outcome.expected}"
    except TimedOut as late:
        outcome.status, outcome.reason, outcome.seen = "timeout", str(late), trial.tail()
        scene = getattr(late, "scene", None)
    except Busy as busy:
        outcome.reason, outcome.fault_of = str(busy), "host"
    except NoStart as broken:
        outcome.reason, outcome.fault_of = str(broken), "qemu"
    except Crashed as broken:
        outcome.reason, outcome.fault_of = str(broken), "crash"
    except Broken as broken:
        outcome.reason = str(broken)
    except (rsp.Gone, rsp.ProtocolError) as gone:
        outcome.reason = f"QEMU is gone: {gone}"
    except Exception as error:  # a defect of the case, or unexpected output
        outcome.reason = f"{type(error).__name__}: {error}"
    finally:
        if outcome.status in ("fail", "timeout"):
            outcome.scene = scene or trial.scene(spot)
        trial.close()
    outcome.seconds = round(time.monotonic() - start, 3)
    outcome.cpu_seconds, outcome.slowness = round(cpu_seconds(), 3), round(slowness(), 3)
    finish(outcome, trial)
    return outcome


def cpu_seconds():
    """What this process and the guests that it has ended have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def slowness():
    """How much more CPU time fixed work takes just now than where the budget was made; at least 1.
    A part of what a guest costs is fresh memory.  A host that shares its memory with others gives
    it page by page, at many times the price, and computing alone shows nothing of it."""
    start = time.thread_time()  # that of the process goes by ticks, since it has a limit
    sum(i * i for i in range(50000))
    computed = time.thread_time()
    with mmap.mmap(-1, TOUCHED * mmap.PAGESIZE) as memory:
        for page in range(TOUCHED):
            memory[page * mmap.PAGESIZE] = 1
    touched = time.thread_time()
    return max(1.0, (1 - TOUCH_SHARE) * (computed - start) / COMPUTE_SECONDS
               + TOUCH_SHARE * (touched - computed) / TOUCH_SECONDS)


def end_of(text, most):
    """Return the text, or its end if it is longer than that."""
    return text if len(text) <= most else f"[{len(text) - most} characters left out] {text[-most:]}"


def finish(outcome, trial):
    outcome.guest_ticks = sum(guest.ticks for guest in trial.guests)
    for watch in trial.observers:
        for record in watch.records[:RECORDS_KEPT - len(outcome.records)]:
            outcome.records.append({
                key: value if isinstance(value, int) else end_of(value, TEXT_KEPT)
                for key, value in ((key, record[key]) for key in FIELDS)})
        outcome.report = watch.reported or outcome.report
    outcome.report = end_of(outcome.report, REPORT_KEPT)
    for name in ("expected", "seen", "reason"):
        setattr(outcome, name, end_of(getattr(outcome, name), TEXT_KEPT))
    if trial.guests:
        outcome.log = str(trial.guests[-1].log)
    if outcome.status == "pass":
        for guest in trial.guests:
            guest.log.unlink(missing_ok=True)
        outcome.log = ""
