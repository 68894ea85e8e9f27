# SPDX-License-Identifier: MIT
"""What README, docs/ and make help name is there, and what they show to type works."""

import os
import re
import shlex
import subprocess

import guest
import pytest

PAGES = [guest.TOP / "README.md", *sorted((guest.TOP / "docs").rglob("*.md"))]
TEXT = {page: page.read_text() for page in PAGES}
SHOWN = re.compile(r"`([^`\n]+)`|^    (\S[^\n#]*?) *(?:#.*)?$"
                   r"|^(?:for .*; do )?(make .*?)(?:; done)?$", re.MULTILINE)
MADE = {"DIR", "dir", "FILE"}  # what a reader puts another word for
WRITTEN = "harts", "links", "nulltest"  # programs that a reader writes


def shown(first):
    """Return the commands of the pages that begin with that word, each once."""
    found = set()
    for text in TEXT.values():
        for words in SHOWN.findall(text):
            command = "".join(words)
            if re.match(rf"{first}( |$)", command):
                found.add(command)
    return sorted(found)


def make(*words):
    return subprocess.run(["make", *words], cwd=guest.TOP, text=True, env=guest.environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)


def test_commands_of_make(tmp_path):
    """make knows each, with its options; what it would do is not done."""
    commands = shown("make")
    assert len(commands) > 20
    written = [tmp_path / name for name in WRITTEN]
    for program in written:
        program.touch()
    extra = f"EXTRA_FILES={' '.join(map(str, written))}"
    for command in commands:
        words = shlex.split(command.replace("-NAME", "-true").replace("$d", str(tmp_path)))
        done = make("-n", f"GDBINIT={tmp_path}/init", extra, *words[1:])
        assert done.returncode == 0, f"{command}:\n{done.stdout[-1000:]}"


def test_help():
    """Each command and option of make help is one, and none is left out."""
    text = make("help").stdout
    commands = re.findall(r"^  make (\S+) ", text, re.MULTILINE)
    names = set(re.findall(r"\b([A-Z]\w+|V)=", text))
    assert len(commands) > 12 and len(names) > 20
    goals = set(make("-n", "-p", "help").stdout.split())
    for command in commands:
        assert f"{command}:" in goals or command in ("run-NAME", "record-NAME"), command
    there = {kind: re.search(rf"^{kind} := (.*)$", make("-n", "-p", "help").stdout, re.MULTILINE)[1]
             for kind in ("OPTIONS", "COMMANDS")}
    assert set(there["OPTIONS"].split()) - names == {"GDBINIT"}
    assert names - set(there["OPTIONS"].split()) == set()
    hidden = {name for name in there["COMMANDS"].split() if name.startswith("lint-")}
    assert set(there["COMMANDS"].split()) - set(commands) - hidden == {"tools", "kernel", "help"}


@pytest.mark.parametrize("name, too_much", [("CPUS", "1000"), ("MEM", "1000G")])
def test_ranges(name, too_much):
    """make help says what a value out of range is answered with."""
    span = re.search(r"from (\w+ to \w+)", make(f"{name}={too_much}").stdout)[1]
    assert re.search(rf"^  {name}=.*\b{span}\b", make("help").stdout, re.MULTILINE)


def test_paths():
    """Files that the pages name, except what is made, stands for others or is shown whole."""
    for page, text in TEXT.items():
        for path in re.findall(r"`((?:boot|trap|kern|vm|user|test|docs)/[\w./-]*\w)[ `]", text):
            if not re.search(r"[A-Z]{3}|\.o$", path) and f"\n@@ {path}\n" not in text:
                assert (guest.TOP / path).exists(), f"{page.name}: {path}"


def test_up_calls():
    """docs/layout.md lists each function that is implemented in a room above its header's."""
    layers = guest.load_script(guest.TOP / "test/lint/layers")
    there = set()
    for name, (header, paths) in layers.up_calls().items():
        opening = (guest.TOP / header).read_text().split("\n\n", 1)[0]
        if any(layers.rank(path) > layers.rank(header) for path in paths):
            there.add(("all of it" if "Implemented by" in opening else f"`{name}`", header, *paths))
    rows = re.findall(r"^\| (.*?) \| `(\w+/.*?\.h)` \| (`.*?`) \|$",
                      TEXT[guest.TOP / "docs/layout.md"], re.MULTILINE)
    assert {(name, header, *re.findall(r"`(.*?)`", paths)) for name, header, paths in rows} == there


OUTSIDE = {"guest_errors", "oops_limit", "module_verb"}  # of QEMU, Linux; the form of a name


def test_names():
    """What the pages name is in the tree: functions, invariants, cases, mutants, sections."""
    tracked = [path for folder in ("boot", "trap", "kern", "vm", "user", "test")
               for path in (guest.TOP / folder).rglob("*") if path.suffix in
               (".c", ".h", ".S", ".ld", ".py", ".patch", ".pml", "") and path.is_file()]
    code = {path: path.read_text(errors="replace") for path in tracked}
    words = set(re.findall(r"\w+", "\n".join(code.values()))) | OUTSIDE | {p.stem for p in tracked}
    numbers = {path.name.split("-")[0] for path in (guest.TOP / "test/mutants").glob("*.patch")}
    cases = "".join(path.read_text() for path in (guest.TOP / "test/grade/cases").glob("*.py"))
    for page, text in TEXT.items():
        wrong = [name for name in re.findall(r"(\w+)\+0x[0-9a-f]+", text) if name not in words]
        new = set(re.findall(r"\w+", "".join(re.findall(r"^\+.*$", text, re.MULTILINE))))
        plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for shown_ in re.findall(r"`([^`\n]+)`", plain):
            names = re.findall(r"(?<![\w/])[a-z]\w*_\w+(?![\w.]*\.\w|/)", shown_)
            wrong += [name for name in names if name not in words | new]
        for name, mark in re.findall(r"`([\w/.]+\.[chS])`, ([AI]\d)", plain):
            if not any(f"// {mark}. " in text_ for path, text_ in code.items()
                       if str(path).endswith("/" + name)):
                wrong.append(f"{name}, {mark}")
        for case in re.findall(r"`((?:layout|overflow|not_overflow|wild_sp|evidence|survival"
                               r"|hygiene|dma|lkdtm)\.\w{2,})`", plain):
            wrong += [case] if f'"{case}"' not in cases and page.name != "cases.md" else []
        for listed in re.findall(r"[Mm]utants? (\d[\d, ]*(?:(?:to|and) \d+)?)", plain):
            wrong += [f"mutant {n}" for n in re.findall(r"\d+", listed) if n not in numbers]
        for target, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", text):
            there = page.parent / target if target else page
            heads = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            marks = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            wrong += [f"{target}#{anchor}"] if anchor not in marks else []
        assert wrong == [], page.name


def test_locks():
    """docs/locks.md has each lock that has a name of its own."""
    page = TEXT[guest.TOP / "docs/locks.md"]
    code = "".join(path.read_text() for folder in ("trap", "kern", "vm")
                   for path in (guest.TOP / folder).rglob("*.c"))
    names = re.findall(r"struct (?:spin|sleep)lock (\w+)(?:;| = )", code)
    names += re.findall(r"struct vmalloc_arena (\w+) = ", code)
    own = {name for name in names if name not in ("lock", "guard", "filling")}
    assert len(own) > 10 and [name for name in own if f"`{name}`" not in page] == []


def test_words_of_provoke():
    known = set()
    for path in (guest.TOP / "kern/provoke").glob("*.h"):
        known.update(re.findall(r"^  X\((\w+), ", path.read_text(), re.MULTILINE))
    shape = re.compile(r"provoke ([A-Z_]{3,})(?![A-Z_=])")
    named = {word for text in TEXT.values() for word in shape.findall(text)}
    assert len(named) > 4 and named - MADE <= known


def test_programs():
    """docs/user-programs.md lists each, and no other."""
    text = TEXT[guest.TOP / "docs/user-programs.md"]
    rows = re.findall(r"^\| `(.*?)` \|", text.split("## What there is")[1], re.MULTILINE)
    listed = set()
    for row in rows:
        first = row.split()[0]
        listed.update([first] if re.search(r"[\[|(.<]| [a-z]( |$)", row) else row.split())
    there = {path.stem for path in (guest.TOP / "user").glob("*.c")} - {"mkfs", "fsck"}
    assert there <= {word for row in rows for word in row.split()}, there
    assert listed <= there, listed


def test_what_readme_types_in_the_shell(boot, tmp_path):
    readme = TEXT[guest.TOP / "README.md"]
    block = re.search(r"In the shell, try\n\n((?:    .*\n)+)", readme)[1]
    lines = [line.strip() for line in block.splitlines()]
    assert "poweroff" in lines
    script = "".join(f"{line} -c true\n" if line.endswith(" sh") else f"{line}\n" for line in lines)
    (tmp_path / "script").write_text(script)
    r = boot("sh script", image=guest.make_disk(tmp_path / "fs.img", tmp_path / "script"))
    assert r.code == 0 and "class=overflow" in r.output, r.explain()
    assert not re.search(r"not found|cannot|usage", r.output), r.explain()


@pytest.mark.skipif(not os.path.exists(guest.TOP / ".git"), reason="no repository")
def test_commands_of_scripts():
    """What is shown of test/ can be run, and answers to what it does not know."""
    for command in shown(r"test/[\w/-]+"):
        path = guest.TOP / command.split()[0]
        if " " in command and not re.search(r"[A-Z]{3}/", command):
            assert os.access(path, os.X_OK), command
