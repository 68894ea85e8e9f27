# SPDX-License-Identifier: MIT
"""VMAP_STACK=n, the kernel whose threads have no guards, and `make demo`."""

import os
import re
import subprocess
import sys

import guest
import pytest

DEMO = guest.TOP / "test" / "tools" / "demo"
PLAIN = "kernel stacks of 16 KiB without guards"
COLUMNS = 79


@pytest.fixture(scope="session")
def unguarded():
    return guest.build_unguarded()


@pytest.fixture
def boot_unguarded(boot, unguarded):
    def run(program, **options):
        result = boot(program, kernel=unguarded, **options)
        assert PLAIN in result.output, result.explain()
        return result

    return run


def facts(result):
    """What the program neighbour says for machines."""
    [line] = re.findall(r"^neighbour: (.*=.*)$", result.output, re.MULTILINE)
    return {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)", line)}


def test_stacks_of_threads_are_blocks(boot_unguarded):
    """Aligned, in the direct map, drawn without guards; the harts' own stay in the window."""
    r = boot_unguarded("kstacks", cpus=2)
    rows = re.findall(r"^ *\d+ (\S+) +\d+ (\w+) .* ([0-9a-f]{16}) ([0-9a-f]{16}) ", r.output,
                      re.MULTILINE)
    assert len(rows) >= 6, r.explain()
    for name, kind, lo, hi in rows:
        lo, hi = int(lo, 16), int(hi, 16)
        assert hi - lo == guest.STACK and lo % guest.STACK == 0
        in_window = guest.WINDOW[0] <= lo < guest.WINDOW[1]
        assert in_window == (kind != "thread"), r.explain()
        [bar] = re.findall(rf"^ *\d+ {name} +\|(...)\|", r.output, re.MULTILINE)
        assert bar == ("xxx" if in_window else "   ")


@pytest.mark.long
@pytest.mark.parametrize("options, cpus, mem", [(guest.MEMORY, 3, "128M"), ("-q", 1, "64M")],
                         ids=["memory-3", "quick-1"])
def test_usertests(boot_unguarded, options, cpus, mem):
    r = boot_unguarded(f"usertests {options}", cpus=cpus, mem=mem)
    assert "ALL TESTS PASSED" in r.output and r.code == 0, r.explain()


def test_every_page_comes_back(boot_unguarded):
    r = boot_unguarded("provoke -n 40 -j 8 ACCESS_NULL", cpus=3)
    assert "provoke: 40 of 40 killed, 0 pages lost" in r.output, r.explain()


def test_fault_with_a_good_sp(boot_unguarded):
    """It is reported all the same, and no guard is drawn that is not there."""
    r = boot_unguarded("provoke ACCESS_NULL")
    [record] = r.records
    assert (record["class"], record["verdict"]) == ("null", "killed"), r.explain()
    assert "| no guard     16384 B |" in r.output and "| guard" not in r.output, r.explain()
    assert r.code not in (0, None)


@pytest.mark.parametrize("test, name", [
    ("STACK_GUARD_PAGE_LEADING write", "STACK_GUARD_PAGE_LEADING"),
    ("DMA_STACK", "DMA_STACK"),
])
def test_what_nothing_stops(boot_unguarded, test, name):
    r = boot_unguarded(f"provoke {test}")
    assert f"FAIL: {name} survived" in r.output and not r.records, r.explain()


def test_silent_damage(boot_unguarded):
    """The stacks touch; the guilty child ends well, another process has lost words."""
    r = boot_unguarded("neighbour", cpus=1, mem="64M")
    found = facts(r)
    assert found["distance"] == 0 and found["status"] == 0, r.explain()
    assert found["changed"] > 0 and not r.records and r.code == 0, r.explain()


def test_no_damage_with_guards(boot):
    r = boot("neighbour", cpus=1, mem="64M")
    found = facts(r)
    assert found["distance"] >= guest.GUARD and found["changed"] == 0, r.explain()
    assert found["status"] == -1 and r.code == 0, r.explain()
    [record] = r.records
    assert (record["class"], record["pid"]) == ("overflow", found["child"]), r.explain()


# --- make demo ---


def demo(*words, **environment):
    return subprocess.run([sys.executable, str(DEMO), str(guest.BUILD), *map(str, words)],
                          env={**os.environ, **environment}, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def test_demo_shows_both(unguarded):
    done = demo(unguarded, COLUMNS=str(COLUMNS))
    assert done.returncode == 0, done.stdout
    rows = [line for line in done.stdout.splitlines() if line[COLUMNS // 2:][:1] == "|"]
    left = " ".join(row[:COLUMNS // 2].strip() for row in rows)
    right = " ".join(row[COLUMNS // 2 + 1:].strip() for row in rows)
    assert "without guards" in left and "as if nothing had happened" in left
    assert "kstack: class=overflow" in right and "kstack:" not in left
    assert re.search(r"[1-9]\d* words of pid \d+ are not what it wrote", left)
    assert " 0 words of pid" in right
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS


def test_demo_fails_without_damage():
    """Shown a kernel with guards where there should be none, it says so."""
    done = demo(guest.KERNEL)
    assert done.returncode == 1
    assert "demo: VMAP_STACK=n: this is another kernel" in done.stdout


def test_demo_fails_when_the_program_does(tmp_path):
    """No program in the image: nothing was seen, so nothing was shown."""
    (tmp_path / "kernel").symlink_to(guest.KERNEL)
    subprocess.run([guest.BUILD / "mkfs", tmp_path / "fs.img", guest.BUILD / "bin" / "true"],
                   check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([sys.executable, str(DEMO), str(tmp_path), str(guest.KERNEL)], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 1
    assert "demo: VMAP_STACK=y: the program did not come to its end" in done.stdout
