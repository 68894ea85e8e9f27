# SPDX-License-Identifier: MIT
"""Each class of kernel fault, provoked, and its machine line compared field by field with what is
known without asking the guest: symbol addresses from the ELF file, the geometry of the window, what
the provoking program asked for."""

import re

import guest
import pytest
from guest import FRAME, GUARD, SLOT, STACK, USER_END, WINDOW

KILLED = 255  # exit code of the machine when init's program was killed (status -1)
PANIC = 1
LAST_RESORT = 3
PID = 2  # init's first child
FETCH, LOAD, STORE, BREAK, ILLEGAL, TIMER = 12, 13, 15, 3, 2, (1 << 63) + 5
SOFTWARE = (1 << 63) + 1


def check_common(r, code=KILLED, pid=PID, name="provoke", verdict=None):
    """One machine line, whose fields hold together; returns it."""
    assert r.code == code, r.explain()
    assert len(r.records) == 1, r.explain()
    k = r.records[0]
    assert list(k) == (
        "class pid name hart scause sepc stval sp lo hi past verdict owner why run reserve".split()
    )
    assert k["run"] == r.nonce
    assert k["pid"] == pid and k["name"] == name
    assert k["hi"] - k["lo"] == STACK
    assert k["lo"] % SLOT == GUARD, "the stack is the upper half of an aligned slot"
    assert WINDOW[0] <= k["lo"] and k["hi"] <= WINDOW[1]
    assert k["verdict"] == (verdict or ("killed" if code == KILLED else "panic"))
    return k


def good_sp(k):
    return k["lo"] + FRAME <= k["sp"] <= k["hi"] and k["sp"] % 16 == 0


# command, class, scause, symbol of sepc (None: see the test), stval as a function of the record
ADDRESS_FAULTS = [
    ("STACK_GUARD_PAGE_LEADING read 1", "guard-below", LOAD, "provoke_load", lambda k: k["lo"] - 1),
    ("STACK_GUARD_PAGE_LEADING write 1", "guard-below", STORE, "provoke_store",
     lambda k: k["lo"] - 1),
    (f"STACK_GUARD_PAGE_LEADING read {GUARD}", "guard-below", LOAD, "provoke_load",
     lambda k: k["lo"] - GUARD),
    (f"STACK_GUARD_PAGE_LEADING write {GUARD}", "guard-below", STORE, "provoke_store",
     lambda k: k["lo"] - GUARD),
    ("STACK_GUARD_PAGE_TRAILING read 1", "guard-above", LOAD, "provoke_load", lambda k: k["hi"]),
    ("STACK_GUARD_PAGE_TRAILING write 1", "guard-above", STORE, "provoke_store",
     lambda k: k["hi"]),
    (f"STACK_GUARD_PAGE_TRAILING read {GUARD}", "guard-above", LOAD, "provoke_load",
     lambda k: k["hi"] + GUARD - 1),
    ("ACCESS_NULL read", "null", LOAD, "provoke_load", lambda k: 0),
    ("ACCESS_NULL write 4095", "null", STORE, "provoke_store", lambda k: 4095),
    ("ACCESS_NULL read 4096", "user-access", LOAD, "provoke_load", lambda k: 4096),
    ("WRITE_RO", "write-rodata", STORE, "provoke_store", None),
    ("WRITE_RO direct", "write-rodata", STORE, "provoke_store", None),
    ("WRITE_KERN", "write-rodata", STORE, "provoke_store", "provoke_illegal"),
    ("EXEC_DATA", "exec-nx", FETCH, "=stval", "code_data"),
    ("EXEC_RODATA", "exec-nx", FETCH, "=stval", "code_rodata"),
    ("EXEC_STACK", "exec-nx", FETCH, "=stval", None),
    ("EXEC_KMALLOC", "exec-nx", FETCH, "=stval", None),
    ("EXEC_NULL", "null", FETCH, "=stval", lambda k: 0),
    ("EXEC_USERSPACE", "user-access", FETCH, "=stval", None),
    ("UNMAPPED read", "unmapped", LOAD, "provoke_load", None),
    ("ILLEGAL", "exception", ILLEGAL, "provoke_illegal", None),
    ("BREAKPOINT", "exception", BREAK, None, None),
]


@pytest.mark.parametrize("case", ADDRESS_FAULTS, ids=lambda c: c[0].replace(" ", "-"))
def test_address_fault(boot, symbols, case):
    command, name, scause, sepc, stval = case
    r = boot(f"provoke {command}", cpus=2)
    k = check_common(r)
    assert k["class"] == name
    assert k["scause"] == scause
    assert good_sp(k), "the stack itself is sound"
    if sepc == "=stval":
        assert k["sepc"] == k["stval"]
    elif sepc:
        assert k["sepc"] == symbols[sepc]
    if isinstance(stval, str):
        assert k["stval"] == symbols[stval]
    elif stval:
        assert k["stval"] == stval(k)
    past = {"guard-below": k["lo"] - k["stval"], "guard-above": k["stval"] - k["hi"] + 1}
    assert k["past"] == past.get(name, 0)
    assert k["owner"] == "-" and k["why"] == "-"


def test_user_access(boot, symbols):
    k = check_common(boot("provoke ACCESS_USERSPACE read"))
    assert k["class"] == "user-access" and k["sepc"] == symbols["provoke_load"]
    assert 4096 <= k["stval"] < USER_END


@pytest.mark.parametrize("how", ["read", "write"])
def test_guard_other(boot, symbols, how):
    r = boot(f"provoke GUARD_OTHER {how} 8", cpus=2)
    k = check_common(r)
    assert k["class"] == "guard-other" and good_sp(k)
    assert k["sepc"] == symbols["provoke_load" if how == "read" else "provoke_store"]
    assert k["stval"] % SLOT == GUARD - 8
    assert not k["lo"] - GUARD <= k["stval"] < k["hi"] + GUARD
    named = re.search(r"provoke: the guard of pid (\d+)", r.output)
    assert k["owner"] == int(named[1])


def test_stale_stack(boot, symbols):
    k = check_common(boot("provoke STALE_STACK write 8", cpus=2))
    assert k["class"] == "stale-stack" and good_sp(k)
    assert k["sepc"] == symbols["provoke_store"]
    assert k["stval"] % SLOT == GUARD + 8
    assert k["owner"] == PID


# --- sp ------------------------------------------------------------------------------------------


def check_overflow(k, symbols, function="recurse"):
    assert k["class"] == "overflow"
    assert k["lo"] - GUARD <= k["sp"] < k["lo"] + FRAME
    past = k["lo"] - k["sp"] if k["sp"] < k["lo"] else k["lo"] + FRAME - k["sp"]
    assert k["past"] == past
    assert symbols.function(k["sepc"]) == function
    if k["scause"] == STORE and k["sp"] < k["lo"]:
        assert k["lo"] - GUARD <= k["stval"] < k["lo"], "before the first store that hits"


def test_exhaust_stack(boot, symbols):
    r = boot("provoke EXHAUST_STACK", cpus=2)
    k = check_common(r)
    check_overflow(k, symbols)
    assert f"pid {PID} (provoke) ran {k['past']} bytes off the end" in r.output
    assert "in recurse()" in r.output
    folded = re.search(r"#1 +(\d+) bytes  recurse\+0x[0-9a-f]+  x(\d+)", r.output)
    frame, count = int(folded[1]), int(folded[2])
    # The folded frames, the innermost one, and what called them fill the stack.
    assert k["hi"] - k["sp"] - 2048 < frame * (count + 1) < k["hi"] - k["sp"]
    for name in ("provoke_exhaust_stack", "crash_write", "file_write", "sys_write", "syscall"):
        assert re.search(rf"#\d+ +\d+ bytes  {name}\+", r.output), f"{name} in the backtrace"
    frames = re.findall(r"#\d+ +(\d+) bytes  \S+(?:  x(\d+))?", r.output)
    total = sum(int(size) * int(times or 1) for size, times in frames)
    assert k["sp"] + total == k["hi"] - FRAME, "each byte from sp to the user frame is accounted"


@pytest.mark.parametrize("sp", [0, 8, FRAME - 16, FRAME - 8])
@pytest.mark.parametrize("trap", ["break", "interrupt"])
def test_no_room_for_the_frame(boot, symbols, sp, trap):
    k = check_common(boot(f"provoke WILD_SP lo+{sp} {trap}"))
    assert k["class"] == "overflow" and k["sp"] == k["lo"] + sp
    assert k["past"] == FRAME - sp
    assert k["scause"] == (BREAK if trap == "break" else TIMER)
    assert symbols.function(k["sepc"]) == f"provoke_sp_{trap}"


def test_room_for_the_frame(boot, symbols):
    """With exactly one frame's room the stack is good; trap_kernel_exception() runs out of it.  It
    goes on in the reserve, and reports the exception."""
    r = boot(f"provoke WILD_SP lo+{FRAME} break")
    assert r.code == KILLED and len(r.records) == 2, r.explain()
    first, second = r.records
    check_overflow(first, symbols, "trap_kernel_exception")
    assert first["sp"] < first["lo"] and first["reserve"] == "interrupts-off"
    assert second["class"] == "exception" and second["sp"] == first["lo"] + FRAME
    assert [k["verdict"] for k in r.records] == ["killed", "killed"]


def test_fault_of_the_user_copy(boot):
    """Resolving it takes more stack than is left: interrupts are on, so only the process goes."""
    k = check_common(boot("provoke COPY_LOW lo+400 0"))
    assert k["class"] == "overflow" and k["sp"] < k["lo"] + FRAME and k["why"] == "-"


def test_every_depth(boot):
    """An interrupt at every 16 bytes, from the very top of the stack down to where none fits."""
    k = check_common(boot("provoke WILD_SP hi sink"))
    assert k["class"] == "overflow" and k["past"] == 16 and k["sp"] == k["lo"] + FRAME - 16
    assert k["scause"] in (SOFTWARE, TIMER) and k["why"] == "-"


def test_interrupt_stack(boot, symbols):
    """A handler that overflows: the stack is the hart's, the name the interrupted process's, and
    the backtrace goes on where it was interrupted."""
    r = boot("provoke IN_INTERRUPT EXHAUST_STACK past", cpus=2)
    k = check_common(r, code=0, verdict="resumed")
    check_overflow(k, symbols)
    assert k["reserve"] == "interrupt" and k["why"] == "-"
    assert f"an interrupt handler in pid {PID} (provoke) ran {k['past']} bytes off" in r.output
    names = re.findall(r"#\d+ +\d+ bytes  (\w+)\+", r.output)
    order = ("provoke_exhaust_stack", "trap_kernel_interrupt", "crash_write")
    assert [name for name in names if name in order] == list(order)
    sizes = [int(size) * int(times or 1)
             for size, times in re.findall(r"#\d+ +(\d+) bytes  \S+(?:  x(\d+))?", r.output)]
    depth = names.index("trap_kernel_interrupt") + 1
    assert k["sp"] + sum(sizes[:depth]) == k["hi"], "each byte of the interrupt stack"


def test_guard_of_the_interrupt_stack(boot):
    k = check_common(boot("provoke IN_INTERRUPT STACK_GUARD_PAGE_TRAILING write"), code=PANIC)
    assert k["class"] == "guard-above" and k["why"] == "interrupt" and good_sp(k)


@pytest.mark.parametrize("bytes_used", [1024, 8192, 14000])
def test_interrupts_cost_a_frame(boot, bytes_used):
    """The peak of a stack on which an interrupt came at its deepest: what the thread used itself,
    and the frame."""
    r = boot(f"provoke STACK_USE {bytes_used}")
    depth, peak = map(int, re.search(r"to a depth of (\d+), peak (\d+)", r.output).groups())
    assert r.code == 0 and peak == depth + FRAME, r.explain()


@pytest.mark.parametrize("past,name", [(16, "overflow"), (GUARD - 16, "overflow"),
                                       (GUARD, "overflow"), (GUARD + 16, "wild-sp")])
def test_frame_jumps(boot, symbols, past, name):
    """A frame of any size: in the guard it faults there, beyond it the next trap finds it."""
    k = check_common(boot(f"provoke JUMP_FRAME {past}"))
    assert k["class"] == name and k["sp"] == k["lo"] - past
    assert symbols.function(k["sepc"]) == "provoke_sp_store"
    assert k["past"] == (past if name == "overflow" else 0)


@pytest.mark.parametrize("past,name", [(8, "underflow"), (16, "underflow"), (GUARD, "underflow"),
                                       (GUARD + 8, "wild-sp")])
@pytest.mark.parametrize("trap", ["break", "interrupt"])
def test_underflow(boot, past, name, trap):
    k = check_common(boot(f"provoke UNDERFLOW {past} {trap}"))
    assert k["class"] == name and k["sp"] == k["hi"] + past
    assert k["past"] == (past if name == "underflow" else 0)


WILD = {"null": lambda sp, k, s: sp == 0, "0x8": lambda sp, k, s: sp == 8,
        "user": lambda sp, k, s: 0 < sp < USER_END,
        "text": lambda sp, k, s: s["_start"] <= sp < s["text_end"],
        "direct": lambda sp, k, s: 0xFFFFFFC000000000 <= sp < 0xFFFFFFE000000000,
        "other": lambda sp, k, s: WINDOW[0] <= sp < WINDOW[1] and sp % SLOT >= GUARD,
        "odd": lambda sp, k, s: k["lo"] < sp < k["hi"] and sp % 16 == 8,
        "0xffffffffffffffff": lambda sp, k, s: sp == (1 << 64) - 1}


@pytest.mark.parametrize("where", WILD)
@pytest.mark.parametrize("trap", ["break", "interrupt", "load"])
def test_wild_sp(boot, symbols, where, trap):
    k = check_common(boot(f"provoke WILD_SP {where} {trap}", cpus=2))
    assert k["class"] == "wild-sp" and k["past"] == 0
    assert WILD[where](k["sp"], k, symbols)
    assert (k["owner"] == "-") == (where != "other")
    assert symbols.function(k["sepc"]) == f"provoke_sp_{trap}"


def test_registers(boot, symbols):
    """Every register is reported as it was."""
    r = boot("provoke REGISTERS", cpus=2)
    k = check_common(r)
    seed = 1 << 60
    assert k["class"] == "wild-sp" and k["sp"] == seed + 2
    assert k["sepc"] == symbols["provoke_registers_fault"]
    assert k["scause"] == LOAD and k["stval"] == 0
    names = "ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11"
    names = (names + " t3 t4 t5 t6").split()
    for number, name in enumerate(names, 1):
        value = int(re.search(rf"(?<!\S){name} +0x([0-9a-f]{{16}})", r.output)[1], 16)
        if name == "tp":
            assert symbols["harts"] <= value < symbols["harts"] + (1 << 16)
        else:
            assert value == seed + number, name


def test_stack_use(boot):
    """Nine tenths of the stack may be used."""
    r = boot("provoke STACK_USE 14500")
    assert r.code == 0 and not r.records, r.explain()


# --- verdicts ------------------------------------------------------------------------------------


REASONS = [("EXHAUST_IRQOFF", "interrupts-off"),
           ("EXHAUST_SPINLOCK", "spinlock"), ("EXHAUST_SLEEPLOCK", "sleeplock"),
           ("EXHAUST_TRANSACTION", "transaction")]


@pytest.mark.parametrize("test,why", REASONS)
def test_reserve(boot, symbols, test, why):
    """What the process holds it lets go of, on an enlarged stack; then it dies, and no later."""
    r = boot(f"provoke {test} past", cpus=2)
    k = check_common(r)
    check_overflow(k, symbols)
    assert k["reserve"] == why and k["why"] == "-"
    assert "dies when it holds nothing" in r.output


@pytest.mark.parametrize("test,why", [*REASONS[:2], ("EXHAUST_KTHREAD", "kernel-thread")])
def test_reserve_overflows(boot, test, why):
    """There is one reserve a stack: what needs more is a panic."""
    r = boot(f"provoke {test}", cpus=2)
    assert r.code == PANIC and r.output.count("panic: ") == 1, r.explain()
    first, second = r.records
    assert first["reserve"] == second["why"] == why
    assert first["why"] == second["reserve"] == "-" and second["verdict"] == "panic"
    assert second["hi"] == first["hi"] and second["lo"] == first["lo"] - 8192
    guards = re.findall(r"\| guard +(\d+) B \|(  <- sp)?", r.output)  # above and below, each time
    assert guards == [("16384", ""), ("16384", "  <- sp"), ("16384", ""), ("8192", "  <- sp")]


@pytest.mark.parametrize("test,why", [*REASONS[2:], ("EXHAUST_FORK", "memory")])
def test_reserve_overflows_and_all_is_given_back(boot, test, why):
    """What a sleep lock or a transaction guards is read again, and the process dies."""
    at_once = 1 if why == "memory" else 4  # it cannot choose whose allocation
    r = boot(f"provoke -n 20 -j {at_once} {test}", cpus=3)
    assert r.code == 0 and "provoke: 20 of 20 killed, 0 pages lost" in r.output, r.explain()
    assert [k["reserve"] for k in r.records].count(why) == 20
    assert {k["verdict"] for k in r.records} == {"killed"} and len(r.records) == 40


@pytest.mark.parametrize("test", [test for test, _ in REASONS])
def test_reserve_is_taken_back(boot, test):
    """Many at once, on several harts: none waits for what a dead one held, no page is lost."""
    r = boot(f"provoke -n 40 -j 6 {test} past", cpus=3)
    assert r.code == 0, r.explain()
    assert "provoke: 40 of 40 killed, 0 pages lost" in r.output
    assert len(r.records) == 40 and {k["verdict"] for k in r.records} == {"killed"}


def test_kernel_thread(boot, symbols):
    """Nobody can be killed: it goes on, and ends by itself."""
    r = boot("provoke EXHAUST_KTHREAD past", cpus=2)
    k = check_common(r, code=0, pid=0, name="exhaust", verdict="resumed")
    check_overflow(k, symbols)
    assert k["reserve"] == "kernel-thread"


def test_option_panics(boot, symbols):
    r = boot("provoke EXHAUST_STACK", append="panic_on_fault")
    k = check_common(r, code=PANIC)
    check_overflow(k, symbols)
    assert k["why"] == "option"


@pytest.mark.parametrize("how", ["", "fault"])
def test_last_resort(boot, how):
    """The reporter itself fails: one line, no loop, a failing exit code."""
    r = boot(f"provoke REPORTER {how}", cpus=2)
    assert r.code == LAST_RESORT, r.explain()
    assert r.output.count("last resort: the emergency stack failed") == 1
    assert not r.records


def test_plain_panic(boot):
    r = boot("provoke PANIC", cpus=2)
    assert r.code == PANIC and "panic: provoked" in r.output, r.explain()


def test_corrupt_frame(boot):
    """What a saved frame would restore is looked at first, or does no harm in user mode."""
    r = boot("provoke CORRUPT_FRAME mode")
    assert r.code == PANIC and re.search("panic: (./)?trap/.*SSTATUS_SPP", r.output), r.explain()
    r = boot("provoke CORRUPT_FRAME")
    assert r.code == KILLED and not r.records, r.explain()


@pytest.mark.parametrize("test, says", [
    ("DMA_STACK", r"hand_over\+0x\w+ asks for 1024 bytes at \w+, on the kernel stack of pid 2 "
                  r"\(provoke\)"),
    ("DMA_STACK disk", r"[\w.]+\+0x\w+ asks for 1024 bytes at \w+, on the kernel stack of pid 2 "),
    ("DMA_STACK gone", r".* on a kernel stack, once that of pid 2 \(provoke\)"),
    ("DMA_STACK nobody", r".* in a part of the stack window that nobody has owned"),
    ("DMA_VMALLOC", r"hand_over\+0x\w+ asks for .*, in the vmalloc area that vmalloc_pair made"),
    ("DMA_VMALLOC disk", r".* in the vmalloc area that vmalloc_pair made"),
    ("DMA_RANGE ram", r"hand_over\+0x\w+ asks for 8192 bytes at \w+, not all of it writable"),
    ("DMA_RANGE data", r"hand_over\+0x\w+ asks for \d+ bytes at \w+, not all of it writable"),
    ("DMA_RANGE text", r"hand_over\+0x\w+ asks for 1024 bytes at \w+, not all of it writable"),
])
def test_dma_is_refused(boot, test, says):
    """The caller and the owner of the buffer are named."""
    r = boot(f"provoke {test}", cpus=2)
    assert r.code == PANIC and re.search(f"panic: dma: {says}", r.output), r.explain()


@pytest.mark.parametrize("how", ["", "disk"])
def test_dma_to_the_heap(boot, how):
    r = boot(f"provoke DMA_HEAP {how}", cpus=2)
    assert r.code == 0 and "FAIL" not in r.output, r.explain()


# --- surviving -----------------------------------------------------------------------------------


def test_hundred_overflows(boot, symbols):
    """The kernel lives on, and not a page is lost."""
    r = boot("provoke -n 100 EXHAUST_STACK", cpus=1)
    assert r.code == 0, r.explain()
    assert "provoke: 100 of 100 killed, 0 pages lost" in r.output
    assert len(r.records) == 100
    for k in r.records:
        check_overflow(k, symbols)
        assert k["verdict"] == "killed"


def test_overflow_on_every_hart(boot, symbols):
    """Many at once: all reports come out, whole, and each hart has had its own."""
    r = boot("provoke -n 60 -j 12 EXHAUST_STACK", cpus=3)
    assert r.code == 0, r.explain()
    assert len(r.records) == 60, r.explain()
    assert {k["hart"] for k in r.records} == {0, 1, 2}
    for k in r.records:
        check_overflow(k, symbols)
    assert len({k["pid"] for k in r.records}) == 60
    assert r.output.count("\nRegisters as at the fault:") == 60


def test_two_harts_at_once(boot, symbols):
    """Two harts overflow together: both reports come out."""
    r = boot("provoke -n 2 -j 2 EXHAUST_STACK", cpus=2)
    assert r.code == 0 and len(r.records) == 2, r.explain()


def test_panics_at_once(boot):
    """Eight overflow and none may live: one panics, after every report that has begun."""
    r = boot("provoke -n 8 -j 8 EXHAUST_IRQOFF", cpus=4, append="panic_on_fault")
    assert r.code == PANIC and r.output.count("panic: ") == 1, r.explain()
    assert len(r.records) == r.output.count("Its kernel stack, on hart") > 0, r.explain()
    assert {k["why"] for k in r.records} == {"option"}


def test_last_words(boot):
    """All harts overflow at the same time, and the first to have reported panics: the others still
    have their say, unless the host was too busy to let one of them overflow."""
    r = boot("provoke -n 4 -j 4 EXHAUST_ALL", cpus=4, append="panic_on_fault")
    assert r.code == PANIC and r.output.count("panic: ") == 1, r.explain()
    assert r.records and "did not come out" not in r.output, r.explain()


def test_user_overflow_is_no_kernel_matter(boot):
    """A fault in user mode kills the process, with one line and no kernel report."""
    r = boot("usertests fault-guard-page fault-stack-overflow", cpus=1)
    assert r.code == 0 and not r.records, r.explain()


def test_exit_codes_differ():
    assert len({0, KILLED, PANIC, LAST_RESORT}) == 4
