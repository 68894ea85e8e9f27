# SPDX-License-Identifier: MIT
"""What a kernel did before a case failed: in sentences with names, and as a drawing of the stack.

It is told from the traps that the grader has recorded, so it is true whatever the kernel prints.
"""

import re

from facts import (BREAKPOINT, EXTERNAL, FETCH, ILLEGAL, INTERRUPT, LOAD, SOFTWARE, STORE, TIMER,
                   in_window)
from machine import DIRECT, FRAME, GUARD, SLOT, USER_END

DID = {LOAD: "loaded from", STORE: "stored to", FETCH: "jumped to"}
MET = {ILLEGAL: "met an illegal instruction", BREAKPOINT: "met a breakpoint",
       SOFTWARE: "was interrupted by another hart", TIMER: "was interrupted by the timer",
       EXTERNAL: "was interrupted by a device"}
DOES = {LOAD: "load", STORE: "store", FETCH: "jump"}
PROBE = "probe_read"  # what the reporter looks at memory with; it stands beside the trap entry
WIDTH = 34  # of the drawing
ADDRESS = re.compile(r"0x[0-9a-f]{9,16}\b")


# --- words ----------------------------------------------------------------------------------------


def many(count, noun):
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Teller:
    """Says where addresses are.  The stack is called by its owner the first time only."""

    def __init__(self, scene):
        self.scene, self.named = scene, False

    def stack(self):
        first, self.named = not self.named, True
        return f"the stack of {self.scene['who']}" if first else "that stack"

    def beside(self, address, top):
        """top: how far above the stack its end is: 0 for sp, 1 for a byte."""
        lo, hi = self.scene["stack"]
        if lo - GUARD <= address < lo:
            return f"{many(lo - address, 'byte')} below {self.stack()}, in the guard"
        if lo <= address < hi + 1 - top:
            return f"on {self.stack()}, {many(address - lo, 'byte')} above its base"
        if hi <= address < hi + GUARD:
            return f"{many(address - hi + top, 'byte')} above {self.stack()}, in the guard"
        return ""

    def where(self, address, top):
        near = self.beside(address, top) if self.scene["stack"] else ""
        if near or not in_window(address):
            return near or ("in the direct map" if DIRECT[0] <= address < DIRECT[1] else
                            "a user address" if 4096 <= address < USER_END else "")
        return ("in the stack half of another slot" if address % SLOT >= GUARD else
                "in a guard between other stacks")

    def at(self, address, top=1):
        words = self.where(address, top)
        return f"{address:#x}, {words}" if words else f"{address:#x}"


def action(trap, teller, places):
    """What the code that trapped did."""
    cause, sepc = trap["scause"], trap["sepc"]
    if cause == FETCH:
        return f"a jump went to {teller.at(trap['stval'])}{page(trap)}"
    who = places.describe(sepc) or f"code at {sepc:#x}"
    if cause in DID:
        return f"{who} {DID[cause]} {teller.at(trap['stval'])}{page(trap)}"
    met = MET.get(cause, f"was interrupted, scause {cause:#x}" if cause & INTERRUPT else
                  f"met an exception, scause {cause:#x}")
    return f"{who} {met}"


def page(trap):
    """What is mapped where a page fault came, but for guards, or ''."""
    if trap["page"] is None or in_window(trap["stval"]) and not trap["page"]:
        return ""
    return f" (mapped {trap['page']})" if trap["page"] else " (not mapped)"


def same_file(a, b, places):
    """Whether both addresses are in one file of the source."""
    first, second = (places.source(address).rpartition(":")[0] for address in (a, b))
    return bool(first) and first == second


def kept(scene):
    """The traps that are worth telling."""
    traps = scene["traps"]
    if not scene["report"]:
        return traps
    return traps[:1] + [t for t in traps[1:]  # what its reporter probed is no news
                        if t["bad_sp"] or t["sp"] == traps[0]["sp"] - FRAME]


def returned(scene):
    """Whether the kernel handled a trap with a bad sp, and went on where that came."""
    first, *later = scene["traps"]
    return bool(later) and all(first[name] == later[0][name] for name in ("hart", "sepc", "sp"))


def in_entry(scene, places):
    """Whether the trap entry itself faulted where it had to handle the trap before."""
    if len(scene["traps"]) < 2:
        return False
    first, later = scene["traps"][:2]
    below = later["bad_sp"] or later["sp"] == first["sp"] - FRAME
    probing = places.name(later["sepc"]).split("+")[0] == PROBE
    return below and not probing and same_file(later["sepc"], scene["vector"], places)


def pushed(scene):
    """Whether the frame of the report lies below a bad sp."""
    first = scene["traps"][:1]
    return bool(first and first[0]["bad_sp"] and scene["report"]
                and scene["report"]["frame"] == first[0]["sp"] - FRAME)


def went_on(scene, places):
    """Whether the trap entry took a bad sp for a good one."""
    if not scene["traps"] or not scene["traps"][0]["bad_sp"]:
        return False
    return pushed(scene) or returned(scene) or in_entry(scene, places)


def passed(scene):
    """What kind of sp that was, in words that follow `sp`."""
    sp, (lo, hi) = scene["traps"][0]["sp"], scene["stack"] or (0, 0)
    if sp % 16:
        return "that is no multiple of 16"
    if lo - GUARD <= sp < lo:
        return "in the guard below"
    if lo <= sp < lo + FRAME:
        return "without room for the frame"
    if hi < sp <= hi + GUARD:
        return "above the stack"
    if in_window(sp):
        return "on another stack" if sp % SLOT >= GUARD else "in another guard"
    return "outside the window"


def tell(scene, places):
    """Return sentences about what happened, in its order."""
    said, teller, traps = [], Teller(scene), kept(scene)
    if scene["premise"]:
        said.append("In a guest of its own the grader tried, once for all cases like this one, "
                    f"whether the kernel {scene['premise']}.")
    places.look_up([scene["vector"], *(trap["sepc"] for trap in traps)])
    for number, trap in enumerate(traps):
        words = f"{action(trap, teller, places)}; sp was {teller.at(trap['sp'], 0)}"
        if trap["bad_sp"] and trap["sp"] % 16:
            words += ", no multiple of 16"
        if number == 1 and returned(scene):
            said.append(f"The kernel handled that and went on there, {scene['count']} times.")
            break
        if number:
            itself = "the trap entry itself: " * in_entry(scene, places)
            words = f"then {itself}{words}"
            if scene["count"] > len(traps):
                words += f"; and so on, {scene['count']} faults"
        said.append(f"{words[0].upper() if number else words[0]}{words[1:]}.")
    if pushed(scene):
        said.append(f"The trap entry pushed its frame below that sp, at "
                    f"{teller.at(scene['report']['frame'])}.")
    for hart, pc, ra in scene["harts"]:
        place = places.describe(pc) or hex(pc) if pc >> 63 else "user mode"
        caller = places.name(ra) if pc >> 63 else ""
        said.append(f"When time was up, hart {hart} was in {place}"
                    f"{f', with ra in {caller}' if caller else ''}.")
    return said


def names(texts, scene, places):
    """Return {address: its place} of the addresses in these texts that are in the kernel's code,
    or, if it is a register that is wrong, ends of a stack that the scene has."""
    found = {int(word, 16) for text in texts for word in ADDRESS.findall(text)}
    places.look_up(found)
    known = {}
    if scene.get("report") and re.match(r"\w+ in the (frame|report)", texts[0]):
        for whose, (lo, hi) in (("the emergency stack", scene["report"]["stack"]),
                                (f"the stack of {scene['who']}", scene["stack"])):
            known.update({lo: f"the lower end of {whose}", hi: f"the upper end of {whose}"})
    return {f"{address:#x}": place for address in sorted(found)
            if (place := places.describe(address) or known.get(address))}


# --- the drawing ----------------------------------------------------------------------------------


def marks(scene):
    """Return [(address, what is there)] of what lies in the slot or in the guard above it."""
    found = []
    for number, trap in enumerate(kept(scene)[:2]):
        again = " of the next trap" if number else ""
        found.append((trap["sp"], f"sp{again}"))
        if trap["scause"] in DOES:
            found.append((trap["stval"], f"{DOES[trap['scause']]}{again}"))
    if scene["report"]:
        found += [(scene["report"]["sp"], "sp of the reporter"),
                  (scene["report"]["frame"], "trap frame of the report")]
    if scene["spot"]:
        found.append((scene["spot"]["address"], scene["spot"]["what"]))
    return found


def distance(address, lo, hi):
    if address < lo:
        return f"{lo - address} below the stack"
    return f"{address - hi} above the stack" if address > hi else f"{address - lo} above its base"


def row(address, inside, arrow=""):
    """A line of the drawing: a border if inside is None."""
    left = "" if address is None else f"{address:#018x}"
    box = f"+{'-' * WIDTH}+" if inside is None else f"| {inside[:WIDTH - 1]:{WIDTH - 1}}|"
    return f"{left:18} {box}{f' <- {arrow}' if arrow else ''}"


def draw(scene):
    """Draw the slot of the stack, with what points into it.  Nothing if all of that is as usual."""
    spot = scene["spot"] or {"stack": scene["stack"], "whose": f"stack of {scene['who']}"}
    if not spot["stack"]:
        return []
    (lo, hi), found = spot["stack"], {}
    for address, what in marks(scene):
        if lo - GUARD <= address < hi + GUARD:
            found.setdefault(address, []).append(what)
    telling = (scene["spot"] or any(trap["bad_sp"] for trap in scene["traps"])
               or not all(lo <= address <= hi for address in found))
    if not found or not telling:
        return []
    pointed = {address: f"{', '.join(words)}: {distance(address, lo, hi)}"
               for address, words in found.items()}
    lines = []
    for top, bottom, what in ((hi + GUARD, hi, "guard"), (hi, lo, spot["whose"]),
                              (lo, lo - GUARD, "guard")):
        inside = [a for a in sorted(pointed, reverse=True) if bottom < a < top]
        if what == "guard" and top > hi and not inside:
            continue  # nobody points there
        lines += [row(top, None, pointed.get(top, "")), row(None, what)]
        lines += [row(address, "", pointed[address]) for address in inside]
    return [*lines, row(lo - GUARD, None, pointed.get(lo - GUARD, ""))]


def explain(outcome, places):
    """Add to an outcome what people want to know of a failure."""
    if outcome.scene:
        outcome.story = tell(outcome.scene, places)
        outcome.went_on = went_on(outcome.scene, places)
        outcome.passed = passed(outcome.scene) if outcome.went_on else ""
        outcome.drawing = draw(outcome.scene)
    outcome.names = names((outcome.expected, outcome.seen), outcome.scene, places)
