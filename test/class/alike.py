# SPDX-License-Identifier: MIT
"""Submissions that are alike.

sim_c (Debian's similarity-tester) compares tokens: layout, comments, names and constants do not
count.  Of each submission it gets only the lines that the starter does not have.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("grade", "labs")]

import intake  # noqa: E402
import labs  # noqa: E402
import submission  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
KERNEL = ("boot", "trap", "kern", "vm")
ALIKE = 80  # percent of one that stands in the other
RUN = 16  # tokens that must be alike in a row
SECONDS = 300


@dataclass
class Pair:
    first: str
    second: str
    percent: int


def normalized(line):
    return " ".join(line.split())


def given(lab):
    """Return the lines of the kernel that the students began with."""
    with tempfile.TemporaryDirectory(prefix="class-") as scratch:
        top = Path(scratch)
        for name in KERNEL:
            shutil.copytree(TOP / name, top / name)
        if lab and not lab.variants():
            labs.apply(lab.starter_patches()[0], top, "--include=boot/*", "--include=trap/*",
                       "--include=kern/*", "--include=vm/*")
        return {normalized(line) for path in top.rglob("*.[chS]")
                for line in path.read_text(encoding="utf-8").splitlines()}


def own_lines(path, manifest, known, scratch):
    """Return what the student wrote, as text; None if the submission cannot be read."""
    scratch.mkdir()
    for name in ("tmp", "git"):
        (scratch / name).mkdir()
    try:
        found = submission.read(path, manifest, scratch, None)
    except (intake.Unusable, submission.Refused, OSError):
        return None
    finally:
        shutil.rmtree(scratch)
    lines = [line for folder in found.values() for content in folder.values()
             for line in content.decode(errors="replace").splitlines()]
    return "".join(line + "\n" for line in lines if normalized(line) not in known)


def find(submissions, lab):
    """Return (the Pairs that are alike, the most alike first; the students who have handed in what
    they were given)."""
    manifest = submission.load_manifest(lab.handed_in if lab else None)
    known = given(lab)
    with tempfile.TemporaryDirectory(prefix="class-") as scratch:
        top, names, unchanged = Path(scratch), {}, []
        for number, s in enumerate(submissions):
            text = own_lines(s.path, manifest, known, top / "scratch")
            if text == "":
                unchanged.append(s.student)
            elif text:
                names[f"{number}.c"] = s.student
                (top / f"{number}.c").write_text(text, encoding="utf-8")
        return compare(top, names) if len(names) > 1 else [], unchanged


def groups(pairs):
    """Return [(students, least percent)]: each is alike with another one of its group.  The largest
    group first."""
    group_of = {}
    for pair in pairs:
        both = group_of.get(pair.first, {pair.first}) | group_of.get(pair.second, {pair.second})
        for student in both:
            group_of[student] = both
    found = {tuple(sorted(group)) for group in group_of.values()}
    percent = {group: min(p.percent for p in pairs if p.first in group) for group in found}
    return sorted(percent.items(), key=lambda entry: (-len(entry[0]), -entry[1], entry[0]))


def compare(top, names):
    try:
        done = subprocess.run(["sim_c", "-a", "-p", f"-r{RUN}", f"-t{ALIKE}", "-i"], cwd=top,
                              input="".join(f"{name}\n" for name in names), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace",
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, timeout=SECONDS,
                              check=False)
        said = done.stdout
    except FileNotFoundError:
        print("class: nothing is compared, since sim_c is missing (Debian's similarity-tester)",
              file=sys.stderr)
        return []
    except subprocess.TimeoutExpired:
        print(f"class: nothing is compared: sim_c took more than {SECONDS} s", file=sys.stderr)
        return []
    pairs = {}
    for first, percent, second in re.findall(r"^(\S+) consists for (\d+) % of (\S+) material",
                                             said, re.MULTILINE):
        both = tuple(sorted((names[first], names[second])))
        pairs[both] = max(pairs.get(both, 0), int(percent))
    return sorted((Pair(*both, percent) for both, percent in pairs.items()),
                  key=lambda pair: -pair.percent)
