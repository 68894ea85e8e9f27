# SPDX-License-Identifier: MIT
"""The mutants still apply, and the runner that judges them tells right from wrong."""

import subprocess
import sys
import types

import guest
import pytest

RUN = guest.TOP / "test" / "mutants" / "run"
IDS = ["a.one", "a.two", "b.one"]


@pytest.fixture(scope="module")
def runner():
    return guest.load_script(RUN)


def test_all_apply():
    done = subprocess.run([sys.executable, str(RUN), "--check"], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def test_unwritable_file_is_noticed_at_once():
    done = subprocess.run([sys.executable, str(RUN), "--json", "/dev/null/x"], text=True,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and done.stdout.startswith("mutants: /dev/null/x cannot be written")


def test_there_are_enough(runner):
    mutants = runner.load()
    assert len(mutants) >= 29


def test_patterns(runner):
    assert runner.expand(["a.*"], IDS) == {"a.one", "a.two"}
    assert runner.expand(["*", "!a.two"], IDS) == {"a.one", "b.one"}
    assert runner.expand(["nothing"], IDS) == set()
    for wrong in (["c.one"], ["a.one", "!a.one"], ["a.*", "!b.three"]):
        with pytest.raises(runner.Bad):
            runner.expand(wrong, IDS)


def test_header(runner):
    header = runner.read_header("Title: x: y\nLoses: a.one\n  b.*\n\n--- a/f\n+++ b/f\n")
    assert header == {"Title": "x: y", "Loses": "a.one  b.*"}
    with pytest.raises(runner.Bad):
        runner.read_header("just words\n--- a/f\n")


def test_what_time_decides(runner, capsys):
    """Only a case that a mutant must lose, or that it may not, is wrong."""
    for lost, good in (["a"], True), (["a", "b"], True), (["b"], False), (["a", "c"], False):
        verdict = types.SimpleNamespace(problem="", lost=dict.fromkeys(lost, "why"), seconds=1)
        assert runner.print_row("01-x", "x", verdict, {"a"}, "", {"b"}) == good
    assert capsys.readouterr().out.count("though") == 2


def test_slow_case_runs_again(runner):
    """One that the mutant should keep: with whole limits, and then it counts."""
    status = {"a.one": "timeout", "a.two": "timeout", "b.one": "timeout", "b.two": "fail"}
    asked = []

    def grade(only="tag:core", scale=0.5):
        asked.append((only, scale))
        cases = status if scale < 1 else only.split(",")
        return {case: {"status": status[case] if scale < 1 else "pass"} for case in cases}

    mutant = types.SimpleNamespace(loses={"a.one"}, perhaps={"b.one"})
    outcomes = runner.grade_patiently(mutant, grade)
    assert asked == [("tag:core", 0.5), ("a.two", 1)]
    assert {case: outcome["status"] for case, outcome in outcomes.items()} == {
        **status, "a.two": "pass"}
    mutant.loses.add("a.two")
    runner.grade_patiently(mutant, grade)
    assert len(asked) == 3


def test_right_kernels_lose_nothing(runner, tmp_path):
    mutants = runner.load()
    assert sum(not mutant.loses for mutant in mutants) >= 3
    for name, loses in (("01-x.patch", "nothing"), ("01-right-x.patch", "overflow.*")):
        patch = tmp_path / name
        patch.write_text(f"Title: x\nLoses: {loses}\n\n--- a/f\n+++ b/f\n")
        with pytest.raises(runner.Bad, match="belong together"):
            runner.read_mutant(patch)


@pytest.mark.parametrize("lost, good", [({"a.one"}, True), ({"a.one", "b.one"}, False),
                                        (set(), False)])
def test_only_exact_is_right(runner, capsys, lost, good):
    verdict = runner.Verdict(lost={case: "fail: why" for case in lost})
    assert runner.print_row("x", "title", verdict, {"a.one"}, "1/1") == good
    assert ("WRONG" in capsys.readouterr().out) != good


def test_no_result_is_wrong(runner):
    assert not runner.print_row("x", "title", runner.Verdict(problem="it does not build"),
                                {"a.one"}, "1/1")
