# SPDX-License-Identifier: MIT
"""What the kernel prints of faults, taken from a copy of its console while it is written."""

import re
from pathlib import Path

KILLED = re.compile(r"The kernel killed pid (\d+) \((.*)\): (.*)\.$")
FIELDS = re.compile(r"(\w+)=(\S*)")
LINES_MAX = 400  # of which a report can consist
HEAD = 200  # bytes of a sentence that tell it from others


class Reports:
    def __init__(self, path):
        self.path, self.at, self.rest, self.lines = Path(path), 0, "", []

    def read(self):
        """Return events for what is new."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read(1 << 20)
        except OSError:
            return []
        self.at += len(data)
        text = self.rest + data.decode(errors="replace")
        *lines, self.rest = text.replace("\r", "").split("\n")
        found = []
        for line in lines:
            self.lines.append(line)
            event = self.event(line)
            if event:
                found.append(event)
                self.lines.clear()
        del self.lines[:-LINES_MAX]
        return found

    def event(self, line):
        at = line.find("kstack: class=")
        if at >= 0:
            return self.report(dict(FIELDS.findall(line[at:])))
        killed = KILLED.search(line)
        if killed:
            return {"kind": "killed", "slot": -1, "text": f"the kernel killed pid {killed[1]} "
                    f"({killed[2]}): {killed[3]}"}
        if line.startswith("panic"):
            return {"kind": "panic", "slot": -1, "text": line}
        return None

    def report(self, fields):
        """The event of a machine line; its report stands above, from its first sentence on."""
        tried = next((i for i in range(len(self.lines) - 1, -1, -1)
                      if self.lines[i].startswith("What to try:")), 0)
        first = tried
        while first > 0 and self.lines[first - 1].strip():
            first -= 1
        sentence = self.lines[first:tried]
        head = (sentence or [""])[0][-HEAD:]
        start = next((i for i in range(first) if head and self.lines[i].endswith(head)), first)
        text = "\n".join(self.lines[start:])
        words = " ".join(sentence).strip() or f"a fault of class {fields.get('class')}"
        return {"kind": "fault", "slot": -1, "class": fields.get("class", "?"), "text": words,
                "report": text, "lo": fields.get("lo", "0x0"), "past": fields.get("past", "0"),
                "pid": fields.get("pid", "0"), "verdict": fields.get("verdict", "?")}
