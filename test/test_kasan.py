# SPDX-License-Identifier: MIT
"""KASAN=y: each class of bad access that no guard sees, and its machine line compared with symbols
of the ELF file; what guards see stays theirs; and the kernel still does its work."""

import os
import re
import shutil
import subprocess

import guest
import pytest
from guest import FRAME, GUARD, SLOT, STACK, WINDOW

PANIC, KILLED = 1, 255
PID = 2  # init's first child
KEYS = "class addr size write pc alloc free pid name hart run".split()
DIRECT = (0xFFFFFFC000000000, 0xFFFFFFE000000000)
VMALLOC = (0xFFFFFFF400000000, 0xFFFFFFF800000000)
ACCESS = "provoke_kasan_access"
LLVM = "LLVM=1" in os.environ.get("MAKEFLAGS", "")

pytestmark = pytest.mark.skipif(LLVM, reason="KASAN=y is for gcc")


@pytest.fixture(scope="session")
def kernel():
    return guest.build_variant("kasan", "KASAN=y", "VMAP_STACK=y")


@pytest.fixture(scope="session")
def functions(kernel):
    return guest.Symbols(kernel)


@pytest.fixture
def small_disk(tmp_path):
    """A disk that is soon full: each byte that is written costs checks."""
    return guest.make_disk(tmp_path / "fs.img", options=("-s", "1000", "-i", "150"))


def findings(result):
    """The machine lines of checks, numbers as ints."""
    found = []
    for line in re.findall(r"^kasan: (.*=.*)$", result.output, re.MULTILINE):
        record = dict(word.split("=", 1) for word in line.split())
        assert list(record) == KEYS and record["run"] == result.nonce
        for key in set(KEYS) - {"class", "name", "run"}:
            record[key] = int(record[key], 0)
        found.append(record)
    return found


def within(bounds):
    return lambda k, s: bounds[0] <= k["addr"] < bounds[1]


def on_own_stack(k, _):
    return WINDOW[0] <= k["addr"] < WINDOW[1] and k["addr"] % SLOT >= GUARD


def behind_variable(k, s):
    return k["addr"] == s["variable"] + 20


# test, class, where the address is, functions that the access, the allocation, the freeing are in
# (None: there is none), what the report says of the memory
CASES = [
    ("STACK", "stack-out-of-bounds", on_own_stack, ACCESS, None, None,
     r"provoke_kasan_stack\(\) has on its stack: local at \d+, 20 bytes"),
    ("GLOBAL", "global-out-of-bounds", behind_variable, ACCESS, None, None,
     r"byte 1 behind the variable variable of kern/provoke/kasan.c, 20 bytes"),
    ("HEAP", "heap-out-of-bounds", within(DIRECT), ACCESS, "provoke_kasan_heap", None,
     r"byte 1 behind an object of 45 bytes"),
    ("BLOCK", "heap-out-of-bounds", within(DIRECT), ACCESS, "provoke_kasan_block", None,
     r"byte 1 behind an object of 4090 bytes"),
    ("HEAP_DRAINED", "page-use-after-free", within(DIRECT), ACCESS, "provoke_kasan_heap_drained",
     "provoke_kasan_heap_drained", r"byte 0 of an object of 45 bytes"),
    ("HEAP_FREED", "heap-use-after-free", within(DIRECT), ACCESS, "provoke_kasan_heap_freed",
     "provoke_kasan_heap_freed", r"byte 0 of an object of 45 bytes"),
    ("PAGE_FREED", "page-use-after-free", within(DIRECT), ACCESS, "provoke_kasan_page_freed",
     "provoke_kasan_page_freed", r"byte 0 of a block of 4096 bytes"),
    ("VMALLOC", "vmalloc-out-of-bounds", within(VMALLOC), ACCESS, "provoke_kasan_vmalloc", None,
     r"byte 1 behind an area of 5000 bytes"),
    ("WILD", "wild-access", within(VMALLOC), ACCESS, None, None, "Nothing has ever been there"),
    ("VMALLOC_FREED", "vmalloc-use-after-free", within(VMALLOC), ACCESS,
     "provoke_kasan_vmalloc_freed", "provoke_kasan_vmalloc_freed", r"byte 0 of an area"),
    ("STACK_FREED", "stack-use-after-free", on_own_stack, ACCESS, "thread_create",
     "thread_free", r"kernel stack, once that of pid 0 \(gone\)"),
    ("STACK_UNOWNED", "stack-use-after-free", on_own_stack, ACCESS, "thread_create",
     "thread_free", r"kernel stack, once that of pid 0 \(gone\)"),
]


def check_finding(r, functions, pc, alloc, free):
    """One report and a panic; returns the machine line."""
    assert r.code == PANIC and "FAIL" not in r.output and not r.records, r.explain()
    [k] = findings(r)
    assert r.output.count("panic: ") == 1 and f"panic: kasan: {k['class']}" in r.output
    assert k["pid"] == PID and k["name"] == "provoke"
    for key, name in (("pc", pc), ("alloc", alloc), ("free", free)):
        assert functions.function(k[key] - 4) == name if name else k[key] == 0, (key, r.explain())
        if name:
            assert f" in {name}+" in r.output, r.explain()
    return k


@pytest.mark.parametrize("how", ["read", "write"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_bad_access(boot_other, functions, case, how):
    test, name, where, pc, alloc, free, says = case
    r = boot_other(f"provoke KASAN_{test} {how}", cpus=2)
    k = check_finding(r, functions, pc, alloc, free)
    assert k["class"] == name and k["size"] == 1 and k["write"] == (how == "write")
    assert where(k, functions), r.explain()
    assert re.search(says, r.output), r.explain()
    assert re.search(r"^  0x[0-9a-f]{16} .*>[0-9a-f]{2}", r.output, re.MULTILINE), "the shadow"


@pytest.mark.parametrize("called,write,size", [
    ("memset", 1, 46), ("memcmp", 0, 46), ("strncmp", 0, 46), ("strnlen", 0, 46),
    ("ksnprintf", 1, 46), ("copy_to_user", 0, 46), ("copy_string_from_user", 1, 46),
    ("page_zero", 1, 4096), ("dma_map", 1, 46)])
def test_bad_range(boot_other, functions, called, write, size):
    """Functions compiled without checks check on behalf of their callers."""
    caller = "provoke_kasan_call"
    k = check_finding(boot_other(f"provoke KASAN_CALL {called}"), functions, caller, caller, None)
    assert k["class"] == "heap-out-of-bounds" and k["size"] == size and k["write"] == write


@pytest.mark.parametrize("what", ["FREE_TWICE", "PAGE_TWICE", "AREA_TWICE"])
def test_free_twice(boot_other, functions, what):
    caller = f"provoke_kasan_{what.lower()}"
    k = check_finding(boot_other(f"provoke KASAN_{what}"), functions, caller, caller, caller)
    assert k["class"] == "invalid-free" and k["alloc"] < k["free"] < k["pc"]


@pytest.mark.parametrize("what,allocated", [("INSIDE", True), ("STATIC", False)])
def test_free_what_is_no_object(boot_other, functions, what, allocated):
    caller = f"provoke_kasan_free_{what.lower()}"
    k = check_finding(boot_other(f"provoke KASAN_FREE_{what}"), functions, caller,
                      caller if allocated else None, None)
    assert k["class"] == "invalid-free"


def test_in_an_interrupt(boot_other, functions):
    """The report names whom the handler interrupted, and where."""
    r = boot_other("provoke IN_INTERRUPT KASAN_HEAP")
    check_finding(r, functions, ACCESS, "provoke_kasan_heap", None)
    assert f"an interrupt handler in pid {PID} (provoke) read 1 byte" in r.output
    callers = re.findall(r"^  (?:#\d+ +|-- )(\w+)", r.output, re.MULTILINE)
    order = ["provoke_kasan_heap", "trap_kernel_interrupt", "interrupt", "crash_write", "syscall"]
    assert callers[0] == order[0], "nothing of the checks"
    at = -1
    for name in order:
        at = callers.index(name, at + 1)


def test_goes_on(boot_other):
    """The boot argument lets the kernel go on after a report."""
    r = boot_other("provoke KASAN_HEAP", append="kasan_continue")
    assert r.code == 0 and len(findings(r)) == 1, r.explain()
    assert "FAIL: KASAN_HEAP survived" in r.output


# Where there is no shadow, or it says guard, the access itself is what faults.
@pytest.mark.parametrize("test,name,stval", [("GUARD", "guard-below", lambda k: k["lo"] - 8),
                                             ("NULL", "null", lambda k: 0)])
@pytest.mark.parametrize("how", ["read", "write"])
def test_faults_stay_faults(boot_other, functions, test, name, stval, how):
    r = boot_other(f"provoke KASAN_{test} {how}", cpus=2)
    assert r.code == KILLED and not findings(r), r.explain()
    [k] = r.records
    assert k["class"] == name and k["stval"] == stval(k)
    assert functions.function(k["sepc"]) == ACCESS


def test_overflow_of_checked_frames(boot_other, functions):
    """Frames of nearly the largest size, whose shadow is written before they are."""
    r = boot_other("provoke KASAN_EXHAUST", cpus=2)
    assert r.code == KILLED and not findings(r), r.explain()
    [k] = r.records
    assert k["class"] == "overflow" and k["lo"] - GUARD <= k["sp"] < k["lo"] + FRAME
    assert functions.function(k["sepc"]) == "provoke_kasan_recurse"
    frames = re.findall(r"#\d+ +(\d+) bytes  \S+(?:  x(\d+))?", r.output)
    total = sum(int(size) * int(times or 1) for size, times in frames)
    assert k["sp"] + total == k["hi"] - FRAME, "each byte from sp to the user frame is accounted"
    assert k["hi"] - k["lo"] == STACK


def test_victims_leave_nothing(boot_other):
    """A victim goes on, on a stack full of abandoned frames, and its stack is used again."""
    r = boot_other("provoke -n 40 -j 8 KASAN_EXHAUST", cpus=3)
    assert r.code == 0 and len(r.records) == 40 and not findings(r), r.explain()
    assert "provoke: 40 of 40 killed, 0 pages lost" in r.output


def test_large_init_without_a_console(boot_other, tmp_path):
    """What the open that failed has left in the record would leave exec too little room there."""
    shutil.copy(guest.BUILD / "bin/usertests", tmp_path / "init")
    subprocess.run([guest.BUILD / "mkfs", "-i", "3", tmp_path / "fs.img", tmp_path / "init"],
                   check=True)
    r = boot_other("no-such-test", image=tmp_path / "fs.img")
    assert "cannot make or open /console" in r.output, r.explain()
    assert "there is no test no-such-test" in r.output and "held.h" not in r.output, r.explain()


def test_jump(boot_other):
    """A function that never returns does not clear its marks, so others must."""
    r = boot_other("provoke KASAN_JUMP")
    assert r.code == 0 and "KASAN_JUMP survived" in r.output and not findings(r), r.explain()


def test_shadow_is_checked(boot_other):
    r = boot_other("provoke VM_CHECK", cpus=2)
    assert r.code == 0 and "the address space is as it must be" in r.output, r.explain()


@pytest.mark.long
@pytest.mark.parametrize("options, cpus, mem", [("", 3, "128M"), (f"-q {guest.MEMORY}", 1, "64M")],
                         ids=["all-3", "memory-1"])
def test_usertests(boot_other, small_disk, options, cpus, mem):
    r = boot_other(f"usertests {options}", cpus=cpus, mem=mem, image=small_disk)
    assert r.code == 0 and "ALL TESTS PASSED" in r.output and not findings(r), r.explain()
