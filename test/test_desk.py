# SPDX-License-Identifier: MIT
"""What a desk is set up with: the container, and the editor's commands and debugger."""

import json
import os
import re
import subprocess

import guest
import pytest
from test_gdb import free_port
from test_tools import tree  # noqa: F401

CONTAINER = guest.TOP / ".devcontainer"
EDITOR = guest.TOP / ".vscode"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "USER", "WORKDIR"}
FOR_DOCTOR = {"git", "ca-certificates", "make", "less", "openssh-client"}  # what it does not bring


def instructions():
    """Return (word, the rest) of each instruction of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (CONTAINER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def tasks():
    listed = json.loads((EDITOR / "tasks.json").read_text())["tasks"]
    return {task["label"]: task for task in listed}


def launch():
    return json.loads((EDITOR / "launch.json").read_text())["configurations"][0]


def needs():
    """All that the doctor can be asked for."""
    doctor = (guest.TOP / "test/tools/doctor").read_text()
    table = re.search(r"^TOOLS='(.*?)'$", doctor, re.DOTALL | re.MULTILINE)[1]
    return {need for line in table.splitlines() for need in line.split("|")[1].split()}


def test_dockerfile_is_understood():
    steps = instructions()
    assert {word for word, _ in steps} == INSTRUCTIONS
    assert steps[0] == ("FROM", "debian:13-slim")
    for word, rest in steps:
        if word == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)
        if word == "COPY":
            source = rest.split()[0]
            assert (guest.TOP / source).exists()
            assert f"!{source}\n" in (guest.TOP / ".dockerignore").read_text()


def test_dockerfile_has_no_list_of_its_own():
    """The doctor installs; before it, only what it needs and what it does not know."""
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert set(re.search(r"recommends ([\w -]+?) *$", runs[0])[1].split()) == FOR_DOCTOR
    assert set(re.search(r"bulwark/doctor ([\w ]+)", runs[1])[1].split()) == needs()
    user = [rest for word, rest in instructions() if word == "USER"]
    assert json.loads((CONTAINER / "devcontainer.json").read_text())["remoteUser"] == user[-1]


def test_container_of_the_editor():
    there = json.loads((CONTAINER / "devcontainer.json").read_text())
    assert (CONTAINER / there["build"]["dockerfile"]).exists()
    assert (CONTAINER / there["build"]["context"]).resolve() == guest.TOP
    extensions = json.loads((EDITOR / "extensions.json").read_text())["recommendations"]
    assert there["customizations"]["vscode"]["extensions"] == extensions
    words = there["postCreateCommand"].split()
    assert words[0] == "make" and dry_run(*words[1:]).returncode == 0


def dry_run(*words):
    return subprocess.run(["make", "-n", *words], cwd=guest.TOP, env=guest.environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)


@pytest.mark.parametrize("label", tasks())
def test_task(label, tmp_path):
    task = tasks()[label]
    assert (task["type"], task["command"]) == ("shell", "make")
    assert task["osx"] == {"command": "gmake"}
    done = dry_run(f"GDBINIT={tmp_path}/init", *task["args"])
    assert done.returncode == 0, done.stdout


def test_settings():
    assert isinstance(json.loads((EDITOR / "settings.json").read_text()), dict)


class Debugger:
    """GDB as an editor starts it, without what GDB prints for people."""

    def __init__(self, folder, command):
        self.said = ""
        self.process = subprocess.Popen(
            [command.replace("${workspaceFolder}", str(folder)), "--interpreter=mi"], cwd=folder,
            env=guest.environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, preexec_fn=guest.die_with_parent)

    def until(self, pattern):
        while not re.search(pattern, self.said, re.MULTILINE):
            line = self.process.stdout.readline()
            assert line, self.said
            assert not line.startswith("^error"), self.said + line
            self.said += line

    def tell(self, text, answer=r"^\^(done|connected|running)"):
        self.said = ""
        words = text if text.startswith("-") else f'-interpreter-exec console "{text}"'
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        self.until(answer)

    def close(self):
        self.process.kill()
        self.process.communicate()


def test_debugger_of_the_editor(tree):
    """F5: the task, until the editor sees that it waits; then GDB, to a breakpoint."""
    setup = launch()
    task = tasks()[setup["preLaunchTask"]]
    waits = task["problemMatcher"]["background"]["endsPattern"]
    assert task["isBackground"] and (tree / "build/kernel").exists()
    assert setup["program"] == "${workspaceFolder}/build/kernel"
    given = guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "GDB", "PYTHON")
    make = subprocess.Popen(
        [task["command"], *task["args"], *given], cwd=tree, text=True,
        env=guest.environment(GDBPORT=str(free_port()), BUILD="build"), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=guest.die_with_parent)
    said, debugger = "", None
    try:
        while not re.search(waits, said, re.MULTILINE):
            line = make.stdout.readline()
            assert line, said
            said += line
        debugger = Debugger(tree, setup["miDebuggerPath"])
        debugger.until(r"^\(gdb\)")
        for command in setup["customLaunchSetupCommands"]:
            debugger.tell(command["text"])
        debugger.tell("-break-insert sys_write")
        debugger.tell(f"-{setup['launchCompleteCommand']}", r"^\*stopped")
        assert 'reason="breakpoint-hit"' in debugger.said and 'func="sys_write"' in debugger.said
        debugger.tell("-stack-list-frames")
        assert 'func="trap_user"' in debugger.said
    finally:
        if debugger:
            debugger.close()
        os.killpg(make.pid, 9)
        make.communicate()
