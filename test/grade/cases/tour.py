# SPDX-License-Identifier: MIT
"""The lab `tour`: each case is for one kind of planted bug, in whichever place it is.

The program tour makes the calls of all places, and checks what they return.
"""

from facts import Failed
from gradeuser import verdict
from suite import case


def calls(t, kind):
    """The program tour makes the calls of that kind: no report, and the right results."""
    t.proof()
    watch = t.boot(f"tour {kind}")
    try:
        verdict(watch, name="tour")
    except Failed as failure:  # each kind is a cause of its own
        raise Failed(f"{failure.expected} in `tour {kind}`", failure.seen) from None
    watch.alive_until_end(0)


@case("tour.recursion", "Calls that must not recurse without end", 20,
      "The backtrace names the function that calls itself.  When must it stop, and with what?")
def recursion(t):
    calls(t, "recursion")


@case("tour.array", "Calls that need little stack", 20,
      "The backtrace has the size of each frame.  Which is far larger than what it holds?")
def array(t):
    calls(t, "array")


@case("tour.stray", "Calls with a stray pointer", 20,
      "sp is good.  How many bytes is the address from the stack's end, and which word is meant?")
def stray(t):
    calls(t, "stray")


@case("tour.dead", "Calls that ask for what a dead thread has left behind", 20,
      "A stack ends with its thread: keep the number, not a pointer to it.")
def dead(t):
    calls(t, "dead")


@case("tour.slip", "Calls that go through assembly", 20,
      "What is taken from sp must be given back, no more and no less.")
def slip(t):
    calls(t, "slip")
