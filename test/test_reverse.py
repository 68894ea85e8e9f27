# SPDX-License-Identifier: MIT
"""make record, make replay, make reverse: the commands that a student types, in batch mode."""

import json
import os
import re
import shutil
import subprocess
import sys

import guest
import pytest
from test_gdb import debug
from test_tools import SKIPPED, SOURCES, copy_source

TOOLS = guest.TOP / "test/tools"
sys.path.insert(0, str(TOOLS))

import recording  # noqa: E402  pylint: disable=wrong-import-position


def make(*words, commands=None, folder=None, typed="", **environment):
    """Run make.  Returns its exit code and all it said; commands are for GDB, in that folder."""
    options = [f"BUILD={os.environ.get('BUILD', 'build')}",
               *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "GDB", "PYTHON")]
    if commands is not None:
        (folder / "commands").write_text("\n".join(commands) + "\n")
        options.append(f"GDB_ARGS=-batch -x {folder}/commands")
    done = subprocess.run(["make", *words, *options], cwd=guest.TOP, input=typed, text=True,
                          env=guest.environment(**environment), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=guest.WALL_SECONDS,
                          errors="replace", check=False)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def overflowed(tmp_path_factory):
    """A recording of a stack that ran out; not to be changed."""
    folder = tmp_path_factory.mktemp("overflowed") / "recording"
    code, said = make("record-provoke", "ARGS=EXHAUST_STACK", f"RECORDING={folder}")
    assert code == 0 and f"Recorded in {folder}" in said, said[-3000:]
    return folder


@pytest.fixture
def copied(overflowed, tmp_path):
    shutil.copytree(overflowed, tmp_path / "moved")
    return tmp_path / "moved"


def console(folder):
    return (folder / "console.log").read_text().replace("\r", "")


def test_replay_is_identical(overflowed):
    assert "kstack: class=overflow" in console(overflowed)
    for _ in range(2):
        code, said = make("replay", f"RECORDING={overflowed}")
        assert code == 0 and said.replace("\r", "") == console(overflowed)


def test_moved_recording(overflowed, copied):
    """All that it takes is in the folder."""
    there = overflowed.rename(overflowed.with_name("away"))
    try:
        code, said = make("replay", f"RECORDING={copied}")
    finally:
        there.rename(overflowed)
    assert code == 0 and said.replace("\r", "") == console(copied)


def test_typed(tmp_path):
    """What is typed is recorded."""
    code, said = make("record", f"RECORDING={tmp_path}/r", typed="echo hello there\nls | wc\n")
    assert code == 0 and "\n$ hello there\n" in said.replace("\r", ""), said[-3000:]
    code, said = make("replay", f"RECORDING={tmp_path}/r")
    assert code == 0 and said.replace("\r", "") == console(tmp_path / "r")


def test_name(tmp_path):
    code, said = make("record", "NAME=echo", "ARGS=one two", f"RECORDING={tmp_path}/r")
    assert code == 0 and "\none two\n" in said.replace("\r", ""), said[-3000:]
    assert f"`make reverse RECORDING={tmp_path}/r` debugs it" in said, said[-3000:]


def stuck_at_first(tmp_path):
    """A QEMU whose first replay stands still from the start."""
    (tmp_path / "qemu").write_text(f"""#!/bin/sh
case "$*" in *rr=replay*) [ -e {tmp_path}/was ] || {{ : > {tmp_path}/was; set -- "$@" -S; }} ;; esac
exec {guest.QEMU} "$@"
""")
    (tmp_path / "qemu").chmod(0o755)
    return [str(tmp_path / "qemu")]


def test_replay_that_stands_still(overflowed, tmp_path, monkeypatch, capfdbinary):
    """It is begun again."""
    monkeypatch.setattr(recording, "STILL_IDLE", 1)
    assert guest.load_script(TOOLS / "replay").show(overflowed, stuck_at_first(tmp_path))
    said, complaint = capfdbinary.readouterr()
    assert said == (overflowed / "console.log").read_bytes()
    assert b"QEMU's replay stands still; it begins again." in complaint


@pytest.mark.parametrize("packet", [b"c", b"bs"])
def test_way_that_stands_still(overflowed, monkeypatch, packet):
    """The command comes to its end in another machine."""
    script = guest.load_script(TOOLS / "gdb-reverse")
    source, sink = os.pipe()
    one = script.Reverse(recording.Recording(overflowed, [guest.QEMU]), source, sink)
    try:
        one.end_at, first, run_on = guest.Symbols()["power_off"], [], script.Reverse.run_on
        one.begin_at(1000)

        def stuck(self, *given):
            if not first:
                first.append(given)
                raise script.Stuck("stands still")
            return run_on(self, *given)

        monkeypatch.setattr(script.Reverse, "run_on", stuck)
        assert one.travel(packet) == (script.END if packet == b"c" else script.TRAP)
        assert first and (packet == b"c" or one.replay.now() == 999)
    finally:
        one.replay.close()


def test_back_and_forth(overflowed, tmp_path):
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path, commands=[
        "info registers pc", "reverse-stepi", "info registers pc", "stepi", "info registers pc",
        "break sys_write", "reverse-continue", "info registers pc", "delete", "overflow"])
    assert code == 0, said[-3000:]
    assert said.count("Fault of class overflow") == 2
    assert re.findall(r"^pc +\S+\s+\S+ <(\w+)", said, re.M) == [
        "report_print", "kernel_fault", "report_print", "sys_write"]


def test_quotes_in_gdb_args(overflowed):
    code, said = make("reverse", f"RECORDING={overflowed}",
                      "GDB_ARGS=-batch -ex 'print $pc == report_print' -ex \"print 7 * 6\"")
    assert code == 0 and "\n$1 = 1\n$2 = 42\n" in said, said[-3000:]


def test_end_of_a_recording(overflowed, tmp_path):
    """There is no other fault, and going on does not bring one."""
    _, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path,
                   commands=["continue", "overflow"])
    assert "The recording ends here" in said and "`reverse-continue` goes to the start" in said


def test_beginning(overflowed, tmp_path):
    """In QEMU's own code no symbol is a program's; on the way forward its breakpoints are there."""
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path, commands=[
        "break user/provoke.c:main", "reverse-continue", "reverse-continue", "info symbol $pc",
        "backtrace", "continue"])
    assert code == 0, said[-3000:]
    _, came, began, again = re.split("Breakpoint 2, main|No more reverse-exec", said)
    assert "user/provoke.c" in came and "user/provoke.c" in again
    assert began.count("0x0000000000001000 in ?? ()") == 2 and "No symbol matches $pc." in began


# --- what is refused -----------------------------------------------------------------------------

def refused(folder, words, command="replay"):
    code, said = make(command, f"RECORDING={folder}")
    assert code != 0 and words in said and "Traceback" not in said, said[-3000:]


def test_no_recording(tmp_path):
    refused(tmp_path / "none", "There is no recording ")
    refused(tmp_path, "is no recording: it has no file about")
    (tmp_path / "none.new").mkdir()
    refused(tmp_path / "none", "the last one was interrupted: make record-NAME", "reverse")


@pytest.mark.parametrize("name", ["log", "kernel", "fs.img", "user/provoke.elf", "firmware"])
def test_damaged_recording(copied, name):
    if not (copied / name).exists():
        pytest.skip("this QEMU takes its firmware from elsewhere")
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    refused(copied, f"is damaged: {name} is not what was recorded")
    (copied / name).unlink()
    refused(copied, f"is not whole: it lacks {name}", "reverse")


def test_damaged_description(copied):
    (copied / "about").write_text("{")
    refused(copied, "is damaged: about cannot be read")


def test_other_qemu(copied):
    """Another release is refused; the same one with other repairs is warned of."""
    about = json.loads((copied / "about").read_text())
    was = about["qemu"]
    (copied / "about").write_text(json.dumps({**about, "qemu": "5.1.0"}))
    refused(copied, "was made by QEMU 5.1.0, and ")
    near = ".".join(was.split(".")[:2] + ["99"])
    (copied / "about").write_text(json.dumps({**about, "qemu": near}))
    code, said = make("replay", f"RECORDING={copied}")
    assert code == 0 and f"was made by QEMU {near}" in said


def test_several_harts(tmp_path):
    """They can be debugged forwards only; each command says so."""
    code, said = make("record", "CPUS=3")
    assert code != 0 and "QEMU records a machine of one hart alone" in said
    assert "make gdb" in said
    said = debug(tmp_path, [
        "python", "import gdb", "for command in 'last-write &harts', 'overflow origin':",
        "  try: gdb.execute(command)", "  except gdb.error as error: print(error)", "end"],
        "-- true")
    assert said.count("The kernel has not started yet: `start` lets it boot") == 2
    (tmp_path / "again").mkdir()
    said = debug(tmp_path / "again", [
        "start", "python", "import gdb", "for command in 'last-write &harts', 'overflow origin':",
        "  try: gdb.execute(command)", "  except gdb.error as error: print(error)", "end"],
        "-- true")
    assert said.count("This machine cannot go back, because it was not recorded") == 2
    assert "QEMU records machines of one hart alone." in said and "`go-back`" in said


def test_full_disk(tmp_path):
    """Nothing of the recording stays."""
    (tmp_path / "small").mkdir()
    script = (f"mount -t tmpfs -o size=5m tmpfs {tmp_path}/small || exit 77; dd if=/dev/zero "
              f"of={tmp_path}/small/rest bs=4k count=$1 2>/dev/null; shift; \"$@\"; code=$?; "
              f"ls {tmp_path}/small; exit $code")
    for pages in 1200, 420:  # no room for the files; for some of the log
        done = subprocess.run(
            ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", str(pages), "make",
             "record-provoke", "ARGS=EXHAUST_STACK", f"RECORDING={tmp_path}/small/r",
             f"BUILD={os.environ.get('BUILD', 'build')}"], cwd=guest.TOP, text=True, check=False,
            env=guest.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=guest.WALL_SECONDS)
        if done.returncode == 77 or "unshare failed" in done.stdout:
            pytest.skip("no file system can be mounted here")
        assert done.returncode and "no space is left where" in done.stdout, done.stdout[-3000:]
        assert done.stdout.splitlines()[-1] == "rest" and "Traceback" not in done.stdout


def test_interrupted(tmp_path):
    """QEMU was killed: no recording is there, and the next one does not mind what is left."""
    (tmp_path / "qemu").write_text(f"#!/bin/sh\ncase \"$*\" in *rr=record*) {guest.QEMU} \"$@\" & "
                                   "sleep 2; kill -KILL $!; wait; exit 137 ;; esac\n"
                                   f"exec {guest.QEMU} \"$@\"\n")
    (tmp_path / "qemu").chmod(0o755)
    words = ["record-sleep", "ARGS=1000", f"RECORDING={tmp_path}/r"]
    code, said = make(*words, f"QEMU={tmp_path}/qemu")
    assert code and "Nothing was recorded: QEMU was killed before" in said, said[-3000:]
    refused(tmp_path / "r", "There is no recording ")
    code, said = make("record-true", words[2])
    assert code == 0 and "Recorded in" in said, said[-3000:]


# --- three bugs, from the symptom to the store ---------------------------------------------------

PLANTED = """
#include "kern/provoke/tests.h"
#include "vm/kmalloc.h"

struct client { void (*tell)(void); uint64 calls; };
struct client *served;

static __attribute__((noinline)) uint64 deep(uint64 n) {
  volatile uint64 local[64];
  for (int i = 0; i < 64; i++)
    local[i] = 0x5b5b5b5b5b5b5b5b;  // the bug
  return n ? deep(n - 1) + local[n % 64] : 0;
}

void provoke_overrun_below(char *words[]) {
  (void)words;
  deep(32);
}

static void hello(void) {}

static __attribute__((noinline)) void forget(struct client *c) {
  c->tell = NULL;  // the bug
}

void provoke_stale_client(char *words[]) {
  (void)words;
  struct client *old = kmalloc(sizeof(*old));
  kfree(old);
  served = kmalloc(sizeof(*served));
  served->tell = hello;
  forget(old);
  served->tell();
}
"""
# Of two children that sleep, with neighbouring stacks, the upper one spoils the other's stack.
OVERRUN = """
#include "user/user.h"

static struct stack_info stacks[64];

int main(void) {
  int go[2], crash = open("/crash", O_RDWR), children[12], lower = 0, upper = 0;
  pipe(go);
  for (int i = 0; i < 12; i++)
    if ((children[i] = fork()) == 0) {
      char c = 0;
      while (read(go[0], &c, 1) == 1 && c != (char)getpid()) {
        write(go[1], &c, 1);
        sleep(1);
      }
      exit(write(crash, "OVERRUN_BELOW", 13));
    }
  sleep(2);
  int n = stackinfo(stacks, 64);
  for (int a = 0; a < n; a++)
    for (int b = 0; b < n; b++)
      if (stacks[a].hi == stacks[b].lo && stacks[a].pid >= children[0] &&
          stacks[b].pid >= children[0]) {
        lower = stacks[a].pid;
        upper = stacks[b].pid;
      }
  printf("pid %d is below pid %d\\n", lower, upper);
  for (int i = 0; i < 12; i++)
    if (children[i] != lower && children[i] != upper)
      kill(children[i]);
  for (int i = 2; i < 12; i++)
    wait(NULL);
  char c = upper;
  write(go[1], &c, 1);
  wait(NULL);
  c = lower;
  write(go[1], &c, 1);
  wait(NULL);
  return 0;
}
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A tree whose kernel, without guards, has bugs; built."""
    tree = tmp_path_factory.mktemp("planted")
    guest.build_unguarded()
    for name in SOURCES:
        copy_source(name, tree)
    guest.copy_tree(guest.BUILD / "vmap-n", tree / "build/vmap-n", ignore=SKIPPED)
    (tree / "kern/provoke/planted.c").write_text(PLANTED)
    (tree / "user/overrun.c").write_text(OVERRUN)
    table, before = tree / "kern/provoke/tests.h", "#define HANG_TESTS(X)"
    table.write_text(table.read_text().replace(before, """#define PLANTED_TESTS(X) \\
  X(OVERRUN_BELOW, overrun_below, RETURNS, "") X(STALE_CLIENT, stale_client, STOPS, "")
#define HANG_TESTS(X)""").replace("  OTHER_TESTS(X) ", "  PLANTED_TESTS(X) OTHER_TESTS(X) "))
    return tree


def follow(tree, folder, program, words, commands):
    """Record the program in that tree, and give GDB the commands.  Returns what it says."""
    options = ["-C", str(tree), "BUILD=build/vmap-n", "VMAP_STACK=n", f"RECORDING={folder}/r"]
    code, said = make(f"record-{program}", f"ARGS={words}", *options)
    assert code == 0, said[-3000:]
    code, said = make("reverse", *options, folder=folder, commands=commands)
    assert code == 0, said[-4000:]
    return said


@pytest.mark.long
def test_overrun_into_a_neighbour(planted, tmp_path):
    """The victim returns to nowhere, when it wakes; another process has done it."""
    said = follow(planted, tmp_path, "overrun", "", ["last-write f->sp-8", "overflow origin"])
    lower, upper = re.search(r"pid (\d+) is below pid (\d+)",
                             (tmp_path / "r/console.log").read_text()).groups()
    assert re.search(rf"Fault of class \S+: pid {lower} \(overrun\)", said), said[-4000:]
    assert re.search(r"last store to .* is in deep[.\w]*\+\d+ \(kern/provoke/planted.c:\d+\), by "
                     rf"pid {upper} \(overrun\)", said), said[-4000:]
    assert "// the bug" in said
    assert "The first store past its end is in deep" in said


@pytest.mark.long
def test_stale_pointer(planted, tmp_path):
    said = follow(planted, tmp_path, "provoke", "STALE_CLIENT", ["last-write &served->tell"])
    assert "Fault of class null: pid 2 (provoke)" in said, said[-4000:]
    assert re.search(r"last store to .* is in forget\+\d+ \(kern/provoke/planted.c:", said), said
    assert "// the bug" in said


def test_corrupted_return_address(tmp_path):
    """The function has returned to 0x6161...: its frame was just above sp.  And the other examples
    of the page."""
    first, *others = re.findall(r"`last-write\s([^A-Z`][^`]*)`", PAGE)
    assert first == "f->sp-8" and others
    code, said = make("record-provoke", "ARGS=CORRUPT_STACK", f"RECORDING={tmp_path}/r")
    assert code == 0, said[-3000:]
    code, said = make("reverse", f"RECORDING={tmp_path}/r", folder=tmp_path,
                      commands=[f"last-write {first}", "backtrace 2",
                                *(f"last-write {one}" for one in others)])
    assert code == 0 and "Fault of class unmapped: pid 2 (provoke) on hart 0, in 0x6161" in said
    assert re.search(r"last store to .* is in overrun\+\d+ \(kern/provoke/frames.c:", said), said
    assert re.search(r"^#1 .* in corrupt ", said, re.M)
    assert said.count("The last store to 0x") == 1 + len(others)
    assert "is in print_set_sink+" in said


def test_value_that_is_no_address(overflowed, tmp_path):
    """The answer says how to ask for the variable itself."""
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path,
                      commands=["last-write f->past"])
    assert code and "`last-write &(f->past)` looks for the store to f->past itself." in said, said
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path,
                      commands=["last-write &(f->past)"])
    assert code == 0 and "is in kernel_fault+" in said, said[-3000:]


def test_origin(overflowed, tmp_path):
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path,
                      commands=["overflow origin", "info registers pc", "reverse-stepi"])
    assert code == 0, said[-3000:]
    assert re.search(r"The last 1024 bytes of the stack of pid 2 \(provoke\) began with the call "
                     r"of recurse by recurse\+\d+ \(kern/provoke/exhaust.c:\d+\)", said), \
        said[-3000:]
    assert re.search(r"The first store past its end is in recurse\+\d+ \(kern/provoke/exh", said)
    assert re.findall(r"^pc +\S+\s+\S+ <(\w+)", said, re.M) == ["recurse"]


def test_origin_again(overflowed, tmp_path):
    """From the place to which it went it says the same; a step before it nothing is stored yet."""
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path, commands=[
        *["overflow origin"] * 3, "reverse-stepi", *["echo before\\n", "overflow origin"] * 3])
    assert code == 0, said[-3000:]
    store, *before = said[said.index("The last 1024 bytes"):].split("before\n")
    store = re.split("(?=The last 1024 bytes)", store)[1:]
    assert len(store) == 3 and store[0] == store[1] and store[2].startswith(store[0]), said[-4000:]
    assert len(before) == 3 and before[0] == before[1] and before[2].startswith(before[0])
    assert "No store past its end was made up to here.  Here is that call:\n#0  0x" in before[0]
    assert re.search(r"\n#0 +\S+ in recurse ", before[0]), before[0]


def test_stepi_at_a_fault(overflowed, tmp_path):
    """It goes into the kernel, and from there the store has been made."""
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path, commands=[
        "overflow origin", "stepi", "info registers pc", "overflow origin", "info registers pc"])
    assert code == 0, said[-3000:]
    assert said.count("The first store past its end is in recurse+") == 2, said[-3000:]
    assert re.findall(r"^pc +\S+\s+\S+ <(\w+)", said, re.M) == ["trap_entry", "recurse"]


# --- the page ------------------------------------------------------------------------------------

PAGE = re.search(r"^## Back in time\n(.*?)^## ", (guest.TOP / "docs/gdb.md").read_text(),
                 re.M | re.S)[1]


def plain(text):
    """Its lines, without numbers."""
    return [re.sub(r"0x[0-9a-f]+|\d+", "N", line).strip() for line in text.splitlines()]


def test_page(tmp_path):
    """The commands of the page, and what it says that they print."""
    for command in re.findall(r"^    make (re.*)", PAGE, re.M):
        gdb = {"commands": [], "folder": tmp_path} if command == "reverse" else {}
        code, said = make(*command.split(), f"RECORDING={tmp_path}/r", **gdb)
        assert code == 0 and "overflow" in said, said[-3000:]
    samples = re.findall(r"^\(gdb\) (.*)\n((?:(?!\(gdb\)|```).*\n)*)", PAGE, re.M)
    assert len(samples) > 2
    code, said = make("reverse", f"RECORDING={tmp_path}/r", folder=tmp_path,
                      commands=[command for command, _ in samples])
    assert code == 0, said[-3000:]
    there = iter(plain(said))
    for command, sample in samples:
        for line in plain(sample):
            assert line in ("", "...") or any(one.startswith(line) for one in there), \
                f"{command}: {line}\n{said[-5000:]}"
