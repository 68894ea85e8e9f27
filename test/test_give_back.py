# SPDX-License-Identifier: MIT
"""What a killed call held is given back, wherever the fault comes.

The debugger's stub makes the fault: at the entry of a function that the victim's call reaches, or
with "after:" where it has returned, the hart jumps to address 0.
"""

import re
import shutil
import sys

import guest
import pytest

sys.path[:0] = [str(guest.TOP / "test/grade"), str(guest.TOP / "test/tools")]

import machine  # noqa: E402
from calltree import Code  # noqa: E402

TIMES = 50
STACK_SIZE = 16384
SIE = 2  # in sstatus
SLOW = 60  # seconds of the guest's time

# Calls of user/victim.c, and functions in them.
PLACES = [
    ("fork", "thread_create"), ("fork", "space_fork"), ("fork", "fpu_fork"), ("fork", "file_dup"),
    ("fork", "inode_dup"), ("fork", "process_publish"),
    ("exit", "file_close"), ("exit", "inode_close"), ("exit", "inode_put"), ("exit", "pipe_close"),
    ("exit", "pipe_free"), ("exit", "process_replace_space"), ("exit", "space_destroy"),
    ("pipe", "pipe_create"), ("pipe", "kmalloc"),
    ("lazy", "space_fault"), ("lazy", "pagetable_ensure"), ("lazy", "page_alloc_zeroed"),
    ("exec", "name_lookup"), ("exec", "elf_load"), ("exec", "inode_read"),
    ("exec", "space_add_stack"), ("exec", "kstack_rename"), ("exec", "space_destroy"),
    ("exec", "after:space_destroy"), ("exit", "after:space_destroy"), ("fork", "after:inode_dup"),
    ("open", "inode_get"), ("open", "buf_get"), ("open", "inode_put"),
    ("turn", "copy_from_user"),
]

# Calls that change the disk.
CHANGES = [
    ("create", "inode_alloc"), ("create", "add_entry"), ("create", "log_end"),
    ("mkdir", "sleep_lock"), ("mkdir", "inode_alloc"), ("mkdir", "bitmap_alloc"),
    ("mkdir", "add_entry"), ("mkdir", "inode_update"), ("mkdir", "log_end"),
    ("unlink", "inode_write"), ("unlink", "inode_update"), ("unlink", "log_end"),
    ("write", "inode_write"), ("write", "bitmap_alloc"), ("write", "inode_update"),
]


def starts(call):
    return 2 if call in ("exit", "close", "lazy", "write", "turn", "fill") else 1


def disk(image):
    return ["-drive", f"file={image},if=none,format=raw,id=x0,snapshot=off",
            "-device", "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0"]


def plant(tmp_path, symbols, call, place, times=TIMES, code=0):
    """Run the victims, all but the first with a fault at the place, and to the end.  Returns the
    output.  Of several places the second is where it gives back what it held, and so on."""
    def fault(vm):
        for at in place.split():
            entry = vm.until(symbols[at.removeprefix("after:")])
            vm.write(vm.until(entry.x[1]) if at.startswith("after:") else entry, "pc", 0)
    return disturb(tmp_path, symbols, call, fault, times, code)


def disturb(tmp_path, symbols, call, action, times=TIMES, code=0):
    """Run the victims, and to the end; in all but the first action(vm) does something to the call
    that has just begun.  Returns the output."""
    image = shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    vm = machine.Guest(machine.Build(guest.BUILD), tmp_path / "log",
                       program=f"victim {call} {times}", limit=SLOW, disk=False, extra=disk(image))
    try:
        for _ in range(starts(call)):
            vm.until(symbols["sys_uptime"])
        for _ in range(times):
            for _ in range(starts(call)):
                vm.until(symbols["sys_uptime"])
            action(vm)
        with pytest.raises(machine.Ended):
            while True:
                vm.go()
        output = vm.output()
        assert vm.code == code, output[-2500:]
    finally:
        vm.close()
    checked = guest.fsck(image)
    assert checked.returncode == 0, checked.stdout
    return output


def test_page_counts_them():
    page = " ".join((guest.TOP / "docs" / "survival.md").read_text().split())
    functions = {place.removeprefix("after:") for _, place in PLACES + CHANGES}
    assert f"in {len(functions)} functions, at {len(PLACES + CHANGES)} places" in page


@pytest.mark.parametrize("call, place", PLACES + CHANGES)
def test_given_back(tmp_path, symbols, call, place):
    """Nothing is missing afterwards, and the disk is in order."""
    output = plant(tmp_path, symbols, call, place)
    assert f"victim: {TIMES} of {TIMES} killed, 0 pages lost" in output, output[-2500:]
    assert "read-only" not in output, output[-2500:]


def test_page_lost(tmp_path, symbols):
    """One that faults as it copies a page costs that page, and no promise is taken back twice."""
    output = plant(tmp_path, symbols, "fork", "page_copy")
    assert f"victim: {TIMES} of {TIMES} killed, {TIMES} pages lost" in output, output[-2500:]


def test_doomed_call_closes(tmp_path, symbols):
    """One that overflows as it frees the ring of a pipe goes on in the reserve.  An interrupt does
    not end it between the record and the memory of the pipe."""
    code = Code(guest.KERNEL)

    def interrupt(vm):
        vm.until(symbols["pipe_free"])
        frees = vm.until(symbols["kfree"])
        sp, back = frees.sp, frees.x[1]
        vm.write(frees, "sp", sp // STACK_SIZE * STACK_SIZE + 16)
        vm.write(vm.until(back), "sp", sp)
        vm.until(next(at for at, function in code.calls()
                      if at >= back and function == symbols["kfree"]))
        vm.write(vm.at, "sip", 2)
    output = disturb(tmp_path, symbols, "close", interrupt)
    assert f"victim: {TIMES} of {TIMES} killed, 0 pages lost" in output, output[-2500:]


def test_doomed_fault_maps(tmp_path, symbols):
    """One that overflows as it fills lazy memory is not ended between the page and its leaf."""
    def interrupt(vm):
        leaf = vm.until(symbols["prot_bits"])
        sp, back = leaf.sp, leaf.x[1]
        vm.write(leaf, "sp", sp // STACK_SIZE * STACK_SIZE)
        vm.write(vm.until(back), "sp", sp)
        vm.write(vm.at, "sip", 2)
    output = disturb(tmp_path, symbols, "fill", interrupt)
    assert output.count(" reserve=memory") == TIMES, output[-2500:]
    assert f"victim: {TIMES} of {TIMES} killed, 0 pages lost" in output, output[-2500:]


def test_doomed_anywhere(tmp_path, symbols):
    """An interrupt that finds no room for its frame dooms a call between any two instructions, also
    where inode_put asks whether the thread holds a sleep lock."""
    steps = iter(range(8, 24))

    def interrupt(vm):
        hart = vm.until(symbols["inode_put"]).hart
        for _ in range(next(steps)):
            vm.stub.step(hart)
        words = vm.stub.read_general(hart)
        sp, pc = words[2], words[32]
        if vm.stub.read_register(hart, "sstatus") & SIE:
            vm.stub.write_register(hart, "sp", sp // STACK_SIZE * STACK_SIZE + 16)
            vm.stub.write_register(hart, "sip", 2)
            vm.at = None
            vm.write(vm.until(pc), "sp", sp)
    output = disturb(tmp_path, symbols, "exit", interrupt, times=16)
    assert output.count(" reserve=memory") > 8, output[-2500:]
    assert "of 16 killed, 0 pages lost" in output, output[-2500:]


@pytest.mark.parametrize("cpus", [1, 3])
def test_spare_pages_come_back(boot, cpus):
    """After an overflow in an interrupt handler, and as soon as there is memory again."""
    r = boot("victim spare", cpus=cpus)
    assert r.code == 0 and "victim: all are dead" in r.output, r.explain()
    assert len(re.findall(r"^kstack: .* reserve=(?!-)", r.output, re.M)) == 18, r.explain()


def test_child_of_a_little_stack(boot):
    """One whose own room is too small for a new thread can fork in its reserve."""
    r = boot("victim born")
    assert r.code == 0 and re.search(r"^victim: status 7$", r.output, re.M), r.explain()
    assert "reserve=interrupt" in r.output, r.explain()


@pytest.mark.parametrize("cpus", [1, 3])
def test_asleep(boot, cpus):
    """One that overflows on its way to sleep dies, though it has looked already whether it must."""
    r = boot("victim asleep", cpus=cpus)
    lines = re.findall(r"^(kstack: class=overflow|victim:) pid.(\d+) ", r.output, re.M)
    first = dict(reversed([(pid, what) for what, pid in lines]))
    killed = [pid for pid, what in first.items() if what != "victim:"]
    assert r.code == 0 and len(killed) > 20 and len(first) - len(killed) > 10, r.explain()
    assert not [pid for pid in killed if ("victim:", pid) in lines], r.explain()


@pytest.mark.parametrize("call, places", [
    ("fork", "space_fork process_discard"), ("fork", "space_fork space_destroy space_destroy"),
    ("exec", "elf_load inode_put"), ("exit", "pipe_close file_end"),
    ("write", "bitmap_alloc sleep_unlock"), ("turn", "copy_from_user pipe_give_turn"),
])
def test_faults_again(tmp_path, symbols, call, places):
    """What cannot be given back is lost.  The victims still die, and no others."""
    output = plant(tmp_path, symbols, call, places, times=3)
    assert "victim: 3 of 3 killed" in output, output[-2500:]


def test_transaction_does_not_end(tmp_path, symbols):
    """The log can no longer be trusted: nothing is written any more."""
    output = plant(tmp_path, symbols, "mkdir", "inode_alloc log_abandon", times=1, code=1)
    assert output.count("read-only from now on") == 1 and "1 of 1 killed" in output, output


def test_transaction_never_ends(tmp_path, symbols):
    """Who waits for its end learns that there is none."""
    vm = machine.Guest(machine.Build(guest.BUILD), tmp_path / "log", program="victim waits",
                       limit=SLOW)
    try:
        vm.until(symbols["provoke_transaction"])
        for place in "log_end", "log_abandon":
            vm.write(vm.until(symbols[place]), "pc", 0)
        with pytest.raises(machine.Ended):
            vm.go()
        assert vm.code == 1 and "victim: sync 1" in vm.output(), vm.output()[-2500:]
    finally:
        vm.close()


def test_write_ends(tmp_path, symbols):
    """A write that has moved the offset is not undone: others could not write there."""
    vm = machine.Guest(machine.Build(guest.BUILD), tmp_path / "log", program="victim shares",
                       limit=SLOW)
    try:
        vm.until(symbols["sys_uptime"])
        vm.until(vm.until(symbols["inode_write"]).x[1])
        vm.write(vm.until(symbols["sleep_unlock"]), "pc", 0)
        with pytest.raises(machine.Ended):
            vm.go()
        assert vm.code == 0 and "victim: write 9" in vm.output(), vm.output()[-2500:]
    finally:
        vm.close()


@pytest.mark.parametrize("cpus", [1, 3])
def test_read_only(boot, tmp_path, cpus):
    """Where others share the commit nothing of it is kept: the disk is as before, and is read as
    before.  Their calls fail, and so does every write, poweroff included."""
    image = shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    r = boot("victim shared", cpus=cpus, image=None, extra=disk(image))
    assert r.code == 1 and r.output.count("read-only from now on") == 1, r.explain()
    assert "the transaction ends with -5" in r.output, r.explain()
    assert "victim: create -1 mkdir -1 unlink -1 write -1 sync 1 half -1 read 0" \
        in r.output, r.explain()
    assert "damaged" not in r.output and "panic" not in r.output, r.explain()
    checked = guest.fsck(image)
    assert checked.returncode == 0, checked.stdout
