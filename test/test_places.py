# SPDX-License-Identifier: MIT
"""The places where courses live: what `make gradescope` and `make classroom50` pack is laid out as
it is there, and graded; the workflows are what GitHub and GitLab read."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tarfile

import guest
import pytest
import yaml
from test_formats import (CLASSROOM50, CLASSROOM50_TEST, GRADESCOPE, GRADESCOPE_TEST, RUNNER,
                          check)

sys.path.insert(0, str(guest.TOP / "test" / "labs"))

import labs  # noqa: E402

PLACES = guest.TOP / "test" / "labs" / "places"
CASES = "overflow.recursion,not_overflow.lowest_byte,overflow.timer_frame_less_8"
NOT_COPIED = shutil.ignore_patterns("strict", "grade", "logs", "submissions", "kasan*")
BUNDLE_MAX = 10 << 20  # what the runner of Classroom 50 fetches
UPLOAD_MAX = 100 << 20  # what Gradescope takes


def run(*words, cwd=guest.TOP, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "BUILD"))}
    return subprocess.run([str(w) for w in words], cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**clean, **environment})


def solved(directory):
    """What a student hands in who has solved the lab `classes`, as make handin packs it."""
    directory.mkdir()
    with tarfile.open(directory / "classes-handin.tar.gz", "w:gz") as tar:
        tar.add(guest.TOP / "trap" / "fault.c", "classes/trap/fault.c")
    return directory


# --- Gradescope ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def autograder(tmp_path_factory):
    """The folder /autograder, as Gradescope makes it; with what is made already, to save time."""
    top = tmp_path_factory.mktemp("gradescope")
    top.chmod(0o755)
    done = run("make", "-s", "gradescope", "LAB=classes", f"DIR={top}")
    assert done.returncode == 0, done.stdout
    packed = top / "classes-gradescope.zip"
    assert packed.stat().st_size < UPLOAD_MAX
    directory = top / "autograder"
    guest.copy_tree(guest.BUILD, directory / "source" / "tree" / "build", ignore=NOT_COPIED)
    shutil.unpack_archive(packed, directory / "source")  # without the files' modes
    done = run("bash", directory / "source" / "setup.sh", cwd="/")
    assert done.returncode == 0, done.stdout
    shutil.copy(directory / "source" / "run_autograder", directory)
    (directory / "run_autograder").chmod(0o755)
    return directory


def grade(autograder, submission, **environment):
    """Run it as Gradescope does.  Returns (what it printed, results.json or None)."""
    for name in ("submission", "results"):
        shutil.rmtree(autograder / name, ignore_errors=True)
    shutil.copytree(submission, autograder / "submission", symlinks=True)
    (autograder / "results").mkdir()
    done = run(autograder / "run_autograder", cwd=autograder, **environment)
    file = autograder / "results" / "results.json"
    found = json.loads(file.read_text()) if file.exists() else None
    assert (done.returncode == 0) == (found is not None), done.stdout
    if found:
        check(found, GRADESCOPE)
        for test in found["tests"]:
            check(test, GRADESCOPE_TEST)
    return done.stdout, found


def test_gradescope(autograder, tmp_path):
    said, found = grade(autograder, solved(tmp_path / "s"), CASES=CASES)
    points = sum(labs.load("classes").points[case] for case in CASES.split(","))
    assert found["score"] == points == sum(t["max_score"] for t in found["tests"]), said
    assert {t["status"] for t in found["tests"]} == {"passed"} and len(found["tests"]) == 3
    assert found["tests"][0]["extra_data"]["class"] == "overflow"
    shown = (autograder / "source" / "tree" / "trap" / "fault.c").read_text()
    assert "TODO(lab)" in shown, "the solution is not in the archive"


def test_gradescope_hidden_case(autograder, tmp_path):
    """The starter fails: what it is told of a hidden case, Gradescope keeps back."""
    tree = autograder / "source" / "tree"
    definition = tree / "test" / "labs" / "classes" / "lab"
    before = definition.read_text()
    definition.write_text(before.replace("[lab]\n", "[lab]\nhidden = not_overflow.*\n"))
    submission = tmp_path / "s"
    shutil.copytree(tree / "trap", submission / "trap")
    try:
        said, found = grade(autograder, submission, CASES="not_overflow.lowest_byte")
    finally:
        definition.write_text(before)
    assert [t["visibility"] for t in found["tests"]] == ["after_published"], said
    assert found["score"] == 0 and found["tests"][0]["output"] and found["output"] == ""


def link(directory):
    (directory / "trap").mkdir(parents=True)
    (directory / "trap" / "fault.c").symlink_to("/etc/passwd")


def broken(directory):
    (directory / "trap").mkdir(parents=True)
    (directory / "trap" / "fault.c").write_text("int mistake\n")


@pytest.mark.parametrize("make, says", [
    (link, "Not graded: 'submission' cannot be taken: trap/fault.c is not a regular file"),
    (broken, "Not graded: the kernel does not build")])
def test_gradescope_tells_the_student(autograder, tmp_path, make, says):
    """What only the student can mend."""
    make(tmp_path / "s")
    said, found = grade(autograder, tmp_path / "s")
    assert found["output"].startswith(says) and found["score"] == 0, said


def test_gradescope_trouble_is_no_score(autograder, tmp_path):
    said, found = grade(autograder, solved(tmp_path / "s"), QEMU="/bin/false", CASES=CASES)
    assert found is None and "doctor: " in said


@pytest.mark.parametrize("submission, left", [("nothing", []), ("link", ["c", "g", "m"])])
def test_stale_results(tmp_path, submission, left):
    """No file of an earlier run is left where nothing could be graded; and the student is told
    why when only the student can mend it."""
    link(tmp_path / "link")
    made = tmp_path / "made"
    made.mkdir()
    words = []
    for option in ("gradescope", "classroom50", "markdown"):
        (made / option[0]).write_text("old")
        words += [f"--{option}", made / option[0]]
    done = run(guest.TOP / "test" / "grade" / "grade", "--build", guest.BUILD, "--lab", "classes",
               "--submission", tmp_path / submission, *words)
    assert done.returncode == 1 and "\ngrade: " in f"\n{done.stdout}"
    assert sorted(os.listdir(made)) == left
    assert all((made / name).read_text() != "old" for name in left)
    assert not left or "is not a regular file" in (made / "m").read_text()


# --- Classroom 50 --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(autograder, tmp_path_factory):
    """The folder that autograder.py is in, with what is made already, to save time."""
    directory = tmp_path_factory.mktemp("classroom50")
    directory.chmod(0o755)
    done = run("make", "-s", "classroom50", "LAB=classes", f"DIR={directory}")
    assert done.returncode == 0, done.stdout
    assert sum(file.stat().st_size for file in directory.iterdir()) < BUNDLE_MAX
    shutil.copytree(autograder / "source" / "tree" / "build", directory / "tree" / "build")
    return directory


@pytest.fixture
def checkout(tmp_path):
    """A student's repository."""
    assert run("git", "init", "-q", cwd=tmp_path).returncode == 0
    (tmp_path / "trap").mkdir()
    shutil.copy(guest.TOP / "trap" / "fault.c", tmp_path / "trap")
    (tmp_path / ".classroom50.yaml").touch()
    who = {f"GIT_{who}_{what}": "a"
           for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (["add", "-A"], ["commit", "-qm", "begin"]):
        run("git", *words, cwd=tmp_path, GIT_COMMITTER_DATE="2026-06-01T16:32:01+0200", **who)
    return tmp_path


def test_classroom50(bundle, checkout):
    (checkout / "result.json").write_text("of another time")
    done = run("python3", bundle / "autograder.py", cwd=checkout, CASES=CASES, **RUNNER)
    assert done.returncode == 0, done.stdout
    found = json.loads((checkout / "result.json").read_text())
    check(found, CLASSROOM50)
    for test in found["tests"]:
        check(test, CLASSROOM50_TEST)
    assert found["score"] == found["max-score"] > 0 and found["datetime"] == "2026-06-01T14:32:01Z"
    assert (checkout / "release-body.md").read_text().startswith("## Kernel stacks, graded: ")


def test_classroom50_exit_codes(bundle, checkout):
    """0 when grading ran, whatever it found; another one when it did not."""
    link_to = checkout / "trap" / "fault.c"
    link_to.write_text("int mistake\n")
    done = run("python3", bundle / "autograder.py", cwd=checkout, **RUNNER)
    assert done.returncode == 0 and json.loads((checkout / "result.json").read_text())["score"] == 0
    assert "does not build" in (checkout / "release-body.md").read_text()
    done = run("python3", bundle / "autograder.py", cwd=checkout, **RUNNER, QEMU="/bin/false")
    assert done.returncode == 1 and not (checkout / "result.json").exists()


# --- hidden cases --------------------------------------------------------------------------------


@pytest.fixture
def hiding(tmp_path, monkeypatch):
    """The lab `classes`, with hidden cases."""
    (tmp_path / "classes").mkdir()
    text = (guest.TOP / "test" / "labs" / "classes" / "lab").read_text()
    (tmp_path / "classes" / "lab").write_text(
        text.replace("[lab]\n", "[lab]\nhidden = overflow.recursion\n  not_overflow.*\n"))
    monkeypatch.setattr(labs, "HERE", tmp_path)
    return labs.load("classes")


def test_student_does_not_get_hidden_cases(hiding, tmp_path):
    shown = hiding.shown()
    assert 0 < shown < labs.TOTAL
    text = labs.for_student(hiding)
    assert "not_overflow" not in text and "overflow.recursion" not in text
    (tmp_path / "classes" / "lab").write_text(text)
    again = labs.load("classes")
    assert again.shown() == shown == sum(again.points.values()) and not again.hidden
    assert again.handed_in == hiding.handed_in and again.hidden_points == labs.TOTAL - shown


def test_no_hidden_cases():
    for name in labs.names():
        lab = labs.load(name)
        assert labs.for_student(lab) == (lab.folder / "lab").read_text()


def test_wrong_pattern(hiding, tmp_path):
    file = tmp_path / "classes" / "lab"
    file.write_text(file.read_text().replace("not_overflow.*\n", "not_overflow.nope\n"))
    with pytest.raises(labs.BadLab, match="no case of this lab is called not_overflow.nope"):
        labs.load("classes")


# --- what is packed ------------------------------------------------------------------------------


def test_starter_differs_where_students_work():
    """So their files and the packed tree together are their kernel."""
    for name in labs.names():
        lab = labs.load(name)
        for patch in lab.variants() or lab.starter_patches():
            for file in labs.solution(patch):
                assert any(fnmatch.fnmatchcase(file, pattern) for pattern in lab.handed_in), file


@pytest.mark.parametrize("words, said", [
    (("gradescope",), "pack: say which lab, and where to"),
    (("gradescope", "LAB=nope"), "pack: there is no lab 'nope'; there are: "),
    (("gradescope", "LAB=classes", "DIR=/proc/x"), "pack: /proc/x cannot be written"),
    (("classroom50", "LAB=classes"), "pack: say which lab, and where to"),
    (("gradescope", "LAB=tour", "SEED=$(x)"), "pack: lab tour needs a seed")])
def test_mistakes(words, said):
    done = run("make", "-s", *words)
    assert done.returncode and said in done.stdout and "Traceback" not in done.stdout


# --- GitHub and GitLab ---------------------------------------------------------------------------

# "Workflow syntax" of docs.github.com/actions, and "CI/CD YAML syntax" of docs.gitlab.com: the keys
# that the files here may have.
GITHUB = {"name", "on", "permissions", "jobs"}
GITHUB_JOB = {"runs-on", "container", "timeout-minutes", "steps"}
GITHUB_STEP = {"name", "uses", "run", "with", "if"}
GITLAB_JOB = {"image", "timeout", "variables", "before_script", "script", "artifacts"}


def steps(path):
    """Return the commands of a workflow of GitHub."""
    # In YAML 1.1 the word on is true.
    workflow = {"on" if key is True else key: value
                for key, value in yaml.safe_load(path.read_text()).items()}
    assert workflow.keys() == GITHUB and "push" in workflow["on"]
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert job.keys() <= GITHUB_JOB and all(step.keys() <= GITHUB_STEP for step in job["steps"])
    assert any(step.get("uses", "").startswith("actions/checkout@") for step in job["steps"])
    return [step["run"] for step in job["steps"] if "run" in step]


def script(path):
    """Return the commands of a pipeline of GitLab."""
    (job,) = yaml.safe_load(path.read_text()).values()
    assert job.keys() <= GITLAB_JOB
    return job["script"]


def test_workflows_of_this_tree():
    for commands in (steps(guest.TOP / ".github" / "workflows" / "ci.yml"),
                     script(guest.TOP / ".gitlab-ci.yml")):
        assert commands[-1] == ".ci/run" and os.access(guest.TOP / commands[-1], os.X_OK)


def test_workflows_of_a_student(autograder, tmp_path):
    """They stand where GitHub and GitLab look, and their commands grade."""
    tree = tmp_path / "mine"
    done = run(guest.TOP / "test" / "labs" / "lab", "write", "classes", tree)
    assert done.returncode == 0, done.stdout
    shutil.copytree(autograder / "source" / "tree" / "build", tree / "build")
    shutil.copy(guest.TOP / "trap" / "fault.c", tree / "trap")
    summary = tmp_path / "summary.md"
    for commands, made in (
            (steps(tree / ".github" / "workflows" / "grade.yml"), [summary, "build/grade.html"]),
            (script(tree / ".gitlab-ci.yml"), ["build/grade.xml", "build/grade.html"])):
        done = run("bash", "-ec", "\n".join(commands), cwd=tree, CI="true", CASES=CASES,
                   GITHUB_STEP_SUMMARY=str(summary))
        assert done.returncode == 0, done.stdout
        for file in made:
            assert (tree / file).exists()
            (tree / file).unlink()
