# SPDX-License-Identifier: MIT
"""What a fact that failed means to the person who mends it, and which cases fail for one reason.

A case knows what it is about; a fact knows what went wrong.  One wrong instruction fails many cases
by the same fact, so failures are grouped by it, and the groups stand in the order in which to mend
them: a kernel that does not report need not be asked what it reports.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Fact:
    """One kind of thing that can be wrong.  shape: of what was expected.  seen: of what was seen,
    if that makes a difference."""

    shape: str
    says: str
    hint: str
    page: str
    seen: str = ""


WENT_ON = "sp to be checked by the trap entry"  # what story.went_on() finds

LOST = Fact(r"pages for a program|a bare .* pages|(at most|fewer) .*stacks mapped",
            "pages of memory are lost",
            "Who ends, or fails half-way, gives back all that it had: pages, stack, page tables, "
            "files, children.", "docs/stack-life.md")

FIELD = re.compile(r"(\w+)=(\S+) in the machine line")
PAIRS = 4  # of a field's values, that are told
# Groups of cases whose hints are about what a report says, not about how the kernel comes to it.
ABOUT_REPORTS = ("not_overflow", "wild_sp", "evidence", "dma", "lkdtm")

# What forbids to kill at once: where the reserve does not help either, it forces a panic.
FORCED = {
    "option": "if the boot arguments say so", "interrupt": "if an interrupt handler was running",
    "idle": "if the hart was idle", "kernel-thread": "if there is no process",
    "spinlock": "if a spin lock was held", "interrupts-off": "if interrupts were off",
    "transaction": "if a transaction was open",
    "sleeplock": "if a sleep lock was held, or a turn at a pipe or the console",
}

# Where the machine should have gone on.  What it said last becomes a part of what is said of it.
PANICKED = Fact(
    r"the test to begin|the machine to go on|a report, and the rendezvous after it|"
    r"\w+ to go on in user mode|\w+ to reach its verdict", "the kernel panicked",
    "An assertion's message names its file and line: which rule is checked there, and who had to "
    "keep it?", "docs/invariants.md", r".*exit code 1\b.*panic: ([^|]*?)(?: \(hart \d+\))?$")

PLAIN_PANIC = "The message says what the kernel could not do. Who asked for that, and why?"

# In the order in which to mend them.
FACTS = (
    PANICKED,
    Fact(r"Sv39 to be on|(the )?page table of at most|kernel stacks mapped by pages",
         "the page table is not one that the grader can follow",
         "Look at what pagetable_map() writes, and at satp.", "docs/vmap-stack.md"),
    Fact(r"kernel code to run on a stack", "the test ran on no stack of the window",
         "Every thread's stack is the upper half of a slot, and its sp begins at the top of that.",
         "docs/kernel-stacks.md"),
    Fact(r"the test to begin",
         "the kernel did not come to the test",
         "Try it by hand: the command below boots the same program.", "docs/debugging.md"),
    Fact(r"the code of kern/provoke", "the code that makes the faults is not there",
         "Leave kern/provoke and kernel.ld as they are.", "docs/grading.md#submissions"),
    Fact(r"no page of memory in two stacks|frames of .* used for nothing else|frames of stacks in",
         "a page of memory is mapped in two places",
         "A frame belongs to one stack until every hart has fenced.", "docs/fences.md"),
    Fact(r"no mapping in the guards|pages from .* in this slot and no others",
         "something is mapped in the guard of a stack",
         "A slot is guard below, stack above: set entries for the upper half alone.",
         "docs/kernel-stacks.md"),
    Fact(r"the .* mapped, readable and writable|VRW--GAD for each page",
         "a page of a stack is not mapped, or with other rights",
         "Each page of a stack gets R, W, A, D and G, and neither U nor X.",
         "docs/kernel-stacks.md"),
    Fact(WENT_ON, "the trap entry went on although sp was bad",
         "Before the first store through sp prove it: a multiple of 16, and the whole frame within "
         "the recorded stack. Is each part of that record right, too, wherever it is set?",
         "docs/traps.md#the-order-of-things"),
    Fact(r"a report, and the rendezvous after it|\w+ to go on in user mode",
         "the kernel came to its last resort",
         "The hart's record was the emergency stack when the last fault came. If that was a fault "
         "of the reporter, see what it accessed; if not, who has to set the record back?",
         "docs/traps.md#the-order-of-things", r".*exit code 3\b"),
    Fact(r"a report, and the rendezvous after it",
         "the machine ended without the report that was due",
         "Either nothing faulted (is the address unmapped, and has every hart fenced?), or the "
         "trap led elsewhere than to a report, or that was dropped.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"a report after at most \d+ faults",
         "the kernel faulted again and again before it reported anything",
         "What handles a fault must not meet the same one: see the second sentence of the story.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"a report of (a trap that was taken|the test)",
         "the report is about a trap that never happened",
         "The frame holds sepc and sp as the hardware left them, before any C code ran.",
         "docs/traps.md#the-report"),
    Fact(r"a trap frame in a0 at the rendezvous",
         "report_rendezvous() did not get the trap frame",
         "Call report_rendezvous(frame) after the machine line.", "docs/traps.md#the-report"),
    Fact(r"the machine line as the last line", "the report does not end with its machine line",
         "Print the machine line last, in one piece, before report_rendezvous().",
         "docs/traps.md#the-report"),
    Fact(r"the report(er)? on (another|a) stack|sp of the reporter|a report on another stack"
         r"|an emergency stack of its own|emergency stacks \d",
         "the kernel did not report on an emergency stack of the hart's own",
         "Where sp is bad, take the emergency stack from struct hart; each hart has one.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"(a|the) handler on another stack|nothing stored below the frame",
         "interrupts are handled on the interrupted thread's stack",
         "Push the frame there, and handle the interrupt on a stack of the hart's own.",
         "docs/interrupt-stacks.md"),
    Fact(r"the frame on the emergency stack", "the frame lies on a stack that may be anybody's",
         "After the check has failed, push the frame on the emergency stack.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"every stack as it was at the trap",
         "the kernel wrote to a stack before it knew whose it was",
         "Nothing may be stored through sp before the check has passed.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"(sepc|scause|stval|sstatus) in the frame",
         "a CSR in the trap frame is not as the trap left it",
         "Read the CSRs in the entry code, before another trap can come or you change them.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"sp in the frame", "the trap frame has another sp than the trap found",
         "An entry that lowers sp before its check may neither store there nor report that sp.",
         "docs/traps.md#the-order-of-things"),
    Fact(r"\w+ in the frame", "a register in the trap frame is not as the trap left it",
         "Is it used before it is saved, and not put back, or saved at another place than its own?",
         "docs/traps.md#the-order-of-things"),
    Fact(r"class=", "the report names the wrong class",
         "The first row of the table that fits decides: sp first, then the cause, then the "
         "address.", "docs/traps.md#classes"),
    Fact(r"past=", "the report measures the distance wrongly",
         "past= counts bytes as the table says, another way for each class.",
         "docs/traps.md#the-report"),
    Fact(r"reserve=", "the kernel decides wrongly whether an overflow goes on in the reserve",
         "An overflow that cannot be ended at once goes on in the reserve, once; reserve= names "
         "the reason.", "docs/survival.md"),
    *(Fact(rf"(verdict=panic with )?why={why}\b", f"the kernel must panic, with why={why}, {when}",
           "A process is killed if it was in a system call, with interrupts on, and held nothing. "
           "Any other overflow goes on in the reserve, once; what cannot do that is a panic. Of "
           "several reasons why= names the first one of the table.",
           "docs/traps.md#kill-or-panic") for why, when in FORCED.items()),
    Fact(r"(verdict=killed|why=-)", "the kernel panics where it could kill the process alone",
         "Look at why= in what was seen: was it so when the fault came, or has the kernel asked "
         "about another moment, or another thread?", "docs/traps.md#kill-or-panic"),
    Fact(r"(verdict|why)=", "the kernel decides wrongly between kill and panic",
         "A process is killed if it was in a system call, with interrupts on, and held nothing. "
         "Any other overflow goes on in the reserve, once; what cannot do that is a panic.",
         "docs/traps.md#kill-or-panic"),
    Fact(r"owner=", "the report names the wrong owner of an address",
         "A guard belongs to the stack above it, or to the one below if there is none above.",
         "docs/traps.md#the-report"),
    Fact(r"(pid|name|hart|run)=", "the report is about somebody else",
         "pid, name and hart are those of the thread that the trap interrupted.",
         "docs/traps.md#the-report"),
    Fact(r"(lo|hi)=", "the report has the ends of another stack",
         "They are those of the recorded stack when the trap came: does the record move with sp?",
         "docs/traps.md#the-report"),
    Fact(r"(scause|sepc|stval|sp)=", "the report gets a number of the trap wrong",
         "Read the CSRs in the entry code, before another trap can overwrite them.",
         "docs/traps.md#the-report"),
    Fact(r"\w+ in the report", "a register is missing in the report, or printed wrongly",
         "Print every register with its name and a number of 16 digits or with 0x.",
         "docs/grading.md#what-is-read-as-text"),
    Fact(r"a backtrace with lines", "the report has no backtrace that the grader can read",
         "A line of it has name+0xOFFSET, and the bytes of the frame such as `544 bytes`.",
         "docs/grading.md#what-is-read-as-text"),
    Fact(r"the frame of \w+, with|bytes from sp to the end of the backtrace, with",
         "the backtrace is wrong at some instruction of a function's prologue or epilogue",
         "There sp, the saved ra and s0 change one by one: which of it is done before sepc, and "
         "which is still to come?", "docs/traps.md#unwinding"),
    Fact(r"the function that was interrupted|the caller of the copy|bytes of the interrupted",
         "the backtrace does not go on rightly with what a trap interrupted",
         "A return address in the trap entry means a trap frame: go on with its sepc, ra, s0, sp.",
         "docs/traps.md#unwinding"),
    Fact(r"the backtrace provoke_load|bytes in it",
         "the backtrace does not end where a saved s0 or ra leads nowhere",
         "A caller's frame lies above, on the same stack. Show all frames up to where that is not "
         "so, and nothing behind them.", "docs/traps.md#unwinding"),
    Fact(r"them folded", "the backtrace does not fold equal frames",
         "Print frames with the same pc and size as one line, with their count.",
         "docs/traps.md#unwinding"),
    Fact(r".*backtrace|frame \d+ of|calls of|bytes of them|the innermost functions",
         "the backtrace is not what stands on the stack",
         "Begin with sepc, ra, s0 and sp of the frame; then each s0 leads to the next. Only frames "
         "with the same pc and size are equal.",
         "docs/traps.md#unwinding"),
    Fact(r"no (further )?report", "a report came where nothing was to be reported",
         "What was seen says where: at sepc. What had to be in order there, and was not?",
         "docs/traps.md#kill-or-panic"),
    Fact(r"nothing more after a panic|exit code after a panic",
         "the kernel did not end as its verdict says",
         "After verdict=panic no process runs any more, and the machine ends with exit code 1.",
         "docs/traps.md#kill-or-panic"),
    LOST,
    replace(LOST, shape=r"init to end the machine with|no failed check in",
            seen=r".*([1-9]\d* pages lost|pages lost:+ 0x)"),
    Fact(r"an sfence.vma between", "a stack was used before the hart that mapped it had fenced",
         "Set the last entry first, then sfence.vma; only then use the stack.",
         "docs/fences.md#what-each-is-for"),
    Fact(r"the byte that the other hart|nothing mapped in the freed stack",
         "a freed stack could still be used", "Unmap it, then let every hart fence; only then may "
         "its address or its frames serve again.", "docs/fences.md#what-each-is-for"),
    Fact(r"\w+ to go on in user mode|\w+ to reach its verdict",
         "after the report the kernel did not get back to its programs",
         "See the end of the console. The victim exits like any other process, on a stack, with a "
         "record and an interrupt state that are in order.", "docs/traps.md#kill-or-panic"),
    Fact(r"init to end the machine with 255", "the victim did not end like a killed process",
         "Its status is -1, which init hands on as 255. Does the victim exit, and with that?",
         "docs/traps.md#kill-or-panic"),
    Fact(r"init to end the machine with|no failed check in", "a check of a program failed",
         "What was seen ends with the check that failed, as the program says it.",
         "docs/debugging.md"),
    Fact(r"what a new process|exit code", "the machine did not go on and end as it should",
         "After the report fork, pipes, exit and the end of the machine must work as before.",
         "docs/traps.md#kill-or-panic"),
    Fact(r"a message with pid", "what the kernel says of a request for DMA does not name the owner",
         "Ask for the owner of the address, and of the buffer behind it, as a report does.",
         "docs/dma.md"),
    Fact(r"nothing of an earlier owner", "a stack shows what an earlier owner left",
         "Erase a stack before it is used again, and zero pages before they become one.",
         "docs/stack-life.md"),
)


def find(outcome):
    """Return the Fact that failed, or None."""
    if outcome.status != "fail":
        return None
    wanted = WENT_ON if outcome.went_on else outcome.expected
    for fact in FACTS:
        seen = re.match(fact.seen, outcome.seen, re.DOTALL)
        if seen and re.match(fact.shape, wanted):
            return replace(fact, says=f"{fact.says}: {seen[1]}") if fact is PANICKED else fact
    return None


def lines(outcome):
    """What to say to a failure beyond what was expected and seen."""
    fact = find(outcome)
    said = [("what", fact.says)] if fact else []
    if outcome.story:
        said.append(("story", "\n".join(outcome.story)))
    if outcome.drawing:
        said.append(("stack", "\n".join(outcome.drawing)))
    if outcome.expected:
        said += [("expected", named(outcome.expected, outcome)),
                 ("seen", named(outcome.seen, outcome))]
    elif outcome.reason:
        said.append(("reason", outcome.reason))
        if outcome.seen:
            said.append(("printed", named(outcome.seen, outcome)))
    if fact:
        plain_panic = fact.shape == PANICKED.shape and "assertion failed" not in fact.says
        said.append(("hint", PLAIN_PANIC if plain_panic else fact.hint))
    if outcome.hint and (not fact or tells_more(outcome, fact)):
        said.append(("the case" if fact else "hint", outcome.hint))
    if fact:
        said.append(("read", fact.page))
    said.append(("again", f"make grade CASES={outcome.id}"))
    said.append(("in GDB", f"make grade-gdb CASES={outcome.id}"))
    if outcome.log:
        said.append(("console", outcome.log))
    return said


def by_premise(outcome):
    """Whether it failed by what many cases take for granted, which is not what it is about."""
    return bool(outcome.scene.get("premise"))


def tells_more(outcome, fact):
    """Whether the hint of the case is about what failed, and says more than that of the fact."""
    about_entry = outcome.group not in ABOUT_REPORTS and not outcome.went_on
    return not (outcome.hint == fact.hint or by_premise(outcome)
                or about_entry and FIELD.match(outcome.expected))


def named(text, outcome):
    """The text with the place of each address of the kernel behind it."""
    for address, place in outcome.names.items():
        text = re.sub(rf"{address}\b", f"{address} [{place}]", text, count=1)
    return text


@dataclass
class Cause:
    """Cases that fail by one fact, or that end without a verdict for one reason."""

    says: str
    rank: int
    outcomes: list = field(default_factory=list)

    @property
    def points(self):
        return sum(o.max - o.points for o in self.outcomes)

    @property
    def first(self):
        """The case to begin with: one that is about this."""
        return min(self.outcomes, key=by_premise)

    @property
    def common(self):
        return pattern(self.outcomes)


def number(text):
    return int(text, 0) if re.fullmatch(r"-?\d+|0x[0-9a-f]+", text) else None


def pattern(outcomes):
    """Return what cases that fail by one field of the machine line have in common, or nothing."""
    passed = Counter(outcome.passed for outcome in outcomes if outcome.passed)
    if passed:
        return "taken for good: sp " + tally(passed)
    pairs, names = Counter(), set()
    for outcome in outcomes:
        wanted = FIELD.match(outcome.expected)
        seen = wanted and re.match(rf"{wanted[1]}=(\S+)", outcome.seen)
        if seen:
            names.add(wanted[1])
            pairs[wanted[2], seen[1]] += 1
    if len(names) != 1 or sum(pairs.values()) < 2:
        return ""
    name, = names
    ends = [(number(wanted), number(seen)) for wanted, seen in pairs]
    if len(pairs) > 1 and None not in {end for pair in ends for end in pair}:
        apart = {seen - wanted for wanted, seen in ends}
        if len(apart) == 1:
            by, = apart
            return f"{name}= is always {abs(by)} too {'large' if by > 0 else 'small'}"
    words = Counter({f"{wanted}, seen {seen}": count for (wanted, seen), count in pairs.items()})
    return f"{name}= expected {tally(words)}"


def tally(counted):
    told = "; ".join(f"{words} ({count})" for words, count in counted.most_common(PAIRS))
    return told + (f"; {len(counted) - PAIRS} more" if len(counted) > PAIRS else "")


NO_VERDICT = len(FACTS) + 1  # the rank of a Cause


def plain(text):
    """The text without the numbers that differ from case to case."""
    return re.sub(r"0x[0-9a-f]+|\d+", "N", text)


def causes(outcomes):
    """Group what failed.  Returns the Causes in the order in which to mend them.  Cases without a
    verdict come first where they are many, and last where they are what came of the others."""
    found = {}
    for outcome in outcomes:
        if outcome.status == "pass":
            continue
        fact = find(outcome)
        if fact:
            shapes = [known.shape for known in FACTS]
            key, says, rank = plain(fact.says), fact.says, shapes.index(fact.shape)
        elif outcome.status == "fail":
            key, says = plain(outcome.expected), f"expected: {outcome.expected}"
            rank = len(FACTS)
        else:
            key, says = plain(outcome.reason), outcome.reason
            rank = NO_VERDICT
        found.setdefault(key, Cause(says, rank)).outcomes.append(outcome)
    most = max((len(cause.outcomes) for cause in found.values()), default=0)
    for cause in found.values():
        if cause.rank == NO_VERDICT and len(cause.outcomes) == most:
            cause.rank = -1
    return sorted(found.values(), key=lambda cause: (cause.rank, -len(cause.outcomes)))


def summary(outcomes):
    """Return what the failures come to, as lines: none if there are few."""
    groups = causes(outcomes)
    failed = sum(len(group.outcomes) for group in groups)
    if failed < 2:
        return []
    count = "one cause" if len(groups) == 1 else f"{len(groups)} causes, in the order to mend them"
    said = ["", f"{failed} cases fail, for {count}:"]
    for number, group in enumerate(groups, 1):
        many = len(group.outcomes)
        said.append(f"{number:3}. {group.says[:200]}")
        said.append(f"     {many} case{'s' if many > 1 else ''}, {group.points} points; "
                    f"first: make grade CASES={group.first.id}")
        if group.common:
            said.append(f"     {group.common}")
    return [*said, ""]
