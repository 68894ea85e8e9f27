# SPDX-License-Identifier: MIT
"""A real GDB, in batch mode, by the script behind make gdb."""

import os
import re
import socket
import subprocess

import guest


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def debug(tmp_path, commands, append, cpus=2):
    """Give the commands to GDB in a fresh machine, whose console goes to tmp_path/log.

    Returns what GDB printed."""
    port = free_port()
    init = (guest.TOP / "test/gdbinit").read_text()
    for name, value in ("KERNEL", guest.KERNEL), ("PORT", port), ("USER", guest.BUILD / "user"):
        init = init.replace(f"@{name}@", str(value))
    (tmp_path / "gdbinit").write_text(init)
    (tmp_path / "commands").write_text("\n".join(commands) + "\n")
    qemu = guest.arguments(cpus=cpus, append=f"gdb {append}",
                           extra=["-S", "-gdb", f"tcp:127.0.0.1:{port}"])
    done = subprocess.run(
        ["test/gdb", os.environ.get("GDB", "gdb-multiarch"), *qemu], cwd=guest.TOP,
        env={**os.environ, "BOOT_LOG": f"{tmp_path}/log", "GDBINIT": f"{tmp_path}/gdbinit",
             "GDB_ARGS": f"-batch -x {tmp_path}/commands"},
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
    assert "stack_fault" in names[:trap]
    assert names[trap + 1:trap + 11] == ["recurse"] * 10
    assert "crash_write" in names[trap + 11:]
    assert "syscall" in names[trap + 11:]


def test_backtrace_crosses_from_the_interrupt_stack(tmp_path):
    output = debug(tmp_path, ["break report_print", "continue", "bt"],
                   "-- provoke IN_INTERRUPT EXHAUST_STACK", cpus=1)
    names = [a or b for a, b in frames(output)]
    handler = names.index("trap_interrupt")
    assert names[names.index("<signal handler called>") + 1:][:10] == ["recurse"] * 10
    assert names[handler + 1] == "<signal handler called>"
    assert "crash_write" in names[handler:] and "syscall" in names[handler:]


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
