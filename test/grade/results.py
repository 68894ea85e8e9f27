# SPDX-License-Identifier: MIT
"""What the cases found, as text, as a page, and in the files of formats.py: all from the same
outcomes.

Files are written anew as cases end, once a second at most, and under another name first, so that
a run that is interrupted leaves whole files with what it has.
"""

import errno
import os
import sys
import time
from collections import Counter
from contextlib import contextmanager
from html import escape
from pathlib import Path
from types import SimpleNamespace

import formats
import story
import suite
import teach
from formats import picture, printable

FORMATS = ("json", "junit", "tap", "html", "gradescope", "classroom50", "markdown")
PLACES = FORMATS[-3:]  # where courses live
REPEATS = 4  # failures of one kind and with the same numbers, of which more is said than the title
SHORT = 200  # characters of what was seen by a case that is not the first to fail like this
INTERVAL = 1  # seconds between two writings


class Report:
    """Collects outcomes, prints them in the order of the cases, keeps the files up to date."""

    def __init__(self, cases, options):
        self.cases, self.options = cases, options
        self.outcomes = {}
        self.printed = 0
        self.why = ""  # nothing could be graded
        self.told = set()  # facts that have been explained
        self.same = Counter()  # how often something has failed in the same way
        self.places = None  # of the kernel, if there is one
        self.begun, self.clear = time.monotonic(), ""
        self.seconds = None  # set when all is done
        self.new = False  # something that is not in the files
        self.write()

    def add(self, outcome):
        self.outcomes[outcome.id] = outcome
        if self.places and outcome.status != "pass":
            story.explain(outcome, self.places)
        while self.printed < len(self.cases):
            done = self.outcomes.get(self.cases[self.printed].id)
            if not done:
                break
            self.say(done)
            self.printed += 1
        self.progress()
        self.new = True
        self.refresh()

    def say(self, outcome):
        """Print what a case found; at length only where nothing like it has been printed."""
        if self.options.quiet:
            return
        cause = teach.find(outcome)
        briefly = cause in self.told and (not outcome.story or (cause, "story") in self.told)
        way = (cause, teach.plain(outcome.expected), teach.plain(outcome.seen))
        self.same[way] += 1
        said = text(outcome, briefly)
        if briefly and self.same[way] > REPEATS:
            said = said.partition("\n")[0] + "  as above"
        print(self.clear + said, flush=True)
        if cause:
            self.told |= {cause, (cause, "story")} if outcome.story else {cause}

    def progress(self):
        """On a terminal, keep a line below that says how far the run has come."""
        if self.options.quiet or not sys.stdout.isatty():
            return
        done, all_of_them = len(self.outcomes), len(self.cases)
        left = (time.monotonic() - self.begun) / done * (all_of_them - done)
        print(f"{self.clear}{done} of {all_of_them} cases, {self.score()} points, "
              f"{left:.0f} s left", end="", flush=True)
        self.clear = "\r\x1b[K"

    def give_up(self, why, boot=None):
        """Nothing more can be run: what is missing gets no points, and says why.  boot: the Outcome
        that this was seen by."""
        print(f"Not graded: {why}")
        if boot and boot.log:
            print(f"    console:  {boot.log}")
        for c in self.cases:
            if c.id not in self.outcomes:
                self.outcomes[c.id] = outcome = suite.Outcome.of(c)
                outcome.reason = why
                if boot:
                    outcome.status, outcome.log = boot.status, boot.log
                    outcome.expected, outcome.seen = boot.expected, boot.seen
        self.printed = len(self.cases)
        self.why = why

    def end(self, seconds):
        self.seconds = seconds
        for c in self.cases[self.printed:]:  # interrupted: what came in after the first gap
            if c.id in self.outcomes:
                self.say(self.outcomes[c.id])
        print(self.clear, end="")
        if not self.why and not self.options.quiet:
            for line in teach.summary(self.done()):
                print(line)
        print(f"Score: {self.score()}/{self.max()}", flush=True)
        self.write()

    def elapsed(self):
        return time.monotonic() - self.begun if self.seconds is None else self.seconds

    def score(self):
        return sum(outcome.points for outcome in self.outcomes.values())

    def max(self):
        return sum(c.points for c in self.cases)

    def full(self):
        return self.score() == self.max() and len(self.outcomes) == len(self.cases)

    def done(self):
        return [self.outcomes[c.id] for c in self.cases if c.id in self.outcomes]

    def refresh(self):
        """Write what is new, unless that was done just now."""
        if self.new and time.monotonic() - self.written >= INTERVAL:
            self.write()

    def write(self):
        for name in FORMATS:
            if path := getattr(self.options, name, None):
                form = as_html if name == "html" else getattr(formats, f"as_{name}")
                replace(Path(path), form(self))
        self.written, self.new = time.monotonic(), False


def refuse(cases, options, why):
    """Tell the student why nothing is taken, in the files where only a score can be told."""
    told = SimpleNamespace(**{name: getattr(options, name) for name in PLACES})
    report = Report([], told)
    report.cases, report.why = cases, why
    report.write()


def withdraw(options):
    """Leave nothing that a place would take for a score."""
    for name in PLACES:
        if path := getattr(options, name):
            Path(path).unlink(missing_ok=True)


class Unwritable(Exception):
    """A file cannot be written."""


@contextmanager
def writing(path):
    """What is written before it replaces path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path.parent / (path.name + ".new")
    except FileExistsError as error:
        raise Unwritable(f"{path} cannot be written: {path.parent} is no folder") from error
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror}") from error


def replace(path, content):
    with writing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)


def check_paths(options):
    """Find out now, and not after the first case, which files cannot be written."""
    for name in FORMATS:
        if path := getattr(options, name, None):
            with writing(Path(path)) as temporary:
                if os.path.isdir(path):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                temporary.touch()
                temporary.unlink()


def make_folder(path):
    with writing(path / "log") as log:
        log.touch()
        log.unlink()


def text(outcome, briefly=False):
    """A line for what went well, a few for what did not.  briefly: the same failed before."""
    if outcome.status == "pass":
        return f"{outcome.title}: OK ({outcome.points}/{outcome.max})"
    word = {"fail": "FAIL", "timeout": "TIMEOUT", "error": "ERROR"}[outcome.status]
    head = f"{outcome.title}: {word} (0/{outcome.max})  [{outcome.id}]"
    said = teach.lines(outcome)
    if briefly:
        said = [(name, words if len(words) <= SHORT else f"...{words[-SHORT:]}")
                for name, words in said if name in ("what", "expected", "seen")]
    return "\n".join([head, *(f"    {name + ':':9} " + words.replace("\n", "\n" + " " * 14)
                              for name, words in said)])


def table(cases):
    """docs/cases.md."""
    out = ["# Cases of the graded suite", "",
           "Made by `test/grade/grade --table`; a test compares.",
           f"Points in all: {sum(c.points for c in cases if c.group in suite.GROUPS)}. "
           "[How grading works](grading.md)."]
    for group in suite.EVERY_GROUP:
        mine = [c for c in cases if c.group == group]
        if mine:
            out += ["", f"## {group}: {sum(c.points for c in mine)} points", ""]
            out += ["With [`KSTACK_GROW=y`](growing-stacks.md), beyond the others.",
                    ""] * (group in suite.GROWING)
            out += ["| case | what happens | points |", "|---|---|---|"]
            out += [f"| `{c.id}`{' (stress)' if 'stress' in c.tags else ''} | {c.title} "
                    f"| {c.points} |" for c in mine]
    return "\n".join(out) + "\n"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em;
  color: #1b1f24; background: #fff; }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ccc }
details { border-left: 4px solid #2da44e; margin: .4em 0; padding: .1em .8em; }
details.fail, details.timeout, details.error { border-color: #cf222e; background: #fff5f5 }
summary { cursor: pointer } summary b { float: right }
pre { background: #f6f8fa; padding: .8em; overflow: auto; font-size: 12.5px; line-height: 1.35 }
dt { font-weight: 600 } dd { margin: 0 0 .4em 1em } code { color: #57606a; font-size: 12.5px }
"""


def shown(value):
    text = escape(printable(value))
    return f"<pre>{text}</pre>" if "\n" in value else text


def html_case(o):
    said = teach.lines(o) if o.status != "pass" else []
    body = "".join(f"<dt>{name}</dt><dd>{shown(value)}</dd>" for name, value in said)
    body = f"<dl>{body}</dl>" if body else ""
    if o.report:
        body += f"<pre>{escape(printable(picture(o)))}</pre>"
    opened = "" if o.status == "pass" else " open"
    return (f'<details id="{o.id}" class="{o.status}"{opened}><summary>{escape(o.title)} '
            f'<code>{o.id}</code> <b>{"OK" if o.status == "pass" else o.status.upper()} '
            f'{o.points}/{o.max}</b></summary>{body}</details>')


def html_causes(outcomes):
    """What the failures come to, at the top."""
    groups = teach.causes(outcomes)
    if not groups:
        return []
    items = "".join(f"<li>{escape(group.says)}: {group.points} points"
                    + (f"; {escape(group.common)}" if group.common else "") + ": "
                    + " ".join(f'<a href="#{o.id}"><code>{o.id}</code></a>'
                               for o in group.outcomes) + "</li>" for group in groups)
    return [f"<h2>What to mend, in this order</h2><ol>{items}</ol>"]


def as_html(report):
    keep_back = getattr(report.options, "keep_back", False)
    outcomes = formats.shown(report) if keep_back else report.done()
    out = ['<!DOCTYPE html><html lang="en"><meta charset="utf-8">',
           '<meta name="viewport" content="width=device-width">',
           f"<title>Bulwark: {report.score()}/{report.max()}</title><style>{STYLE}</style>",
           f"<h1>Kernel stacks, graded: {report.score()} of {report.max()} points</h1>",
           *html_causes(outcomes)]
    for group in suite.EVERY_GROUP:
        done = [o for o in outcomes if o.group == group]
        if done:
            out.append(f"<h2>{group} {sum(o.points for o in done)}/{sum(o.max for o in done)}</h2>")
            out += [html_case(o) for o in done]
    got, most = formats.hidden_points(report)
    if most and keep_back:
        out.append(f"<h2>hidden cases {got}/{most}</h2>")
    return "\n".join(out) + "\n</html>\n"
