# SPDX-License-Identifier: MIT
"""The overview of a class, as one page of HTML."""

import sys
from collections import Counter
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "grade"))

import alike  # noqa: E402
import results  # noqa: E402
import suite  # noqa: E402

STEPS = 10  # bars of the distribution
CASES_SHOWN = 15

STYLE = results.STYLE + """
table { border-collapse: collapse } td, th { text-align: left; padding: .15em .8em .15em 0 }
td.n { text-align: right } .bar { background: #0969da; height: .8em; display: inline-block }
"""


def table(head, rows):
    """rows: cells that are HTML already."""
    if not rows:
        return "<p>None.</p>"
    out = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{out}</tr>{body}</table>"


def link(student):
    return f'<a href="students/{escape(student)}/index.html">{escape(student)}</a>'


def bar(count, most):
    return f'<span class="bar" style="width:{20 * count / max(1, most):.2f}em"></span> {count}'


def distribution(scored):
    """How many have which score."""
    if not scored:
        return "<p>None has a score.</p>"
    most = max(r.max for r in scored)
    counts = Counter(min(STEPS - 1, r.score * STEPS // most) for r in scored)
    values = sorted(r.score for r in scored)
    rows = []
    for step in reversed(range(STEPS)):
        low, high = -(-step * most // STEPS), -(-(step + 1) * most // STEPS) - 1
        name = f"{low} to {most if step == STEPS - 1 else high}"
        rows.append([name, bar(counts[step], max(counts.values()))])
    return (f"<p>Median {values[len(values) // 2]}, mean {sum(values) / len(values):.1f} of {most} "
            f"points; {sum(r.score == r.max for r in scored)} of {len(scored)} have all.</p>"
            + table(["points", "submissions"], rows))


def lost(graded):
    """The cases that most have lost."""
    titles = {c.id: c.title for c in suite.load(lab=True)}
    counts = Counter(case for r in graded for case in r.lost())
    return table(["case", "", "lost by"],
                 [[f"<code>{escape(case)}</code>", escape(titles.get(case, "")),
                   bar(count, len(graded))] for case, count in counts.most_common(CASES_SHOWN)])


def mistakes(graded, lab, unchanged):
    """The listed wrong solutions that lose just the same cases; several may lose the same."""
    by_cases = {}
    for wrong in lab.wrong() if lab else []:
        by_cases.setdefault(frozenset(wrong.loses), []).append(wrong.title)
    rows = [["nothing was changed in what they were given", len(unchanged),
             " ".join(map(link, unchanged))]] if unchanged else []
    for cases, titles in by_cases.items():
        same = [r.student for r in graded
                if cases and set(r.lost()) == cases and r.student not in unchanged]
        if same:
            rows.append([escape("; or ".join(titles)), len(same), " ".join(map(link, same))])
    return table(["mistake", "", "submissions that lose the same cases"],
                 sorted(rows, key=lambda row: -row[1]))


def alike_table(pairs):
    return table(["students", "at least"], [[" ".join(map(link, group)), f"{percent} %"]
                                            for group, percent in alike.groups(pairs)])


def students(found, roster):
    rows = []
    for r in found:
        name = roster.get(r.student, {}).get("name", "")
        score = f"{r.score}/{r.max}" if r.graded else ""
        rows.append([link(r.student) if r.graded else escape(r.student), escape(name), score,
                     escape(r.why)])
    return table(["student", "name", "points", ""], rows)


def write(out, found, roster, lab, pairs, unchanged):
    graded = [r for r in found if r.status == "graded"]
    looks = [[escape(r.student), escape(r.why),
              f'<a href="students/{escape(r.student)}/output.txt">output</a>']
             for r in found if r.needs_look]
    failed = [[link(r.student), escape(r.why)] for r in found if r.status == "failed"]
    missing = sorted(set(roster) - {r.student for r in found})
    title = f"{lab.title} ({lab.name})" if lab else "Kernel stacks"
    page = ['<!DOCTYPE html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}: a class</title><style>{STYLE}</style>",
            f"<h1>{escape(title)}: {len(found)} submissions</h1>",
            "<h2>Points</h2>", distribution([r for r in found if r.graded]),
            "<h2>Need a look: no score</h2>", table(["student", "why", ""], looks),
            "<h2>No kernel: score 0</h2>", table(["student", "why"], failed),
            "<h2>Cases most often lost</h2>", lost(graded),
            "<h2>Mistakes that were expected</h2>",
            mistakes(graded, lab, [r.student for r in graded if r.student in unchanged]),
            "<h2>Alike</h2><p>So much of what one added to the starter stands in the other, too, "
            "names, layout and numbers aside.  Short solutions are alike by nature: read what they "
            "handed in.</p>",
            alike_table(pairs),
            "<h2>All</h2>", students(found, roster)]
    if waiting := [r.student for r in found if r.status == "waiting"]:
        page += ["<h2>Not graded yet</h2>", f"<p>{escape(' '.join(waiting))}</p>"]
    if missing:
        page += ["<h2>Nothing handed in</h2>", f"<p>{escape(' '.join(missing))}</p>"]
    results.replace(out / "index.html", "\n".join(page) + "\n</html>\n")
