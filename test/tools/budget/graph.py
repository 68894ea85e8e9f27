# SPDX-License-Identifier: MIT
"""Who calls whom in the kernel, and how large each frame is: from what gcc says of each source
(-fcallgraph-info=su, -aux-info), from the objects, and from the table test/tools/budget/calls.

What gcc says is compared with the objects: a call in an object that gcc did not tell of is an
error.  So is a pointer that is called and that the table does not know, and a function whose
address is taken and that no line of the table mentions.
"""

import collections
import pathlib
import re
import subprocess

TABLE = 'test/tools/budget/calls'
POINTER = '__indirect_call'  # gcc's name for whatever a pointer may point to
NO_KERNEL = 'kern/provoke/'  # it breaks stacks on request: no budget holds for it
CONSTRUCTOR = '_sub_'  # what gcc makes of KASAN=y for the globals of a source, and says nothing of
MOVED = r'\taddi?\tsp,sp,(-?\d+)$'


class Wrong(Exception):
    """What is wrong, in words."""


class Function:
    def __init__(self, name, source, frame):
        self.name, self.source, self.frame = name, source, frame
        self.calls = set()
        self.pointers = []  # where it calls one: 'file:line'
        self.prototype = None

    @property
    def label(self):
        """The name in the source, also of a part or a variant that gcc has made of it."""
        return re.sub(r'(\.(part|isra|constprop|cold)\b.*)?$', '', self.name.split(':')[-1])


class Table:
    """The lines of test/tools/budget/calls; the file itself says what they mean."""

    def __init__(self, path=TABLE):
        self.pointers = collections.OrderedDict()  # (source, expression): callees or a prototype
        self.assembly = {}  # source: (how often it sets sp, what it enters)
        self.recursion = {}  # function: how often it may be on a stack
        text = re.sub(r'\n[ \t]+', ' ', pathlib.Path(path).read_text())
        for line in text.split('\n'):
            if line.startswith('#') or not line:
                continue
            try:
                kind, rest = line.split(None, 1)
                getattr(self, f'read_{kind}')(rest)
            except (AttributeError, ValueError):
                raise Wrong(f'{path}: not a line that it may have: {line}') from None

    def read_pointer(self, line):
        source, expression, callees = re.fullmatch(r'(\S+)\s+(\S.*?\(\))\s*=\s*(.+)', line).groups()
        self.pointers[source, expression[:-1]] = callees

    def read_assembly(self, line):
        source, number, *enters = line.split()
        self.assembly[source] = int(number), set(enters)

    def read_recursion(self, line):
        name, number, _ = line.split(None, 2)
        self.recursion[name] = int(number)


def records(path, text):
    """Yield the nodes and edges of a file that gcc wrote, as (kind, fields)."""
    lines = text.split('\n')
    if not lines[0].startswith('graph: {') or '}' not in lines:
        raise Wrong(f'{path} is no whole call graph: remove it, and make it again')
    for line in lines[1:lines.index('}')]:
        match = re.fullmatch(r'(node|edge): \{ (.*) \}', line)
        if not match:
            raise Wrong(f'{path} has a line that is not of a call graph: {line}')
        yield match[1], dict(re.findall(r'(\w+): "((?:[^"\\]|\\.)*)"', match[2]))


def prototype_of(declaration):
    """Return 'int64 (uva_t, uint64)' of 'static int64 f (uva_t a, uint64 b)', or None."""
    match = re.fullmatch(r'(?:static |extern )?(.+?) (\**)\w+ \(([^()]*)\)', declaration)
    if not match:
        return None
    parameters = [re.sub(r' ?\w+(\[\])?$', '', p) if ' ' in p else p for p in match[3].split(', ')]
    return f'{match[1]} {match[2]}({", ".join(parameters)})'


class Kernel:
    """The call graph: functions by name.  The name of a static one begins with its source."""

    def __init__(self, objdump, build, sources, table):
        self.table = table
        self.functions = {}
        self.taken = {}  # function whose address is taken: where
        self.assembly = {}  # source: ([instructions that set sp], {what it calls})
        self.used = set()
        for source in sources:
            if source.endswith('.c'):
                self.read_graph(f'{build}/{source}.ci', source)
        outside = {n for n, f in self.functions.items() if f.source.startswith(NO_KERNEL)}
        self.functions = {n: f for n, f in self.functions.items() if n not in outside}
        self.sources = sources = [s for s in sources if not s.startswith(NO_KERNEL)]
        self.compare([f'{build}/{s}.o' for s in sources], build, objdump)
        self.resolve_pointers(outside)
        self.check_table()

    def named(self, name, source=None):
        """Return the function that is called so in source."""
        return self.functions.get(f'{source}:{name}') or self.functions.get(name)

    # --- what gcc says ---------------------------------------------------------------------------

    def read_graph(self, path, source):
        text = pathlib.Path(path).read_text()
        for kind, fields in records(path, text):
            if kind == 'node':
                self.read_node(path, source, fields)
        for kind, fields in records(path, text):
            if kind == 'edge':
                caller = self.functions.get(fields.get('sourcename'))
                if not caller or 'targetname' not in fields:
                    raise Wrong(f'{path} has a call of nobody: {fields}')
                if fields['targetname'] != POINTER:
                    caller.calls.add(fields['targetname'])
                elif 'label' in fields:
                    caller.pointers.append(fields['label'].rsplit(':', 1)[0])
                else:
                    raise Wrong(f'{path}: a pointer is called in {caller.name}, and gcc says not '
                                'where')
        for match in re.finditer(r'^/\* \S+:N[FC] \*/ (.*?(\w+) \([^()]*\));', text, re.MULTILINE):
            function = self.named(match[2], source)
            if function:
                function.prototype = prototype_of(match[1])

    def read_node(self, path, source, fields):
        size = re.search(r'\\n(\d+) bytes \(([a-z,]+)\)', fields.get('label', ''))
        if not size:
            return  # it is elsewhere
        name = fields['title']
        if size[2] != 'static':
            raise Wrong(f'{path}: the frame of {name} has no fixed size ({size[2]})')
        if name in self.functions:
            raise Wrong(f'{name} is both in {self.functions[name].source} and in {source}')
        self.functions[name] = Function(name, source, int(size[1]))

    # --- what the objects say --------------------------------------------------------------------

    def compare(self, objects, build, objdump):
        output = subprocess.run([objdump, '-drt', *objects],
                                check=True, stdout=subprocess.PIPE).stdout.decode()
        for part in re.split(r'\n(?=\S+:     file format)', output):
            found = re.search(rf'^{re.escape(build)}/(\S+)\.o:     file format', part, re.MULTILINE)
            if found and found[1].endswith('.c'):
                self.compare_object(found[1], part)
            elif found:
                self.read_assembly(found[1], part)
        output = subprocess.run([objdump, '-r', *objects], check=True,
                                stdout=subprocess.PIPE).stdout.decode()
        section = source = ''
        for line in output.split('\n'):
            if ':     file format' in line:
                source = line.split(':')[0][len(build) + 1:-2]
            elif line.startswith('RELOCATION RECORDS FOR'):
                section = line.split('[')[1][:-2]
            elif ' R_RISCV_' in line and not section.startswith('.debug'):
                kind, name = line.split()[1:3]
                function = self.named(name.split('+')[0], source)
                if function and not re.search('_(CALL|CALL_PLT|JAL|BRANCH)$', kind):
                    self.taken.setdefault(function.name, source)

    def compare_object(self, source, text):
        function, call = None, False
        for line in text.split('\n'):
            label = re.match(r'[0-9a-f]+ <([^.>]\S*)>:$', line)
            target = re.search(r'R_RISCV_(?:CALL|CALL_PLT|JAL)\s+([^\s+]+)', line)
            moved = re.search(MOVED, line)
            instruction = re.match(r' *[0-9a-f]+:\t([0-9a-f]{8}) +\t', line)
            if label:
                function = self.named(label[1], source)
                if not function and label[1].startswith(CONSTRUCTOR):
                    name = f'{source}:{label[1]}'
                    function = self.functions[name] = Function(name, source, 0)
                elif not function:
                    raise Wrong(f'{source}: gcc says nothing of {label[1]}, which its object has')
            elif function and function.label.startswith(CONSTRUCTOR):
                function.frame += max(0, -int(moved[1])) if moved else 0
                function.calls |= {target[1]} if target else set()
            elif target and not target[1].startswith('.L'):
                call = True
                callee = self.named(target[1], source)
                if (callee.name if callee else target[1]) not in function.calls:
                    raise Wrong(f'{source}: {function.name} calls {target[1]}, of which gcc says '
                                'nothing; in asm() no call can be seen')
            elif instruction:
                if int(instruction[1], 16) & 0xfff == 0xe7 and not call and not function.pointers:
                    raise Wrong(f'{source}: {function.name} calls a pointer, of which gcc says '
                                'nothing; in asm() no call can be seen')
                call = call and int(instruction[1], 16) & 0x7f == 0x17  # auipc; then comes jalr

    def read_assembly(self, source, text):
        """Enter the functions of an assembly source: each with what it takes from sp, and what it
        calls or runs into, unless sp is set here: then what is entered is a way in."""
        sets, calls, function, last = [], set(), None, ''
        own, names = set(), {}  # the global ones by address, of which one may have several
        for place, scope, name in re.findall(
                r'^([0-9a-f]+) ([gl]).{6} \.text\S*\t\S+ (?:\.hidden )?(\S+)$', text, re.MULTILINE):
            own.add(name)
            if scope == 'g':
                names.setdefault(place, []).append(name)
        for line in text.split('\n'):
            label = re.match(r'[0-9a-f]+ <([^.>]\S*)>:$', line)
            target = re.search(r'R_RISCV_(?:CALL|CALL_PLT|JAL)\s+([^\s+]+)', line)
            moved = re.search(MOVED, line)
            if label and line[:16] in names:
                if function and not re.search(r'\t(ret|unimp|j|jr|jalr\tzero)\b', last):
                    function.calls.add(label[1])
                function = Function(label[1], source, 0)
                self.functions.update({n: function for n in names[line[:16]]})
            elif target and target[1] not in own and not target[1].startswith('.L'):
                calls.add(target[1])
                function.calls.add(target[1])
            elif moved:
                function.frame += max(0, -int(moved[1]))
            elif re.search(r'\t(?!s[bhwd]\t|b)[a-z.]+\tsp,', line):
                sets.append(line.split('\t', 2)[-1].replace('\t', ' '))
            last = line if '\t' in line and not target else last
        if sets:
            for name in own & set(self.functions):
                self.functions[name].calls.clear()
        self.assembly[source] = sets, calls

    # --- the table -------------------------------------------------------------------------------

    def resolve_pointers(self, outside):
        for function in self.functions.values():
            for where in function.pointers:
                function.calls |= self.callees(function, where)
        for function in self.functions.values():
            for name in function.calls:
                if name not in self.functions and name not in outside:
                    raise Wrong(f'{function.source}: {function.label} calls {name}, which no '
                                'object of the kernel has')
            function.calls -= outside

    def callees(self, function, where):
        source, line = where.rsplit(':', 1)
        text = pathlib.Path(source).read_text().split('\n')[int(line) - 1]
        lines = [key for key in self.table.pointers if key[0] == source and key[1] in text]
        if not lines:
            raise Wrong(f'{where}: {function.label} calls a pointer, and {TABLE} does not say to '
                        f'what.\n  The line is: {text.strip()}\n  Add to that file: pointer '
                        f'{source} EXPRESSION() = FUNCTION...')
        found = set()
        for key in lines:
            self.used.add(key)
            found |= set(self.expand(key))
        return found

    def expand(self, key):
        """Return the functions that a line of the table names, or that have its prototype."""
        source, callees = key[0], self.table.pointers[key]
        if callees == NO_KERNEL:
            return []
        if '(' in callees:
            return [name for name in self.taken if self.functions[name].prototype == callees]
        if callees.endswith('*'):
            return [n for n, f in self.functions.items() if f.label.startswith(callees[:-1])]
        names = [name for name in callees.split() if self.is_built(name)]
        for name in names:
            if not self.find(name):
                raise Wrong(f'{TABLE}: {source} {key[1]}) may call {name}, which there is not')
        return [self.find(name).name for name in names]

    def is_built(self, name):
        return ':' not in name or name.split(':')[0] in self.sources

    def find(self, name):
        """Return the function, static or not, if there is just one of that name.  A name may begin
        with the source."""
        exact = [self.functions[n] for n in (name, *(f'{s}:{name}' for s in self.sources))
                 if n in self.functions]
        found = set(exact) or {f for f in self.functions.values()
                               if name in (f.label, f'{f.source}:{f.label}')}
        return found.pop() if len(found) == 1 else None

    def check_table(self):
        table, entered = self.table, set()
        for key, callees in table.pointers.items():
            if key[0] not in self.sources:
                continue  # this kernel is built without it
            if key not in self.used and callees != NO_KERNEL:
                raise Wrong(f'{TABLE}: {key[0]} calls no {key[1]}) any more: remove the line')
            entered |= set(self.expand(key))
        for source, (sets, calls) in self.assembly.items():
            number, enters = table.assembly.get(source, (0, set()))
            if len(sets) > number:
                raise Wrong(f'{source} sets sp {len(sets)} times, and {TABLE} says {number}:\n  ' +
                            '\n  '.join(sets) +
                            '\n  See that what it enters then is a way in, and change the line')
            if number and not calls <= enters:
                raise Wrong(f'{source} enters {" ".join(sorted(calls - enters))}, and {TABLE} does '
                            'not say so: add it there, and to test/tools/budget/ways.py')
            for name in enters:
                if self.find(name.rstrip('?')):
                    entered.add(self.find(name.rstrip('?')).name)
                elif not name.endswith('?'):
                    raise Wrong(f'{TABLE}: {source} enters {name}, which there is not')
        for name, source in sorted(self.taken.items()):
            if name not in entered and self.functions[name].source.endswith('.c'):
                label = self.functions[name].label
                raise Wrong(f'{source} takes the address of {label}, and {TABLE} does not say who '
                            f'calls it.\n  Add {label} to the line of the pointer that gets it')
        for name in table.recursion:
            if self.is_built(name) and not self.find(name):
                raise Wrong(f'{TABLE}: recursion of {name}, which there is not')
