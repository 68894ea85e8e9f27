# SPDX-License-Identifier: MIT
"""Who handed in what, what came of it, and the table of it that a course keeps."""

import csv
import hashlib
import io
import json
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "grade"))

import intake  # noqa: E402
import results  # noqa: E402

COLUMNS = ("student", "name", "status", "score", "max", "days_late", "final", "lost", "why")
READ_MAX = 64 << 20  # bytes of one submission that its fingerprint looks at
FILES_MAX = 5000


class Mistake(Exception):
    """Something that whoever typed the command can mend."""


@dataclass
class Submission:
    student: str  # also the name of a folder
    path: Path
    seed: str
    fingerprint: str  # of what was handed in, and how it is graded

    @property
    def file_name(self):
        """A name for a copy of it: the grader tells archives by their names."""
        suffix = next((s for s in intake.ARCHIVES if self.path.name.lower().endswith(s)), "")
        return self.student + suffix


def student_of(name):
    """Return the student whose submission has this file name."""
    suffix = next((s for s in sorted(intake.ARCHIVES, key=len, reverse=True)
                   if name.lower().endswith(s)), "")
    return re.sub(r"[^\w.@+-]", "_", name[:len(name) - len(suffix)])[:100].lstrip(".-") or "_"


def pieces(path):
    """Yield the bytes that make a submission what it is: names, kinds, contents.  It follows no
    link and opens nothing that is not an ordinary file."""
    pending, files, read = [path], 0, 0
    while pending:
        at = pending.pop()
        facts = os.lstat(at)
        yield f"{at.relative_to(path)}\0{stat.S_IFMT(facts.st_mode)}\0{facts.st_size}\0".encode(
            errors="surrogateescape")
        files += 1
        if files > FILES_MAX or read > READ_MAX:
            return
        if stat.S_ISDIR(facts.st_mode):
            pending += sorted((at / name for name in os.listdir(at)), reverse=True)
        elif stat.S_ISREG(facts.st_mode):
            with open(at, "rb") as file:
                content = file.read(READ_MAX - read)
            read += len(content)
            yield content


def fingerprint(path, lab, seed):
    """Of what was handed in, and of what makes its score: the lab's definition, and the seed."""
    definition = (lab.folder / "lab").read_text(encoding="utf-8") if lab else ""
    digest = hashlib.sha256(f"{lab and lab.name}\0{definition}\0{seed}\0".encode())
    try:
        for piece in pieces(path):
            digest.update(piece)
    except OSError as error:  # then the grader cannot read it either, and says so
        digest.update(str(error).encode())
    return digest.hexdigest()


def collect(source, roster, lab):
    """Return the Submissions in a folder, one for each folder or archive there."""
    try:
        entries = sorted(path for path in source.iterdir() if not intake.is_junk(path.name))
    except OSError as error:
        raise Mistake(f"SUBMISSIONS={source} cannot be read: {error.strerror}") from error
    found = {}
    for path in entries:
        if not intake.is_archive(path.name) and not path.is_dir():
            print(f"class: {ascii(path.name)} is no folder and no archive; it is not graded",
                  file=sys.stderr)
            continue
        student = student_of(path.name)
        if student in found:
            raise Mistake(f"{ascii(found[student].path.name)} and {ascii(path.name)} are both of "
                          f"{student}: keep one of them")
        seed = roster.get(student, {}).get("seed", "")
        found[student] = Submission(student, path, seed, fingerprint(path, lab, seed))
    if not found:
        raise Mistake(f"SUBMISSIONS={source} has no folder and no archive in it")
    strangers = [s for s in found if roster and s not in roster]
    if strangers:
        print(f"class: not in the roster: {' '.join(strangers)}", file=sys.stderr)
    return list(found.values())


def read_roster(name):
    """Return {student: row} of a CSV file with the column student, and maybe name, seed,
    days_late."""
    try:
        with open(name, encoding="utf-8-sig", newline="") as file:
            text = file.read()
        first = text.partition("\n")[0]
        between = ";" if first.count(";") > first.count(",") else ","  # as some spreadsheets write
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=between))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Mistake(f"ROSTER={name} cannot be read: {error}") from error
    if not rows or "student" not in rows[0]:
        raise Mistake(f"ROSTER={name} has no column student; its first line is "
                      f"{ascii(first[:200])}. Rename the column that has the names of the "
                      "submissions")
    roster = {}
    for number, row in enumerate(rows, 2):
        student = student_of((row["student"] or "").strip())
        if student in roster:
            raise Mistake(f"ROSTER={name}: {student} stands there twice, again in line {number}")
        days = (row.get("days_late") or "0").strip()
        if not re.fullmatch(r"\d{1,3}", days):
            raise Mistake(f"ROSTER={name}: days_late of {student} is {ascii(days)}, not a number")
        seed = (row.get("seed") or "").strip()
        if not re.fullmatch(r"\w{0,32}", seed, re.ASCII):
            raise Mistake(f"ROSTER={name}: seed of {student} is {ascii(seed)}: letters and digits "
                          "only")
        roster[student] = {"name": (row.get("name") or "").strip(), "days_late": int(days),
                           "seed": seed}
    return roster


class Result:
    """What came of a submission."""

    def __init__(self, out, submission):
        self.submission, self.student = submission, submission.student
        self.folder = out / "students" / self.student
        known = read_json(self.folder / "status.json")
        if known.get("fingerprint") != submission.fingerprint:
            known = {"status": "waiting", "why": ""}
        self.status, self.why = known["status"], known["why"]
        self.data = read_json(self.folder / "result.json") if self.graded else {}
        if self.graded and not self.data.get("complete"):
            self.status, self.data = "waiting", {}
        self.score, self.max = self.data.get("score"), self.data.get("max")

    @property
    def graded(self):
        """There is a score, be it 0."""
        return self.status in ("graded", "failed")

    @property
    def needs_look(self):
        return self.status == "look"

    def lost(self):
        """Return the ids of the cases that it lost, or [] if none was run."""
        return [] if self.status != "graded" else \
            [c["id"] for c in self.data["cases"] if c["status"] != "pass"]


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def is_graded(out, submission):
    return Result(out, submission).graded


def final(result, days, cost):
    return max(0, result.score - days * cost) if result.graded else ""


def harmless(word):
    """A spreadsheet takes a word that begins so for a formula."""
    return "'" + word if word[:1] in ("=", "+", "-", "@", "\t", "\r") else word


def write(path, results_, roster, cost):
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for r in results_:
        row = roster.get(r.student, {})
        days = row.get("days_late", 0)
        value = final(r, days, cost)
        table.writerow([harmless(r.student), harmless(row.get("name", "")), r.status,
                        r.score if r.graded else "", r.max if r.graded else "", days,
                        f"{value:g}" if r.graded else "", " ".join(r.lost()),
                        harmless(printable(r.why))])
    for student in sorted(set(roster) - {r.student for r in results_}):
        row = roster[student]
        table.writerow([harmless(student), harmless(row["name"]), "missing", *[""] * 6])
    results.replace(path, out.getvalue())


def printable(text):
    return "".join(c if c.isprintable() else " " for c in text)
