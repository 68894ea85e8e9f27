# SPDX-License-Identifier: MIT
"""Stands in for GDB's module of this name, so that test/gdb/ explains addresses here, too.

It has what explain.py and the files below it use, and no more: values and types come from the
kernel's DWARF, memory from the machine's file, registers from the last look at the harts.  The
machine may run meanwhile.  `begin` has to be called before a command is.
"""

import re
import types

from memory import Unreadable

COMMAND_DATA = COMMAND_STACK = COMMAND_STATUS = COMMAND_RUNNING = COMPLETE_EXPRESSION = 0
SYMBOL_VAR_DOMAIN, SYMBOL_STRUCT_DOMAIN = "variable", "type"
TYPE_CODE_FUNC, TYPE_CODE_ARRAY, TYPE_CODE_STRUCT = "function", "array", "struct"
TYPE_CODE_VOID = "void"  # no value here has it
WORD = (1 << 64) - 1


class error(Exception):  # pylint: disable=invalid-name  # GDB's
    pass


class MemoryError(error):  # pylint: disable=redefined-builtin  # GDB's
    pass


class GdbError(Exception):
    pass


class State:
    """What the commands are about: the kernel, its memory, and the hart that is selected."""

    dwarf = memory = None
    harts = []  # of each {"registers": ..., "frames": [...]}, by GDB's order
    selected = 0
    root = None  # the page table of user addresses
    said = []
    commands = {}


def begin(dwarf, memory, harts, selected):
    """harts: for each its registers by name, and its frames [(pc, sp)], innermost first."""
    State.dwarf, State.memory, State.harts = dwarf, memory, harts
    State.selected = selected if selected < len(harts) else 0
    State.root = (harts[State.selected]["registers"]["satp"] & (1 << 44) - 1) << 12
    State.said = []


def run(command, argument):
    """Run a command.  Returns what it prints.  Raises GdbError."""
    State.said = []
    State.commands[command].invoke(argument, False)
    return "".join(State.said)


# --- commands ------------------------------------------------------------------------------------

class Command:
    def __init__(self, name, _kind):
        State.commands[name] = self


class Function:
    def __init__(self, _name):
        pass


def write(text):
    State.said.append(text)


def execute(line, to_string=False):
    match = re.fullmatch(r"info symbol (0x[0-9a-f]+)", line)
    if not match:
        return ""  # an alias
    found = State.dwarf.symbol_at(int(match[1], 16))
    assert to_string
    if not found:
        return "No symbol matches.\n"
    name, past, section = found
    return f"{name}{f' + {past}' if past else ''} in section {section}\n"


# --- the machine ---------------------------------------------------------------------------------

class Hart:
    """What GDB calls a thread."""

    def __init__(self, index):
        self.index = index

    def __eq__(self, other):
        return self.index == other.index

    def is_valid(self):
        return True

    def is_running(self):
        return False  # it may, and is read all the same

    def switch(self):
        State.selected = self.index


class Frame:
    def __init__(self, hart, depth=0):
        self.hart, self.depth = hart, depth

    def __eq__(self, other):
        return (self.hart, self.depth) == (other.hart, other.depth)

    def read_var(self, name):
        raise ValueError(name)  # nothing here knows the variables of functions

    def pc(self):
        return State.harts[self.hart]["frames"][self.depth][0]

    def read_register(self, name):
        if name == "sp":
            return State.harts[self.hart]["frames"][self.depth][1]
        if name not in State.harts[self.hart]["registers"]:
            raise ValueError(name)
        return State.harts[self.hart]["registers"][name]

    def older(self):
        deeper = self.depth + 1
        return Frame(self.hart, deeper) if deeper < len(State.harts[self.hart]["frames"]) else None

    def is_valid(self):
        return True

    def select(self):
        pass


class Inferior:
    @staticmethod
    def threads():
        return [Hart(i) for i in range(len(State.harts))]

    @staticmethod
    def read_memory(address, size):
        try:
            return State.memory.read(address, size, State.root)
        except Unreadable as missing:
            raise MemoryError(str(missing)) from None


def selected_thread():
    return Hart(State.selected)


def selected_inferior():
    return Inferior


def newest_frame():
    return Frame(State.selected)


selected_frame = newest_frame


# --- names ---------------------------------------------------------------------------------------

class Symbol:
    def __init__(self, type_, address):
        self.type, self.address = type_, address

    def value(self):
        return Value(self.type, address=self.address)


class Objfile:
    filename = "kernel"

    @staticmethod
    def lookup_global_symbol(name, domain):
        if domain == SYMBOL_STRUCT_DOMAIN:
            type_ = State.dwarf.struct(name)
            return Symbol(type_, None) if type_ else None
        found = State.dwarf.variable(name)
        if found:
            return Symbol(found[1], found[0])
        address = State.dwarf.function(name)
        return Symbol(FUNCTION, address) if address is not None else None

    lookup_static_symbol = lookup_global_symbol


def objfiles():
    return [Objfile]


def current_progspace():
    return Objfile


def block_for_pc(pc):
    found, line = State.dwarf.symbol_at(pc), State.dwarf.line_at(pc)
    if not found or not line:
        return None
    symtab = types.SimpleNamespace(filename=line[0])
    return types.SimpleNamespace(superblock=None, function=types.SimpleNamespace(
        name=found[0], symtab=symtab))


def find_pc_line(pc):
    found = State.dwarf.line_at(pc)
    symtab = types.SimpleNamespace(filename=found[0]) if found else None
    return types.SimpleNamespace(symtab=symtab, line=found[1] if found else 0)


# --- values --------------------------------------------------------------------------------------

class Plain:
    """A type that the kernel need not define."""

    def __init__(self, code, sizeof):
        self.code, self.sizeof, self.signed = code, sizeof, False

    def strip_typedefs(self):
        return self


ULONG, FUNCTION = Plain("base", 8), Plain("function", 1)


def lookup_type(_name):
    return ULONG


class Value:
    """A number, or what stands at an address."""

    def __init__(self, type_, address=None, number=None, data=None):
        if isinstance(type_, int):
            type_, number = ULONG, type_
        self.type, self.place, self.number, self.data = type_, address, number, data

    def fetch_lazy(self):
        if self.data is None and self.number is None and self.type.code != "function":
            self.data = Inferior.read_memory(self.place, self.type.sizeof)

    def part(self, type_, at):
        data = None if self.data is None else self.data[at:at + type_.sizeof]
        return Value(type_, address=self.place + at, data=data)

    def __getitem__(self, key):
        if self.type.code == "pointer":
            if isinstance(key, str):
                return self.dereference()[key]
            target = self.type.target
            return Value(target, address=int(self) + key * target.sizeof)
        if isinstance(key, str):
            if key not in self.type.by_name:
                raise error(f"There is no member named {key}.")
            return self.part(self.type.by_name[key].type, self.type.offset(key))
        if not 0 <= int(key) < self.type.count:
            raise error(f"no such array element: {int(key)}")
        element = self.type.target
        return self.part(element, int(key) * element.sizeof)

    def __int__(self):
        if self.number is None:
            if self.type.code in ("array", "function", "struct"):
                return self.place
            self.fetch_lazy()
            self.number = int.from_bytes(self.data, "little", signed=self.type.signed)
        return self.number

    def __index__(self):
        return int(self)

    def __bool__(self):
        return int(self) != 0

    def __eq__(self, other):
        return int(self) == int(other)

    def __hash__(self):
        return hash(int(self))

    def cast(self, type_):
        return Value(type_, number=int(self) & WORD)

    def dereference(self):
        return Value(self.type.target, address=int(self) & WORD)

    @property
    def address(self):
        pointer = self.type.pointer() if hasattr(self.type, "pointer") else ULONG
        return Value(pointer, number=self.place)

    def string(self, errors="strict"):
        if self.type.code == "array":
            self.fetch_lazy()
            return self.data.split(b"\0")[0].decode(errors=errors)
        text, at = b"", int(self)
        while b"\0" not in text and len(text) < 4096:
            text += Inferior.read_memory(at + len(text), 1)
        return text.rstrip(b"\0").decode(errors=errors)


def parse_and_eval(expression):
    """A number, a register, or the address of a symbol; with more of them added or subtracted."""
    total, sign = 0, 1
    text = re.sub(r"\((unsigned )?(long|int)\)", "", expression).strip()
    if not re.fullmatch(r"&?\$?\w+(\s*[-+]\s*&?\$?\w+)*", text):
        raise error(f"{expression[:60]!r} is no address: write a number, a symbol or $sp, "
                    "with + or - between")
    for word in re.findall(r"[-+]|&?\$?\w+", text):
        if word in "+-":
            sign = 1 if word == "+" else -1
        else:
            total += sign * evaluate(word)
    return Value(total & WORD)


def evaluate(word):
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", word):
        return int(word, 0) if word[:2] in ("0x", "0X") else int(word)
    if word.startswith("$"):
        try:
            return int(newest_frame().read_register(word[1:]) if word != "$pc" else
                       newest_frame().pc())
        except ValueError:
            raise error(f"No register {word}: $pc, $sp and $satp are known") from None
    address = word.startswith("&")
    found = State.dwarf.variable(word.lstrip("&"))
    if found and not address and found[1].code not in ("array", "struct"):
        return int(Value(found[1], address=found[0]))
    place = State.dwarf.addresses.get(word.lstrip("&"))
    if place is None:
        raise error(f'No symbol "{word.lstrip("&")}" in current context')
    return place
