# SPDX-License-Identifier: MIT
"""docs/tour.md: each function stands in the file that is named, and each step leads to the next.

A step is `file:function`, with how the walk comes there in parentheses:

    (nothing)          the step before calls it
    (from `f`)         the earlier step f calls it
    (through `file:x`) the step before (or f) jumps to it by a pointer, which the function x hands
                       over or the table x holds
    (trap)             the hardware comes here, by the vector
    (sret)             the hardware leaves for user mode
    (back)             the step before returns here

Calls are read from the relocations of the objects.  Where the compiler may have put a function into
its caller (in one file, or from a header) the text of the caller will do.
"""

import functools
import re
from collections import namedtuple

import guest
import pytest
from elftools.elf.elffile import ELFFile

PAGE = guest.TOP / "docs/tour.md"
STEP = re.compile(r"^\d+\. `([\w/.]+):(\w+)`(?: \(([^)]*)\))?", re.MULTILINE)
VECTOR = ("boot/start.S", "enter_stack")  # loads stvec
JAL, JALR = 0x6F, 0x67
RET, SRET, UNIMP = 0x8067, 0x10200073, 0xC0001073
CALLS = (18, 19)  # R_RISCV_CALL, R_RISCV_CALL_PLT: a jalr follows

Step = namedtuple("Step", "file name how")


def walks(text):
    """Return {title: steps} of the page."""
    found = {}
    for part in text.split("\n## ")[1:]:
        steps = [Step(*match.groups(default="")) for match in STEP.finditer(part)]
        if steps:
            found[part.split("\n", 1)[0]] = steps
    return found


WALKS = walks(PAGE.read_text())


# --- sources ---

@functools.cache
def source(file):
    text = (guest.TOP / file).read_text()
    return re.sub(r"//[^\n]*|/\*.*?\*/|__attribute__\(\(.*?\)\) ?", "", text, flags=re.DOTALL)


@functools.cache
def body(file, name):
    """Return the text of the function, or None if it is not there.  Assembly: to the next label."""
    if file.endswith(".S"):
        match = re.search(rf"^{name}:.*?(?=^\w+:|\Z)", source(file), re.MULTILINE | re.DOTALL)
    else:
        match = re.search(rf"^\w[^;=(\n]*\b{name}\([^;{{}}]*\) {{\n.*?^}}", source(file),
                          re.MULTILINE | re.DOTALL)
    return match and match[0]


# --- objects ---

class Object:
    """What the functions and tables of one file refer to."""

    def __init__(self, file):
        self.refers = {}  # function or table: names
        self.falls = {}   # label: the label behind it, if the code before does not leave
        self.jumps = set()  # functions that jump to an address in a register
        self.returns_elsewhere = file.endswith(".S")  # a ret may go where nothing came from
        path = guest.BUILD / f"{file}.o"
        if path.exists():
            with open(path, "rb") as stream:
                self.read(ELFFile(stream))

    def read(self, elf):
        table = elf.get_section_by_name(".symtab")
        for index, section in enumerate(elf.iter_sections()):
            if not section.name.startswith((".text", ".rodata", ".data", ".sdata", ".init")):
                continue
            names = sorted((s["st_value"], re.sub(r"\.(part|constprop|isra|cold).*", "", s.name))
                           for s in table.iter_symbols()
                           if s["st_shndx"] == index and re.match(r"\w+(\.|$)", s.name)
                           and s["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE"))
            relocations = elf.get_section_by_name(f".rela{section.name}")
            named = [(r["r_offset"], table.get_symbol(r["r_info_sym"]).name, r["r_info_type"])
                     for r in (relocations.iter_relocations() if relocations else ())]
            starts = sorted({start for start, _ in names})
            for start, end in zip(starts, [*starts[1:], section["sh_size"]]):
                same = {name for value, name in names if value == start}
                to = {name for at, name, _ in named if start <= at < end and name}
                for name in same:
                    self.refers.setdefault(name, set()).update(to)
                if section.name.startswith(".text"):
                    behind = {name for value, name in names if value == end}
                    self.code(section.data()[start:end], same, behind,
                              {at - start + 4 for at, _, kind in named if kind in CALLS})

    def code(self, code, same, behind, calls):
        words = [int.from_bytes(code[i:i + 4], "little") for i in range(0, len(code), 4)]
        for i, word in enumerate(words):
            if word & 0x7F == JALR and 4 * i not in calls \
                    and (word != RET or self.returns_elsewhere):
                self.jumps |= same
        last = words[-1] if words else UNIMP
        leaves = last in (SRET, UNIMP) or (last & 0x7F in (JAL, JALR) and last >> 7 & 0x1F == 0)
        for name in same:
            self.falls[name] = set() if leaves else behind


@functools.cache
def built(file):
    return Object(file)


def refers(file, name, to):
    """Whether the function or table x of the file has the address of `to`."""
    thing = built(file)
    if to in thing.refers.get(name, ()):
        return True
    known = body(file, to) is not None or any(to in names for names in thing.refers.values())
    return known and re.search(rf"\b{to}\b", body(file, name) or "") is not None


def calls(caller, callee):
    """Whether one step calls (in assembly: branches or falls to) the other."""
    thing = built(caller.file)
    if callee.name in thing.refers.get(caller.name, ()):
        return True
    if callee.name in thing.falls.get(caller.name, ()) and caller.file.endswith(".S"):
        return True
    text = body(caller.file, caller.name) or ""
    if caller.file.endswith(".S") and callee.file == caller.file:  # settled by the assembler
        return re.search(rf"^ +(b\w+|j|call) .*\b{callee.name}$", text, re.MULTILINE) is not None
    inside = callee.file == caller.file or callee.file.endswith(".h")
    reached = inside or any(callee.name in names for names in thing.refers.values())
    return reached and re.search(rf"\b{callee.name}\(", text) is not None


def returns(caller, callee):
    """Whether callee returns to caller: it was called there, or right before the label."""
    if calls(caller, callee):
        return True
    return any(caller.name in built(caller.file).falls.get(label, ())
               and callee.name in names for label, names in built(caller.file).refers.items())


# --- the checks ---

def pointer(how):
    match = re.search(r"through `([\w/.]+):(\w+)`", how)
    return match and match.groups()


def lie(steps, i):
    """Return what is wrong with step i, or None."""
    step = steps[i]
    where = f"{step.file}:{step.name}"
    if body(step.file, step.name) is None:
        return f"{where} is not there"
    if i == 0:
        return None
    before, earlier = steps[i - 1], {s.name: s for s in steps[:i]}
    origin = re.search(r"from `(\w+)`", step.how)
    if origin and origin[1] not in earlier:
        return f"{where}: {origin[1]} is no earlier step"
    caller = earlier[origin[1]] if origin else before
    by = pointer(step.how)
    if step.how == "trap":
        good = refers(*VECTOR, step.name) and "csrw stvec" in body(*VECTOR)
    elif step.how == "sret":
        good = before.file == "trap/entry.S" and "sret" in body(before.file, before.name)
    elif step.how.startswith("back"):
        good = (step.file, step.name) in [s[:2] for s in steps[:i]] or returns(step, before) \
            or by and refers(*by, before.name) and step.name in jumpers(step)
    elif by:
        good = refers(*by, step.name) and caller.name in jumpers(caller)
    else:
        good = calls(caller, step)
    return None if good else f"{caller.name} does not lead to {where} ({step.how or 'a call'})"


def lies(steps):
    return [wrong for i in range(len(steps)) if (wrong := lie(steps, i))]


def jumpers(step):
    """The functions of the step's file that jump by a register; one without code may, too."""
    thing = built(step.file)
    return thing.jumps | ({step.name} - set(thing.refers))


@pytest.mark.parametrize("title", WALKS)
def test_walk(title):
    assert lies(WALKS[title]) == []


def test_three_walks():
    assert len(WALKS) == 3 and all(len(steps) > 20 for steps in WALKS.values())


@pytest.mark.parametrize("title", WALKS)
def test_any_wrong_step_is_noticed(title):
    """A test that accepts anything would be worth nothing."""
    steps = WALKS[title]
    for i, step in enumerate(steps):
        if i > 0 and not step.how.startswith(("trap", "sret", "back")):
            other = Step("kern/lib/string.c", "strlen", step.how)
            assert lie([*steps[:i], other], i), step
            assert lie([*steps[:i], step._replace(file="kern/lib/string.c")], i), step


@pytest.mark.parametrize("wrong, says", [
    ("1. `trap/entry.S:from_user`\n2. `trap/syscall.c:no_such`\n", "no_such is not there"),
    ("1. `trap/entry.S:from_user`\n2. `kern/fs/log.c:log_begin`\n", "does not lead to"),
    ("1. `trap/entry.S:from_user`\n2. `trap/syscall.c:syscall`\n"
     "3. `kern/sys/sys_file.c:sys_write`\n",
     "does not lead to"),
    ("1. `trap/syscall.c:syscall`\n"
     "2. `kern/sys/sys_file.c:sys_write` (through `kern/dev/irq.c:handlers`)\n",
     "does not lead to"),
    ("1. `trap/syscall.c:syscall`\n2. `kern/fs/log.c:log_begin` (from `log_end`)\n",
     "is no earlier step"),
    ("1. `kern/fs/log.c:log_begin`\n2. `trap/trap.c:trap_user` (back)\n", "does not lead to"),
])
def test_wrong_walks(wrong, says):
    (steps,) = walks("\n## A walk\n\n" + wrong).values()
    found = lies(steps)
    assert len(found) == 1 and says in found[0], found
