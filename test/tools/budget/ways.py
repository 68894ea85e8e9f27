# SPDX-License-Identifier: MIT
"""The ways into the kernel, and how deep the stack can get on each.

What a way takes of its stack is the sum of:

1. what lies there before the first function: a trap frame, or the room for that of user mode;
2. the deepest chain of calls.  It may go through a trap: a fault of the user copy pushes a frame
   and is handled above it;
3. what can come on top at the deepest place: an interrupt's frame, and the switch to another thread
   after it (its handler has a stack of its own); and a stale translation, which can come wherever
   memory is used (docs/fences.md).

Three figures: 1 and 2, all three, and all with a panic at the worst place.  A panic turns
interrupts off, so nothing comes on top of it but a stale translation.
"""

from budget.graph import TABLE, Wrong

COPIES = ['usercopy_copy', 'usercopy_string']
ENDS = ['panic', 'kasan_report', 'hang_report']
EXCEPTION = 'trap_kernel_exception'


class Step:
    """A function, or a frame that a trap pushed, in a chain of calls."""

    def __init__(self, name, size, calls):
        self.name, self.size, self.calls = name, size, calls


class Stacks:
    """How deep stacks get."""

    def __init__(self, kernel, frame):
        self.kernel, self.frame = kernel, frame
        self.steps = {name: Step(f.label, f.frame, sorted(f.calls))
                      for name, f in kernel.functions.items()}
        self.bounds = [(kernel.find(name).name, n) for name, n in kernel.table.recursion.items()
                       if kernel.is_built(name)]
        self.known = {}
        self.open = []
        self.ends = {kernel.find(name).name for name in ENDS if kernel.find(name)}
        self.add_traps()

    def add_traps(self):
        """Let the instructions that may fault call their handlers, through a frame."""
        handler = self.steps[EXCEPTION]
        fault = self.kernel.find('usercopy_fault')
        copy = [fault.name] if fault.name in handler.calls else []
        self.steps['<stale>'] = Step(handler.name, handler.size,
                                     [c for c in handler.calls if c not in copy])
        self.steps['<probe>'] = Step(handler.name, handler.size, [])
        for name, takes, goes in (('page fault of the user copy', EXCEPTION, EXCEPTION),
                                  ('stale translation', '<stale>', '<stale>'),
                                  ('fault of probe_read', '<probe>', '<probe>'),
                                  ('interrupt', 'trap_preempt', 'trap_preempt')):
            self.steps[f'<{name}>'] = Step(f'[frame: {name}]', self.frame, [goes])
        for name in COPIES:
            self.steps[name].calls = ['<page fault of the user copy>']
        self.steps['probe_read'].calls = ['<fault of probe_read>']

    def worst(self, name, panics=False):
        """Return (bytes, chain) of the deepest chain of calls that begins with name."""
        return self.deepest(name, panics, tuple(n for _, n in self.bounds))

    def deepest(self, name, panics, left):
        for i, (bounded, _) in enumerate(self.bounds):
            if name == bounded:
                left = left[:i] + (left[i] - 1,) + left[i + 1:]
        key = name, panics, left
        if key in self.known:
            return self.known[key]
        if key in self.open:
            cycle = [self.steps[k[0]].name for k in self.open[self.open.index(key):]]
            raise Wrong('these call each other, and nothing says how deep:\n  ' +
                        ' -> '.join([*cycle, cycle[0]]) + '\n  Make it a loop; or, if something '
                        f'bounds it, add to {TABLE}: recursion {cycle[0]} N WHY')
        self.open.append(key)
        best = 0, ()
        for callee in self.steps[name].calls:
            if callee in self.ends and not panics:
                continue
            if any(callee == bounded and not n for (bounded, _), n in zip(self.bounds, left)):
                continue
            best = max(best, self.deepest(callee, panics, left), key=lambda found: found[0])
        self.open.pop()
        step = self.steps[name]
        self.known[key] = best[0] + step.size, ((step.name, step.size), *best[1])
        return self.known[key]

    def join(self, *parts):
        return sum(part[0] for part in parts), sum((part[1] for part in parts), ())


class Way:
    """A way in: on which stack, what lies there already, the first functions, and whether
    interrupts may come."""

    def __init__(self, name, stack, before, path, interrupts):
        self.name, self.stack, self.before = name, stack, before
        self.path, self.interrupts = path, interrupts

    def measure(self, stacks):
        """Return three chains: the calls alone, with what can come on top, and with a panic at the
        worst place, too."""
        base = ((self.before[0], self.before[1]),) if self.before else ()
        prefix = self.before[1] if self.before else 0, base
        names = self.names(stacks)
        for name in names[:-1]:
            step = stacks.steps[name]
            prefix = stacks.join(prefix, (step.size, ((step.name, step.size),)))
        quiet, loud = stacks.worst(names[-1]), stacks.worst(names[-1], True)
        stale = stacks.worst('<stale translation>')
        loud_stale = stacks.worst('<stale translation>', True)
        on_top, loud_on_top = (0, ()), (0, ())
        if self.interrupts:
            on_top, loud_on_top = stacks.worst('<interrupt>'), stacks.worst('<interrupt>', True)
        plain = stacks.join(prefix, quiet, on_top, stale)
        panic = max(stacks.join(prefix, loud, stale),
                    stacks.join(prefix, quiet, loud_on_top, stale),
                    stacks.join(prefix, quiet, on_top, loud_stale), key=lambda found: found[0])
        return stacks.join(prefix, quiet), plain, panic

    def names(self, stacks):
        """Return the path without what the compiler has inlined."""
        found = []
        for name in self.path:
            function = stacks.kernel.find(name)
            if not function:
                continue
            if found and function.name not in stacks.steps[found[-1]].calls:
                raise Wrong(f'{found[-1]} does not call {name} any more: the way in '
                            f'"{self.name}" of test/tools/budget/ways.py is another one now')
            found.append(function.name)
        if not found or stacks.steps[found[-1]].name != self.path[-1]:
            raise Wrong(f'there is no {self.path[-1]}, where the way in "{self.name}" of '
                        'test/tools/budget/ways.py ends')
        return found


def ways(kernel, frame):
    """Return every way in."""
    user = '[frame: user mode]', frame
    room = '[room: frame of user mode]', frame
    found = []

    def add(name, stack, before, path, interrupts):
        found.append(Way(name, stack, before, path.split(), interrupts))

    for call in sorted(kernel.expand(('trap/syscall.c', 'call('))):
        add(f'system call {call[4:]}', 'thread', user, f'syscall {call}', True)
    add('system call of unknown number', 'thread', user, 'syscall unknown kprintf', True)
    add('user mode: page fault', 'thread', user, 'trap_user user_fault space_fault', True)
    add('user mode: first use of floating point', 'thread', user,
        'trap_user user_fault fpu_first_use', True)
    add('user mode: other exception', 'thread', user, 'trap_user user_fault kprintf', True)
    add('user mode: killed', 'thread', user, 'trap_user process_exit', True)
    add('user mode: end of a time slice', 'thread', user, 'trap_user thread_yield', False)
    interrupts = [('timer', 'timer_interrupt'), ('software (IPI)', 'irq_software'),
                  ('UART', 'irq_external uart_interrupt'),
                  ('disk', 'irq_external disk_interrupt')]
    for name, path in interrupts:
        add(f'user mode: interrupt, {name}', 'thread', user, f'trap_user interrupt {path}', False)
    for name in ('init_start', 'child_start'):
        add(f'thread: {name}', 'thread', room, f'thread_begin {name}', True)
    if kernel.find('end_victim'):
        add('thread: exit after an overflow', 'thread', room, 'end_victim', True)
    for name in ('boot_on_idle_stack', 'boot_secondary'):
        add(f'idle: {name}', 'idle', None, name, True)
    for name, path in interrupts:
        add(f'kernel: interrupt, {name}', 'interrupt', None,
            f'trap_kernel_interrupt interrupt {path}', False)
    if kernel.find('end_doomed'):
        add('kernel: end of a doomed thread', 'interrupt', None, 'trap_kernel_interrupt end_doomed',
            False)
    add('kernel: fault that nothing resolves', 'emergency', ('[frame: fault]', frame),
        'kernel_fault', False)
    add('boot: boot_main', 'boot', None, 'boot_main', False)
    return found
