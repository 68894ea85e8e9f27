# SPDX-License-Identifier: MIT
"""What a desk is set up with: the container, and the editor's commands and debugger."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import guest
import pytest
from grade import host
from test_gdb import free_port
from test_tools import KNOWS_ALL, Machine, run, tree  # noqa: F401

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
    assert set(re.search(r"bulwark/doctor ([\w -]+)", runs[1])[1].split()) == needs()
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
        assert 'func="syscall"' in debugger.said
    finally:
        if debugger:
            debugger.close()
        os.killpg(make.pid, 9)
        make.communicate()


# --- other systems -------------------------------------------------------------------------------

SYSTEMS = {  # by the heading of its line in docs/setup.md: os-release, its installer, apt-cache
    "Debian 13": ('ID=debian\nVERSION_ID="13"', "apt-get",
                  f"test $2 != similarity-tester && {KNOWS_ALL}"),
    "Ubuntu 24.04": ('ID=ubuntu\nVERSION_ID="24.04"', "apt-get",
                     f"test $2 != qemu-system-riscv && {KNOWS_ALL}"),
    "Fedora": ("ID=fedora\nVERSION_ID=42", "dnf", "exit 1"),
    "Arch": ("ID=arch", "pacman", "exit 1"),
    "**macOS**": ("", "brew", "exit 1"),
}


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    machine.script("id", "echo 1000")
    machine.script("uname", "echo Linux")
    return machine


def become(machine, system):
    release, manager, apt_cache = SYSTEMS[system]
    (machine.path / "os-release").write_text(release + "\n")
    machine.script(manager, "echo ran")
    machine.script("apt-cache", apt_cache)
    if system == "**macOS**":
        machine.script("uname", "echo Darwin")
    return {"OS_RELEASE": str(machine.path / "os-release")}


@pytest.mark.parametrize("system", SYSTEMS)
def test_lines_of_the_page(machine, system):
    """docs/setup.md shows what the doctor prints on that system."""
    page = (guest.TOP / "docs/setup.md").read_text()
    line = re.search(rf"^{re.escape(system)}.*?^```\n(.*?)\n```$", page, re.S | re.M)[1]
    assert machine.doctor("--all", **become(machine, system)).stdout == line + "\n"


def test_doctor_on_a_mac(machine):
    """It says what brew does not do, even where there are other installers, or brew is missing."""
    machine.script("apt-get", "echo ran apt-get")
    environment = become(machine, "**macOS**")
    done = machine.doctor("build", **environment)
    assert done.returncode == 1 and "ran" not in done.stdout.split()
    assert ": run xcode-select --install\n" in done.stdout
    assert "type gmake for make" in done.stdout and "export PYTHON=~/.bulwark" in done.stdout
    done = machine.doctor("test", PYTHON="/nonexistent", **environment)
    assert "package pytest-xdist, by pip\n" in done.stdout
    (machine.path / "brew").unlink()
    assert "brew install" in machine.doctor("qemu", **environment).stdout


@pytest.mark.parametrize("apt_cache", ["exit 100", SYSTEMS["Debian 13"][2]])
def test_doctor_asks_for_nothing_that_is_gone(machine, apt_cache):
    """Debian 13 has no similarity-tester, before the first update and after it."""
    environment = become(machine, "Debian 13")
    machine.script("apt-cache", apt_cache)
    assert "similarity" not in machine.doctor("model", "class", **environment).stdout
    become(machine, "Ubuntu 24.04")
    assert "similarity" in machine.doctor("test", "class", **environment).stdout


@pytest.mark.parametrize("release, warned", [
    ("5.15.153.1-microsoft-standard-WSL2", True), ("4.4.0-19041-Microsoft", True),
    ("6.1.0-amd64", False)])
def test_doctor_under_wsl(machine, release, warned):
    environment = become(machine, "Ubuntu 24.04")
    machine.script("uname", f'[ "$1" = -r ] && echo {release} || echo Linux')
    assert ("below /mnt it is slow" in machine.doctor(**environment).stdout) == warned


@pytest.mark.parametrize("names, found", [
    ({"gdb-multiarch": True, "gdb": True}, "gdb-multiarch"),
    ({"riscv64-elf-gdb": True, "gdb": True}, "riscv64-elf-gdb"),
    ({"gdb": True}, "gdb"),
    ({"gdb": False}, ""),
])
def test_doctor_finds_gdb(machine, names, found):
    """A plain gdb will do if it knows RISC-V."""
    for name, knows in names.items():
        machine.script(name, f"echo The target architecture is set to {'riscv:rv64' * knows}")
    done = machine.doctor("--gdb")
    assert (done.returncode == 0, done.stdout.strip()) == (bool(found), found)
    if not found:
        assert "gdb does not know RISC-V" in machine.doctor("gdb").stdout


def test_doctor_without_spin(machine):
    """Where it has no package, only make model asks for it."""
    for system, asks in ("Fedora", False), ("Debian 13", True):
        environment = become(machine, system)
        assert ("the model checker" in machine.doctor("test", **environment).stdout) == asks
        assert "the model checker" in machine.doctor("test", "model", **environment).stdout
        (machine.path / SYSTEMS[system][1]).unlink()


def test_no_sanitizers(tmp_path):
    """The host tests are made without them."""
    (tmp_path / "cc").write_text("""#!/bin/sh
        case " $* " in *-fsanitize*) echo 'cannot find -lasan' >&2; exit 1;; esac
        exec cc "$@"\n""")
    (tmp_path / "cc").chmod(0o755)
    test = f"{tmp_path}/b/test/host/test_arena"
    made = run("make", test, f"BUILD={tmp_path}/b", f"HOSTCC={tmp_path}/cc")
    assert made.returncode == 0, made.stdout
    assert made.stdout.count("cc has no sanitizers (package ") == 1
    assert run(test).returncode == 0
    assert b"__asan_init" not in Path(test).read_bytes()


def test_sanitizers_are_used():
    path = guest.BUILD / "test/host/test_arena"
    if not path.exists():
        pytest.skip("make host has not been run")
    assert b"__asan_init" in path.read_bytes()


# --- other makes ---------------------------------------------------------------------------------


def test_old_make():
    """What it cannot take stands below this line."""
    done = run("make", "MAKE_VERSION=3.81")
    assert done.returncode == 2 and done.stdout.count("\n") == 1
    assert "GNU make 3.81 is too old" in done.stdout and "gmake" in done.stdout


@pytest.mark.skipif(not shutil.which("bmake"), reason="no bmake")
def test_make_of_bsd():
    done = run("bmake")
    assert done.returncode != 0 and done.stdout.count("\n") <= 1
    assert "this make is not GNU make" in done.stdout and "type gmake" in done.stdout


@pytest.fixture
def gmake(tmp_path):
    """A PATH on which make is another program, and GNU make is called gmake."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path/make").write_text("#!/bin/sh\necho the wrong make\nexit 9\n")
    (tmp_path / "path/make").chmod(0o755)
    (tmp_path / "path/gmake").symlink_to(shutil.which("make"))
    return {"PATH": f"{tmp_path}/path:{os.environ['PATH']}"}


def test_the_make_that_runs_is_the_one_called(gmake, tree):
    """The doctor asks it, and scripts call no other."""
    assert run("gmake", "-C", tree, "tools", **gmake).returncode == 0
    graded = run("gmake", "-s", "-C", tree, "grade", "CASES=layout.thread_stack", timeout=600,
                 **gmake)
    assert graded.returncode == 0 and "wrong make" not in graded.stdout, graded.stdout
    for path in (guest.TOP / "test").rglob("*"):
        if path.is_file() and path.suffix in ("", ".py") and not path.name.startswith("test_"):
            assert '["make"' not in path.read_text(errors="replace"), path


# --- what other systems lack ---------------------------------------------------------------------


@pytest.mark.parametrize("clock, number", [
    ("0:01.50", 1.5), ("12:34", 754), ("01:02:03", 3723), ("2-01:00:00", 176400), ("", None)])
def test_times_of_ps(clock, number):
    assert host.seconds(clock) == number


@pytest.fixture
def without_proc(monkeypatch, tmp_path):
    """A folder of programs that are found first; and no /proc."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda p: exists(p) and not str(p).startswith("/proc"))
    read = Path.read_text

    def read_text(path, *words, **more):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(path)
        return read(path, *words, **more)

    monkeypatch.setattr(Path, "read_text", read_text)
    return tmp_path


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_cpu_time_without_proc(without_proc):
    script(without_proc / "ps", 'test "$*" = "-o time= -p 7" && echo "  1:02.25"')
    assert host.cpu_seconds(7) == 62.25
    assert host.cpu_seconds(8) is None
    script(without_proc / "ps", "exit 127")
    assert host.cpu_seconds(7) is None


def test_no_prctl(monkeypatch):
    monkeypatch.setattr(host.ctypes, "CDLL", lambda name: object())
    host.die_with_parent()
    host.gain_nothing()


@pytest.fixture
def gdb_port():
    return guest.load_script(guest.TOP / "test/tools/gdb-port")


@pytest.fixture
def taken():
    """A port at which somebody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]


def test_port_without_proc(gdb_port, monkeypatch, without_proc, taken, capsys):
    """lsof and ps know the QEMU that waits; without them nobody is accused."""
    (without_proc / "kernel").write_text("")
    script(without_proc / "lsof", f"""case "$*" in
        *-iTCP:{taken}\\ *) echo p77; echo f3;;
        *-dcwd*) echo p77; echo fcwd; echo n{without_proc};;
        esac""")
    script(without_proc / "ps", """case $2 in
        etime=) echo 05:00;; args=) echo qemu -kernel kernel -S;; comm=) echo /opt/bin/qemu;;
        esac""")
    monkeypatch.setattr(gdb_port, "PORTS", [Path("/nonexistent")])
    kernel = str(without_proc / "kernel")
    os.utime(kernel, (0, 0))
    monkeypatch.setattr(sys, "argv", ["gdb-port", str(taken), kernel])
    assert gdb_port.main() == gdb_port.WAITS
    os.utime(kernel)
    assert gdb_port.main() == gdb_port.TAKEN
    assert f"taken by process 77 (qemu), a QEMU whose {kernel} has been" in capsys.readouterr().err
    script(without_proc / "lsof", "exit 1")
    assert gdb_port.main() == gdb_port.TAKEN
    assert f"port {taken} is taken by another user: choose" in capsys.readouterr().err


def test_port_for_another_option(gdb_port, monkeypatch, taken, capsys):
    monkeypatch.setattr(sys, "argv", ["gdb-port", "--option", "WATCHPORT", str(taken)])
    assert gdb_port.main() == gdb_port.TAKEN
    message = capsys.readouterr().err
    assert re.search(r"such as WATCHPORT=\d+\n", message) and "GDBPORT" not in message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_port_of_another_user(gdb_port, monkeypatch, taken, tmp_path):
    """It is named, and so is a port that is free."""
    monkeypatch.setattr(sys, "argv", ["gdb-port", str(taken)])
    child = os.fork()
    if child == 0:
        os.closerange(3, 256)  # the socket, too
        sys.stderr = open(tmp_path / "said", "w", encoding="utf-8", buffering=1)
        os.setuid(65533)
        os._exit(gdb_port.main())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == gdb_port.TAKEN
    message = (tmp_path / "said").read_text()
    match = re.fullmatch(rf"port {taken} is taken by user root: choose another port, such as "
                         r"GDBPORT=(\d+)\n", message)
    assert match, message
    with socket.socket() as s:
        s.bind(("127.0.0.1", int(match[1])))


BSD = {  # what it refuses of the GNU tools: words of the command line
    "sed": "-i* | -r* | -z* | -s* | --*", "date": "-d* | *%N* | --*", "mktemp": "-p | -t | --*",
    "grep": "-P* | --*", "head": "--* | -c-* | -n-*", "readlink": "-f* | -e* | --*",
    "stat": "-c* | --*", "sort": "-V* | --*", "find": "-printf | -readable | --*",
    "tail": "--*", "cp": "-a* | --*", "rm": "--*", "mv": "-t* | --*", "wc": "--*", "tr": "--*"}
ABSENT = {"setsid", "nproc", "tac", "realpath", "timeout", "flock", "pidof", "shuf", "numfmt"}


@pytest.fixture
def tools(tmp_path):
    """A PATH of links to all there is, for a test to replace or to remove some."""
    folder = tmp_path / "path"
    folder.mkdir()
    for path in os.environ["PATH"].split(":"):
        for name in os.listdir(path) if os.path.isdir(path) and "ccache" not in path else ():
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"{path}/{name}")
    return folder


def work(tools, tmp_path):
    """What scripts do to build and to boot; the same comes out as here."""
    build, path = tmp_path / "b", {"PATH": str(tools)}
    done = run("make", f"BUILD={build}", f"{build}/include/offsets.h", f"{build}/mkfs",
               f"{build}/gdbinit", f"{build}/user/xv6.o", timeout=600, **path)
    assert done.returncode == 0 and "ot found" not in done.stdout, done.stdout
    offsets = (build / "include/offsets.h").read_bytes()
    assert offsets == (guest.BUILD / "include/offsets.h").read_bytes() and len(offsets) > 100
    table = [run("sh", "-c", f"riscv64-unknown-elf-nm -nS {guest.KERNEL} | "
                 "awk -f kern/lib/symbols.awk", **more).stdout for more in (path, {})]
    assert table[0] == table[1] and table[0].count("\n") > 100
    boots(["test/tools/boot"], tmp_path, **path)
    assert run("make", "clean", f"BUILD={build}", **path).returncode == 0 and not build.exists()


def boots(command, tmp_path, **environment):
    """The program that is typed gets to the shell."""
    shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    words = guest.arguments(image=tmp_path / "fs.img", append="-- sh")
    words.remove("-nographic")
    done = subprocess.run([*command, *words], cwd=guest.TOP, text=True, input="echo a b c\n",
                          env=guest.environment(BOOT_LOG=str(tmp_path / "log"), **environment),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                          timeout=guest.WALL_SECONDS, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^(\$ )?a b c$", done.stdout.replace("\r", ""), re.MULTILINE), done.stdout
    assert "ot found" not in done.stdout and "nvalid option" not in done.stdout, done.stdout


def test_tools_of_bsd(tools, tmp_path):
    for name in ABSENT:
        (tools / name).unlink(missing_ok=True)
    for name, refused in BSD.items():
        real = os.readlink(tools / name)
        (tools / name).unlink()
        script(tools / name, f"""for word; do
            case $word in {refused})
              echo "{name}: invalid option $word" >&2
              exit 64;;
            esac
          done
          exec {real} {'--posix' * (name == 'sed')} "$@" """)
    work(tools, tmp_path)


@pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox")
def test_tools_of_busybox(tools, tmp_path):
    for name in run("busybox", "--list").stdout.split():
        if name != "ar":  # of binutils
            (tools / name).unlink(missing_ok=True)
            (tools / name).symlink_to(shutil.which("busybox"))
    work(tools, tmp_path)


@pytest.mark.parametrize("shell", ["dash", "busybox sh", "bash --posix"])
def test_shells(shell, tmp_path):
    words = shell.split()
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]}")
    tools = guest.TOP / "test/tools"
    assert run(*words, tools / "doctor", "build", "qemu").stdout == ""
    assert run(*words, tools / "doctor", "--cross").stdout
    assert "make qemu" in run(*words, tools / "options", "help").stdout
    assert run(*words, tools / "folder", "make", tmp_path / "b").returncode == 0
    (tmp_path / "image").touch()  # that of this tree may well be in use
    assert run(*words, tools / "unused", tmp_path / "image").returncode == 0
    assert run(*words, tools / "leash", "echo", "a  b").stdout == "a  b\n"
    boots([*words, str(tools / "boot")], tmp_path)
