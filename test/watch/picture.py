# SPDX-License-Identifier: MIT
"""One look at the stack window and the harts: plain numbers and words, ready to be drawn.

The machine runs while it is read, so a look may show two moments at once.  Whatever makes no sense
is left out: the next look has it.
"""

import struct
import time

import explain
import gdb
import kernel
from memory import RAM
from sv39 import PAGE, V, W

FRAME_SP, FRAME_PC = 16, 0  # of struct trap_frame: x2 and sepc (kern/lib/trapframe.h)
FIRMWARE = RAM, kernel.layout("IMAGE_PA")
SLOTS_MAX = 400  # that are drawn; what lies beyond is counted
WORD = (1 << 64) - 1
# What reading memory that makes no sense can raise.
TORN = (LookupError, ValueError, OverflowError, TypeError, AttributeError, struct.error)
NONE = {"slots": {}, "harts": [], "counts": {}, "booted": False}


def text(data):
    return data.split(b"\0")[0].decode(errors="replace")


class Eye:
    """Reads one kernel's memory.  It holds no state of the machine but what never changes."""

    def __init__(self, dwarf, memory):
        self.dwarf, self.memory = dwarf, memory
        self.stack, self.stack_fields = dwarf.struct("kstack").record(
            "lo", "thread_sp", "thread_hart", "kind", "distrusted", "account_id", "pid", "name")
        self.hart, self.hart_fields = dwarf.struct("hart").record(
            "stack_hi", "emergency_hi", "interrupt_hi", "victim_hi", "current", "satp", "index",
            "id", "irq_depth", "online")
        self.thread, self.thread_fields = dwarf.struct("thread").record(
            "state", "pid", "name", "process", "space", "stack_hi", "sp")
        self.kinds = dwarf.enum_names("stack_kind", "STACK_")
        self.areas = dwarf.enum_names("area_state", "AREA_")
        self.states = dwarf.enum_names("thread_state", "THREAD_")
        self.size, self.guard = kernel.layout("KSTACK_SIZE"), kernel.layout("KSTACK_GUARD")
        self.slot, self.base = kernel.layout("KSTACK_SLOT"), kernel.layout("KSTACK_BASE")
        self.end, self.reserve = kernel.layout("KSTACK_END"), kernel.layout("KSTACK_RESERVE")
        self.harts_at, harts = dwarf.variable("harts")
        self.hart_size, self.hart_max = dwarf.struct("hart").sizeof, harts.count
        self.stack_size = dwarf.struct("kstack").sizeof
        for name in ("hart_count", "kernel_pagetable", "kstacks", "kstack_window", "kstack_caches",
                     "stacks_mapped", "stacks_unmapped", "pids"):
            dwarf.variable(name)  # found now, so that no look has to wait for it

    # --- small reads -----------------------------------------------------------------------------

    def take(self, shape, fields, at):
        """Return the fields of a struct at an offset of the file."""
        return dict(zip(fields, shape.unpack_from(self.memory.ram, at)))

    def field(self, name, *path):
        """Return a number inside a variable, 0 if it cannot be read."""
        address, type_ = self.dwarf.variable(name)
        for part in path:
            address += type_.offset(part)
            type_ = type_.by_name[part].type
        data = self.memory.read(address, type_.sizeof)
        return int.from_bytes(data, "little")

    # --- harts -----------------------------------------------------------------------------------

    def look_at_harts(self, registers):
        """registers: {mhartid: {"pc", "sp"}} as seen last."""
        found = []
        for i in range(min(self.field("hart_count"), self.hart_max)):
            at = self.memory.offset(self.harts_at + i * self.hart_size)
            hart = self.take(self.hart, self.hart_fields, at)
            hart["registers"] = registers.get(hart["id"], {})
            hart["thread"] = self.thread_at(hart["current"])
            hart["frames"] = self.frames(hart)
            found.append(hart)
        return found

    def thread_at(self, address):
        at = self.memory.offset(address) if address else None
        if at is None or at + self.thread.size > self.memory.size:
            return None
        return self.take(self.thread, self.thread_fields, at)

    def frames(self, hart):
        """Return [(pc, sp)]: where the hart is, and where each stack that it left for another goes
        on, until user mode."""
        registers = hart["registers"]
        if not registers:
            return [(0, 0)]
        found = [(registers["pc"], registers["sp"])]
        while len(found) < 4 and self.in_kernel(found[-1][0]):
            sp = found[-1][1]
            lo, hi = hart["interrupt_hi"] - self.size - self.reserve, hart["interrupt_hi"]
            if lo <= sp <= hi and hi:
                # trap_kernel_interrupt saves s0 there, the address of the frame it was given.
                frame = self.memory.word(hi - 16)
            elif hart["emergency_hi"] - self.size <= sp <= hart["emergency_hi"]:
                frame = hart["emergency_hi"] - 36 * 8
                found.append((self.memory.word(frame + FRAME_PC),
                              self.memory.word(frame + FRAME_SP)))
                continue
            else:
                break
            found.append((self.memory.word(frame + FRAME_PC), frame))
        return found

    @staticmethod
    def in_kernel(pc):
        return pc >> 63 == 1

    def mode(self, hart):
        registers, thread = hart["registers"], hart["thread"]
        if not registers or not thread:
            return "boot"
        if FIRMWARE[0] <= registers["pc"] < FIRMWARE[1]:
            return "firmware"
        if not self.in_kernel(registers["pc"]):
            return "user"
        return "kernel" if thread["pid"] else "idle"

    def show_hart(self, hart):
        thread = hart["thread"] or {"pid": 0, "name": b"boot"}
        mode, pc = self.mode(hart), hart["registers"].get("pc", 0)
        found = self.dwarf.symbol_at(pc) if self.in_kernel(pc) else None
        if mode == "kernel" and hart["stack_hi"] == hart["emergency_hi"]:
            mode = "emergency"
        elif mode in ("kernel", "idle") and hart["stack_hi"] == hart["interrupt_hi"]:
            mode = "interrupt"
        return {"index": hart["index"], "id": hart["id"], "pid": thread["pid"],
                "name": text(thread["name"]), "mode": mode, "pc": f"{pc:#x}",
                "where": found[0] if found else "",
                "slot": self.slot_of(hart["stack_hi"] - 1)}

    def slot_of(self, va):
        return (va - self.base) // self.slot if self.base <= va < self.end else -1

    # --- slots -----------------------------------------------------------------------------------

    def depth(self, stack, hart):
        """Bytes in use now, None: nobody knows while the machine runs."""
        hi = stack["lo"] + self.size
        low = stack["lo"] - self.guard
        if hart:
            for pc, sp in hart["frames"]:
                if not self.in_kernel(pc):
                    return None if FIRMWARE[0] <= pc < FIRMWARE[1] or not pc else 0
                if low <= sp <= hi:
                    return hi - sp
            return None if hart["stack_hi"] == hi or hart["current"] == self.owner(stack) else 0
        sp = self.memory.word(stack["thread_sp"]) if stack["thread_sp"] else 0
        return hi - sp if low <= sp <= hi else 0

    def peak(self, entries, stack):
        """The most bytes that were ever used: a new stack is all zeros."""
        lo, ram = stack["lo"], self.memory.ram
        for i, entry in enumerate(entries):
            if not entry & V:
                continue
            at = ((entry >> 10 & (1 << 44) - 1) << 12) - RAM
            if not 0 <= at <= self.memory.size - PAGE:
                continue
            used = len(ram[at:at + PAGE].lstrip(b"\0"))
            if used:
                unused = PAGE - used
                return lo + self.size - (lo + i * PAGE + unused // 8 * 8)
        return 0

    def block(self, lo):
        """Entries as if, for a stack outside the window (VMAP_STACK=n)."""
        frame = (lo - self.memory.direct[0]) >> 12
        return [(frame + i) << 10 | V | W for i in range(self.size // PAGE)]

    def look_at_slot(self, index, stack, entries, harts, cached):
        """Return what is drawn of a slot that is taken, or None for one that is just being made."""
        owned, guards = stack["kind"] != 0, self.guard // PAGE
        guarded = self.base <= stack["lo"] < self.end
        pages = entries[guards:] if guarded else self.block(stack["lo"])
        mapped = sum(1 for entry in pages if entry & V)
        hi = stack["lo"] + self.size
        on = next((h for h in harts if h["stack_hi"] == hi), None)
        theirs = next((h for h in harts if h["current"] == self.owner(stack)), None)
        left = next((h for h in harts if hi in (h["emergency_hi"], h["interrupt_hi"])), None)
        hart = on or theirs or left
        now = self.depth(stack, hart) if owned else 0
        peak = self.peak(pages, stack)
        if owned:
            state = self.kinds.get(stack["kind"], "?")
        else:
            state = "cached" if index in cached else "moving" if mapped else "freed"
        reserve = guarded and any(e & V for e in entries[guards - self.reserve // PAGE:guards])
        wrong = guarded and any(e & V for e in entries[:guards - self.reserve // PAGE])
        return {"pid": stack["pid"], "name": text(stack["name"]), "state": state,
                "account": stack["account_id"], "lo": f"{stack['lo']:#x}",
                "now": now, "peak": max(peak, min(now or 0, self.size)), "mapped": mapped * PAGE,
                "hart": hart["index"] if hart else self.last_hart(stack), "on": on is not None,
                "stained": bool(stack["distrusted"]) and owned, "reserve": reserve,
                "wrong": wrong, "guarded": guarded}

    def owner(self, stack):
        """The address of the struct thread that has the stack, or None."""
        pointer = stack["thread_sp"]
        return pointer - self.dwarf.struct("thread").offset("sp") if pointer else None

    def last_hart(self, stack):
        """The hart on which the owner ran last, or -1."""
        hart = self.memory.word(stack["thread_hart"]) if stack["thread_hart"] else 0
        index, rest = divmod(hart - self.harts_at, self.hart_size)
        return index if not rest and 0 <= index < self.hart_max else -1

    def taken(self, count):
        """The slots that are taken."""
        bits = self.memory.read(self.field("kstack_window", "granules", "map"),
                                (count + 63) // 64 * 8)
        number = int.from_bytes(bits, "little")
        while number:
            low = number & -number
            yield low.bit_length() - 1
            number ^= low

    def cached(self):
        """The slots whose stack is in some hart's cache."""
        address, type_ = self.dwarf.variable("kstack_caches")
        each = type_.target
        start = self.field("kstacks")
        data, found = self.memory.read(address, type_.sizeof), set()
        at, places = each.offset("stack"), each.by_name["stack"].type.count
        for i in range(type_.count):
            for pointer in struct.unpack_from(f"<{places}Q", data, i * each.sizeof + at):
                if pointer:
                    found.add((pointer - start) // self.stack_size)
        return found

    def area_state(self, index):
        area = self.dwarf.struct("vm_area")
        at = self.field("kstack_window", "areas") + index * area.sizeof + area.offset("state")
        return self.areas.get(int.from_bytes(self.memory.read(at, 4), "little"), "?")

    def look(self, registers):
        """Return the picture: slots, harts, counts."""
        root = self.field("kernel_pagetable")
        stacks = self.field("kstacks")
        if not root or not stacks:
            return NONE
        self.memory.root = root - self.memory.direct[0]
        harts, cached = self.look_at_harts(registers), self.cached()
        if not harts:
            return NONE
        count = self.field("kstack_window", "granules", "count")
        entries_at = self.memory.offset(self.field("kstack_window", "ptes"))
        stacks_at = self.memory.offset(stacks)
        each = self.slot // PAGE
        slots, every = {}, 0
        for index in self.taken(count):
            every += 1
            if len(slots) >= SLOTS_MAX:
                continue
            stack = self.take(self.stack, self.stack_fields, stacks_at + index * self.stack_size)
            entries = struct.unpack_from(f"<{each}Q", self.memory.ram,
                                         entries_at + index * each * 8)
            shown = self.look_at_slot(index, stack, entries, harts, cached)
            if shown["state"] == "freed" and self.area_state(index) == "lazy":
                shown["state"] = "lazy"
            slots[index] = shown
        counts = {"slots": count, "taken": every, "cached": len(cached),
                  "lazy": self.field("kstack_window", "lazy_count"),
                  "mapped": self.field("stacks_mapped"), "unmapped": self.field("stacks_unmapped"),
                  "last_pid": self.field("pids", "last"), "processes": self.field("pids", "count")}
        return {"slots": slots, "harts": [self.show_hart(h) for h in harts], "counts": counts,
                "booted": True, "raw": harts}

    # --- the rest of the address space -----------------------------------------------------------

    def explain(self, expression, picture, hart):
        """What `explain` says of an address.  Returns lines."""
        harts = [{"registers": {"satp": h["satp"], "mhartid": h["id"], **h["registers"]},
                  "frames": h["frames"]} for h in picture.get("raw", ())]
        if not harts:
            return ["The kernel has not come up yet: wait until the page shows its stacks."]
        gdb.begin(self.dwarf, self.memory, harts, hart)
        kernel.pages.clear()
        try:
            return gdb.run("explain", expression).splitlines()
        except gdb.GdbError as error:
            return [str(error)]


assert explain  # it has made the command


class Events:
    """What changed from look to look, in words."""

    def __init__(self):
        self.owners, self.last_pid, self.first = {}, 0, True

    def compare(self, picture):
        """Return [{"kind", "text", "slot"}], oldest first."""
        if not picture["booted"]:
            return []
        now = {s["pid"]: (s["name"], i) for i, s in picture["slots"].items()
               if s["state"] == "thread" and s["pid"] > 0}
        found = []
        last = picture["counts"]["last_pid"]
        for pid in sorted(set(now) - set(self.owners)):
            name, slot = now[pid]
            found.append({"kind": "fork", "slot": slot, "text":
                          f"pid {pid} ({name}) began, on the stack of slot {slot}"})
        for pid in sorted(set(now) & set(self.owners)):
            if now[pid][0] != self.owners[pid][0]:
                found.append({"kind": "exec", "slot": now[pid][1], "text":
                              f"pid {pid} ({self.owners[pid][0]}) became {now[pid][0]}"})
        for pid in sorted(set(self.owners) - set(now)):
            name, slot = self.owners[pid]
            found.append({"kind": "exit", "slot": slot, "text":
                          f"pid {pid} ({name}) ended; slot {slot} has no owner"})
        if not self.first and last > self.last_pid:
            unseen = [p for p in range(self.last_pid + 1, min(last, self.last_pid + 10000) + 1)
                      if p not in now and p not in self.owners]
            if unseen:
                who = f"pid {unseen[0]}" if len(unseen) == 1 else \
                    f"{len(unseen)} processes, pid {unseen[0]} to {unseen[-1]},"
                found.append({"kind": "missed", "slot": -1, "text":
                              f"{who} came and went between two looks"})
        self.owners, self.last_pid, self.first = now, last, False
        return found


def stamp():
    return time.strftime("%H:%M:%S")
