# SPDX-License-Identifier: MIT
"""The commands around the kernel: the doctor, the boot wrapper, the makefile's own messages."""

import json
import math
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import guest
import pexpect
import pytest

# What the doctor's own code calls.
SHELL_TOOLS = "sh sed head grep tr sort env make id".split()


def run(*command, timeout=120, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    clean.pop("CI", None)
    return subprocess.run(command, cwd=guest.TOP, env={**clean, **environment}, text=True,
                          input="a line of input\n", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout,
                          preexec_fn=guest.die_with_parent)


# An apt-cache that knows every package.
KNOWS_ALL = r'{ shift; printf "Package: %s\nFilename: x\n" "$@"; }'


class Machine:
    """A make-believe machine: a PATH with few programs, some of them scripts of the test."""

    def __init__(self, path):
        self.path = path
        for name in SHELL_TOOLS:
            for folder in os.environ["PATH"].split(":"):
                if os.path.exists(f"{folder}/{name}") and not (path / name).exists():
                    (path / name).symlink_to(f"{folder}/{name}")

    def script(self, name, text):
        (self.path / name).unlink(missing_ok=True)
        (self.path / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.path / name).chmod(0o755)

    def doctor(self, *needs, **environment):
        return run(f"{self.path}/sh", "test/tools/doctor", *needs, PATH=str(self.path),
                   **environment)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.script("id", "echo 1000")
    machine.script("apt-cache", f"test $2 != qemu-system-riscv && {KNOWS_ALL}")
    return machine


def test_doctor_is_content():
    done = run("test/tools/doctor", "build", "qemu")
    assert (done.returncode, done.stdout) == (0, "")


def test_doctor_without_a_package_manager(machine):
    done = machine.doctor("qemu")
    assert done.returncode == 1
    assert "package qemu-system-misc" in done.stdout and "those of Debian" in done.stdout


@pytest.mark.parametrize("manager, command", [
    ("dnf", "sudo dnf install gcc-riscv64-linux-gnu qemu-system-riscv"),
    ("pacman", "sudo pacman -S --needed qemu-system-riscv riscv64-elf-gcc"),
    ("brew", "brew install qemu riscv64-elf-gcc"),
])
def test_doctor_with_another_package_manager(machine, manager, command):
    """It only says what to run."""
    machine.script(manager, "echo ran")
    machine.script("cc", "echo cc 13.2")
    done = machine.doctor("build", "qemu")
    assert done.returncode == 1 and "only with apt.  Please run" in done.stdout
    assert f"\n  {command}\n" in done.stdout and "ran" not in done.stdout.split()
    done = machine.doctor("--all")
    assert done.returncode == 0 and "gdb" in done.stdout and " -" not in \
        re.sub(" -S --needed| -m venv", "", done.stdout)


def test_doctor_says_what_has_no_package(machine):
    machine.script("pacman", "echo ran")
    assert "the model checker: no package known" in machine.doctor("model").stdout


def test_doctor_has_a_line_for_administrators(machine):
    """All packages that any of the commands would ask for, the newest names too."""
    machine.script("apt-get", "echo ran apt-get")
    everything = machine.doctor("--all").stdout.split()
    assert everything[:2] == ["sudo", "apt-get"]
    asked = machine.doctor("build", "qemu", "test", "lint", "gdb", "llvm").stdout
    wanted = {word for names in re.findall("package (.*)", asked) for word in names.split()}
    assert len(wanted) > 10 and wanted <= set(everything)
    assert " ".join(everything) in machine.doctor().stdout


@pytest.mark.parametrize("answer, runs", [
    ("y", True), ("Y", True), ("yes", True), ("Yes", True), ("YES", True),
    ("n", False), ("no", False), ("", False), ("yesterday", False),
])
def test_doctor_understands_the_answer(machine, answer, runs):
    machine.script("apt-get", "echo ran apt-get")
    machine.script("sudo", 'exec "$@"')
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | {"PATH": str(machine.path)}
    doctor = pexpect.spawn(f"{machine.path}/sh", ["test/tools/doctor", "qemu"], cwd=guest.TOP,
                           encoding="utf-8", timeout=60, env=environment)
    doctor.expect_exact("[y/N] ")
    doctor.sendline(answer)
    doctor.expect(pexpect.EOF)
    assert ("ran apt-get" in doctor.before) == runs
    assert runs or "To do it yourself:\r\n  sudo apt-get install" in doctor.before


@pytest.mark.parametrize("system, package", [
    ('ID=debian\nVERSION_ID="12"', "qemu-system-misc"),
    ('ID=debian\nVERSION_ID="13"', "qemu-system-riscv"),
    ("ID=debian", "qemu-system-riscv"),  # the next one has no number yet
    ('ID=ubuntu\nVERSION_ID="24.04"', "qemu-system-misc"),
    ('ID=ubuntu\nVERSION_ID="25.04"', "qemu-system-riscv"),
    ('ID=linuxmint\nVERSION_ID="22"', "qemu-system-misc"),
])
def test_doctor_before_apt_knows_any_package(machine, system, package):
    (machine.path / "os-release").write_text(system + "\n")
    machine.script("apt-cache", "exit 100")
    machine.script("apt-get", "exit 100")
    machine.script("sudo", "exit 1")
    said = machine.doctor("qemu", OS_RELEASE=str(machine.path / "os-release")).stdout
    assert f"package {package}\n" in said
    assert "  sudo apt-get update && sudo apt-get install" in said


def test_doctor_asks_the_make_in_use(machine):
    machine.script("old", "echo GNU Make 3.81")
    done = machine.doctor("build", MAKE=f"{machine.path}/old")
    assert f"missing GNU make 4.0 or later ({machine.path}/old 3.81 is too old)" in done.stdout


def test_doctor_is_asked_for_gdb():
    """Two terminals need it as well as one."""
    for command in "gdb", "qemu-gdb":
        needs = run("make", "-n", command).stdout.splitlines()[0].split("test/tools/doctor")[1]
        assert "gdb" in needs.split()


def test_doctor_shows_the_command_without_a_terminal(machine):
    machine.script("apt-get", "echo ran apt-get")
    machine.script("sudo", "echo ran sudo")
    done = machine.doctor("qemu")
    assert done.returncode == 1
    assert "please run:\n  sudo apt-get install" in done.stdout
    assert "[y/N]" not in done.stdout and "ran" not in done.stdout.split()


@pytest.mark.parametrize("root", [True, False])
def test_doctor_installs(machine, root):
    """Root at once, and anyone when CI=true, by sudo that never asks."""
    machine.script("id", "echo 0" if root else "echo 1000")
    machine.script("sudo", '[ "$1" = -n ] && shift && exec "$@"')
    machine.script("apt-get", f"""echo "ran $*"
        case "$*" in *install*)
          read line && echo 'asked something'
          echo > {machine.path}/opensbi-riscv64-generic-fw_dynamic.bin
          {machine.path}/env ln -s real-qemu {machine.path}/qemu-system-riscv64
        esac""")
    (machine.path / "ln").symlink_to("/bin/ln")
    machine.script("real-qemu", f"""case $1 in
        -L) echo {machine.path};;
        *) echo QEMU emulator version 8.2;;
        esac""")
    done = machine.doctor("qemu", **({} if root else {"CI": "true"}))
    assert done.returncode == 0, done.stdout
    assert "install --no-install-recommends" in done.stdout and "asked" not in done.stdout


def test_doctor_names_the_newer_package(machine):
    machine.script("apt-cache", KNOWS_ALL)
    assert "package qemu-system-riscv\n" in machine.doctor("qemu").stdout


def test_doctor_old_qemu(machine):
    machine.script("qemu-system-riscv64", "echo QEMU emulator version 5.2.0")
    done = machine.doctor("qemu")
    assert done.returncode == 1 and "5.2.0 is too old" in done.stdout


def test_doctor_bad_choice():
    done = run("test/tools/doctor", "qemu", QEMU="/nonexistent")
    assert done.returncode == 1 and "QEMU=/nonexistent was chosen" in done.stdout


@pytest.mark.parametrize("words, says", [
    (["CPU=3"], "there is no option CPU="),
    (["CPUS=99"], "CPUS=99"),
    (["CPUS=1 2"], "CPUS=1 2: a number"),
    (["BUILD="], "BUILD=: a folder"),
    (["BUILD=~", "clean"], "BUILD=~: a folder, with no sign"),
    (["BUILD=a'b"], "BUILD=a'b: a folder, with no sign"),
    (["MEM=64M'"], "MEM=64M': from 64M to 4G"),
    (["CPUS=$(shell touch $(BUILD)/touched)"], "CPUS=$(shell touch $(BUILD)/touched): a number"),
    (["it's"], "there is no command it's"),
    (["it's=1"], "there is no option it's="),
    (["SCALE=abc", "grade"], "SCALE=abc: a number above 0"),
    (["SCALE=0.0", "grade"], "SCALE=0.0: a number above 0"),
    (["SCALE=-1", "mutants"], "SCALE=-1: a number above 0"),
    (["PROVOKE=n", "test"], "make test provokes faults"),
    (["PROVOKE=n", "grade"], "make grade provokes faults"),
    (["KASAN=y", "test"], "leave KASAN=y out"),
    (["MEM=12"], "MEM=12"),
    (["MEM=16G"], "MEM=16G: from 64M to 4G"),
    (["MEM=1M"], "MEM=1M: from 64M to 4G"),
    (["PROVOKE=yes"], "PROVOKE=yes: y or n"),
    (["KASAN=y", "LLVM=1"], "KASAN=y is for gcc, not for LLVM=1"),
    (["HAVE_ARCH_VMAP_STACK=n"], "VMAP_STACK=y needs HAVE_ARCH_VMAP_STACK=y (docs/vmap-stack.md)"),
    (["ARGS=-c 'ls | wc'"], "ARGS= are words between blanks"),
    (["GDB_ARGS=-ex 'p 1", "gdb"], "GDB_ARGS=-ex 'p 1: a quote is not closed; write GDB_ARGS='W"),
    (["QEMU_ARGS=-name \"x"], "QEMU_ARGS=-name \"x: a quote is not closed"),
    (["VMAP_STACK=n", "grade"], "make grade is about stacks with guards"),
    (["PROVOKE=n", "pictures"], "make pictures provokes faults"),
    (["VMAP_STACK=n", "KASAN=y"], "KASAN=y needs VMAP_STACK=y"),
    (["VMAP_STACK=n", "KSTACK_GROW=y"], "KSTACK_GROW=y needs VMAP_STACK=y"),
    (["KSTACK_GROW=y", "mutants"], "make mutants makes those whose stacks grow so by itself"),
    (["EXTRA_PROGRAMS=a.c b.o"], "EXTRA_PROGRAMS=b.o: C sources"),
    (["EXTRA_PROGRAMS=a/x.c b/x.c"], "two of one name"),
    (["qmeu"], "there is no command qmeu"),
    (["docs"], "there is no command docs"),
    (["run-nosuch"], "make run-nosuch: the disk has no program nosuch, only bench cat "),
    (["run-mkfs"], "make run-mkfs: the disk has no program mkfs, only "),
    (["run-"], "make run-: a name is missing, one of bench cat "),
    (["record-nosuch"], "make record-nosuch: the disk has no program nosuch, only bench "),
    (["record", "NAME=nosuch"], "NAME=nosuch: the disk has no program nosuch, only bench "),
    (["profile", "NAME=nosuch"], "NAME=nosuch: the disk has no program nosuch, only bench "),
    (["gdb", "APPEND=nproc=9 -- /nosuch x"], "APPEND=nproc=9 -- /nosuch x: the disk has no "),
    (["qemu", "APPEND=-- nosuch"], "APPEND=-- nosuch: the disk has no program nosuch, only "),
    (["test/host"], "there is no command test/host"),
    (["vm/page.c"], "there is no command vm/page.c"),
    (["QEMU=", "qemu"], "QEMU= is empty"),
    (["GDB="], "GDB= is empty"),
    (["HOSTCC="], "HOSTCC= is empty"),
    (["PYTHON= "], "PYTHON= is empty"),
    (["GDBPORT=", "gdb"], "GDBPORT= is empty"),
    (["WATCHPORT=22x", "watch"], "WATCHPORT=22x: a port, from 1 to 65535"),
    (["WATCHPORT=65536", "watch"], "WATCHPORT=65536: a port, from 1 to 65535"),
    (["SEED=-3", "fuzz"], "SEED=-3: a number of at most nine digits"),
    (["SEED=x", "storm"], "SEED=x: a number of at most nine digits"),
    (["SEED=1.5", "crash"], "SEED=1.5: a number of at most nine digits"),
    (["SEED=1234567890", "fuzz-images"], "SEED=1234567890: a number of at most nine digits"),
    (["CALLS=0", "fuzz"], "CALLS=0: a whole number from 1 up"),
    (["MINUTES=0", "soak"], "MINUTES=0: a whole number from 1 up"),
    (["MINUTES=.5", "soak"], "MINUTES=.5: a whole number from 1 up"),
    (["ROUND=-1", "fuzz-images"], "ROUND=-1: a whole number"),
])
def test_make_says_what_is_wrong(words, says):
    done = run("make", *words)
    assert done.returncode == 2 and says in done.stdout and done.stdout.count("\n") == 1
    assert not (guest.BUILD / "touched").exists()


def test_a_wrong_file_changes_nothing():
    """Or the image would be made anew by whatever make comes next."""
    names = guest.BUILD / "files"
    before = names.read_text()
    done = run("make", "EXTRA_FILES=/nonexistent", "image",
               f"BUILD={os.environ.get('BUILD', 'build')}",
               *guest.chosen("CROSS", "LLVM", "HOSTCC"))
    assert done.returncode == 2 and 'there is no file "/nonexistent"' in done.stdout
    assert names.read_text() == before


def test_a_folder_gets_its_mark_first(tmp_path):
    """Or a source that is not there would leave one that no later build takes."""
    build = tmp_path / "b"
    assert run("make", f"{build}/extra/list", f"BUILD={build}").returncode == 0
    assert run("test/tools/folder", "make", build).returncode == 0


def test_make_runs_what_the_disk_has(tmp_path):
    """Not only the programs of user/, and not only what make has put there."""
    (tmp_path / "other.c").touch()
    (tmp_path / "_built").touch()
    (tmp_path / "kitty").touch()
    guest.make_disk(tmp_path / "fs.img", tmp_path / "kitty")
    for words in (["run-built", f"EXTRA_FILES={tmp_path}/_built"], ["record-kitty"],
                  ["run-other", f"EXTRA_PROGRAMS={tmp_path}/other.c"],
                  ["qemu", "APPEND=x -- -p /kitty"], ["qemu", "APPEND=--"]):
        done = run("make", "-n", *words, f"BUILD={tmp_path}")
        assert done.returncode == 0, done.stdout[-1000:]
    assert "no program kitten, only bench" in run("make", "run-kitten", f"BUILD={tmp_path}").stdout


def test_name_of_the_machine():
    """WSL has it in the environment."""
    assert "say NAME=program" in run("make", "profile", NAME="laptop").stdout
    assert "laptop" not in run("make", "-n", "record", NAME="laptop").stdout


def test_make_takes_what_is_right():
    """Only what it would run is printed."""
    done = run("make", "-n", "fuzz", "SEED=0", "CALLS=", "ROUND=0")
    assert done.returncode == 0 and '--seed "$SEED"  --round "$ROUND"' in done.stdout
    assert run("make", "-n", "lab", "SEED=s12-34").returncode == 0
    done = run("make", "-n", "grade", "KASAN=y", "SCALE=.5", "BUILD=build/kasan", "CPUS=32")
    assert done.returncode == 0 and "TEST_TIME_SCALE=.5" in done.stdout


@pytest.mark.parametrize("given, directory", [("", "build"), ("x/y", "x/y"), ("/x", "/x")])
def test_tests_are_of_the_build_that_was_made(given, directory):
    """make test BUILD=dir looks at no other kernel, and puts its logs there."""
    words = [f"BUILD={given}"] if given else []
    recipe = run("make", "-n", "test", *words, BUILD="build").stdout.splitlines()[-1]
    assert f"BUILD={directory} " in recipe and "pytest" in recipe
    script = "import guest; print(guest.KERNEL, guest.IMAGE, guest.LOGS)"
    seen = run(sys.executable, "-c", script, BUILD=directory, PYTHONPATH="test").stdout.split()
    assert seen == [str(guest.TOP / directory / name) for name in ("kernel", "fs.img", "logs")]


def test_make_expands_nothing_that_was_typed(tmp_path):
    """Neither make nor a shell, whatever the option is for."""
    touch = f"touch {tmp_path}/touched"
    odd = f"$(shell {touch})'; {touch}; '`{touch}`"
    for command in "grade", "mutants", "lab":
        names = ("CASES", "MUTANTS", "SUBMISSION", "JSON", "LAB", "DIR")
        done = run("make", "-n", command, *(f"{name}={odd}" for name in names))
        assert done.returncode == 0, done.stdout
    for name in "EXTRA_FILES", "EXTRA_PROGRAMS", "APPEND", "ARGS", "BUILD", "CPUS", "JOBS":
        run("make", "-n", "grade", f"{name}={odd}")
    assert not (tmp_path / "touched").exists()


def test_make_help_names_every_command():
    text = run("make", "help").stdout
    for command in "qemu run-NAME demo qemu-gdb gdb test lint bench doctor clean".split():
        assert f"make {command} " in text
    assert max(map(len, text.splitlines())) < 80


@pytest.mark.parametrize("path, line, good", [
    ("kern/dev/disk.c", "pa_t pa = dma_map(p, size);", True),
    ("kern/dev/disk.c", "pa_t pa = ptr_to_pa(p);", False),
    ("kern/dev/disk.c", "char *p = pa_to_ptr(pa);", False),
    ("kern/dev/disk.c", "pte_t pte = pagetable_leaf(at);", False),
    ("kern/fs/buf.h", "#define PHYSICAL(p) ((uint64)(p) - DIRECT_BASE)", False),
    ("kern/dev/queue.S", "li t0, DIRECT_END", False),
    ("kern/dev/disk.c", "pa_t pa = boot_alloc(PAGE_SIZE);", False),
    ("kern/sched/switch.c", "kernel_satp = pagetable_satp(kernel_pagetable);", True),
    ("kern/sched/switch.c", "kernel_satp = pagetable_satp(kernel_pagetable) + DIRECT_BASE;", False),
    ("vm/dma.c", "return ptr_to_pa(p);", True),
])
def test_lint_knows_physical_addresses(tmp_path, path, line, good):
    """No driver works them out by itself: docs/dma.md."""
    lint_layers(tmp_path, path, line, good, "uses")


@pytest.mark.parametrize("path, line, good", [
    ("kern/lib/types.h", "#include <stdint.h>", False),
    ("user/lib/string.c", "#  include  <string.h>", False),
    ("user/fsck.c", "#include <string.h>", True),
    ("user/user.h", "#include <stdarg.h>", True),
])
def test_lint_knows_headers_of_a_library(tmp_path, path, line, good):
    """A compiler for bare metal may have none."""
    lint_layers(tmp_path, path, line, good, "includes")


@pytest.mark.parametrize("path, good", [
    ("boot/main.c", True),
    ("trap/trap.c", False),
    ("kern/sys/sys_file.c", False),
    ("kern/dev/irq.c", False),
])
def test_lint_lets_only_boot_reach_provoke(tmp_path, path, good):
    lint_layers(tmp_path, path, '#include "kern/provoke/provoke.h"', good, "includes")


@pytest.mark.parametrize("path, line, good", [
    ("vm/page.c", '#include "vm/kstack.h"', False),
    ("vm/page.c", '#include "vm/vmalloc.h"', False),
    ("vm/page.c", '#include "vm/ram.h"', True),
    ("vm/vmalloc.h", '#include "vm/kstack.h"', False),
    ("vm/kstack.h", '#include "vm/vmalloc.h"', True),
    ("vm/kmalloc.c", '#include "vm/kasan_shadow.h"', True),
    ("vm/kasan_shadow.h", '#include "vm/kstack.h"', False),
    ("vm/kasan_shadow.c", '#include "vm/kstack.h"', True),
])
def test_lint_knows_the_order_within_vm(tmp_path, path, line, good):
    """docs/layout.md draws it."""
    lint_layers(tmp_path, path, line, good, "includes")


def lint_layers(tmp_path, path, line, good, says):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(line + "\n")
    done = subprocess.run([guest.TOP / "test/lint/layers", "true", "build"], cwd=tmp_path,
                          text=True, stderr=subprocess.PIPE, check=False)
    assert (done.returncode == 0) == good and (good or done.stderr.startswith(f"{path}:1: {says}"))


@pytest.mark.parametrize("path, text, says", [
    ("vm/a.c", "if (p == NULL)\n", "a comparison with NULL"),
    ("vm/a.c", "if (!p)  // not p == NULL\n", ""),
    ("vm/a.c", '#include "vm/b.h"\n#include "vm/a.h"\n', "its own header"),
    ("vm/a.c", '#include "vm/a.h"\n#include "vm/b.h"\n', "its own header"),
    ("vm/a.c", '#include "vm/a.h"\n\n#include "vm/c.h"\n#include "vm/b.h"\n', "the others sorted"),
    ("vm/a.c", '#include "vm/b.h"\n#include <stdarg.h>\n', "then <...>"),
    ("vm/a.c", '#include "vm/a.h"\n\n#include "vm/b.h"\n\n#include <stdarg.h>\n', ""),
    ("vm/a.c", "irq_t s = irq_save();\n", "s, a saved interrupt state"),
    ("vm/a.c", "irq_t irq = irq_save();\nint err = 0;\n", ""),
    ("vm/a.c", "int error = 0;\n", "error, an error, is not called err"),
    ("vm/a.c", "// See docs/none.md.\n", "there is no docs/none.md"),
    ("vm/a.c", '// See docs/a.md, "Two".\n', "docs/a.md has no section Two"),
    ("vm/a.c", '// See docs/a.md, section "One".\n', ""),
    ("docs/b.md", "[x](a.md#two)\n", "docs/a.md has no section two"),
    ("docs/b.md", "[x](a.md#one) [y](none.md)\n", "there is no docs/none.md"),
    ("vm/a.h", "int x;  // [z]\n", "nothing in this file says what [z] means"),
    ("vm/a.h", "// [z] the lock of all\nint x;  // [z]\nint y;  // [I]\n", ""),
    ("vm/a.h", "// I1. One thing.  I2. Another one.\n", "an invariant that does not begin a line"),
    ("vm/a.h", "// I1. One thing (I2).\n// I2. Another one.\n", ""),
    ("vm/b.c", "// I1. One thing.\n", "vm/b.h has an invariant of that number, too"),
    ("vm/b.c", "// I2. One thing.\n", ""),
])
def test_lint_knows_the_conventions(tmp_path, path, text, says):
    """docs/changing.md says them."""
    for folder in "vm", "docs":
        (tmp_path / folder).mkdir()
    (tmp_path / "docs/a.md").write_text("# A\n\n## One\n")
    (tmp_path / "vm/b.h").write_text("// I1. The first.\n")
    (tmp_path / path).write_text(text)
    done = subprocess.run([guest.TOP / "test/lint/style", "true", "build"], cwd=tmp_path,
                          text=True, stderr=subprocess.PIPE, check=False)
    assert (done.returncode == 0) == (not says) and says in done.stderr, done.stderr
    assert not says or done.stderr.startswith(f"{path}:")


def test_lint_knows_ambiguous_names(tmp_path):
    (tmp_path / "nm").write_text("#!/bin/sh\necho 'b/vm/a.c.o: find t 0 8'\n"
                                 "echo 'b/vm/b.c.o: find t 0 8'\necho 'b/vm/a.c.o: n.1 d 0 8'\n"
                                 "echo 'b/vm/b.c.o: n.1 d 0 8'\n")
    (tmp_path / "nm").chmod(0o755)
    done = subprocess.run([guest.TOP / "test/lint/style", "./nm", "b"], cwd=tmp_path,
                          text=True, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "find is static in vm/a.c and vm/b.c" in done.stderr


@pytest.mark.parametrize("head, good", [("", False), ("// vm/b.c has it.\n", True)])
def test_lint_knows_where_a_function_is(tmp_path, head, good):
    """In the file of its header's name, or the header says which."""
    for path, text in ("a.h", f"{head}int far(int x,\n        int y);\n"), ("b.c", "\n"):
        (tmp_path / "vm").mkdir(exist_ok=True)
        (tmp_path / "vm" / path).write_text(text)
    (tmp_path / "nm").write_text("#!/bin/sh\necho 'b/vm/b.c.o: far T 0 8'\n")
    (tmp_path / "nm").chmod(0o755)
    done = subprocess.run([guest.TOP / "test/lint/style", "./nm", "b"], cwd=tmp_path,
                          text=True, stderr=subprocess.PIPE, check=False)
    assert (done.returncode == 0) == good
    assert good or done.stderr == "vm/a.h:1: far() is in vm/b.c: say so\n"


@pytest.mark.skipif(not shutil.which("cloc"), reason="no cloc, which make lint needs")
@pytest.mark.parametrize("lines, good", [(2, True), (3, False)])
def test_lint_counts_lines(tmp_path, lines, good):
    """Neither blank lines nor comments."""
    page = (guest.TOP / "docs/layout.md").read_text()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/layout.md").write_text(re.sub(r"\| `boot/` \| [\d,]+ \|", "| `boot/` | 2 |",
                                                    page))
    (tmp_path / "Makefile").write_text("all:\n" * 3)
    for room in "boot", "trap", "vm", "kern":
        (tmp_path / room).mkdir()
    (tmp_path / "boot/a.c").write_text("// A comment.\n\n" + "int x;\n" * lines)
    done = subprocess.run([guest.TOP / "test/lint/size"], cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (done.returncode == 0) == good, done.stdout
    assert good or "`boot/` has 3 lines of code, and 2 at most" in done.stdout
    assert "Makefile, all its lines                                 3 of    400" in done.stdout


def test_pages_are_found():
    """docs/README.md lists each page, and what is linked is there."""
    docs = guest.TOP / "docs"
    listed = re.findall(r"^\| \[(.*?)\]\(\1\)", (docs / "README.md").read_text(), re.MULTILINE)
    pages = {p.name for p in docs.glob("*.md")} - {"README.md"}
    assert sorted(name for name in listed if "/" not in name) == sorted(pages)
    for page in [guest.TOP / "README.md", *docs.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def watch_boot(log, limit, *machine):
    """Run test/tools/boot until its watcher has spoken.  Returns what it said."""
    environment = {**os.environ, "BOOT_LOG": str(log), "BOOT_LIMIT": str(limit)}
    said = ""
    with subprocess.Popen(["test/tools/boot", guest.QEMU, *machine], cwd=guest.TOP, env=environment,
                          text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as boot:
        while "leaves QEMU" not in said:
            line = boot.stdout.readline()
            assert line, said
            said += line
        boot.kill()
    return said


def test_silent_boot_is_explained(tmp_path):
    """A machine that prints nothing of a kernel: after the limit the causes are named."""
    said = watch_boot(tmp_path / "log", 1, "-machine", "virt", "-bios", "none")
    assert "no boot banner in 1 seconds, and the firmware has printed nothing" in said
    assert "test/tools/doctor" in said
    limit = math.ceil(3 * guest.SCALE)  # in which the firmware must have begun
    said = watch_boot(tmp_path / "log", limit, "-machine", "virt")
    assert "the firmware has started, the kernel has not" in said


def test_make_qemu_without_a_terminal():
    """All of the input gets to the shell, and its end ends the machine, with the shell's status."""
    done = run("make", "qemu", "QEMU_ARGS=-snapshot")
    assert "sh: cannot run a\n" in done.stdout.replace("\r", ""), done.stdout
    assert "Error 127" in done.stdout, done.stdout


def test_early_end_is_explained(tmp_path):
    log = str(tmp_path / "log")
    done = run("test/tools/boot", guest.QEMU, "-machine", "nonesuch", BOOT_LOG=log)
    assert done.returncode != 0
    assert "QEMU has ended without a boot banner" in done.stdout


def test_an_empty_cross_is_none_chosen(tmp_path):
    done = run("make", "-n", "kernel", "CROSS=", f"BUILD={tmp_path}/b")
    assert f"{run('test/tools/doctor', '--cross').stdout.strip()}gcc " in done.stdout


# --- the folder of a build -----------------------------------------------------------------------


def test_only_folders_of_builds_are_removed(tmp_path):
    (tmp_path / "thesis").write_text("three years")
    for command in "clean", "kernel", "lint-layers":
        done = run("make", command, f"BUILD={tmp_path}")
        assert done.returncode == 2 and f"no build has made {tmp_path}" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]
    (tmp_path / "options").write_text("of another program\n")
    assert run("test/tools/folder", "clean", tmp_path).returncode == 1
    assert run("test/tools/folder", "make", tmp_path).returncode == 1
    (tmp_path / "empty").mkdir()
    assert run("test/tools/folder", "clean", tmp_path / "empty").returncode == 1
    assert run("test/tools/folder", "clean", tmp_path / "nonexistent").returncode == 0
    (tmp_path / "link").mkdir()
    (tmp_path / "link/to").symlink_to(tmp_path / "empty")
    assert run("test/tools/folder", "make", tmp_path / "link").returncode == 1


def test_folders_of_builds_are_removed(tmp_path):
    """Also when the build is that of an option, in a folder below."""
    inner = tmp_path / "a folder" / "kasan"
    assert run("test/tools/folder", "make", inner).returncode == 0
    (inner / "options").write_text("cc -DVMAP_STACK=1\n")
    (inner / "vm").mkdir()
    (inner / "vm/x.d").write_text("")
    (inner / "mine").mkdir()
    (inner / "mine/y.d").write_text("")
    for folder in inner, inner.parent:
        assert run("test/tools/folder", "make", folder).returncode == 0
    assert run("test/tools/folder", "deps", inner).stdout == f"{inner}/vm/x.d\n"
    assert run("test/tools/folder", "clean", inner.parent).returncode == 0
    assert not inner.parent.exists()


def test_dependencies_of_others_are_not_read(tmp_path):
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm/x.d").write_text("$(error read)\n")
    done = run("make", "-n", "kernel", f"BUILD={tmp_path}")
    assert done.returncode == 0, done.stdout


SOURCES = "Makefile kernel.ld README.md boot kern trap vm user test".split()


SKIPPED = shutil.ignore_patterns("strict", "grade", "logs", "submissions", "test", "vmap-n",
                                 "kasan", "grow", "lockdep", "provoke-n", "*.log")


def copy_source(name, to):
    copy = guest.copy_tree if (guest.TOP / name).is_dir() else shutil.copy2
    copy(guest.TOP / name, to / name)


def copy_built(to):
    """Copy this tree and what is built of it, for a test that changes it.  Returns the copy."""
    for name in SOURCES:
        copy_source(name, to)
    guest.copy_tree(guest.BUILD, to / "build", ignore=SKIPPED)
    return to


# --- the end of make, and two at once ------------------------------------------------------------

PATIENCE = 60 * guest.SCALE  # seconds; an end takes one or two, 11 when SIGINT comes alone


def until(true, what):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


class Family:
    """A command, and all that it starts, whatever the session or the process above."""

    def __init__(self, *command, **environment):
        self.mark = f"FAMILY={secrets.token_hex(8)}"
        key, value = self.mark.split("=")
        self.top = subprocess.Popen(
            command, cwd=guest.TOP, env=guest.environment(**{**environment, key: value}),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=guest.as_in_a_terminal)

    def members(self):
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark in (process / "environ").read_text(errors="replace").split("\0"):
                    found[int(process.name)] = (process / "cmdline").read_text().split("\0")
            except OSError:
                continue  # it has ended
        return found

    def has(self, program, word):
        return any(line[0] == program and word in line for line in self.members().values())

    def wait_for(self, *words):
        """Wait until one has these words.  If the first ends before, say what it said."""
        until(lambda: self.has(*words) or self.top.poll() is not None, self.members)
        assert self.top.poll() is None, self.top.communicate(timeout=PATIENCE)[0].decode()

    def close(self):
        for pid in self.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.top.communicate()


@pytest.fixture
def family():
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc to see processes in")
    families = []

    def start(*command, **environment):
        families.append(Family(*command, **environment))
        return families[-1]

    yield start
    for one in families:
        one.close()


@pytest.fixture
def sleeper(tmp_path):
    """A QEMU that starts and does nothing."""
    path = tmp_path / "qemu"
    path.write_text(f"""#!/bin/sh
        case $1 in
          --version) echo QEMU emulator version 7.2;;
          -L) exec {guest.QEMU} -L help;;
          *) exec sleep 86399;;
        esac""")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("command, name", [
    *(("run-true", name) for name in ("TERM", "HUP", "INT", "KILL")),
    *((command, "KILL") for command in ("qemu", "qemu-gdb", "gdb", "bench", "demo", "grade")),
    ("gdb", "TERM"), ("gdb", "HUP"), ("bench", "HUP"), ("grade", "HUP"), ("grade", "TERM"),
])
def test_everything_ends_with_make(family, sleeper, tmp_path, command, name):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (tmp_path / "gdb").write_text("#!/bin/sh\nexec sleep 86399\n")
    (tmp_path / "gdb").chmod(0o755)
    one = family("make", command, f"BUILD={os.environ.get('BUILD', 'build')}", f"QEMU={sleeper}",
                 f"GDB={tmp_path}/gdb", f"GDBINIT={tmp_path}/gdbinit", f"GDBPORT={port}",
                 "QEMU_ARGS=-snapshot", "JOBS=2", f"LOGS={tmp_path}",
                 *guest.chosen("CROSS", "LLVM", "HOSTCC", "PYTHON"))
    one.wait_for("sleep", "86399")
    one.top.send_signal(getattr(signal, f"SIG{name}"))
    until(lambda: not one.members(), one.members)


@pytest.mark.parametrize("command", ["bench", "demo", "crash", "storm", "profile", "sharing"])
def test_an_interrupt_prints_no_traceback(family, sleeper, command):
    """^C at a terminal: all get the signal."""
    one = family("make", command, f"BUILD={os.environ.get('BUILD', 'build')}", f"QEMU={sleeper}",
                 *["NAME=true"] * (command == "profile"),
                 *guest.chosen("CROSS", "LLVM", "HOSTCC", "PYTHON"))
    one.wait_for("sleep", "86399")
    members = one.members()
    os.killpg(one.top.pid, signal.SIGINT)
    said = one.top.communicate(timeout=PATIENCE)[0].decode()
    assert "Interrupt" in said and "Traceback" not in said, said
    until(lambda: not one.members(), one.members)
    assert not any((guest.BUILD / f"{command}.{pid}.log").exists() for pid in members)


def test_qemu_ends_with_make(family):
    """The real one."""
    one = family("make", "run-sleep", "ARGS=100000", "QEMU_ARGS=-S",
                 f"BUILD={os.environ.get('BUILD', 'build')}",
                 *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU"))
    one.wait_for(guest.QEMU, "-S")
    one.top.kill()
    until(lambda: not one.members(), one.members)


def test_guests_end_with_their_tests(family, sleeper, tmp_path):
    (tmp_path / "test_one.py").write_text("import guest\ndef test_one():\n    guest.run()\n")
    for name in "TERM", "KILL":
        one = family("make", "-s", "-f", "-", QEMU=str(sleeper), PYTHONPATH="test",
                     PYTEST_ADDOPTS="", BUILD=str(tmp_path))
        one.top.stdin.write(f"x:\n\t@exec test/tools/leash {sys.executable} -m pytest -q -n 2 "
                            f"-p conftest -p no:cacheprovider {tmp_path}\n".encode())
        one.top.stdin.close()
        one.top.stdin = None
        one.wait_for("sleep", "86399")
        one.top.send_signal(getattr(signal, f"SIG{name}"))
        until(lambda: not one.members(), one.members)


def test_leashes_are_on_all_that_runs_long():
    """What the tests above cannot run in reasonable time."""
    for command in "test", "mutants", "model", "demo", "bench", "grade":
        assert "\nexec test/tools/leash " in run("make", "-n", command).stdout


def waits(image, log, *more):
    """Arguments of test/tools/boot for a machine that waits, with the image open."""
    return (guest.QEMU, "-machine", "virt", "-S", "-drive", f"file={image},if=none,format=raw,id=x",
            "-device", "virtio-blk-device,drive=x", *more), {"BOOT_LOG": str(log),
                                                             "BOOT_LIMIT": "0"}


@pytest.mark.parametrize("first, second", [([], []), ([], ["-snapshot"]), (["-snapshot"], [])])
def test_an_image_in_use(family, tmp_path, first, second):
    """The process that has the image open is named before the log is emptied."""
    image, log = tmp_path / "fs.img", tmp_path / "log"
    shutil.copy(guest.IMAGE, image)
    words, environment = waits(image, tmp_path / "log of the first", *first)
    one = family("test/tools/boot", *words, **environment)
    opened = ["-r"] if not first else []  # QEMU opens it to write after it has read
    until(lambda: run("test/tools/unused", *opened, image).returncode, one.members)
    log.write_text("of a run before")
    words, environment = waits(image, log, *second)
    done = run("test/tools/boot", *words, **environment)
    assert done.returncode == 1
    assert f"{image} is in use by process {one.top.pid} ({Path(guest.QEMU).name}): end that one" \
        in done.stdout
    assert log.read_text() == "of a run before"
    assert run("test/tools/unused", "-r", image).returncode == (0 if first else 1), one.members()
    (tmp_path / "options").write_text("-DVMAP_STACK=1\n")
    assert run("make", "clean", f"BUILD={tmp_path}").returncode == 2 and image.exists()
    checked = run("make", "fsck", f"IMAGE={image}").stdout
    assert f"in use by process {one.top.pid} " in checked and "end that one\n" in checked
    assert "Error 8\n" in checked


def test_gdb_shares_the_image_with_readers(family, tmp_path):
    shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    words, environment = waits(tmp_path / "fs.img", tmp_path / "x.log", "-snapshot")
    one = family("test/tools/boot", *words, **environment)
    until(lambda: run("test/tools/unused", tmp_path / "fs.img").returncode, one.members)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    for words, code in (words, 0), ([w for w in words if w != "-snapshot"], 1):
        log = f"{tmp_path}/y.log"
        done = run("test/tools/gdb", port, guest.KERNEL, "true", *words, BOOT_LOG=log)
        assert done.returncode == code, done.stdout


def test_a_log_in_use(family, tmp_path):
    """The image is shared by machines that only read it; each has its own log."""
    shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    words, environment = waits(tmp_path / "fs.img", tmp_path / "x.log", "-snapshot")
    for name in "x-2.log", "x-3.log":
        one = family("test/tools/boot", *words, **environment)
        until(lambda: run("test/tools/unused", "-l", tmp_path / "x.log").stdout
              == f"{tmp_path}/{name}\n", one.members)
        one.close()
        one = family("test/tools/boot", *words, **environment)
        until(lambda: run("test/tools/unused", "-l", tmp_path / "x.log").stdout
              == f"{tmp_path}/{name}\n", one.members)


def test_images_in_use_are_neither_read_nor_made():
    for command in "bench", "demo", "test", "grade", "mutants":
        assert "test/tools/unused -r build/fs.img\n" in run("make", "-n", command).stdout
    words = run("make", "-n", "-W", "README.md", "image").stdout
    assert words.index("test/tools/unused build/fs.img\n") < words.index("build/mkfs build/fs.img.")


@pytest.mark.long
def test_two_makes_in_one_folder(tree):
    """What one of them writes, the other one does not see before it is whole.

    Of the objects, which all are made by a few recipes, most are there; all else is made anew.
    """
    objects = sorted((tree / "build").rglob("*.o"))
    for path in {p for p in (tree / "build").rglob("*") if p.is_file()} - set(objects) \
            | {p for p in objects if p.name.endswith(".S.o")} | set(objects[::8]):
        if path.name != "options" and path.suffix != ".d":
            path.unlink()
    command = ["make", "-s", "-C", str(tree), "kernel", "image"]
    both = [subprocess.Popen(command, env=guest.environment(), text=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    for make in both:
        said, _ = make.communicate()
        assert make.returncode == 0, said
    left = [p for p in (tree / "build").rglob("*") if re.search(r"\.\d+(\.|$)", p.name)]
    assert not left and (tree / "build/kernel").exists() and (tree / "build/fs.img").exists()


def test_clangd_opens_every_file(tree):
    """The list has them all; some from each folder, and all that is odd, are opened."""
    done = run("make", "-s", "-C", str(tree), "compile_commands.json")
    assert done.returncode == 0, done.stdout
    listed = {entry["file"] for entry in json.loads((tree / "compile_commands.json").read_text())}
    folders = ("boot", "trap", "kern", "vm", "user", "test/host")
    there = [str(p.relative_to(tree)) for folder in folders
             for p in sorted((tree / folder).rglob("*.[ch]"))]
    assert listed == set(there)
    if not shutil.which("clangd"):
        pytest.skip("no clangd")
    shutil.copy2(guest.TOP / ".clangd", tree)
    for name in [*there[::12], *(name for name in there if "kasan" in name)]:
        done = subprocess.run(["clangd", f"--check={name}", "--check-lines=1-1"], cwd=tree,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        assert done.returncode == 0, done.stdout


def test_all_is_made_again():
    """make -B asks for the files that a makefile includes, too."""
    done = run("make", "-s", "-B", "build/include/offsets.h")
    assert done.returncode == 0, done.stdout


# --- strange places ------------------------------------------------------------------------------


@pytest.fixture
def turkish(tmp_path):
    """The environment of a locale in which [A-Z] has no I."""
    made = subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", tmp_path / "tr_TR.UTF-8"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
                          ) if shutil.which("localedef") else None
    if not (tmp_path / "tr_TR.UTF-8").exists():
        pytest.skip(f"no Turkish locale: {made.stdout if made else 'localedef is missing'}")
    return {"LOCPATH": str(tmp_path), "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}


def test_any_locale(turkish, tmp_path):
    sorted_by = run("sh", "-c", "printf 'I\\n' | sed -n '/^[A-Z]$/p'", **turkish)
    offsets = "include/offsets.h"
    made = run("make", f"{tmp_path}/b/{offsets}", f"BUILD={tmp_path}/b", **turkish)
    assert made.returncode == 0, made.stdout
    assert (tmp_path / "b" / offsets).read_bytes() == (guest.BUILD / offsets).read_bytes(), \
        f"[A-Z] has I: {bool(sorted_by.stdout)}"


def test_scripts_choose_their_locale():
    """Each says so itself, since people start it, too."""
    for path in (guest.TOP / "test").rglob("*"):
        if path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"#!/bin/bash")):
            assert "\nLC_ALL=C\nexport LC_ALL\n" in path.read_text(), path


def test_a_clone_of_windows_builds(tmp_path):
    """It has autocrlf; files of the working tree are in it, whether committed or not.  They are the
    same as here, so nothing is compiled again: make looks whether all that it needs is there."""
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=x", "-c", "user.email=x"]
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.split()
    if not names or not (guest.TOP / names[0]).exists():
        pytest.skip("this tree is not in git")
    for name in names:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(guest.TOP / name, tmp_path / "source" / name)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        done = run(*git, "-C", tmp_path / "source", *words)
        assert done.returncode == 0, done.stdout
    done = run(*git, "clone", "-q", tmp_path / "source", tmp_path / "clone")
    assert done.returncode == 0, done.stdout
    clone = tmp_path / "clone"
    assert not [n for n in names if (clone / n).read_bytes() != (guest.TOP / n).read_bytes()
                or os.access(clone / n, os.X_OK) != os.access(guest.TOP / n, os.X_OK)]
    for name in names:
        shutil.copystat(guest.TOP / name, clone / name)
    guest.copy_tree(guest.BUILD, clone / "build", ignore=SKIPPED)
    made = run("make", "-s", "-C", clone, "kernel", "image", timeout=600)
    assert made.returncode == 0, made.stdout


def test_a_tree_that_cannot_be_written():
    """Nor does anything have to be written to it, when the build is elsewhere."""
    with tempfile.TemporaryDirectory() as top:
        source, build = Path(top, "source"), Path(top, "b")
        source.mkdir()
        for name in SOURCES:
            copy_source(name, source)
        build.mkdir()
        user = {} if os.geteuid() else {"user": 65534}  # root may write everywhere
        for path in (top, build):
            os.chown(path, user.get("user", -1), -1)
        for path in source, *source.rglob("*"):
            path.chmod(0o555)
        done = subprocess.run(
            ["make", "-C", source, f"{build}/gdbinit", f"{build}/include/offsets.h",
             f"BUILD={build}"], env=guest.environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, **user)
        assert done.returncode == 0, done.stdout
        assert f"file {build}/kernel" in (build / "gdbinit").read_text()
        for path in source, *source.rglob("*"):
            path.chmod(0o755)


@pytest.fixture
def tree(tmp_path):
    return copy_built(tmp_path)


def test_a_warning_is_an_error_for_lint_alone(tree):
    for name in ("boot/main.c", "user/true.c", "user/fsck.c"):
        with open(tree / name, "a", encoding="utf-8") as file:
            file.write("static int unused(int argc) {\n  return 0;\n}\n")
    built = run("make", "-s", "-C", str(tree), "kernel", "image", CI="true", LC_ALL="C")
    assert built.returncode == 0 and built.stdout.count("'unused' defined but not used") == 3
    strict = run("make", "-s", "-k", "-C", str(tree), *(f"build/strict/{name}" for name in (
        "boot/main.c.o", "user/true.c.o", "fsck")), "lint-text", LC_ALL="C")
    assert strict.returncode == 2
    assert strict.stdout.count("error: 'unused' defined but not used") == 3


def test_progress_of_tests():
    """make test says what runs; its last line stays the summary."""
    apart = {k: v for k, v in guest.environment().items() if not k.startswith("PYTEST_")}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "1", "-p",
                           "no:cacheprovider", "test/test_docs.py", "-k", "test_ranges"],
                          cwd=guest.TOP, text=True, env=apart, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE)
    assert "0 ended; running: test_docs.py::test_ranges[CPUS" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 passed")


def test_copies_of_a_busy_folder(tmp_path):
    """A file that goes away meanwhile is not missed; one that cannot be copied is."""
    (tmp_path / "a").mkdir()
    for name in ("kept", "gone"):
        (tmp_path / "a" / name).touch()

    def meanwhile(_folder, _names):
        (tmp_path / "a" / "gone").unlink()
        return []

    guest.copy_tree(tmp_path / "a", tmp_path / "b", ignore=meanwhile)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["kept"]
    (tmp_path / "a" / "dangling").symlink_to("nowhere")
    with pytest.raises(shutil.Error):
        guest.copy_tree(tmp_path / "a", tmp_path / "c")
