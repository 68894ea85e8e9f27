# SPDX-License-Identifier: MIT
"""The commands of test/gdb in a real GDB, on a live guest with 3 harts; and what their page says.

A machine serves many commands: GDB is given all of them at once, and what it printed is taken
apart."""

import os
import re
import subprocess

import guest
import pytest
from test_gdb import debug

PAGE = (guest.TOP / "docs/gdb.md").read_text()
MARK = "=== "
LAST = "help bulwark"
# A command that is refused must not end the script.
TRY = '''
import gdb
def tell(command):
    gdb.write("{MARK}" + command + chr(10))
    try:
        gdb.write(gdb.execute(command, to_string=True))
    except gdb.error as error:
        gdb.write("error: " + str(error) + chr(10))
'''.replace("{MARK}", MARK)


def answers(folder, commands, append, **machine):
    """Give GDB the commands.  Returns [command, what it answered] for each, in order."""
    (folder / "try.py").write_text(TRY)
    lines = [f"source {folder}/try.py"]
    lines += [f"python tell({command!r})" for command in commands]
    output = debug(folder, [*lines, f"python tell('{LAST}')"], append, **machine)
    parts = [part.split("\n", 1) for part in output.split(MARK)[1:]]
    assert [command for command, _ in parts] == [*commands, LAST], output[-4000:]
    assert "Traceback" not in output
    return parts


def plain(text):
    """The text without its numbers and its spaces, line by line.  A newer compiler may have kept
    one of them nowhere, or know no more that it is that of the entry."""
    lines = [re.sub(r"(0x|\b)[0-9a-f]{16}\b|0x[0-9a-f]+|\d+|<optimized out>", "N", line)
             for line in text.splitlines()]
    lines = [re.sub(r'"(names|bitmap|inode)" \(\w+\)', "LOCK", line) for line in lines]
    lines = [re.sub(r"\b(\w+)=\1@entry=", r"\1=", line) for line in lines]
    lines = [re.sub(r"=N <\w+>", "=N", line) for line in lines]
    lines = [re.sub(r"queue [\w+]+", "QUEUE", line) for line in lines]
    return [re.sub(r"[ \t.:#]+", " ", line).strip() for line in lines]


def samples():
    """What the page says that GDB prints: [command, output] by the machine's APPEND, in order."""
    body = re.search(r"^## Commands that know the kernel\n(.*?)^## ", PAGE,
                     re.MULTILINE | re.DOTALL)[1]
    found, append = {}, None
    for words, block in re.findall(r'APPEND="(.*?)"|^```\n(.*?)^```', body, re.M | re.DOTALL):
        append = words or append
        for command, output in re.findall(r"^\(gdb\) (.*)\n((?:(?!\(gdb\)).*\n)*)", block, re.M):
            found.setdefault(append, []).append((command, output))
    return found


SAMPLES = samples()
AT_FAULT, IN_LS, IN_STRESSFS = "-- provoke EXHAUST_STACK", "-- ls", "-- stressfs"
COMPLETED = {"complete ubreak ec": "ubreak echo", "complete pid 1": "pid 1",
             "complete ptwalk 0 2": "ptwalk 0 2", "complete watch-guard 1": "watch-guard 1",
             "complete program ca": "program cat", "complete explain kernel_pagetabl":
             "explain kernel_pagetable"}
# By the machine: what each command prints, as an expression.
EXPECTED = {
    AT_FAULT: {
        "explain syscall": r"kernel image: syscall, in \.text\.\n  That is line \d+ of trap/sys",
        "explain f->stack.lo": r"16384 bytes below the top of the stack of pid 2 \(provoke\), .*\n"
                               r"  That part is not in use now: the stack is 1\d{4} bytes deep",
        "explain f->stack.hi": r"is byte 1 above the top of the stack of pid 2 \(provoke\)",
        "explain f->hart": r"kernel image: harts, in \.bss[\S\s]*in the direct map",
        "explain pids.slots": r"vmalloc window, in a live area, .*, made by pid_init\+",
        "explain 0xfffffff000000000": r"device window: register 0x0 of test, at pa 0x100000",
        "explain 0xffffffc080200000": r"shows physical address 0x80200000[\S\s]*_start",
        "explain 0x1000": r"runs pid 2 \(provoke\), where it is in the program[\S\s]*-A-UX-RV",
        "explain 0xffffffc000001000": r"direct map[\S\s]*It is not mapped",
        "explain boot_stack_guard": r"unmapped page below the boot stack[\S\s]*It is not mapped",
        "explain (long)1 << 40": r"is nowhere: it is not canonical",
        "ptwalk 0x1000 1": r"table of pid 1 \(init\):\n  level 2  entry   0 at 0xffffffc0\w+ = 0x"
                           r"\w{16}  -------V  table at pa 0x\w+\n.*\n  level 0 .* -A-UX-RV  4 K",
        "pid 1 frames": r"stack of pid 1 \(init\): [\S\s]*thread_block\+[\S\s]*-- user mode --",
        "pid 1 print $lx_current().name": r'= "init',
        "pid 2 print $lx_current().name": r'= "provoke',
        "print $lx_task_by_pid(1).pid": r"= 1$",
        "info registers pc": r"<report_print>",  # again, after pid
        "locks": r"Sleep locks:\n  no thread holds one",
        "lx-ps": r"^    2      1 running     \d\*",
        "bulwark": r"\nkstacks  [\S\s]*\nptwalk VA \[PID\] ",
        **{command: rf"^{re.escape(answer)}$" for command, answer in COMPLETED.items()},
    },
    IN_LS: {
        "info breakpoints": r"^2\.\d +n .* in memcpy at user/lib/string\.c[\S\s]*"
                            r"^2\.\d +y .* in memcpy at kern/lib/string\.c",
        "frames": r"stack of pid 2 \(ls\): [\S\s]*  #1  +32 bytes  syscall\+",
        "explain main": r"runs pid 2 \(ls\), where it is in the program\.\n.*that is main",
        "lx-symbols cat": r"The symbols are those of cat, until you type `program`",
    },
}
NOT_SO_FAR = "^error: The kernel has (no process|made no stack) yet: `tbreak thread_idle` and `cont"
BOOTING = {
    "start": "hit Temporary breakpoint 1, boot_main ",
    "ps": NOT_SO_FAR,
    "explain $sp": r"^Page table of this hart:\n  level 2 .* at 0xffffffff8\w+ = [\S\s]*2 MiB page",
    "explain boot_main": r"boot_main, in \.text\.\n[\S\s]*The same memory:\n  .*in the direct map$",
    "explain 0xfffffff800053f20": NOT_SO_FAR,
    "explain 0xfffffff400053f20": "vmalloc window, which the kernel has not made yet",
    "explain 0xfffffff000000000": "in the device window, at no device",
    "explain 0xffffffc080200000": r"direct map: [\S\s]*in the kernel image \(_start\)",
    "ptwalk boot_main": r"^0x\w+ is at pa 0x802\w+\.",
}
# What is refused, with one sentence.
REFUSED = {
    AT_FAULT: {
        "ps 3": "Usage: ps.",
        "explain": "Usage: explain ADDRESS.",
        "explain nosuch": 'No symbol "nosuch" in current context.',
        "explain frame": 'No symbol "frame" in current context: it is kernel_fault::frame.',
        "explain $nosuch": "$nosuch has no value.",
        "ptwalk 0 7": "No process has pid 7: `ps` lists them.",
        "ptwalk 0 init": "init is no pid: a number is (`ps` lists them).",
        "ptwalk 0x8000000000": "0x8000000000 is not canonical",
        "ptwalk 0 1 2": "Usage: ptwalk VA [PID].",
        "print $lx_task_by_pid(7)": "No process has pid 7",
        "pid 1": "Usage: pid PID COMMAND.",
        "pid 1 continue": "continue could let the thread run on",
        "pid 1 print nosuch": 'No symbol "nosuch" in current context.',
        "pid 1 print memcmp(0, 0, 0)": "annot call functions in the program",
        "watch-guard init": "init is no pid",
        "start": "The machine has started already",
        "run": "The machine is booted already: `continue` lets it go on.",
        "program nosuch": "There is no program nosuch: the folder",
        "ubreak echo": "Usage: ubreak PROGRAM FUNCTION.",
        "ubreak echo nosuch": "echo has no nosuch.",
    },
    IN_LS: {},
}


def script(append):
    return [command for command, _ in SAMPLES[append]], [
        *EXPECTED.get(append, ()), *REFUSED.get(append, ())]


@pytest.fixture(scope="module")
def at_fault(tmp_path_factory):
    """GDB at the report of an overflow; then QEMU ends."""
    page, more = script(AT_FAULT)
    return answers(tmp_path_factory.mktemp("fault"), [
        "ps", "ubreak provoke main", "continue", "frames", "delete", "watch-guard 1",
        "watch-guard 2", *page, *more, "monitor quit", "kstacks", "run", "continue", "overflow"],
        AT_FAULT, cpus=3)


@pytest.fixture(scope="module")
def in_ls(tmp_path_factory):
    """GDB in a system call of a program; then the machine goes on."""
    page, more = script(IN_LS)
    return answers(tmp_path_factory.mktemp("ls"), [
        "start", "break memcpy", "disable 2", *page, "enable 2", *more, "program", "delete",
        "overflow", "next"], IN_LS, cpus=3)


@pytest.fixture(scope="module")
def in_stressfs(tmp_path_factory):
    """GDB while the kernel boots; where a process has to wait for a lock; then the machine runs."""
    page, more = script(IN_STRESSFS)
    return answers(tmp_path_factory.mktemp("stressfs"), [
        "explain $pc", "stepi", *BOOTING, "thread 2", "ps", "start", "thread 1",
        "tbreak thread_idle", "continue", "frames", "explain $sp", "ps",
        *page, *more, "delete", "continue &", "ps", "ubreak echo main"], IN_STRESSFS, cpus=3)


@pytest.fixture(scope="module")
def in_reserve(tmp_path_factory):
    """GDB where a stack that ran out has used up its reserve, too."""
    return answers(tmp_path_factory.mktemp("reserve"), [
        "overflow", "overflow", "frames", "kstacks", "explain f->stack.lo",
        "thread 3", "set $satp = 0", "set $pc = 0x80000000", "thread 1", "kstacks", "locks", "kill",
        "ps"],
        "-- provoke IN_INTERRUPT EXHAUST_STACK", cpus=3)


@pytest.fixture(scope="module")
def back(tmp_path_factory):
    """GDB that goes back to a checkpoint, ten times; then the machine runs to its end."""
    return answers(tmp_path_factory.mktemp("back"), [
        "go-back", "ubreak provoke main", "continue", "delete", "checkpoint",
        *["overflow", "thread 2", "go-back", "ps"] * 10, "checkpoint now", "continue", "go-back"],
        "-- provoke EXHAUST_STACK", cpus=3)


def answer(told, command, number=0):
    return [said for asked, said in told if asked == command][number]


def check_page(told, append):
    """Each sample of the page is what GDB prints, but for the numbers; ... leaves lines out."""
    commands = [command for command, _ in told]
    first = commands.index(SAMPLES[append][0][0], 1 if append == AT_FAULT else 0)
    for (command, sample), (asked, said) in zip(SAMPLES[append], told[first:]):
        assert command == asked
        there = iter(plain(said))
        missing = [line for line in plain(sample)
                   if line and not any(one.startswith(line) for one in there)]
        assert not missing, f"{command}: {missing[0]}\n{said}"


def test_page_at_a_fault(at_fault):
    assert len(SAMPLES[AT_FAULT]) > 7
    check_page(at_fault, AT_FAULT)


def test_page_in_a_program(in_ls):
    check_page(in_ls, IN_LS)


def test_page_of_locks(in_stressfs):
    check_page(in_stressfs, IN_STRESSFS)


@pytest.mark.parametrize("command", EXPECTED[AT_FAULT])
def test_answer_at_a_fault(at_fault, command):
    said = answer(at_fault, command)
    assert re.search(EXPECTED[AT_FAULT][command], said, re.MULTILINE), said


@pytest.mark.parametrize("command", EXPECTED[IN_LS])
def test_answer_in_a_program(in_ls, command):
    said = answer(in_ls, command)
    assert re.search(EXPECTED[IN_LS][command], said, re.MULTILINE), said


@pytest.mark.parametrize("command", REFUSED[AT_FAULT])
def test_refusal(at_fault, command):
    said = answer(at_fault, command)
    assert said.startswith("error: ") and said.count("\n") == 1
    assert REFUSED[AT_FAULT][command] in said


def test_before_the_kernel(at_fault, in_stressfs):
    """The machine is at its first instruction, where no page table is in force."""
    for said in at_fault[0][1], in_stressfs[0][1]:
        assert said.startswith("error: The kernel has not started yet: `start` lets it boot up to "
                               "boot_main; `tbreak thread_idle` and `continue` let it boot until")


@pytest.mark.parametrize("command", BOOTING)
def test_while_the_kernel_boots(in_stressfs, command):
    """At its first function, with the page table of the boot; also from a second instruction."""
    said = answer(in_stressfs, command)
    assert re.search(BOOTING[command], said, re.MULTILINE), said


def test_hart_that_the_firmware_has(in_stressfs):
    assert "This hart has not turned on paging yet" in answer(in_stressfs, "ps", 1)
    assert "The machine has started already" in answer(in_stressfs, "start", 1)


def test_booted_as_far_as_advised(in_stressfs):
    """On whichever hart comes there first."""
    assert re.search(r"of the kernel \(idle-\d\), 0xf", answer(in_stressfs, "explain $sp", 1))
    assert re.search(r" 1 +0 \w+ .* init$", answer(in_stressfs, "ps", 2), re.M)
    said = answer(in_stressfs, "frames")
    assert re.search(r"#1 +\d+ bytes  boot_\w+\+", said) and "user mode" not in said, said


def test_start(in_ls):
    assert re.search(r"hit Temporary breakpoint 1, boot_main ", answer(in_ls, "start"))


def test_ubreak_passes_other_programs(at_fault):
    """init has its main at the same address, and passes there first."""
    assert re.search(r"Breakpoint 1, main \(argc=2.*provoke\.c", answer(at_fault, "continue"))
    assert "pid 2 (provoke) in user mode" in answer(at_fault, "frames")


def test_watch_guard_passes_other_stacks(at_fault):
    """Of the two, init's does not stop there."""
    first = re.search(r"Breakpoint (\d+) at", answer(at_fault, "watch-guard 1"))[1]
    second = re.search(r"Breakpoint (\d+) at", answer(at_fault, "watch-guard 2"))[1]
    said = answer(at_fault, "overflow")
    assert f"Breakpoint {second}, report_print" in said and f"Breakpoint {first}," not in said


def test_reserve(in_reserve):
    """It belongs to the stack, and is no damaged guard of the one below."""
    assert "then it will go on in the reserve of the stack (interrupt)" in in_reserve[0][1]
    assert "then it will panic (interrupt)" in in_reserve[1][1]
    assert re.search(r"\(interrupt-0\): \d+ of 24576 bytes", answer(in_reserve, "frames"))
    drawn = answer(in_reserve, "kstacks")
    assert re.search(r"interrupt-0 +\|xx\+\|#+\|xxx\|", drawn) and "!!!" not in drawn
    assert "in the reserve of the stack of the kernel (interrupt-0)" in \
        answer(in_reserve, "explain f->stack.lo")


def test_hart_without_paging(in_reserve):
    """As one that the firmware has yet to start: it sees no kernel, but the others do."""
    assert "error" not in answer(in_reserve, "set $satp = 0")
    assert "error" not in answer(in_reserve, "kstacks", -1)
    assert "2 provoke " in answer(in_reserve, "kstacks", -1)
    assert answer(in_reserve, "locks").startswith("Spin locks:")


def test_symbols_follow_again(in_ls):
    """Once the chosen program is given up."""
    assert "The symbols are those of ls." in answer(in_ls, "program", -1)


def test_go_back(back):
    """All is as it was, with three harts, and the machine runs on from there: its timers, too."""
    assert "There is no checkpoint: `checkpoint` makes one." in answer(back, "go-back")
    assert "`go-back` comes back here." in answer(back, "checkpoint")
    for i in range(10):
        assert "Fault of class overflow" in answer(back, "overflow", i), answer(back, "overflow", i)
        assert re.search(r"2 +1 running +\d\* .* provoke$", answer(back, "ps", i), re.M)
        assert answer(back, "ps", i) == answer(back, "ps", 0)
    assert "error: Usage: checkpoint." in answer(back, "checkpoint now")
    assert "verdict=killed" in answer(back, "continue", -1)
    assert answer(back, "go-back", -1).startswith("error: There is no machine")


def test_machine_has_ended(in_ls, at_fault):
    """By itself, while GDB waits; or while GDB does not, when the connection is lost."""
    assert "error: The machine has ended, and no kernel fault came" in answer(in_ls, "overflow")
    for said in (answer(in_ls, "next"), answer(at_fault, "kstacks", -1),
                 answer(at_fault, "run", -1), answer(at_fault, "continue", -1),
                 answer(at_fault, "overflow", -1)):
        assert said.startswith("error: There is no machine") or \
            said.endswith("Error: There is no machine"), said


def test_kill(in_reserve):
    assert answer(in_reserve, "ps").startswith("error: There is no machine")


def test_machine_runs(in_stressfs):
    for command in "ps", "ubreak echo main":
        assert answer(in_stressfs, command, -1).startswith("error: The machine runs: stop it first")


def test_help(in_stressfs):
    """Each command that the page names is listed."""
    listed = re.findall(r"^([\w-]+) ", answer(in_stressfs, LAST), re.MULTILINE)
    for name in ("explain", "frames", "kstacks", "locks", "overflow", "pid", "program", "ps",
                 "ptwalk", "run", "start", "ubreak", "watch-guard", "checkpoint", "go-back"):
        assert name in listed and f"`{name}" in PAGE


def test_without_python(tmp_path):
    """GDB says once what it lacks, and goes on; without its modules its Python is no use either."""
    init = (guest.TOP / "test/tools/gdbinit").read_text().split("\ntarget remote")[0]
    (tmp_path / "init").write_text(init.replace("@KERNEL@", str(guest.KERNEL)))
    done = subprocess.run(
        [os.environ.get("GDB", "gdb-multiarch"), "-nx", f"--data-directory={tmp_path}", "-batch",
         "-x", tmp_path / "init", "-ex", "print sizeof(struct thread)"], cwd=guest.TOP, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    assert done.stdout.count("This GDB has no Python") == 1 and "$1 = " in done.stdout
