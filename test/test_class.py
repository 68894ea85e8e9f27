# SPDX-License-Identifier: MIT
"""make class: many submissions, on this machine and on others; the table and the pages."""

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import tarfile
import types

import guest
import pytest

HERE = guest.TOP / "test" / "class"
sys.path.insert(0, str(HERE))

import alike  # noqa: E402
import gradebook  # noqa: E402
import labs  # noqa: E402
import overview  # noqa: E402

LAB = "guards"
# In place of ssh: the other machine is this one, with another home.
SSH = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in -o | -l | -p | -F | -i | -S) shift ;; -*) ;; *) break ;; esac
  shift
done
[ "$1" = broken ] && { echo "ssh: Could not resolve hostname broken" >&2; exit 255; }
shift
[ "$1" = -- ] && shift
cd "$OTHER_HOME" && HOME=$OTHER_HOME exec sh -c "$*"
"""


@pytest.fixture
def top(tmp_path):
    """A folder for submissions, where the grader's users may go."""
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == tmp_path.owner() and not path.stat().st_mode & 1:
            path.chmod(path.stat().st_mode | 0o111)
    (tmp_path / "in").mkdir()
    return tmp_path


def hand_in(folder, name, change=lambda text: text):
    """The solution of the lab, changed."""
    for source in labs.load(LAB).handed_in:
        path = folder / name / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(change((guest.TOP / source).read_text()))
    return folder / name


def words(top, **options):
    found = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [str(HERE / "class"), f"--submissions={top}/in", f"--out={top}/out", *found]


def run(top, environment=None, **options):
    done = subprocess.run(words(top, **options), env=environment or guest.environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def table(top):
    with open(top / "out" / "gradebook.csv", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_whole(top):
    """The good, one with a mistake that is listed, the broken, what cannot be taken; with an
    interruption, which loses nothing, and another run, which grades only what is new."""
    hand_in(top / "in", "ann")
    wrong = next(w for w in labs.load(LAB).wrong() if "fence" in w.title)
    labs.apply(wrong.path, hand_in(top / "in", "bob"))
    hand_in(top / "in", "eve", lambda text: text + "int <script>;\n")
    (top / "in" / "dan").mkdir()
    (top / "in" / "link").symlink_to("/etc")
    (top / "in" / "zip.zip").write_bytes(b"PK")
    (top / "roster.csv").write_text("student,name,days_late\nann,=Ann,2\nbob,Bob,\nzoe,Zoe,\n")
    more = {"lab": LAB, "roster": top / "roster.csv", "late_cost": 5, "jobs": 1}

    begun = subprocess.Popen(words(top, **more), env=guest.environment(), text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             # as in the background of a shell
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert "1 of 6" in next(line for line in begun.stdout if " of 6" in line)
    begun.send_signal(signal.SIGTERM)
    assert "the same command goes on where this one stopped" in begun.communicate()[0]
    assert begun.returncode == 1
    assert table(top)["ann"]["status"] == "graded" and table(top)["zip"]["status"] == "waiting"

    code, said = run(top, **more)
    assert code == 0 and "1 of 6 are graded already" in said, said
    rows = table(top)
    assert {name: (row["status"], row["score"], row["final"]) for name, row in rows.items()} == {
        "ann": ("graded", "100", "90"), "bob": ("graded", str(wrong.score), str(wrong.score)),
        "eve": ("failed", "0", "0"), "dan": ("look", "", ""), "link": ("look", "", ""),
        "zip": ("look", "", ""), "zoe": ("missing", "", "")}, said
    assert rows["ann"]["name"] == "'=Ann"  # no formula
    assert rows["bob"]["lost"].split() == wrong.loses
    assert "not in the roster: dan eve link zip" in said
    page = (top / "out" / "index.html").read_text()
    assert wrong.title in page and "<script>" not in page and "Nothing handed in" in page
    assert 'href="students/bob/index.html"' in page
    assert (top / "out/students/bob/index.html").exists()

    code, said = run(top, **more)
    assert code == 0 and "3 of 6 are graded already" in said and "dan: no score" in said
    code, said = run(top, **more, regrade="eve")
    assert "2 of 6 are graded already" in said and "eve: 0/100" in said


def test_two_runs_in_one_folder(top):
    """The second is told; the first goes on."""
    hand_in(top / "in", "ann")
    (top / "out").mkdir()
    with open(top / "out" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, said = run(top, lab=LAB)
    assert code == 1 and "another `make class` works in OUT=" in said, said
    assert not (top / "out" / "gradebook.csv").exists()


def test_other_machines(top):
    """Submissions go to other machines and results come back; one that cannot be reached is left
    out, and nothing stays there but the tree."""
    (top / "bin").mkdir()
    (top / "bin" / "ssh").write_text(SSH)
    (top / "bin" / "ssh").chmod(0o755)
    (top / "home").mkdir()
    with tarfile.open(top / "in" / "ann.tar.gz", "w:gz") as tar:
        tar.add(hand_in(top, "ann", lambda text: text + "int x = ;\n"), "ann")
    (top / "in" / "bob <b>").mkdir()
    os.mkfifo(top / "in" / "bob <b>" / "pipe")
    environment = guest.environment() | {"PATH": f"{top}/bin:{os.environ['PATH']}",
                                         "OTHER_HOME": str(top / "home")}
    environment.pop("SHELL", None)  # as where no terminal is
    code, said = run(top, environment, lab=LAB, hosts="broken me@big")
    assert code == 0, said
    assert "broken is left out" in said
    rows = table(top)
    assert rows["ann"]["status"] == "failed" and "does not build" in rows["ann"]["why"], said
    assert rows["bob__b_"]["status"] == "look" and "no kernel sources" in rows["bob__b_"]["why"]
    there = top / "home" / ".cache" / "bulwark-class"
    assert [path for path in there.rglob("*") if path.is_file() and
            path.relative_to(there).parts[0] not in ("tree", "tree.tar.gz")] == []
    assert not (top / "out" / "sent").exists()


def test_groups():
    """Who is alike with one of a group is in it; the largest comes first."""
    pairs = [alike.Pair("a", "b", 90), alike.Pair("c", "d", 100), alike.Pair("d", "e", 81)]
    assert alike.groups(pairs) == [(("c", "d", "e"), 81), (("a", "b"), 90)]
    assert alike.groups([]) == []


def test_mistakes_that_look_the_same():
    """What was not changed is no listed mistake, and listed ones that lose the same share a row."""
    wrong = [types.SimpleNamespace(title=title, loses=["a.b"]) for title in ("this", "that")]
    lab = types.SimpleNamespace(wrong=lambda: wrong)
    graded = [types.SimpleNamespace(student=name, lost=lambda: ["a.b"]) for name in ("ann", "bob")]
    page = overview.mistakes(graded, lab, {"bob"})
    assert "this; or that" in page and page.count(">ann<") == 1 and page.count(">bob<") == 1


def test_incomplete_result_is_not_graded(top):
    submission = types.SimpleNamespace(student="ann", fingerprint="x")
    folder = top / "students" / "ann"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text('{"fingerprint": "x", "status": "graded", "why": ""}')
    (folder / "result.json").write_text('{"score": 6, "max": 100, "complete": false}')
    assert gradebook.Result(top, submission).status == "waiting"


def test_roster_of_a_spreadsheet(top):
    (top / "r.csv").write_text("\ufeffstudent;name\nann;Ann\n")
    assert gradebook.read_roster(top / "r.csv")["ann"]["name"] == "Ann"
    (top / "r.csv").write_text("Student ID,name\nann,Ann\n")
    with pytest.raises(gradebook.Mistake, match="its first line is 'Student ID,name'"):
        gradebook.read_roster(top / "r.csv")


def test_changed_lab_is_graded_again(top):
    """Or some would be graded by other points than the rest."""
    (top / "in" / "ann").mkdir()
    lab, seen = types.SimpleNamespace(name="x", folder=top), set()
    for points in ("a = 1", "a = 2"):
        (top / "lab").write_text(points)
        seen.add(gradebook.collect(top / "in", {}, lab)[0].fingerprint)
    assert len(seen) == 2


def test_full_disk_of_one(top):
    """What could not be graded is no line of results: those are counted."""
    done = subprocess.run([str(HERE / "one"), "/dev/full/x", "", "ann", "f", "", "p"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "class: ann cannot be graded: Not a directory\n"


MISTAKES = [
    ({"lab": "nope"}, "there is no lab 'nope'"),
    ({"roster": "/nowhere.csv"}, "ROSTER=/nowhere.csv cannot be read"),
    ({"out": "/dev/null/x"}, "OUT=/dev/null/x cannot be written"),
    ({"out": "in/out"}, "lies in SUBMISSIONS"),
    ({"regrade": "nobody"}, "there is no submission of nobody"),
    ({"submissions": "/nowhere"}, "SUBMISSIONS=/nowhere cannot be read"),
    ({"late_cost": "much"}, "LATE_COST=much is no number"),
    ({"submissions": ""}, "say where the submissions are"),
    ({"hosts": "broken"}, "none of the machines can be used"),
]


@pytest.mark.parametrize("options, says", MISTAKES)
def test_mistakes(top, options, says):
    (top / "in" / "ann").mkdir()
    if options.get("out") == "in/out":
        options = {"out": str(top / "in" / "out")}
    (top / "ssh").write_text(SSH)
    (top / "ssh").chmod(0o755)
    code, said = run(top, guest.environment() | {"PATH": f"{top}:{os.environ['PATH']}"}, **options)
    assert code == 1 and says in said and "Traceback" not in said


def test_make(top):
    """make hands on each option as it was typed."""
    (top / "in" / "ann").mkdir()
    (top / "my roster.csv").write_text("name\n")
    given = {"SUBMISSIONS": top / "in", "OUT": top / "out", "LATE_COST": 1, "REGRADE": "a b",
             "HOSTS": ": big", "LAB": LAB, "ROSTER": top / "my roster.csv"}
    done = subprocess.run(["make", "class", *(f"{k}={v}" for k, v in given.items())],
                          cwd=guest.TOP, env=guest.environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert "my roster.csv has no column student" in done.stdout


@pytest.mark.parametrize("text, says", [
    ("name\nann\n", "no column student"), ("student\nann\nann\n", "ann stands there twice"),
    ("student,days_late\nann,two\n", "not a number"), ("student,seed\nann,a b\n", "letters and"),
    ("\xff", "no column student"), ("", "no column student")])
def test_rosters(tmp_path, text, says):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(gradebook.Mistake, match=says):
        gradebook.read_roster(tmp_path / "r.csv")


def test_same_student_twice(top):
    (top / "in" / "ann").mkdir()
    (top / "in" / "ann.zip").write_bytes(b"")
    with pytest.raises(gradebook.Mistake, match="both of ann"):
        gradebook.collect(top / "in", {}, None)


def test_fingerprints(top):
    """What was handed in decides whether it is graded again; pipes and links do no harm."""
    lab = labs.load(LAB)
    folder = hand_in(top / "in", "ann")
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/dev/zero")
    first = gradebook.fingerprint(folder, lab, "")
    assert first == gradebook.fingerprint(folder, lab, "")
    assert first != gradebook.fingerprint(folder, lab, "1")
    path = next(folder.rglob("*.c"))
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    assert first != gradebook.fingerprint(folder, lab, "")


OWN = """
static int find_slot(struct table *t, uint64 size) {
  for (int i = 0; i < t->count; i++) {
    if (t->slots[i].free && t->slots[i].size >= size) {
      t->slots[i].free = false;
      return i;
    }
  }
  return -ENOMEM;
}
"""


def test_alike(top):
    """Other names, another layout, other comments: found.  What all were given: not."""
    others = {"ann": OWN, "cid": "int next(int a) { while (a > 3) { a = a / 2 - 1; } return a; }\n",
              "bob": OWN.replace("slots", "places").replace("  ", "\t").replace(
                  "i++", "i++ /* the next */").replace("find_slot", "search"), "dan": ""}
    for name, text in others.items():
        folder = hand_in(top / "in", name)
        labs.apply(labs.load(LAB).starter_patches()[0], folder, "--include=vm/kstack.c",
                   "--include=vm/vmalloc.c")
        with open(folder / "vm" / "kstack.c", "a") as file:
            file.write(text)
    found, unchanged = alike.find(gradebook.collect(top / "in", {}, None), labs.load(LAB))
    assert [(pair.first, pair.second) for pair in found] == [("ann", "bob")]
    assert found[0].percent > 95


def test_overview(tmp_path):
    """A page of results of every kind; whatever students or kernels wrote is text."""
    evil = "<script>alert(1)</script>"
    (tmp_path / "out" / "students").mkdir(parents=True)
    found = []
    for number in range(60):
        s = gradebook.Submission(f"s{number}", tmp_path, "", "f")
        folder = tmp_path / "out" / "students" / s.student
        folder.mkdir()
        status = ("graded", "failed", "look")[number % 3]
        (folder / "status.json").write_text(json.dumps(
            {"fingerprint": "f", "status": status, "why": evil}))
        (folder / "result.json").write_text(json.dumps(
            {"score": number, "max": 100, "complete": True,
             "cases": [{"id": "layout.guards", "status": "fail"}, {"id": evil, "status": "fail"}]}))
        found.append(gradebook.Result(tmp_path / "out", s))
    overview.write(tmp_path / "out", found, {"s1": {"name": evil}}, labs.load(LAB),
                   [alike.Pair("s1", "s2", 90)], [])
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<script>" not in page and "layout.guards" in page and "60 submissions" in page
