# SPDX-License-Identifier: MIT
"""The files that the grader writes for other programs: each against the fields that its readers
publish, with what a hostile guest may have printed in it."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ET

import guest
import pytest

GRADE = guest.TOP / "test" / "grade"
sys.path.insert(0, str(GRADE))

import formats  # noqa: E402
import results  # noqa: E402
import suite  # noqa: E402

HOSTILE = ('<script>"\x1b[31m\x00]]>&amp;# \ufffe\n\n</pre></details>\n```\nBail out!\n1..1\n'
           "not ok 1\n  ...\n| a | \\ ' : {é} %s\n")
RECORD = {"class": "overflow", "pid": 2, "sp": 1, "verdict": "killed"}
NOW = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"

# Each list is {field: type, or set of the values}.  Required fields have a star before them here.

# "Autograder Specifications" of gradescope-autograders.readthedocs.io/en/latest/specs/
VISIBILITY = {"hidden", "after_due_date", "after_published", "visible"}
GRADESCOPE = {"*score": int, "execution_time": int, "output": str,
              "output_format": {"text", "html", "simple_format", "md", "ansi"},
              "test_output_format": str, "test_name_format": str, "visibility": VISIBILITY,
              "stdout_visibility": VISIBILITY, "extra_data": dict, "*tests": list,
              "leaderboard": list}
GRADESCOPE_TEST = {"*score": int, "*max_score": int, "*status": {"passed", "failed"}, "*name": str,
                   "name_format": str, "*number": str, "*output": str, "*output_format": {"text"},
                   "*tags": list, "*visibility": VISIBILITY, "extra_data": dict}

# "The result.json contract" of github.com/foundation50/classroom50/wiki/Advanced-Autograding; of a
# test it keeps fields that it does not know.
CLASSROOM50 = {"*schema": {"classroom50/result/v1"}, "*classroom": str, "*assignment": str,
               "assignment_type": {"individual", "group", "team"}, "owner": str,
               "*submission": str, "*commit": str, "*release": str, "*review": str,
               "*datetime": str, "graded_at": str, "*score": int, "*max-score": int,
               "*tests": list, "submitted_by": dict}
CLASSROOM50_TEST = {"*test-name": str, "*passed": bool, "*score": int, "*max-score": int,
                    "title": str, "output": str}
CLASSROOM50_MAX = 10 << 20
RUNNER = {"CLASSROOM": "os", "ASSIGNMENT": "classes", "OWNER": "alice",
          "ASSIGNMENT_TYPE": "individual", "SUBMISSION_TAG": "submit/2026-06-01T14-32-05Z-a1b2c3d",
          "COMMIT_URL": "https://host/commit/1", "RELEASE_URL": "https://host/releases/1"}

# "Common JUnit XML Format" of github.com/testmoapp/junitxml: {element: (attributes, children)}
JUNIT = {
    "testsuite": ("name tests failures errors skipped assertions time timestamp file",
                  "properties system-out system-err testcase"),
    "testcase": ("name classname assertions time file line",
                 "properties skipped failure error system-out system-err"),
    "properties": ("", "property"), "property": ("name value", ""),
    "failure": ("message type", ""), "error": ("message type", "")}

# "Adding a job summary" of docs.github.com/actions: at most 1 MiB a step.  The text of a release
# has at most 125,000 characters.
MARKDOWN_MAX = 125_000


def check(value, fields):
    names = {name.lstrip("*"): kind for name, kind in fields.items()}
    assert not value.keys() - names.keys(), "fields that are not in the list"
    assert not {name[1:] for name in fields if name[0] == "*"} - value.keys()
    for name, content in value.items():
        if isinstance(names[name], set):
            assert content in names[name], name
        else:
            assert type(content) is names[name], name


def make_report(statuses=("pass", "fail", "timeout", "error"), hidden=(), why="", undone=0):
    """A report of a case for each status."""
    cases = [suite.Case(f"{suite.GROUPS[i % 3]}.case{i}", f"title {i}", i + 1, "a hint", ("core",),
                        None, i in hidden) for i in range(len(statuses) + undone)]
    report = results.Report(cases, types.SimpleNamespace(quiet=True))
    for c, status in zip(cases, statuses):
        o = suite.Outcome.of(c)
        o.status, o.points = status, c.points if status == "pass" else 0
        o.records = [RECORD] * 1000
        o.report = f"\nsecret {c.id}\npid 2 (x) fell\n" + HOSTILE
        if status != "pass":
            o.expected, o.seen, o.reason = "one", f"seen {c.id} {HOSTILE}", f"{c.id} {HOSTILE}"
        report.add(o)
    if why:
        report.give_up(why)
    if not undone:
        report.end(1.5)
    return report


# --- the places where courses live ---------------------------------------------------------------


def gradescope(report):
    found = json.loads(formats.as_gradescope(report))
    check(found, GRADESCOPE)
    for test in found["tests"]:
        check(test, GRADESCOPE_TEST)
    return found, found["tests"]


def test_page_of_a_student():
    """It keeps hidden cases back, when asked to; the instructor's own has all."""
    report = make_report(hidden=(2,))
    assert "case2" in results.as_html(report)
    report.options.keep_back = True
    page = results.as_html(report)
    assert "case2" not in page and "hidden cases 0/3" in page


def test_gradescope():
    found, tests = gradescope(make_report(hidden=(2,)))
    assert found["score"] == 1 == sum(t["score"] for t in tests)
    assert (found["visibility"], found["stdout_visibility"]) == ("visible", "hidden")
    assert [t["visibility"] for t in tests] == ["visible", "visible", "after_published", "visible"]
    assert [t["status"] for t in tests] == ["passed", "failed", "failed", "failed"]
    assert [t["number"] for t in tests] == ["1.1", "2.1", "3.1", "1.2"]
    assert tests[1]["extra_data"] == RECORD and tests[1]["tags"] == ["overflow", "core"]
    assert "pid 2 (x) fell" in tests[1]["output"] and tests[0]["output"] == ""
    assert "\x1b" not in tests[1]["output"]


def test_gradescope_while_it_runs():
    """Cases that have not ended have no points yet, and count all the same."""
    found, tests = gradescope(make_report(("pass",), undone=2))
    assert [t["output"] for t in tests] == ["", "not run yet", "not run yet"]
    assert sum(t["max_score"] for t in tests) == 6 and found["score"] == 1


def test_gradescope_says_once_why_nothing_is_graded():
    found, tests = gradescope(make_report((), why="a.c:1: error\x1b", undone=3))
    assert found["output"] == "Not graded: a.c:1: error?" and found["score"] == 0
    assert {t["output"] for t in tests} == {""}


def classroom50(report, monkeypatch):
    for name, value in RUNNER.items():
        monkeypatch.setenv(name, value)
    text = formats.as_classroom50(report)
    assert len(text.encode()) <= CLASSROOM50_MAX
    found = json.loads(text)
    check(found, CLASSROOM50)
    for test in found["tests"]:
        check(test, CLASSROOM50_TEST)
        assert 0 <= test["score"] <= test["max-score"]
    assert found["score"] == sum(t["score"] for t in found["tests"])
    assert found["max-score"] == sum(t["max-score"] for t in found["tests"])
    assert not {name for name, value in found.items() if value == ""}
    return found


def test_classroom50(monkeypatch):
    found = classroom50(make_report(("pass", "fail", "pass", "fail"), hidden=(2, 3)), monkeypatch)
    assert [t["test-name"] for t in found["tests"]] == [
        "layout.case0", "overflow.case1", "hidden cases"]
    assert found["tests"][2] == {"test-name": "hidden cases", "passed": False, "score": 3,
                                 "max-score": 7}
    assert found["review"] == RUNNER["COMMIT_URL"] and re.fullmatch(NOW, found["datetime"])
    monkeypatch.setenv("COMMITTED_AT", "2026-06-01T14:32:01Z")
    found = classroom50(make_report((), why="no kernel", undone=1), monkeypatch)
    assert found["datetime"] == "2026-06-01T14:32:01Z" and re.fullmatch(NOW, found["graded_at"])


def test_most_that_there_can_be(monkeypatch):
    """Every case fails, and each has printed as much as is kept, of letters that need escapes."""
    report = make_report(["fail"] * 300)
    for o in report.outcomes.values():
        o.report = "pid 2 (x)" + "é\\" * suite.REPORT_KEPT
        o.seen = o.reason = "é" * suite.TEXT_KEPT
    classroom50(report, monkeypatch)
    text = formats.as_markdown(report)
    assert len(text) <= MARKDOWN_MAX and "more cases fail." in text[-100:]
    assert len(json.loads(formats.as_gradescope(report))["tests"]) == 300


def test_markdown():
    text = formats.as_markdown(make_report(hidden=(2,)))
    assert text.startswith("## Kernel stacks, graded: 1 of 10 points\n")
    assert "| layout | 1 of 2 | 1 of 5 |\n" in text and "| hidden cases | | 0 of 3 |\n" in text
    # Outside of <pre> stands nothing that a guest has printed, and none ends before its end.
    outside = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert "script" not in outside and "Bail" not in outside and "`" not in outside
    assert text.count("<pre>") == text.count("</pre>") == 3
    assert "Not graded: x\n" in formats.as_markdown(make_report((), why="x", undone=1))


@pytest.mark.parametrize("form", [formats.as_classroom50, formats.as_markdown])
def test_hidden_cases_are_not_shown(form):
    """Neither their names nor what they found, nor that they are a cause of what is to be mended.
    Gradescope gets them, and keeps them back itself."""
    text = form(make_report(hidden=(1, 3)))
    assert "case2" in text and "case1" not in text and "case3" not in text
    found, tests = gradescope(make_report(hidden=(1, 3)))
    assert "case1" not in found["output"]
    for test in tests:
        assert (test["visibility"] == "visible") == ("case1" not in str(test)
                                                     and "case3" not in str(test))


# --- files for other programs --------------------------------------------------------------------


def test_junit():
    root = ET.fromstring(formats.as_junit(make_report()))
    for element in root.iter():
        attributes, children = JUNIT[element.tag]
        assert not set(element.keys()) - set(attributes.split()), element.tag
        assert not {child.tag for child in element} - set(children.split()), element.tag
    points = [{p.get("name"): p.get("value") for p in element.find("properties")}
              for element in [root, *root.iter("testcase")]]
    assert points[0] == {"points": "1", "max": "10"} and points[4] == {"points": "0", "max": "4"}
    assert [e.tag for case in root.iter("testcase") for e in list(case)[1:]] == [
        "failure", "error", "error"]
    assert "pid 2 (x) fell" in root.find("testcase/failure").text


@pytest.mark.skipif(not shutil.which("prove"), reason="perl's prove is not installed")
@pytest.mark.parametrize("undone, said", [
    (0, "Failed tests:  2-4"), (2, "Bailout called")])
def test_prove_reads_tap(tmp_path, undone, said):
    """Nothing that a guest prints is taken for a line of TAP."""
    report = make_report(undone=undone)
    report.seconds = 1
    file = tmp_path / "results.tap"
    file.write_text(formats.as_tap(report))
    done = subprocess.run(["prove", "--verbose", file], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode and said in done.stdout
    assert undone or "Parse errors" not in done.stdout
    file.write_text(formats.as_tap(make_report(("pass", "pass"))))
    done = subprocess.run(["prove", "--merge", file], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0 and "All tests successful." in done.stdout


def test_json_says_once_what_repeats(tmp_path):
    """A kernel that fails everywhere for one reason makes a small file, and loses nothing."""
    report = make_report(["fail"] * 200)
    for o in report.outcomes.values():
        o.seen, o.reason, o.report = "x" * 4000, "y" * 4000, "z" * 60000
    text = formats.as_json(report)
    assert len(text) < 400_000
    cases = json.loads(text)["cases"]
    assert cases[0]["report"] == "z" * 60000 and {c["like"] for c in cases[1:]} == {"layout.case0"}
    assert cases[0]["reports"] == 1000 and len(cases[0]["records"]) == 4
    (tmp_path / "j").write_text(text)
    for case, o in zip(formats.read_json(tmp_path / "j")["cases"], report.done()):
        assert all(case[name] == getattr(o, name) for name in formats.SHARED)


def test_json_fields():
    """docs/grading.md, "Using the grader from scripts", lists them."""
    page = (guest.TOP / "docs" / "grading.md").read_text().split(
        "\n## Using the grader from scripts\n")[1].split("\n## ")[0]
    found = json.loads(formats.as_json(make_report()))
    case = found["cases"][1]
    for name in [*found, *case, "like"]:
        assert f"`{name}`" in page, name
    own = {f.name for f in dataclasses.fields(suite.Outcome)}
    assert own - case.keys() == set(formats.INNER)


# --- writing -------------------------------------------------------------------------------------


def write_for_ever(path):
    report = make_report(["fail"] * 20)
    report.options.json = report.options.gradescope = str(path)
    while True:
        report.write()


def test_a_crash_leaves_a_whole_file(tmp_path):
    """The old one or the new one."""
    file = tmp_path / "results.json"
    for _ in range(20):
        pid = os.fork()
        if not pid:
            write_for_ever(file)
        while not file.exists():
            time.sleep(0.001)
        time.sleep(random.random() / 50)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        json.loads(file.read_text())
