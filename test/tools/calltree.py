# SPDX-License-Identifier: MIT
"""Which function the kernel executed each of its instructions in, and who had called it.

QEMU says of each instruction where it stands.  Who called whom follows from calls, returns and
traps.  A return from thread_switch() goes to another thread, and nothing says to which.  The
callers that it returns to tell: threads that wait by the same calls look the same here, too.
"""

import bisect

from elftools.elf.elffile import ELFFile

PLAIN, CALL, RETURN, SRET = range(4)
UNDECIDED = 1 << 16  # instructions after which any thread that fits will do
INSIDE = ('stack_check', 'stack_check_end')  # global labels that are no functions
INSIDE_TOO = '_returns_to'


def kind_of(word):
    """Return what an instruction does to the stack of calls."""
    if word == 0x10200073:
        return SRET
    opcode, rd, rs1 = word & 0x7F, word >> 7 & 31, word >> 15 & 31
    if opcode in (0x6F, 0x67) and rd == 1:
        return CALL
    return RETURN if opcode == 0x67 and rd == 0 and rs1 == 1 else PLAIN


def signed(value, bits):
    return value - (value >> (bits - 1) << bits)


def jump_offset(word):
    """Return how far a jal goes."""
    return signed((word >> 31) << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 |
                  (word >> 21 & 0x3FF) << 1, 21)


class Code:
    """The kernel's functions and instructions."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            elf = ELFFile(file)
            symbols = [s for s in elf.get_section_by_name('.symtab').iter_symbols()
                       if not s.name.startswith('$')]
            text = elf.get_section_by_name('.text')
            self.start, data = text['sh_addr'], text.data()
        self.end = self.start + len(data)
        self.labels = {s.name: s['st_value'] for s in symbols}
        functions = {s['st_value']: s.name for s in symbols if self.is_function(s)}
        starts = sorted(functions)
        self.names = [functions[starts[bisect.bisect_right(starts, at) - 1]]
                      for at in range(self.start, self.end, 4)]
        self.data = data
        self.kinds = [kind_of(int.from_bytes(data[i:i + 4], 'little'))
                      for i in range(0, len(data), 4)]

    def word(self, at):
        return int.from_bytes(self.data[at - self.start:at - self.start + 4], 'little')

    def calls(self):
        """Yield (address of the call, of the function), for each call of a function by its name."""
        upper = {}  # by register, what auipc has set last
        for at in range(self.start, self.end, 4):
            word = self.word(at)
            opcode, rd = word & 0x7F, word >> 7 & 31
            if opcode == 0x17:
                upper[rd] = at + signed(word & 0xFFFFF000, 32)
            elif opcode == 0x6F and rd == 1:
                yield at, at + jump_offset(word)
            elif opcode == 0x67 and rd == 1 and word >> 15 & 31 in upper:
                yield at, upper[word >> 15 & 31] + signed(word >> 20, 12)

    def is_function(self, symbol):
        if not self.start <= symbol['st_value'] < self.end:
            return False
        if symbol['st_info']['type'] == 'STT_FUNC':
            return True
        name = symbol.name  # of assembly, which gives no types
        return symbol['st_info']['bind'] == 'STB_GLOBAL' and name not in INSIDE and \
            not name.endswith(INSIDE_TOO)


class Node:
    """A function, called by the functions above it."""

    __slots__ = ('name', 'above', 'below', 'count', 'calls')

    def __init__(self, name, above=None):
        self.name, self.above, self.below, self.count, self.calls = name, above, {}, 0, 0

    def child(self, name):
        if name not in self.below:
            self.below[name] = Node(name, self)
        return self.below[name]

    def whole(self):
        return self.count + sum(node.whole() for node in self.below.values())

    def walk(self):
        yield self
        for node in self.below.values():
            yield from node.walk()


class Frame:
    __slots__ = ('node', 'back', 'trap')

    def __init__(self, node, back=None, trap=False):
        self.node, self.back, self.trap = node, back, trap


class Profile:
    """Count instructions.  Feed it with step(), for each instruction the kernel executes."""

    def __init__(self, code):
        self.code = code
        self.root = Node('all')
        labels = code.labels
        self.entry, self.user = labels['trap_entry'], labels['from_user']
        self.kernel, self.begins = labels['from_kernel'], labels.get('thread_entry')
        self.stack = [Frame(self.root.child('before the first trap'))]
        self.last = None  # the address of the last instruction
        self.entered = 0  # instructions of the entry, until it is known where from
        self.waiting = []  # (where it goes on, its frames), of each thread that does not run
        self.fits = None  # those of waiting that it may be, while that is not known
        self.unplaced = []  # instructions since then
        self.depth = []  # what they have called: where each returns to; None is a trap

    def step(self, pc):
        if self.fits is not None:
            self.search(pc)
        else:
            self.place(pc)
        self.last = pc

    def begin_trap(self, pc):
        """The first instructions of the entry, up to where it knows what it has interrupted."""
        if pc == self.user:
            self.stack = [Frame(self.root.child('trap_entry'), trap=True)]
        elif pc == self.kernel:
            self.stack.append(Frame(self.top().child('trap_entry'), trap=True))
        else:
            self.entered += 1
            return
        self.top().calls += 1
        self.top().count += self.entered + 1
        self.entered = 0

    def top(self):
        return self.stack[-1].node

    def place(self, pc):
        """Count one instruction where it belongs."""
        if self.entered or pc == self.entry:
            self.begin_trap(pc)
            return
        code, last = self.code, self.last
        kind = code.kinds[last - code.start >> 2] if last is not None else PLAIN
        name = code.names[pc - code.start >> 2]
        if kind == CALL and pc != last + 4:
            node = self.top().child(name)
            node.calls += 1
            self.stack.append(Frame(node, last + 4))
        elif kind == RETURN:
            if code.names[last - code.start >> 2] == 'thread_switch':
                self.switched(pc)
                return
            self.pop(pc)
        elif kind == SRET:
            self.leave_trap()
        if self.top().name != name:  # a jump, or the way on after a fault
            self.stack[-1].node = (self.top().above or self.root).child(name)
        self.top().count += 1

    def pop(self, pc):
        for i in range(len(self.stack) - 1, 0, -1):
            if self.stack[i].back == pc:
                del self.stack[i:]
                return
            if self.stack[i].trap:
                return

    def leave_trap(self):
        while len(self.stack) > 1 and not self.stack.pop().trap:
            pass

    def end(self):
        """Nothing follows."""
        if self.fits is not None:
            self.decide()

    # --- another thread --------------------------------------------------------------------------

    def switched(self, pc):
        """thread_switch() has returned to pc."""
        frame = self.stack.pop()
        self.waiting.append((frame.back, self.stack))
        if pc == self.begins:
            self.stack = [Frame(self.root.child('thread_entry'))]
            self.top().count += 1
            return
        self.fits = [(stack, len(stack)) for back, stack in self.waiting if back == pc]
        self.unplaced, self.depth = [pc], []
        if not self.fits:
            self.stack = [Frame(self.root.child('a thread from before'))]
            self.decide()
        elif len({path(stack) for stack, _ in self.fits}) == 1:
            self.decide()

    def search(self, pc):
        """Follow a thread that is not known yet, until its callers tell which it is."""
        code, last = self.code, self.last
        kind = code.kinds[last - code.start >> 2]
        self.unplaced.append(pc)
        if pc == self.entry:
            self.depth.append(None)
        elif kind == CALL and pc != last + 4:
            self.depth.append(last + 4)
        elif kind == SRET:
            if None not in self.depth:
                self.unplaced.pop()
                self.decide()
                self.place(pc)
                return
            while self.depth.pop() is not None:
                pass
        elif kind == RETURN:
            if code.names[last - code.start >> 2] == 'thread_switch':
                self.unplaced.pop()
                self.decide()
                self.last = last
                self.place(pc)
                return
            if pc in self.depth:
                while self.depth.pop() != pc:
                    pass
            elif not self.depth:
                self.fits = [(s, n - 1) for s, n in self.fits if n and s[n - 1].back == pc] \
                    or self.fits
        if len({path(s) for s, _ in self.fits}) == 1 or len(self.unplaced) > UNDECIDED:
            self.decide()

    def decide(self):
        """Take the first thread that fits, and count what it has done."""
        if self.fits:
            self.stack = self.fits[0][0]
            self.waiting = [w for w in self.waiting if w[1] is not self.stack]
        self.fits = None
        unplaced, self.unplaced = self.unplaced, []
        self.last = None  # the first one is where the switch has returned to
        for pc in unplaced:
            self.place(pc)
            self.last = pc


def path(stack):
    return tuple((frame.node, frame.back) for frame in stack)
