# SPDX-License-Identifier: MIT
"""What the cases found, as the files that other programs read.  Each function makes one whole file
of a results.Report; test/test_formats.py checks each against the fields that its readers publish.

Students see the results of Gradescope, of Classroom 50 and of a step summary.  There a hidden case
shows neither its name nor what it found.
"""

import datetime
import json
import os
import re
from html import escape
from pathlib import Path
from xml.sax.saxutils import quoteattr

import teach

# Of 200 cases together far less than the 10 MiB that Classroom 50 takes.
OUTPUT_MAX = 4 << 10
# GitHub shows summaries up to 1 MiB, and releases up to 125,000 characters.
MARKDOWN_MAX = 100_000
RECORDS_TOLD = 4  # of a case, in JSON
# What is the same in many cases, since they fail for one reason.
SHARED = ("expected", "seen", "reason", "report")
# Of the model: what a failure alone has, and what only the grader uses.
FAILED = ("hint", "log", "story", "drawing", "names", "scene")
INNER = ("fault_of", "went_on", "passed")


# --- what several share --------------------------------------------------------------------------


def printable(s):
    """Without what XML 1.0 cannot hold: a guest may print anything."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd]", "?", s)


def picture(outcome):
    """The part of a report from its sentence to the machine line."""
    return re.sub(r"^.*?(?=^(pid \d+ |kernel thread ))", "", outcome.report,
                  flags=re.DOTALL | re.MULTILINE).strip()


def cut(text, most=OUTPUT_MAX):
    return text if len(text) <= most else text[:most] + "\n[the rest is left out]"


def explained(outcome):
    """What to tell the student of a case; nothing if it passed."""
    if outcome.status == "pass":
        return ""
    lines = [f"{name + ':':9} " + words.replace("\n", "\n" + " " * 10)
             for name, words in teach.lines(outcome) if name != "console"]
    return cut(printable("\n".join([*lines, *(["", picture(outcome)] if outcome.report else [])])))


def shown(report):
    """The outcomes that a student may see."""
    hidden = {c.id for c in report.cases if c.hidden}
    return [o for o in report.done() if o.id not in hidden]


def hidden_points(report):
    """Return (score, maximum) of the hidden cases together."""
    hidden = [c for c in report.cases if c.hidden]
    return (sum(o.points for c in hidden if (o := report.outcomes.get(c.id))),
            sum(c.points for c in hidden))


def summary(report):
    """Say to the student what the failures come to."""
    if report.why:
        return printable(f"Not graded: {report.why}")
    return printable("\n".join(teach.summary(shown(report)))).strip()


# --- JSON ----------------------------------------------------------------------------------------


def as_json(report):
    """Everything, a case a line.  Text that an earlier case has too stands there alone: `like`
    names that case."""
    told, lines = {}, []
    for o in report.done():
        left_out = INNER + FAILED if o.status == "pass" else INNER
        case = {name: value for name, value in vars(o).items() if name not in left_out}
        case |= {"records": o.records[:RECORDS_TOLD], "reports": len(o.records)}
        if o.status == "pass":
            case["report"] = ""
        texts = tuple(case[name] for name in SHARED)
        if texts in told:
            case = {name: value for name, value in case.items() if name not in SHARED}
            case["like"] = told[texts]
        elif any(texts):
            told[texts] = o.id
        lines.append(json.dumps(case))
    head = {"suite": "bulwark-overflow", "version": 2,
            "complete": report.seconds is not None and len(report.outcomes) == len(report.cases),
            "score": report.score(), "max": report.max(), "seconds": report.seconds,
            "why": report.why}
    return f'{json.dumps(head)[:-1]}, "cases": [\n' + ",\n".join(lines) + "\n]}\n"


def read_json(path):
    """Return what as_json() has written there, each case with its own texts again."""
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    cases = {case["id"]: case for case in found["cases"]}
    for case in found["cases"]:
        if like := case.pop("like", None):
            case |= {name: cases[like][name] for name in SHARED}
    return found


# --- JUnit ---------------------------------------------------------------------------------------


def properties(**values):
    inner = "".join(f'<property name="{name}" value={quoteattr(str(value))}/>'
                    for name, value in values.items())
    return f"<properties>{inner}</properties>"


def as_junit(report):
    done = report.done()
    bad = [o for o in done if o.status == "fail"]
    out = ['<?xml version="1.0" encoding="UTF-8"?>',
           f'<testsuite name="bulwark-overflow" tests="{len(done)}" failures="{len(bad)}" '
           f'errors="{sum(o.status in ("error", "timeout") for o in done)}" '
           f'time="{report.seconds or 0:.3f}">',
           f"  {properties(points=report.score(), max=report.max())}"]
    for o in done:
        out.append(f'  <testcase classname={quoteattr(o.group)} name={quoteattr(o.id)} '
                   f'time="{o.seconds:.3f}">{properties(points=o.points, max=o.max)}')
        if o.status != "pass":
            kind = "failure" if o.status == "fail" else "error"
            out.append(f'    <{kind} type={quoteattr(o.status)} '
                       f'message={quoteattr(printable(o.reason))}>{escape(explained(o))}</{kind}>')
        out.append("  </testcase>")
    return "\n".join(out) + "\n</testsuite>\n"


# --- TAP -----------------------------------------------------------------------------------------


def quoted(s):
    """As a string of YAML: prove takes no escapes but these, and no letters beyond ASCII."""
    return json.dumps(re.sub(r"[^\n\x20-\x7e]", "?", s))


def as_tap(report):
    out = ["TAP version 13", f"1..{len(report.cases)}"]
    for number, c in enumerate(report.cases, 1):
        o = report.outcomes.get(c.id)
        if not o:
            continue
        good = "ok" if o.status == "pass" else "not ok"
        title = re.sub(r"[^\x20-\x7e]", "?", o.title).replace("#", "\\#")
        out.append(f"{good} {number} - {o.id}: {title}")
        if o.status != "pass":
            out += ["  ---", f"  status: {o.status}", f"  points: {o.points}", f"  max: {o.max}",
                    f"  message: {quoted(o.reason)}", f"  hint: {quoted(o.hint)}", "  ..."]
    if report.seconds is not None and len(report.outcomes) < len(report.cases):
        out.append("Bail out! interrupted")
    return "\n".join(out) + "\n"


# --- Gradescope ----------------------------------------------------------------------------------


def gradescope_test(report, c, number):
    o = report.outcomes.get(c.id)
    test = {"name": c.title, "number": number, "score": o.points if o else 0,
            "max_score": c.points, "status": "passed" if o and o.status == "pass" else "failed",
            "output": "" if report.why else explained(o) if o else "not run yet",
            "output_format": "text", "tags": [c.group, *c.tags],
            "visibility": "after_published" if c.hidden else "visible"}
    if o and o.records:
        test["extra_data"] = o.records[-1]
    return test


def as_gradescope(report):
    """https://gradescope-autograders.readthedocs.io/en/latest/specs/"""
    groups = list(dict.fromkeys(c.group for c in report.cases))
    counted = dict.fromkeys(groups, 0)
    tests = []
    for c in report.cases:
        counted[c.group] += 1
        number = f"{groups.index(c.group) + 1}.{counted[c.group]}"
        tests.append(gradescope_test(report, c, number))
    return json.dumps({
        "score": report.score(),
        "execution_time": round(report.elapsed()),
        "output": cut(summary(report)),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",  # what is printed tells of hidden cases, too
        "tests": tests,
    }, indent=1) + "\n"


# --- Classroom 50 --------------------------------------------------------------------------------


def classroom50_test(name, score, most, **more):
    return {"test-name": name, "passed": score == most, "score": score, "max-score": most, **more}


def as_classroom50(report):
    """The result.json of https://github.com/foundation50/classroom50/wiki/Advanced-Autograding.
    Its runner says in the environment whose it is.  Hidden cases are one test together."""
    def given(name):
        return os.environ.get(name, "")

    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    tests = []
    for c in report.cases:
        o = report.outcomes.get(c.id)
        if not c.hidden:
            output = o and not report.why and explained(o)
            tests.append(classroom50_test(c.id, o.points if o else 0, c.points, title=c.title,
                                          **({"output": output} if output else {})))
    score, most = hidden_points(report)
    if most:
        tests.append(classroom50_test("hidden cases", score, most))
    result = {
        "schema": "classroom50/result/v1", "classroom": given("CLASSROOM"),
        "assignment": given("ASSIGNMENT"), "owner": given("OWNER"),
        "assignment_type": given("ASSIGNMENT_TYPE"), "submission": given("SUBMISSION_TAG"),
        "commit": given("COMMIT_URL"), "release": given("RELEASE_URL"),
        "review": given("REVIEW_URL") or given("COMMIT_URL"),
        "datetime": given("COMMITTED_AT") or now, "graded_at": now,
        "score": report.score(), "max-score": report.max(), "tests": tests}
    # The runner fills in what it has not said.
    return json.dumps({name: value for name, value in result.items() if value != ""},
                      indent=1) + "\n"


# --- Markdown ------------------------------------------------------------------------------------


def as_markdown(report):
    """A step summary of GitHub, or the text of a release."""
    seen = shown(report)
    out = [f"## Kernel stacks, graded: {report.score()} of {report.max()} points", ""]
    if said := summary(report):
        out += ["<pre>", escape(said), "</pre>", ""]
    out += ["| group | passed | points |", "|---|---|---|"]
    for group in dict.fromkeys(o.group for o in seen):
        mine = [o for o in seen if o.group == group]
        out.append(f"| {group} | {sum(o.status == 'pass' for o in mine)} of {len(mine)} "
                   f"| {sum(o.points for o in mine)} of {sum(o.max for o in mine)} |")
    score, most = hidden_points(report)
    if most:
        out.append(f"| hidden cases | | {score} of {most} |")
    out.append("")
    room = MARKDOWN_MAX - sum(len(line) + 1 for line in out)
    for number, o in enumerate(bad := [o for o in seen if o.status != "pass" and not report.why]):
        case = (f"<details><summary>{escape(printable(o.title))} <code>{o.id}</code>: "
                f"{o.points} of {o.max}</summary>\n\n"
                f"<pre>\n{escape(explained(o))}\n</pre>\n\n</details>\n")
        room -= len(case) + 1
        if room < 100:
            out.append(f"{len(bad) - number} more cases fail.")
            break
        out.append(case)
    return "\n".join(out) + "\n"
