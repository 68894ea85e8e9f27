# SPDX-License-Identifier: MIT
"""After a process was killed for an overflow the kernel is as good as new."""

from suite import case


@case("survival.hundred", "A hundred overflows in a row", 2, tags=("stress",),
      hint="Whatever the victim held goes back when it exits: pages, its stack, its files.")
def hundred(t):
    watch = t.boot("provoke -n 100 EXHAUST_STACK")
    for report in watch.reports(100, witness=False):
        t.equal("class", report.line["class"], "overflow")
    watch.alive_until_end(0)
    t.expect("provoke: 100 of 100 killed, 0 pages lost" in watch.guest.output(),
             "100 of 100 killed, 0 pages lost", watch.tail())
