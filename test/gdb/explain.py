# SPDX-License-Identifier: MIT
"""`explain ADDRESS`: what stands there, and whose it is."""

import re

import gdb
import kernel
import paging
import stacks
import threads


def symbol_at(address):
    """The name and the section of what is linked at an address, or None."""
    line = gdb.execute(f"info symbol {address:#x}", to_string=True)
    match = re.match(r"(\S+)(?: \+ (\d+))? in section (\S+)", line)
    if not match:
        return None
    name, past, section = match.groups()
    return f"{name}+{past}" if past else name, section


def span(lo, hi):
    return f"{lo:#x} to {hi:#x}"


# --- one place of the map each: what is said of an address there ---------------------------------

def in_user_half(address):
    thread = threads.current()
    if not thread or not threads.space_of(thread):
        yield "It is in the user half, and this hart runs no process now."
        return
    space = threads.space_of(thread)
    yield (f"It is in the user half; this hart runs {threads.who(thread)}, where it is "
           f"{region(space, address)}.")
    found = symbol_at(address)
    if found:
        yield f"In the program whose symbols are loaded that is {found[0]} ({found[1]})."


def region(space, address):
    heap, brk = int(space["heap"]), int(space["brk"])
    page = kernel.layout("PAGE_SIZE")
    if heap <= address < brk:
        return "in the heap"
    if heap - page <= address < heap:
        return "in the user stack"
    if heap - 2 * page <= address < heap - page:
        return "in the unmapped page below the user stack"
    if address < heap:
        return "in the program"
    return f"beyond the heap, which ends at {brk:#x}"


def in_direct_map(address):
    pa = paging.alias(address)
    yield f"It is in the direct map: it shows physical address {pa:#x}."


def in_stack_window(address):
    base, slot = kernel.layout("KSTACK_BASE"), kernel.layout("KSTACK_SLOT")
    index, within = (address - base) // slot, (address - base) % slot
    guard = kernel.layout("KSTACK_GUARD")
    lo = base + index * slot + guard
    half = "guard" if within < guard else "stack"
    yield f"It is in the window of kernel stacks: slot {index}, the {half} half."
    taken = {stack.index: stack for stack in stacks.every_stack()}
    stack, below = taken.get(index), taken.get(index - 1)
    if within >= guard:
        yield from in_stack(stack, address)
        return
    if stack and stack.bottom <= address:
        yield (f"It is in the reserve of the stack of {stack.who()}, which ran out and goes on "
               "here.")
        return
    yield (f"It is {lo - address} bytes below the stack of {stack.who()}, whose guard this is."
           if stack else f"The stack above, at {lo:#x}, is not there: its slot is free.")
    if below:
        yield f"It is byte {address - below.hi + 1} above the top of the stack of {below.who()}."


def in_stack(stack, address):
    if not stack:
        yield "The slot is free: a pointer to here outlived its thread."
        return
    if not stack.owned:
        yield f"The stack is {stack.kind}: its last owner was {stack.who()}."
        return
    yield (f"It is {stack.hi - address} bytes below the top of the stack of {stack.who()}, "
           f"{span(stack.lo, stack.hi)}.")
    if stack.contains(address):
        harts, running = threads.harts(), threads.hart_threads()
        now = stacks.Row(stack, harts, running).now
        yield ("That part is in use now." if stack.hi - address <= now else
               f"That part is not in use now: the stack is {now} bytes deep.")


def in_vmalloc(address):
    arena = kernel.variable("vmalloc_general")
    if not arena["granules"]["map"]:
        yield "It is in the vmalloc window, which the kernel has not made yet."
        return
    index = (address - int(arena["base"])) >> int(arena["shift"])
    if index >= int(arena["granules"]["count"]):
        yield "It is in the vmalloc window, beyond what RAM could fill."
        return
    area = arena["areas"][int(arena["areas"][index]["first"])]
    state = kernel.enum_name(area["state"], "area_state", "AREA_")
    if state == "free":
        yield "It is in the vmalloc window, in no area."
        return
    lo = int(area["base"])
    hi = lo + int(area["pages"]) * kernel.layout("PAGE_SIZE")
    maker = symbol_at(int(area["maker"]))
    yield (f"It is in the vmalloc window, in a {state} area, {span(lo, hi)}"
           f"{', made by ' + maker[0] if maker else ''}.")
    if not lo <= address < hi:
        yield "It is outside the area's pages: in its guard."


def in_devices(address):
    leaf = paging.leaf(paging.hart_root(), address)
    machine = kernel.variable("machine")
    places = [(name, machine[name]) for name in ("uart", "plic", "test")]
    places += [(f"virtio {i}", machine["virtio"][i]) for i in range(int(machine["virtio_count"]))]
    for name, place in places if leaf else ():
        if int(place["base"]) <= leaf.pa < int(place["base"]) + int(place["size"]):
            yield (f"It is in the device window: register {leaf.pa - int(place['base']):#x} of "
                   f"{name}, at pa {leaf.pa:#x}.")
            return
    yield "It is in the device window, at " + (f"pa {leaf.pa:#x}." if leaf else "no device.")


def in_shadow(address):
    offset, shift = kernel.layout("SHADOW_OFFSET"), kernel.layout("SHADOW_SHIFT")
    of = (address - offset << shift) & kernel.WORD
    yield f"It is KASAN's byte for the 8 bytes at {of:#x}."


def in_image(address):
    guard = int(gdb.parse_and_eval("(unsigned long)&boot_stack_guard"))
    if guard <= address < guard + kernel.layout("PAGE_SIZE"):
        yield "It is in the kernel image: the unmapped page below the boot stack."
        return
    found = symbol_at(address)
    if not found:
        yield "It is in the room of the kernel image, where nothing is linked."
        return
    yield f"It is in the kernel image: {found[0]}, in {found[1]}."
    place = gdb.find_pc_line(address)
    if place.symtab and found[1] == ".text":
        yield f"That is line {place.line} of {place.symtab.filename}."


PLACES = (  # from, to, what is said
    ("", "USER_END", in_user_half),
    ("DIRECT_BASE", "DIRECT_END", in_direct_map),
    ("SHADOW_BASE", "SHADOW_END", in_shadow),
    ("DEVICE_BASE", "DEVICE_END", in_devices),
    ("VMALLOC_BASE", "VMALLOC_END", in_vmalloc),
    ("KSTACK_BASE", "KSTACK_END", in_stack_window),
    ("IMAGE_BASE", "", in_image),
)


def place_of(address):
    for start, end, place in PLACES:
        if (kernel.layout(start) if start else 0) <= address < \
                (kernel.layout(end) if end else 1 << 64):
            return place
    return None


# --- other addresses of the same frame -----------------------------------------------------------

def image_alias(pa):
    address = paging.in_image(pa)
    if address:
        found = symbol_at(address)
        yield f"{address:#x} in the kernel image" + (f" ({found[0]})" if found else "")


def stack_alias(pa):
    for stack in stacks.every_stack():
        if not stack.guarded:
            if stack.contains(paging.direct(pa)):
                yield f"the stack of {stack.who()}, which has no guards"
            continue
        for at in range(stack.lo, stack.hi, kernel.layout("PAGE_SIZE")):
            if paging.frame_of(paging.window_entry(at)) == pa & ~0xfff:
                yield f"{at + pa % 4096:#x} in the {stack.kind} stack of {stack.who()}"


def vmalloc_alias(pa):
    arena = kernel.variable("vmalloc_general")
    count = int(arena["granules"]["count"])
    bits = kernel.read(int(arena["granules"]["map"]), (count + 63) // 64 * 8)
    pages = 1 << int(arena["shift"]) - 12
    for index in range(count):
        if bits[index // 8] >> index % 8 & 1:
            entries = kernel.words(int(arena["ptes"]) + 8 * pages * index, pages)
            for i, entry in enumerate(entries):
                if entry & paging.V and paging.frame_of(entry) == pa & ~0xfff:
                    yield (f"{int(arena['base']) + (index * pages + i << 12) + pa % 4096:#x} in "
                           "the vmalloc window")


def user_alias(pa):
    for process in threads.processes():
        space = threads.space_of(process["thread"].dereference()) if process["thread"] else None
        for va, entry in paging.user_leaves(int(space["pt"])) if space else ():
            if paging.frame_of(entry) == pa & ~0xfff:
                yield (f"{va + pa % 4096:#x} of pid {int(process['pid'])} "
                       f"({kernel.text(process['name'])}), a user page {paging.bits(entry)}")


def aliases(pa):
    for one in (image_alias, stack_alias, vmalloc_alias, user_alias):
        yield from one(pa)


class Explain(kernel.Command):
    """Say what an address is, whose, and where else that memory shows.

Usage: explain ADDRESS

ADDRESS is an expression, such as $sp, recurse or &harts[1].  What follows is the walk of the
selected hart's page table, as `ptwalk` shows it, and where else the same memory can be seen."""

    name, usage = "explain", "ADDRESS"

    def run(self, argument):
        if not argument:
            raise self.wrong()
        kernel.need_kernel()
        address = kernel.address_of(argument)
        place = place_of(address) if paging.is_canonical(address) else None
        if not place:
            kernel.say(f"{address:#x} is nowhere: " + (
                "the kernel's map has nothing there." if paging.is_canonical(address) else
                "it is not canonical, so each access is a fault."))
            return
        kernel.say(f"{address:#x}")
        for line in place(address):
            kernel.say(f"  {line}")
        index = threads.here()
        step = paging.show_walk(paging.hart_root(), address,
                                f"hart {int(index['index'])}" if index else "this hart")
        if not step.leaf:
            kernel.say("It is not mapped: each access is a fault.")
            return
        self.show_aliases(address, step.pa)

    @staticmethod
    def show_aliases(address, pa):
        kernel.say(f"It is at pa {pa:#x}.  The same memory:")
        direct = paging.direct(pa)
        found = [] if direct == address or not paging.leaf(paging.hart_root(), direct) else \
            [f"{direct:#x} in the direct map"]
        found += aliases(pa) if threads.has_process() else image_alias(pa)
        for line in found:
            if not line.startswith(f"{address:#x} "):
                kernel.say(f"  {line}")
        if not found:
            kernel.say("  nowhere else")

    def complete(self, _text, _word):
        return gdb.COMPLETE_EXPRESSION


Explain()
