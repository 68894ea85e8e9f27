# SPDX-License-Identifier: MIT
"""What a lab is: a kernel without its solution, the cases that it is graded by, and the mistakes
that it expects.  docs/labs/instructor.md says how to write one.

A lab is a folder test/labs/NAME with

  lab            title, hours, what is handed in, and the points of each case
  starter.patch  takes the solution out of this tree
  wrong/*.patch  what students typically hand in: against this tree, with what each must score

or, in place of starter.patch, variants/KIND-NN.patch: bugs, of which a seed chooses one of each
kind, so that each student has others.

In the tree that a student works in only the file `lab` is there, and test/labs/this names it, and
the seed.
"""

import configparser
import hashlib
import io
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
THIS = "test/labs/this"  # in a student's tree
TOTAL = 100  # points of each lab


class BadLab(Exception):
    """There is no such lab, or its definition is wrong."""


@dataclass
class Lab:
    name: str
    title: str
    hours: str
    starter_score: int
    handed_in: list  # patterns of files, as in the grader's manifest
    left_out: list  # patterns of files that would give the solution away
    points: dict  # of each case, by id
    hidden: list  # patterns of cases that students do not see
    options: list  # NAME=value, which its kernel is made with
    hidden_points: int = 0  # of those, in a student's tree, where they are not

    @property
    def folder(self):
        return HERE / self.name

    def build(self):
        """Return the folder in which the solved tree makes this lab's kernel."""
        own = self.options and this() != self.name
        return os.environ.get("BUILD", "build") + (f"/{self.name}" if own else "")

    def variants(self):
        return sorted(self.folder.glob("variants/*.patch"))

    def starter_patches(self, seed=""):
        """Return the patches that make the starter: that of the lab, or those that the seed
        chooses."""
        kinds = {}
        for path in self.variants():
            kinds.setdefault(path.stem.split("-")[0], []).append(path)
        if not kinds:
            return [self.folder / "starter.patch"]
        if not re.fullmatch(r"\w{1,32}", seed, re.ASCII):
            raise BadLab(f"lab {self.name} needs a seed of letters and digits, such as a student's "
                         "number: SEED=12345678")
        return [paths[int(hashlib.sha256(f"{kind} {seed}".encode()).hexdigest(), 16) % len(paths)]
                for kind, paths in kinds.items()]

    def wrong(self):
        return [read_wrong(path) for path in sorted(self.folder.glob("wrong/*.patch"))]

    def is_hidden(self, case):
        return any(fnmatchcase(case, pattern) for pattern in self.hidden)

    def shown(self):
        """The points that a student's tree gives."""
        hidden = sum(n for case, n in self.points.items() if self.is_hidden(case))
        return TOTAL - self.hidden_points - hidden

    def choose(self, cases):
        """Return this lab's cases, each with the lab's points."""
        known = {c.id for c in cases}
        missing = [i for i in self.points if i not in known]
        if missing:
            raise BadLab(f"lab {self.name}: there is no case {missing[0]}")
        return [replace(c, points=self.points[c.id], hidden=self.is_hidden(c.id))
                for c in cases if c.id in self.points]


@dataclass
class Wrong:
    """A wrong solution."""

    path: Path
    title: str
    score: int
    loses: list | None  # ids of cases, None: not listed


def names():
    return sorted(path.parent.name for path in HERE.glob("*/lab"))


def this():
    """Return the name of the lab that this tree was made for, or None in the solved tree."""
    path = HERE / "this"
    return path.read_text(encoding="utf-8").split()[0] if path.exists() else None


def seed_of(top):
    """Return the seed that a submission was made with, '' if it does not say."""
    words = b""
    try:
        if top.is_dir():
            with open(top / THIS, "rb") as file:
                words = file.read(100)
        else:
            with tarfile.open(top) as tar:
                member = next((m for m in tar if m.isreg() and m.name.endswith(f"/{THIS}")), None)
                words = tar.extractfile(member).read(100) if member else b""
    except (OSError, tarfile.TarError):
        pass
    found = re.fullmatch(r"\w+ (\w+)\s*", words.decode("ascii", "replace"), re.ASCII)
    return found[1] if found else ""


def check_seed(lab, seed, top):
    """Say which bugs the student's kernel had.  seed: as given, or ''."""
    told = seed_of(top)
    if seed and told and seed != told:
        raise BadLab(f"{top.name} was made from the tree with SEED={told}, not from SEED={seed}")
    if seed or told:
        bugs = " ".join(path.stem for path in lab.starter_patches(seed or told))
        print(f"Lab {lab.name}, seed {seed or told}: {bugs}", flush=True)


def parse(path):
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes="#")
    parser.optionxform = str
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def load(name):
    if name not in names():
        raise BadLab(f"there is no lab {name!r}; there are: {', '.join(names())}")
    path = HERE / name / "lab"
    try:
        parser = parse(path)
        lab = parser["lab"]
        points = {case: int(number) for case, number in parser["points"].items()}
        found = Lab(name, lab["title"], lab["hours"], int(lab["starter_score"]),
                    lab["handed_in"].split(), lab.get("left_out", "").split(), points,
                    lab.get("hidden", "").split(), lab.get("options", "").split(),
                    int(lab.get("hidden_points", 0)))
    except (configparser.Error, KeyError, ValueError) as error:
        raise BadLab(f"{path}: {error}") from error
    total = sum(points.values()) + found.hidden_points
    if total != TOTAL:
        raise BadLab(f"{path}: its points add up to {total}, not {TOTAL}")
    for pattern in found.hidden:
        if not any(fnmatchcase(case, pattern) for case in points):
            raise BadLab(f"{path}: hidden: no case of this lab is called {pattern}")
    return found


def for_student(lab):
    """Return the definition without the hidden cases: how many points they have stands there."""
    path = lab.folder / "lab"
    if not lab.hidden:
        return path.read_text(encoding="utf-8")
    parser, hidden = parse(path), [case for case in lab.points if lab.is_hidden(case)]
    parser["lab"]["hidden_points"] = str(sum(lab.points[case] for case in hidden))
    del parser["lab"]["hidden"]
    for case in hidden:
        del parser["points"][case]
    text = io.StringIO("# SPDX-License-Identifier: MIT\n")
    text.seek(0, io.SEEK_END)
    parser.write(text)
    return text.getvalue()


def read_wrong(path):
    header = path.read_text(encoding="utf-8").split("\n--- ", 1)[0]
    title = re.search(r"^Title: *(.*)", header, re.MULTILINE)
    score = re.search(r"^Scores: *(\d+)$", header, re.MULTILINE)
    loses = re.search(r"^Loses: *(.*(?:\n +.*)*)", header, re.MULTILINE)
    if not title or not score or not loses:
        raise BadLab(f"{path}: it has no Title:, Scores: or Loses: line")
    return Wrong(path, title[1], int(score[1]), loses[1].split())


def apply(patch, tree, *options):
    """Apply the patch to the tree, exactly."""
    done = subprocess.run(["git", "apply", "--whitespace=nowarn", *options, str(patch)], cwd=tree,
                          env={"PATH": "/usr/local/bin:/usr/bin:/bin",
                               "GIT_CEILING_DIRECTORIES": str(Path(tree).parent)},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BadLab(f"{patch.name} does not fit: {done.stdout.strip()}")


def solution(patch):
    """Return the lines that the patch takes out, as {file: [line, ...]}."""
    found, name = {}, None
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("--- "):
            name = line[len("--- a/"):]
        elif line.startswith("-"):
            found.setdefault(name, []).append(line[1:])
    return found
