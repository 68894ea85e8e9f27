# SPDX-License-Identifier: MIT
"""make record, make replay, make reverse: the commands that a student types, in batch mode."""

import json
import os
import re
import shutil
import subprocess

import guest
import pytest


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


def test_back_and_forth(overflowed, tmp_path):
    code, said = make("reverse", f"RECORDING={overflowed}", folder=tmp_path, commands=[
        "info registers pc", "reverse-stepi", "info registers pc", "stepi", "info registers pc",
        "break sys_write", "reverse-continue", "info registers pc", "delete", "overflow"])
    assert code == 0, said[-3000:]
    assert said.count("Fault of class overflow") == 2
    assert re.findall(r"^pc +\S+\s+\S+ <(\w+)", said, re.M) == [
        "report_print", "kernel_fault", "report_print", "sys_write"]


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


def test_several_harts():
    code, said = make("record", "CPUS=3")
    assert code != 0 and "QEMU records a machine of one hart alone" in said
    assert "make gdb" in said


# --- the page ------------------------------------------------------------------------------------

PAGE = re.search(r"^## Back in time\n(.*?)^## ", (guest.TOP / "docs/debugging.md").read_text(),
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
