# SPDX-License-Identifier: MIT
"""The kernel's types, variables, functions and lines, from its ELF file and DWARF (pyelftools).

What is asked for first is looked for first: most of the file is never parsed.
"""

import bisect
import functools
import struct

from elftools.dwarf.descriptions import describe_form_class
from elftools.elf.elffile import ELFFile

TRANSPARENT = {"DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type",
               "DW_TAG_restrict_type", "DW_TAG_atomic_type"}
KINDS = {"DW_TAG_structure_type": "struct", "DW_TAG_union_type": "struct",
         "DW_TAG_enumeration_type": "enum", "DW_TAG_pointer_type": "pointer",
         "DW_TAG_array_type": "array", "DW_TAG_subroutine_type": "function",
         "DW_TAG_base_type": "base"}
DW_ATE_BOOLEAN, DW_ATE_SIGNED, DW_ATE_SIGNED_CHAR = 2, 5, 6
DW_OP_ADDR = 3
CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def text(die, name="DW_AT_name"):
    value = die.attributes.get(name)
    return value.value.decode() if value else None


def number(die, name, default=0):
    value = die.attributes.get(name)
    return value.value if value else default


class Field:
    """A field of a struct, or an enumerator."""

    def __init__(self, name, type_=None, offset=0, enumval=None):
        self.name, self.type, self.bitpos, self.enumval = name, type_, 8 * offset, enumval


class Type:
    def __init__(self, kind, sizeof, die=None, dwarf=None, target=None):
        self.code, self.sizeof = kind, sizeof
        self.die, self.dwarf, self._target = die, dwarf, target
        encoding = number(die, "DW_AT_encoding") if die else 0
        self.signed = encoding in (DW_ATE_SIGNED, DW_ATE_SIGNED_CHAR)
        self.boolean = encoding == DW_ATE_BOOLEAN

    def strip_typedefs(self):
        return self  # typedefs are gone when a type is made

    @functools.cached_property
    def target(self):
        """What a pointer points to, or the element of an array."""
        return self._target or self.dwarf.type_of(self.die)

    @functools.cached_property
    def count(self):
        for child in self.die.iter_children():
            if "DW_AT_upper_bound" in child.attributes:
                return child.attributes["DW_AT_upper_bound"].value + 1
            if "DW_AT_count" in child.attributes:
                return child.attributes["DW_AT_count"].value
        return 0

    @functools.cached_property
    def by_name(self):
        found = {}
        for child in self.die.iter_children():
            name = text(child)
            if child.tag == "DW_TAG_enumerator":
                found[name] = Field(name, enumval=number(child, "DW_AT_const_value"))
            elif child.tag == "DW_TAG_member":
                at = number(child, "DW_AT_data_member_location")
                type_ = self.dwarf.type_of(child)
                if name:
                    found[name] = Field(name, type_, at)
                else:  # an unnamed struct or union: its fields are this one's
                    found.update({f.name: Field(f.name, f.type, at + f.bitpos // 8)
                                  for f in type_.fields()})
        return found

    def fields(self):
        return list(self.by_name.values())

    def offset(self, name):
        return self.by_name[name].bitpos // 8

    def pointer(self):
        return Type("pointer", 8, dwarf=self.dwarf, target=self)

    def record(self, *names):
        """Return a struct.Struct that takes these fields out of one, and their order."""
        order = sorted(names, key=self.offset)
        parts, at = "<", 0
        for name in order:
            field = self.by_name[name]
            size = field.type.sizeof
            code = CODES.get(size, f"{size}s") if field.type.code != "array" else f"{size}s"
            code = code.lower() if field.type.signed and len(code) == 1 else code
            parts += f"{self.offset(name) - at}x{code}"
            at = self.offset(name) + size
        return struct.Struct(parts), order


VOID = Type("void", 1)


class Dwarf:
    def __init__(self, path):
        self.path = str(path)
        self.file = open(path, "rb")  # pylint: disable=consider-using-with  # lines are read later
        self.elf = ELFFile(self.file)
        self.info = self.elf.get_dwarf_info()
        self.units = self.info.iter_CUs()
        self.found = {}  # top-level entries by (kind, name), of the units looked at
        self.types = {}  # by the place of their entry
        sections = list(self.elf.iter_sections())
        self.symbols = sorted(
            ((s["st_value"], s["st_size"], s.name, sections[s["st_shndx"]].name)
             for s in self.elf.get_section_by_name(".symtab").iter_symbols()
             if s.name and isinstance(s["st_shndx"], int) and s["st_info"]["type"] != "STT_FILE"),
            key=lambda symbol: (symbol[0], symbol[1] == 0))
        self.sections = [(s["sh_addr"], s["sh_addr"] + s["sh_size"], s.name)
                         for s in sections if s["sh_flags"] & 2]
        self.addresses = {name: value for value, _, name, _ in reversed(self.symbols)}
        self.starts = [value for value, *_ in self.symbols]
        self.lines = {}

    # --- entries -------------------------------------------------------------------------------

    def look_up(self, kind, name):
        """Return the top-level entry of that kind ("type", "variable", "function"), or None."""
        while (kind, name) not in self.found:
            unit = next(self.units, None)
            if unit is None:
                return None
            self.take(unit)
        return self.found[kind, name]

    def take(self, unit):
        for die in unit.iter_DIE_children(unit.get_top_DIE()):
            kind = {"DW_TAG_variable": "variable", "DW_TAG_subprogram": "function",
                    "DW_TAG_structure_type": "type", "DW_TAG_union_type": "type",
                    "DW_TAG_enumeration_type": "type", "DW_TAG_base_type": "base"}.get(die.tag)
            if not kind or "DW_AT_declaration" in die.attributes:
                continue
            origin = die
            if "DW_AT_specification" in die.attributes:
                origin = die.get_DIE_from_attribute("DW_AT_specification")
            name = text(origin)
            if kind == "variable" and "DW_AT_location" not in die.attributes:
                continue
            if name:
                self.found.setdefault((kind, name), die)

    def type_of(self, die):
        if "DW_AT_specification" in die.attributes and "DW_AT_type" not in die.attributes:
            die = die.get_DIE_from_attribute("DW_AT_specification")
        if "DW_AT_type" not in die.attributes:
            return VOID
        return self.make(die.get_DIE_from_attribute("DW_AT_type"))

    def make(self, die):
        if die.offset in self.types:
            return self.types[die.offset]
        if die.tag in TRANSPARENT:
            made = self.type_of(die)
        elif "DW_AT_declaration" in die.attributes and text(die):
            made = self.struct(text(die)) or VOID
        else:
            kind = KINDS.get(die.tag, "void")
            made = Type(kind, number(die, "DW_AT_byte_size", 8 if kind == "pointer" else 1), die,
                        self)
            if kind == "array":
                made.sizeof = made.count * made.target.sizeof
        self.types[die.offset] = made
        return made

    # --- what has a name -------------------------------------------------------------------------

    def struct(self, name):
        """The type called struct, union or enum NAME, or None."""
        die = self.look_up("type", name)
        return self.make(die) if die else None

    def variable(self, name):
        """(address, type), or None."""
        die = self.look_up("variable", name)
        if not die:
            return None
        location = die.attributes["DW_AT_location"]
        if describe_form_class(location.form) not in ("exprloc", "block") or \
                location.value[0] != DW_OP_ADDR:
            return None
        return int.from_bytes(bytes(location.value[1:9]), "little"), self.type_of(die)

    def function(self, name):
        """The address of a function, or None; None is also what has no symbol."""
        return self.addresses.get(name)

    def enum_names(self, name, prefix):
        """{value: name without its prefix, in small letters}."""
        return {f.enumval: f.name[len(prefix):].lower().replace("_", "-")
                for f in self.struct(name).fields()}

    # --- addresses -------------------------------------------------------------------------------

    def symbol_at(self, address):
        """(name, bytes past it, section) of what is linked at an address, or None."""
        section = next((name for start, end, name in self.sections if start <= address < end), None)
        if not section:
            return None
        at = bisect.bisect_right(self.starts, address) - 1
        while at > 0 and self.symbols[at][3] == section and \
                self.symbols[at - 1][0] == self.symbols[at][0]:
            at -= 1
        if at < 0 or self.symbols[at][3] != section:
            return None
        value, _, name, _ = self.symbols[at]
        return name, address - value, section

    def line_at(self, address):
        """(file, line) of an instruction, or None."""
        for unit in self.info.iter_CUs():
            top = unit.get_top_DIE()
            if not self.covers(top, address):
                continue
            if unit.cu_offset not in self.lines:
                self.lines[unit.cu_offset] = self.read_lines(unit)
            rows, names = self.lines[unit.cu_offset]
            at = bisect.bisect_right(rows, (address, 1 << 60, 1 << 60)) - 1
            if at >= 0:
                return names.get(rows[at][1], text(top)), rows[at][2]
        return None

    def covers(self, top, address):
        low = top.attributes.get("DW_AT_low_pc")
        high = top.attributes.get("DW_AT_high_pc")
        if low and high:
            end = high.value if high.form == "DW_FORM_addr" else low.value + high.value
            return low.value <= address < end
        if "DW_AT_ranges" not in top.attributes:
            return False
        base = low.value if low else 0
        for entry in self.info.range_lists().get_range_list_at_offset(
                top.attributes["DW_AT_ranges"].value):
            if hasattr(entry, "base_address"):
                base = entry.base_address
            elif base + entry.begin_offset <= address < base + entry.end_offset:
                return True
        return False

    def read_lines(self, unit):
        program = self.info.line_program_for_CU(unit)
        rows = sorted((e.state.address, e.state.file, e.state.line)
                      for e in program.get_entries() if e.state and not e.state.end_sequence)
        folders = [f.decode() for f in program["include_directory"]]
        names = {}
        for i, entry in enumerate(program["file_entry"], 1):
            folder = folders[entry.dir_index - 1] + "/" if entry.dir_index else ""
            names[i] = folder + entry.name.decode()
        return rows, names
