# SPDX-License-Identifier: MIT
"""Which memory a driver can hand to a device: allocated memory, never a stack."""

import re

from machine import DIRECT
from suite import case
from sv39 import W

BLOCK = 1024  # bytes; provoke has the disk read block 1
ONE_WAY = "Let drivers get addresses from one function, and check there where the buffer is."
WHOLE = "Look at every page of the buffer, not only at its first byte."


def handed_over(t, program):
    """Run to where a device may use the buffer.  Returns (Observer, buffer, its address)."""
    watch = t.boot(program)
    watch.mark()
    stop = watch.guest.until(t.build.provoke("provoke_dma"))
    return watch, stop.x[10], stop.x[11]


def allowed(t, program):
    """The address handed over is where the page table has the buffer."""
    watch, buffer, address = handed_over(t, program)
    leaf = watch.guest.at.table().lookup(buffer)
    t.expect(DIRECT[0] <= buffer < DIRECT[1] and leaf and leaf.flags & W,
             "a buffer in the direct map", f"{buffer:#x}")
    t.equal("the device's address", hex(address), hex(leaf.pa + (buffer - leaf.va) % leaf.size))
    return watch, address


def hands_over(t):
    watch, _ = allowed(t, "provoke DMA_HEAP")
    watch.alive_until_end(0)


def refused(t, program, *says):
    """The kernel panics before a device is given the buffer, and says whose it is."""
    t.given(hands_over)  # a kernel that refuses every buffer proves nothing
    watch = t.boot(program)
    watch.mark()
    watch.guest.insert(t.build.provoke("provoke_dma"))
    watch.panics()
    for words in says:
        plain = words.replace("\\", "")
        t.expect(re.search(words, watch.guest.output()), f"a message with {plain}", watch.tail)


@case("dma.heap", "The disk reads into allocated memory", 1,
      "The direct map is contiguous: a physical address is the virtual one less its base.")
def heap(t):
    watch, address = allowed(t, "provoke DMA_HEAP disk")
    seen = watch.guest.read_memory(address, BLOCK)
    t.expect(seen == t.build.image.read_bytes()[BLOCK:2 * BLOCK], "block 1 of the disk",
             f"{seen[:16].hex()}...")
    watch.alive_until_end(0)


@case("dma.stack", "A stack is not handed to a device", 2, ONE_WAY)
def stack(t):
    refused(t, "provoke DMA_STACK", r"hand_over", r"pid 2 \(provoke\)")


@case("dma.stack_by_driver", "The disk's driver refuses to read into a stack", 2, ONE_WAY)
def stack_by_driver(t):
    refused(t, "provoke DMA_STACK disk", r"pid 2 \(provoke\)")


@case("dma.vmalloc", "An area of scattered pages is not handed to a device", 1, ONE_WAY)
def vmalloc(t):
    refused(t, "provoke DMA_VMALLOC", r"hand_over", r"vmalloc_pair")


@case("dma.off_ram", "A buffer that runs off memory is not handed to a device", 1, WHOLE)
def off_ram(t):
    refused(t, "provoke DMA_RANGE ram", r"hand_over")


@case("dma.off_data", "A buffer that runs off the kernel's data is not handed to a device", 1,
      WHOLE)
def off_data(t):
    refused(t, "provoke DMA_RANGE data", r"hand_over")


@case("dma.code", "A buffer in the kernel's code is not handed to a device", 1,
      "What the kernel itself may not write, no device may write, at whatever address.")
def code(t):
    refused(t, "provoke DMA_RANGE text", r"hand_over")
