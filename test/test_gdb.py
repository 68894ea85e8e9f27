# SPDX-License-Identifier: MIT
"""A real GDB, in batch mode, by the script behind make gdb."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import guest
import pytest
from grade import sv39


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def debug(tmp_path, commands, append, cpus=2):
    """Give the commands to GDB in a fresh machine, whose console goes to tmp_path/log.

    Returns what GDB printed."""
    port = free_port()
    init = (guest.TOP / "test/tools/gdbinit").read_text()
    for name, value in (("KERNEL", guest.KERNEL), ("PORT", port), ("USER", guest.BUILD / "user"),
                        ("PYTHON", sys.executable)):
        init = init.replace(f"@{name}@", str(value))
    (tmp_path / "gdbinit").write_text(init)
    (tmp_path / "commands").write_text("\n".join(commands) + "\n")
    qemu = guest.arguments(cpus=cpus, append=f"gdb {append}",
                           extra=["-S", "-gdb", f"tcp:127.0.0.1:{port}"])
    done = subprocess.run(
        ["test/tools/gdb", str(port), guest.KERNEL, os.environ.get("GDB", "gdb-multiarch"), *qemu],
        cwd=guest.TOP,
        env={**os.environ, "BOOT_LOG": f"{tmp_path}/log", "GDBINIT": f"{tmp_path}/gdbinit",
             "GDB_ARGS": f"-batch -x {tmp_path}/commands", "PYTHON": sys.executable},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=guest.WALL_SECONDS, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def frames(output):
    return re.findall(r"^#\d+ .*?(\S+) \(.*$|^#\d+ .*(<signal handler called>)", output, re.M)


def test_backtrace_crosses_to_the_overflowed_stack(tmp_path):
    output = debug(tmp_path, ["break report_print", "continue", "bt"], "-- provoke EXHAUST_STACK")
    names = [a or b for a, b in frames(output)]
    trap = names.index("<signal handler called>")
    assert "kernel_fault" in names[:trap]
    assert names[trap + 1:trap + 11] == ["recurse"] * 10
    assert "crash_write" in names[trap + 11:]
    assert "syscall" in names[trap + 11:]


def test_backtrace_crosses_to_a_stack_that_is_good(tmp_path):
    output = debug(tmp_path, ["break report_print", "continue", "bt"], "-- provoke ACCESS_NULL")
    names = [a or b for a, b in frames(output)]
    assert names[:4] == ["report_print", "kernel_fault", "<signal handler called>", "provoke_load"]
    assert "crash_write" in names and "syscall" in names


def test_backtrace_crosses_from_the_interrupt_stack(tmp_path):
    output = debug(tmp_path, ["break report_print", "continue", "bt"],
                   "-- provoke IN_INTERRUPT EXHAUST_STACK", cpus=1)
    names = [a or b for a, b in frames(output)]
    handler = names.index("trap_kernel_interrupt")
    assert names[names.index("<signal handler called>") + 1:][:10] == ["recurse"] * 10
    assert names[handler + 1] == "<signal handler called>"
    assert "crash_write" in names[handler:] and "syscall" in names[handler:]


def test_backtrace_crosses_into_the_user_program(tmp_path):
    """Its stack and data can be read, and written, while the hart is in the kernel."""
    output = debug(tmp_path, ["program echo", "tbreak user/echo.c:main if $a0 == 2", "continue",
                              "tbreak sys_write", "continue", "bt",
                              "print (char *)&'user/echo.c'::line",
                              "set var 'user/echo.c'::line[0] = 'J'", "break sys_poweroff",
                              "continue"], "-- echo hello", cpus=1)
    names = [a or b for a, b in frames(output)]
    trap = names.index("<signal handler called>")
    assert names[trap + 1] == "write" and names[-1] == "main", output[-4000:]
    assert '"hello\\n"' in output
    assert "\nJello" in (tmp_path / "log").read_text()


def test_breakpoint_in_a_user_program(tmp_path):
    """Programs share their addresses: init, which has 3 arguments, passes here too."""
    output = debug(tmp_path, ["program echo", "break user/echo.c:main if $a0 == 2", "continue"],
                   "-- echo hello")
    assert re.search(r"Breakpoint 1, main \(argc=2", output), output[-4000:]


def test_panic_waits_for_the_debugger(tmp_path):
    output = debug(tmp_path, ["break panic", "continue", "break stop_hart", "continue"],
                   "-- provoke PANIC", cpus=1)
    assert re.search(r"Breakpoint 2(\.\d)?, stop_hart", output), output[-4000:]
    assert "The machine waits for the debugger." in (tmp_path / "log").read_text()


@pytest.mark.parametrize("command", ["stepi", "nexti"])
def test_step_goes_where_the_hart_goes(tmp_path, command):
    """Into the kernel by an ecall, and out of it by an sret; a step in C leaves faults out."""
    until = ("python\nwhile '{}' not in gdb.execute('x/i $pc', to_string=True): "
             "gdb.execute('stepi', to_string=True)\nend")
    output = debug(tmp_path, ["ubreak echo write", "continue", "delete", until.format("ecall"),
                              "stepi", "info registers pc", "tbreak trap_kernel_returns_to",
                              "continue", until.format("sret"), "print/x $sepc", command,
                              "print/x $pc", "show osabi"], "-- echo hello", cpus=1)
    assert re.search(r"^pc +\S+\s+\S+ <trap_entry>$", output, re.M), output[-3000:]
    went, came = re.findall(r"^\$\d+ = (\S+)$", output, re.M)
    assert went == came and 'ABI is "auto"' in output, output[-3000:]


# --- two terminals ---


class Waiting:
    """make qemu-gdb in another terminal; in a process group of its own."""

    def __init__(self, tmp_path, port):
        words = [f"BUILD={os.environ.get('BUILD', 'build')}", f"GDBPORT={port}",
                 f"GDBINIT={tmp_path}/gdbinit", "QEMU_ARGS=-snapshot",
                 *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "GDB", "PYTHON")]
        self.make = subprocess.Popen(
            ["make", "qemu-gdb", *words], cwd=guest.TOP, text=True, env=guest.environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=guest.die_with_parent)
        self.said = ""

    def until(self, words):
        while words not in self.said:
            line = self.make.stdout.readline()
            assert line, self.said
            self.said += line

    def close(self):
        try:
            os.killpg(self.make.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.make.communicate()


@pytest.fixture
def waiting(tmp_path):
    guests = []

    def start(port):
        guests.append(Waiting(tmp_path, port))
        return guests[-1]

    yield start
    for one in guests:
        one.close()


def test_two_terminals(waiting, tmp_path):
    """What make qemu-gdb says to type debugs the kernel that waits."""
    (tmp_path / "commands").write_text("break boot_main\ncontinue\ndelete\n")
    one = waiting(free_port())
    one.until("Leave QEMU")
    command = re.search(r"^  (make gdb .*)$", one.said, re.M)[1]
    done = subprocess.run(
        f"{command} GDB_ARGS='-batch -x {tmp_path}/commands'", shell=True, cwd=guest.TOP,
        env=guest.environment(), stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=guest.WALL_SECONDS)
    assert done.returncode == 0 and "Breakpoint 1, boot_main" in done.stdout, done.stdout
    assert "its console is in that terminal" in done.stdout
    one.until("Bulwark")  # GDB has let it go on


def test_quotes_in_gdb_args(tmp_path):
    """As the page has them, and in the other ones; what looks like a variable is GDB's."""
    page = (guest.TOP / "docs/gdb.md").read_text()
    shown = re.search(r"^    make gdb GDB_ARGS='(.*)'$", page, re.M)
    words = [f"BUILD={os.environ.get('BUILD', 'build')}", f"GDBPORT={free_port()}",
             f"GDBINIT={tmp_path}/gdbinit", "QEMU_ARGS=-snapshot",
             *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "GDB", "PYTHON"),
             "APPEND=-- true", f"GDB_ARGS={shown[1]} -batch -ex 'print $pc + 1' -ex print\\ 7*6"]
    done = subprocess.run(["make", "gdb", *words], cwd=guest.TOP, env=guest.environment(),
                          stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=guest.WALL_SECONDS, check=False)
    assert done.returncode == 0 and "Breakpoint 1, page_init" in done.stdout, done.stdout[-3000:]
    assert re.search(r"^\$1 = .* 0xffffffff8\w+ <page_init\+\d+>$", done.stdout, re.M)
    assert "\n$2 = 42\n" in done.stdout


def test_no_input(tmp_path):
    """Without a standard input GDB ends at once, and takes no other file for what was typed."""
    words = [f"BUILD={os.environ.get('BUILD', 'build')}", f"GDBPORT={free_port()}",
             f"GDBINIT={tmp_path}/gdbinit", "QEMU_ARGS=-snapshot",
             *guest.chosen("CROSS", "LLVM", "HOSTCC", "QEMU", "GDB", "PYTHON")]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", "make", "gdb", *words],
                          cwd=guest.TOP, env=guest.environment(), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=guest.WALL_SECONDS)
    assert done.returncode == 0 and "Undefined command" not in done.stdout, done.stdout


def test_port_of_another_process(waiting):
    """Nothing is promised then."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = waiting(port)
        one.until("Error 1")
        assert f"port {port} is taken by process {os.getpid()} (" in one.said
        assert "GDBPORT=" in one.said and "waits for GDB" not in one.said
        done = subprocess.run(["test/tools/gdb", str(port), guest.KERNEL, "false", "false"],
                              text=True, stderr=subprocess.PIPE, cwd=guest.TOP, check=False)
        assert done.returncode == 1 and f"taken by process {os.getpid()}" in done.stderr


# --- the relay ---


class StrictStub(threading.Thread):
    """A stub that shows no virtual memory, as if all pages were refused."""

    TARGET = b'<target><xi:include href="c.xml"/></target>'
    CSRS = b'<feature name="c"><reg name="satp" bitsize="64" regnum="9"/></feature>'

    def __init__(self, memory, satp):
        super().__init__(daemon=True)
        self.memory, self.satp, self.physical = bytearray(memory), satp, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        connection = self.listener.accept()[0]
        data = b""
        while more := connection.recv(4096):
            data = (data + more).lstrip(b"+")
            while b"#" in data[:-2]:
                body, _, rest = data[1:].partition(b"#")
                data = rest[2:].lstrip(b"+")
                answer = self.answer(body)
                connection.sendall(b"+$" + answer + b"#%02x" % (sum(answer) & 0xFF))

    def answer(self, body):
        if body.startswith(b"qXfer:features:read:"):
            return b"l" + (self.TARGET if b"target.xml" in body else self.CSRS)
        if body.startswith(b"Qqemu.PhyMemMode:"):
            self.physical = body.endswith(b"1")
            return b"OK"
        if body == b"p9":
            return self.satp.to_bytes(8, "little").hex().encode()
        if body[:1] not in b"mM":
            return b""
        where, _, digits = body[1:].partition(b":")
        address, size = (int(n, 16) for n in where.split(b","))
        if not self.physical or address + size > len(self.memory):
            return b"E14"
        if body[:1] == b"M":
            self.memory[address:address + size] = bytes.fromhex(digits.decode())
            return b"OK"
        return self.memory[address:address + size].hex().encode()


@pytest.fixture
def relay():
    """A page table at 0x1000 whose user pages 0x5000 and 0x6000 lie at 0x5000 and 0x4000."""
    memory = bytearray(0x6000)
    for at, to, flags in ((0x1000, 0x2000, sv39.V), (0x2000, 0x3000, sv39.V),
                          (0x3000 + 8 * 5, 0x5000, 0xD7), (0x3000 + 8 * 6, 0x4000, 0xD7)):
        memory[at:at + 8] = (to >> 2 | flags).to_bytes(8, "little")
    memory[0x5FFC:] = b"over"
    memory[0x4000:0x4006] = b" there"
    stub = StrictStub(memory, 8 << 60 | 1)
    with subprocess.Popen([sys.executable, guest.TOP / "test/tools/gdb-relay", str(stub.port)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        def ask(body):
            process.stdin.write(b"$" + body + b"#%02x" % (sum(body) & 0xFF))
            process.stdin.flush()
            answer = b""
            while answer[-3:-2] != b"#":
                answer += process.stdout.read(1)
            return answer.lstrip(b"+")[1:-3]

        yield ask
        process.stdin.close()


def test_relay_reads_and_writes_what_the_stub_refuses(relay):
    assert relay(b"m5ffc,a") == b"over there".hex().encode()
    assert relay(b"M5ffe,3:" + b"EX-".hex().encode()) == b"OK"
    assert relay(b"m5ffc,a") == b"ovEX-there".hex().encode()
    assert relay(b"m6ffc,8") == b"E14"  # half of it is not mapped
    assert relay(b"M6ffc,8:" + b"00" * 8) == b"E14"
    assert relay(b"?") == b""  # passes
