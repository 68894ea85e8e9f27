# SPDX-License-Identifier: MIT
"""What every command needs: the kernel's variables, types, constants and memory; clear errors.

Names and offsets come from the symbols and the DWARF of the kernel, which a program's symbols never
hide.  The numbers of the memory map, which DWARF lacks, come from the header that defines them.
"""

import functools
import re
from pathlib import Path

import gdb

TOP = Path(__file__).resolve().parents[2]
WORD = (1 << 64) - 1
ERRORS = (gdb.error, gdb.GdbError)
FRAMES = 32  # in which a name is looked for


class Command(gdb.Command):
    """A command of ours: its first line of help says what it does, and each error is one sentence.

    A subclass has a name, the usage of its arguments, and run(argument)."""

    name, usage, aliases, hidden = "", "", (), False
    kind = gdb.COMMAND_DATA
    every = []

    def __init__(self):
        super().__init__(self.name, self.kind)
        for alias in self.aliases:
            gdb.execute(f"alias {alias} = {self.name}")
        if not self.hidden:
            self.every.append(self)

    def invoke(self, argument, _from_tty):
        try:
            self.run(argument.strip())
        except gdb.GdbError:
            raise
        except KeyboardInterrupt:
            raise gdb.GdbError(f"{self.name}: stopped by ^C.") from None
        except gdb.MemoryError as error:
            raise gdb.GdbError(f"{self.name}: {str(error).rstrip('.')}: nothing that this hart can "
                               "read is there (`ptwalk` shows why).") from None
        except gdb.error as error:
            if not is_there():
                raise gdb.GdbError(GONE) from None
            raise gdb.GdbError(f"{self.name}: {str(error).rstrip('.')}.") from None
        except Exception as error:  # pylint: disable=broad-except  # a mistake of ours
            place = error.__traceback__
            while place.tb_next:
                place = place.tb_next
            raise gdb.GdbError(
                f"{self.name}: this command has a mistake, or the kernel's memory is damaged: "
                f"{type(error).__name__}: {error} (line {place.tb_lineno} of "
                f"{Path(place.tb_frame.f_code.co_filename).name}).") from None

    def wrong(self):
        """The error for arguments that are none."""
        return gdb.GdbError(f"Usage: {self.name} {self.usage}".rstrip() + ".")

    def no_argument(self, argument):
        if argument:
            raise self.wrong()

    def run(self, argument):
        raise NotImplementedError


def say(text=""):
    gdb.write(text + "\n")


# --- the machine ---------------------------------------------------------------------------------

ANOTHER = "`quit`, then `make gdb`, boots another machine."
BOOT_ON = "`tbreak thread_idle` and `continue` let it boot until it has its first process"
GONE = f"There is no machine: it has ended, or the connection is lost.  {ANOTHER}"


def is_there():
    thread = gdb.selected_thread()
    return bool(thread and thread.is_valid())


def need_machine():
    """Refuse to go on unless a machine is there, and stands still."""
    pages.clear()
    if not is_there():
        raise gdb.GdbError(GONE)
    if gdb.selected_thread().is_running():
        raise gdb.GdbError("The machine runs: stop it first, by ^C or `interrupt`.")


def need_kernel():
    """Refuse to go on unless the kernel's memory can be read."""
    need_machine()
    if not gdb.current_progspace().filename:
        raise gdb.GdbError("GDB has no kernel: `file build/kernel` first.")
    if not register("satp") >> 60:
        raise gdb.GdbError("This hart has not turned on paging yet, so GDB sees no kernel there: "
                           "choose another hart (`info threads`, `thread 1`), or `continue`."
                           if has_started() else "The kernel has not started yet: `start` lets it "
                           f"boot up to boot_main; {BOOT_ON}.")


def has_started():
    """Whether the kernel has come to its C: on its first hart, which has turned on paging."""
    for thread in gdb.selected_inferior().threads():
        with on_thread(thread):
            if register("satp") >> 60:
                return True
    return False


def register(name):
    """The register of the selected hart as it is now, whatever frame is selected."""
    try:
        return int(gdb.newest_frame().read_register(name)) & WORD
    except ValueError:
        raise gdb.GdbError(f"This QEMU shows GDB no register {name}: a newer one does.") from None


class on_thread:  # pylint: disable=invalid-name  # reads as a statement
    """With another of GDB's threads, which are harts, selected."""

    def __init__(self, thread):
        self.thread = thread

    def __enter__(self):
        self.before, self.frame = gdb.selected_thread(), gdb.selected_frame()
        if self.thread != self.before:
            self.thread.switch()

    def __exit__(self, *_):
        if gdb.selected_thread() != self.before:
            self.before.switch()
        if self.frame.is_valid() and gdb.selected_frame() != self.frame:
            self.frame.select()


# --- names ---------------------------------------------------------------------------------------

def objfile():
    name = gdb.current_progspace().filename
    return next(file for file in gdb.objfiles() if file.filename == name)


def symbol(name, domain=gdb.SYMBOL_VAR_DOMAIN):
    file = objfile()
    domains = [domain]
    if domain == gdb.SYMBOL_VAR_DOMAIN:  # from GDB 16 on functions have one of their own
        domains.append(getattr(gdb, "SYMBOL_FUNCTION_DOMAIN", domain))
    found = next(filter(None, (look(name, one) for one in domains for look in
                               (file.lookup_global_symbol, file.lookup_static_symbol))), None)
    if not found:
        raise gdb.GdbError(f"This kernel has no {name}.")
    return found


def variable(name):
    value = symbol(name).value()
    value.fetch_lazy()
    return value


def struct(name):
    return symbol(name, gdb.SYMBOL_STRUCT_DOMAIN).type.strip_typedefs()


def function(name):
    """The address of a function."""
    return int(symbol(name).value().address)


def enum_name(value, enum, prefix):
    """The name of an enumerator, without its prefix, in small letters."""
    for field in struct(enum).fields():
        if field.enumval == int(value):
            return field.name[len(prefix):].lower().replace("_", "-")
    return str(int(value))


def offset(type_, name):
    """Bytes from the start of a struct to its field."""
    return next(field.bitpos // 8 for field in type_.fields() if field.name == name)


@functools.lru_cache(maxsize=None)
def constants(path):
    """The numbers that a header of the kernel defines."""
    found = {}
    for name, value in re.findall(r"^#define (\w+) +([^\n/]+?) *(?://.*)?$",
                                  (TOP / path).read_text(), re.MULTILINE):
        value = re.sub(r"LAYOUT_UL|(?<=\d)UL\b|(?<=[\da-fA-F])UL\b", "", value)
        try:
            found[name] = eval(value, {"__builtins__": {}}, found)  # pylint: disable=eval-used
        except (NameError, SyntaxError, TypeError):
            pass  # no number
    return found


def layout(name):
    """A number of the memory map."""
    return constants("vm/layout.h")[name]


# --- memory --------------------------------------------------------------------------------------

pages = {}  # of the kernel half, as read by the command that runs: the machine stands still


def read(address, size):
    """Return bytes of memory.  Those of the kernel half are read a page at a time."""
    address &= WORD
    page = layout("PAGE_SIZE")
    if address < layout("USER_END") or address % page + size > page:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    start = address - address % page
    if start not in pages:
        pages[start] = bytes(gdb.selected_inferior().read_memory(start, page))
    return pages[start][address - start:][:size]


def words(address, count):
    data = read(address, 8 * count)
    return [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data), 8)]


def at(address, type_):
    """What stands at an address, as a value of that type, read at once."""
    value = gdb.Value(address & WORD).cast(type_.pointer()).dereference()
    value.fetch_lazy()
    return value


def text(array):
    return array.string(errors="replace")


def linked(head, type_, field):
    """Iterate over what a list links by that field."""
    node, seen = head["next"], 0
    while node != head.address:
        yield at(int(node) - offset(type_, field), type_)
        node, seen = node["next"], seen + 1
        if seen > 1 << 20:
            raise gdb.GdbError("A list of the kernel has no end: its memory is damaged.")


def other_frame(error):
    """What to add where GDB knows no such name: how a function that runs has it."""
    match = re.match(r'No symbol "(\w+)" in current context', error)
    frame = gdb.newest_frame() if match else None
    for _ in range(FRAMES):
        if not frame:
            break
        try:
            frame.read_var(match[1])
            return f": it is {frame.name()}::{match[1]}"
        except (ValueError, *ERRORS):
            frame = frame.older()
    return ""


def address_of(expression):
    """The number that an expression of the user's stands for; of a function or an array, where."""
    if not expression:
        raise gdb.GdbError("An address is missing, such as $sp or &harts.")
    try:
        value = gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise gdb.GdbError(f"{str(error).rstrip('.')}{other_frame(str(error))}.") from None
    if value.type.code == gdb.TYPE_CODE_VOID:
        raise gdb.GdbError(f"{expression} has no value.")
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY,
                                            gdb.TYPE_CODE_STRUCT):
        value = value.address
    return int(value.cast(gdb.lookup_type("unsigned long"))) & WORD
