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

PAGE = (guest.TOP / "docs/debugging.md").read_text()
MARK = "=== "
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
    """Give GDB the commands.  Returns what it answered to each, in order."""
    (folder / "try.py").write_text(TRY)
    lines = [f"source {folder}/try.py"]
    lines += [f"python tell({command!r})" for command in commands]
    output = debug(folder, [*lines, f"echo {MARK}\\n", "kill"], append, **machine)
    parts = output.split(MARK)[1:]
    assert [part.split("\n")[0] for part in parts[:-1]] == commands, output[-4000:]
    assert "Traceback" not in output
    return {part.split("\n")[0]: part.split("\n", 1)[1] for part in parts}


def plain(text):
    """The text without its numbers and its spaces, line by line."""
    lines = [re.sub(r"(0x|\b)[0-9a-f]{16}\b|0x[0-9a-f]+|\d+", "N", line) for line in
             text.splitlines()]
    return [re.sub(r"[ .:#]+", " ", line).strip() for line in lines]


def samples(section):
    """What the section of the page says that GDB prints, by command, in order."""
    body = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    found = {}
    for block in re.findall(r"^```\n(.*?)^```", body, re.MULTILINE | re.DOTALL):
        for command, output in re.findall(r"^\(gdb\) (.*)\n((?:(?!\(gdb\)).*\n)*)", block, re.M):
            found[command] = output
    return found


STOPPED = samples("Commands that know the kernel")
REFUSED = {
    "ps 3": "Usage: ps.",
    "explain": "Usage: explain ADDRESS.",
    "explain nosuch": 'No symbol "nosuch" in current context.',
    "ptwalk 0 7": "No process has pid 7: `ps` lists them.",
    "ptwalk 0 init": "init is no pid: a number is (`ps` lists them).",
    "ptwalk 0x8000000000": "0x8000000000 is not canonical",
    "ptwalk 0 1 2": "Usage: ptwalk VA [PID].",
}
EXPLAINED = {
    "explain syscall": r"kernel image: syscall, in \.text\.\n  That is line \d+ of trap/syscall\.c",
    "explain f->stack.lo": r"16384 bytes below the top of the stack of pid 2 \(provoke\), .*\n"
                           r"  That part is not in use now: the stack is 1\d{4} bytes deep",
    "explain f->stack.hi": r"is byte 1 above the top of the stack of pid 2 \(provoke\)",
    "explain f->hart": r"kernel image: harts, in \.bss[\S\s]*in the direct map",
    "explain pids.slots": r"vmalloc window, in a live area, .*, made by pid_init\+",
    "explain 0xfffffff000000000": r"device window: register 0x0 of test, at pa 0x100000",
    "explain 0xffffffc080200000": r"shows physical address 0x80200000[\S\s]*_start",
    "explain 0x1000": r"hart runs pid 2 \(provoke\), where it is in the program[\S\s]*-A-UX-RV",
    "explain 0xffffffc000001000": r"direct map[\S\s]*It is not mapped",
    "explain boot_stack_guard": r"the unmapped page below the boot stack[\S\s]*It is not mapped",
    "explain (long)1 << 40": r"is nowhere: it is not canonical",
    "ptwalk 0x1000 1": r"Page table of pid 1 \(init\):\n  level 2  entry   0 at 0xffffffc0\w+ = "
                       r"0x\w{16}  -------V  table at pa 0x\w+\n.*\n  level 0 .* -A-UX-RV  4 KiB",
    "help bulwark": r"\nkstacks  [\S\s]*\nptwalk VA \[PID\] ",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What GDB answers at the report of an overflow."""
    folder = tmp_path_factory.mktemp("gdb")
    return answers(folder, ["lx-ps", "tbreak report_print", "continue", *STOPPED, *REFUSED,
                            *EXPLAINED], "-- provoke EXHAUST_STACK", cpus=3)


def test_page(told):
    """Each sample of the page is what GDB prints, but for the numbers; ... leaves lines out."""
    assert len(STOPPED) > 3
    for command, sample in STOPPED.items():
        there = iter(plain(told[command]))
        missing = [line for line in plain(sample) if line and line not in there]
        assert not missing, f"{command}: {missing[0]}\n{told[command]}"


@pytest.mark.parametrize("command", EXPLAINED)
def test_answer(told, command):
    assert re.search(EXPLAINED[command], told[command], re.MULTILINE), told[command]


@pytest.mark.parametrize("command", REFUSED)
def test_refusal(told, command):
    assert told[command].startswith("error: ") and told[command].count("\n") == 1
    assert REFUSED[command] in told[command]


def test_before_the_kernel(told):
    """The machine is at its first instruction, where no page table is in force."""
    assert "This hart has not turned on paging yet" in told["lx-ps"]


def test_without_python(tmp_path):
    """GDB says once what it lacks, and goes on; without its modules its Python is no use either."""
    init = (guest.TOP / "test/tools/gdbinit").read_text().split("\ntarget remote")[0]
    (tmp_path / "init").write_text(init.replace("@KERNEL@", str(guest.KERNEL)))
    done = subprocess.run(
        [os.environ.get("GDB", "gdb-multiarch"), "-nx", f"--data-directory={tmp_path}", "-batch",
         "-x", tmp_path / "init", "-ex", "print sizeof(struct thread)"], cwd=guest.TOP, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    assert done.stdout.count("This GDB has no Python") == 1 and "$1 = " in done.stdout
