# SPDX-License-Identifier: MIT
"""What lies at an address of the kernel: which variable, which field, whose allocation.

Variables and types come from the kernel's DWARF.  What was allocated is seen in a trace of memory
accesses: the allocator touches the object that it hands out, and its caller goes on.
"""

import bisect
import io
import pathlib
import sys

from elftools.elf.elffile import ELFFile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'grade'))

import machine  # noqa: E402
from machine import IMAGE_BASE, IMAGE_PA, PAGE, RAM  # noqa: E402

DIRECT, DIRECT_END = machine.DIRECT
STACKS, STACKS_END = machine.WINDOW
STATE_RESERVED, STATE_SLAB = 0, 4  # enum page_state
OBJECT_MIN, OBJECT_MAX = 32, 2048  # kmalloc
OPERATION_ADDRESS = 3  # DW_OP_addr


class Types:
    """The variables of the kernel image and the types of the kernel, read when asked for."""

    def __init__(self, elf):
        self.structs, self.variables, self.functions = {}, {}, {}
        for unit in elf.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                self.enter(die)

    def enter(self, die):
        attributes = die.attributes
        name = attributes.get('DW_AT_name')
        if die.tag == 'DW_TAG_structure_type' and name and 'DW_AT_byte_size' in attributes:
            self.structs.setdefault(name.value.decode(), die)
        elif die.tag == 'DW_TAG_subprogram' and 'DW_AT_low_pc' in attributes:
            if not name and 'DW_AT_abstract_origin' in attributes:
                name = die.get_DIE_from_attribute('DW_AT_abstract_origin').attributes['DW_AT_name']
            if name:
                self.functions[name.value.decode()] = die
        elif die.tag == 'DW_TAG_variable' and 'DW_AT_location' in attributes:
            where = attributes['DW_AT_location'].value
            if 'DW_AT_specification' in attributes:  # a header has declared it
                die = die.get_DIE_from_attribute('DW_AT_specification')
            if where and where[0] == OPERATION_ADDRESS:
                self.variables[int.from_bytes(bytes(where[1:9]), 'little')] = die

    def of(self, die):
        """Return the type of a variable or of what an array has, without typedefs and the like."""
        while 'DW_AT_type' in die.attributes:
            die = die.get_DIE_from_attribute('DW_AT_type')
            if die.tag not in ('DW_TAG_typedef', 'DW_TAG_const_type', 'DW_TAG_volatile_type'):
                break
        else:
            return None
        name = die.attributes.get('DW_AT_name')
        if die.tag == 'DW_TAG_structure_type' and 'DW_AT_declaration' in die.attributes and name:
            die = self.structs.get(name.value.decode(), die)
        return die

    def name(self, die):
        name = die.attributes.get('DW_AT_name')
        return name.value.decode() if name else ''

    def size(self, die):
        if die is None:
            return 0
        if die.tag == 'DW_TAG_array_type':
            return self.count(die) * self.size(self.of(die))
        if die.tag == 'DW_TAG_pointer_type':
            return 8
        size = die.attributes.get('DW_AT_byte_size')
        return size.value if size else 0

    def count(self, array):
        bounds = [d.attributes.get('DW_AT_upper_bound') for d in array.iter_children()]
        n = 1
        for bound in bounds:
            n *= bound.value + 1 if bound else 1
        return n

    def members(self, die):
        for member in die.iter_children():
            at = member.attributes.get('DW_AT_data_member_location')
            if member.tag == 'DW_TAG_member':
                yield self.name(member), at.value if at else 0, self.of(member)

    def field(self, die, offset):
        """Return the path to what is at offset within a type: `.lock.owner`, `[3]`."""
        if die is None:
            return ''
        if die.tag == 'DW_TAG_array_type':
            element = self.of(die)
            size = self.size(element)
            if not size:
                return ''
            return f'[{offset // size}]' + self.field(element, offset % size)
        if die.tag != 'DW_TAG_structure_type':
            return ''
        for name, at, kind in self.members(die):
            if at <= offset < at + max(1, self.size(kind)):
                return (f'.{name}' if name else '') + self.field(kind, offset - at)
        return ''

    def made_by(self, function, size):
        """Return the struct for which a function allocates size bytes: it has a pointer to one."""
        die = self.functions.get(function)
        if not die:
            return None
        for child in die.iter_children():
            if 'DW_AT_abstract_origin' in child.attributes and child.tag in (
                    'DW_TAG_variable', 'DW_TAG_formal_parameter'):
                child = child.get_DIE_from_attribute('DW_AT_abstract_origin')
            if child.tag not in ('DW_TAG_variable', 'DW_TAG_formal_parameter'):
                continue
            kind = self.of(child)
            while kind is not None and kind.tag == 'DW_TAG_pointer_type':
                kind = self.of(kind)
            if kind is not None and kind.tag == 'DW_TAG_structure_type' and \
                    size // 2 < max(OBJECT_MIN, self.size(kind)) <= size:
                return kind
        return None


class Objects:
    """What is where.  ram is the machine's memory as it was left."""

    def __init__(self, path, ram):
        self.ram = ram
        with open(path, 'rb') as file:
            elf = ELFFile(io.BytesIO(file.read()))  # types are read later
        self.types = Types(elf)
        self.symbols = sorted((s['st_value'], s['st_size'], s.name) for s in
                              elf.get_section_by_name('.symtab').iter_symbols()
                              if s['st_info']['type'] == 'STT_OBJECT' or s.name.startswith('.LC'))
        self.starts = [s[0] for s in self.symbols]
        frames = next(start for start, _, name in self.symbols if name == 'frames')
        self.page_structs, self.first, self.count = (self.word(frames + i) for i in (0, 8, 16))
        page = self.types.structs['page']
        self.page_size = self.types.size(page)
        fields = {name: at for name, at, _ in self.types.members(page)}
        self.state, self.slab_class = fields['state'], fields['class']
        self.tables = sorted(self.find_tables(), key=lambda table: table[0])

    def word(self, address):
        """Read eight bytes of the image or of the direct map."""
        pa = address - IMAGE_BASE + IMAGE_PA if address >= IMAGE_BASE else address - DIRECT
        return int.from_bytes(self.ram[pa - RAM:pa - RAM + 8], 'little')

    def find_tables(self):
        """Yield (address, name, type) of what pointers in variables lead to, outside the image:
        tables that the boot has allocated."""
        for at, die in self.types.variables.items():
            kind, name = self.types.of(die), self.types.name(die)
            places = [(name, 0, kind)]
            if kind is not None and kind.tag == 'DW_TAG_structure_type':
                places = [(f'{name}.{n}', o, k) for n, o, k in self.types.members(kind)]
            for label, offset, pointer in places:
                if pointer is not None and pointer.tag == 'DW_TAG_pointer_type':
                    target, to = self.word(at + offset), self.types.of(pointer)
                    element = to is not None and self.types.name(to) != 'list'  # a head is no table
                    if DIRECT <= target < IMAGE_BASE and element and self.types.size(to):
                        yield target, label, to

    def page_struct(self, address):
        """Return the address of the struct page of an address of the direct map, or None."""
        index = (address - DIRECT) // PAGE - self.first
        return self.page_structs + index * self.page_size if 0 <= index < self.count else None

    def page_of_struct(self, address):
        """Return the page whose struct is there, or None."""
        index = (address - self.page_structs) // self.page_size
        return DIRECT + (self.first + index) * PAGE if 0 <= index < self.count else None

    def in_page_structs(self, address):
        return 0 <= address - self.page_structs < self.count * self.page_size

    def allocation(self, address):
        """Return (its address, its size) if that is in an allocation, else None."""
        struct = self.page_struct(address) if DIRECT <= address < DIRECT_END else None
        if not struct or self.word(struct + self.state) & 0xFF == STATE_RESERVED:
            return None
        slab = self.word(struct + self.state) & 0xFF == STATE_SLAB
        size = OBJECT_MIN << (self.word(struct + self.slab_class) & 0xFF) if slab else PAGE
        return address & -size, size

    def name(self, address, maker=None):
        """Return what is there: (object, field), the latter maybe empty.  maker: the function that
        has allocated it."""
        if address >= IMAGE_BASE:
            return self.variable(address)
        if STACKS <= address < STACKS_END:
            return 'kernel stack', ''
        found = self.allocation(address)
        return self.allocated(address, *found, maker) if found else self.table(address)

    def variable(self, address):
        i = bisect.bisect_right(self.starts, address) - 1
        start, size, name = self.symbols[i] if i >= 0 else (0, 0, '')
        if not start <= address < start + max(size, 1):
            return 'image', f'{address:#x}'
        name = name.split('.')[0] or 'constant'  # of a static in a function; clang's have none
        die = self.types.variables.get(start)
        return name, self.types.field(self.types.of(die), address - start) if die else ''

    def table(self, address):
        i = bisect.bisect_right(self.tables, address, key=lambda table: table[0]) - 1
        if i < 0:
            return 'memory of the boot', ''
        start, name, kind = self.tables[i]
        index, offset = divmod(address - start, self.types.size(kind))
        return f'{name}[]', self.types.field(kind, offset)

    def allocated(self, address, start, size, maker):
        kind = self.types.made_by(maker, size) if maker and size < PAGE else None
        if kind is not None:
            return f'struct {self.types.name(kind)}', self.types.field(kind, address - start)
        what = 'page' if size == PAGE else f'{size} bytes'
        return f'{what} of {maker}()' if maker else what, ''
