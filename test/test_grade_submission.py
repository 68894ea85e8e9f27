# SPDX-License-Identifier: MIT
"""Submissions: what is taken of them, what is refused, and what a hostile one can do."""

import errno
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import guest
import pytest

GRADE = guest.TOP / "test" / "grade"
sys.path.insert(0, str(GRADE))

import formats  # noqa: E402
import submission  # noqa: E402

ROOT = os.geteuid() == 0
BOMB = """#if __INCLUDE_LEVEL__ < 100
#include __FILE__
#include __FILE__
#endif
"""
FRAME = "void f(int n, void (*g)(char *)) {{ char x[{size}]; g(x); }}\n"
ASSEMBLER_BOMB = r'asm(".rept 100000\n.rept 100000\n.endr\n.endr");' + "\n"


@pytest.fixture
def manifest():
    return submission.load_manifest()


@pytest.fixture
def top(tmp_path):
    """A submission with one folder and one file."""
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "a.c").write_text("int a;\n")
    return tmp_path


@pytest.fixture
def scratch():
    """Where another user may go; what is left there was not cleared away."""
    path = Path(tempfile.mkdtemp(prefix="test-"))
    path.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
    yield path
    shutil.rmtree(path)


def whole(path, manifest):
    """The instructor's kernel as a submission."""
    for folder in manifest.folders:
        shutil.copytree(guest.TOP / folder, path / folder)
    return path


# --- what is read --------------------------------------------------------------------------------


def link(top):
    (top / "trap" / "b.c").symlink_to("/etc/passwd")


def link_folder(top):
    (top / "vm").symlink_to(guest.TOP / "vm")


def link_parent(top):
    (top / "kern").symlink_to(guest.TOP / "kern")


def hard_link(top):
    (top / "b").write_text("")
    os.link(top / "b", top / "trap" / "b.c")


def fifo(top):
    os.mkfifo(top / "trap" / "b.c")


def folder(top):
    (top / "trap" / "b.c").mkdir()


def file_as_folder(top):
    (top / "vm").write_text("")


def giant(top):
    with open(top / "trap" / "b.c", "wb") as file:
        file.truncate(1 << 40)


def many(top):
    for i in range(submission.SOURCES_MAX):
        (top / "trap" / f"b{i}.c").touch()


def none(top):
    (top / "trap" / "a.c").unlink()
    (top / "user").mkdir()
    (top / "user" / "init.c").touch()


@pytest.mark.parametrize("spoil, says", [
    (link, "trap/b.c is not a regular file"),
    (link_folder, "vm is not a folder"),
    (link_parent, "kern/dev is not a folder"),
    (hard_link, "hard link"),
    (fifo, "not a regular file"),
    (folder, "not a regular file"),
    (file_as_folder, "vm is not a folder"),
    (giant, "larger than"),
    (many, "more than"),
    (none, "no kernel sources"),
])
def test_refused(top, manifest, spoil, says):
    spoil(top)
    with pytest.raises(submission.Refused, match=says):
        submission.read_submission(top, manifest)


@pytest.mark.parametrize("name", [
    "$(shell touch pwned).c", "a\n#include <x>\n.c", "a b.c", "a;b.c", "`x`.S", "-fplugin=x.c",
    "@x.c", "a%.c", "a\\.h", "a:b.h", "\x1b[2J.c", "é.c", "a'b.c", 'a"b.c', "a|b.c", "a#.c",
])
def test_names(top, manifest, name):
    (top / "trap" / name).touch()
    with pytest.raises(submission.Refused, match="is not a name") as refused:
        submission.read_submission(top, manifest)
    assert str(refused.value).isprintable()


def test_what_the_manifest_does_not_name_is_not_looked_at(top, manifest):
    for name in ("Makefile", "kernel.ld", "trap/a.h.gch", "trap/a.d", "trap/.#a.c", "trap/x.s"):
        (top / name).symlink_to("/etc/passwd")
    for name in ("test/grade", "user", "trap/deep", "kern/dev/kern/lib", "kern/net", "boot"):
        (top / name).mkdir(parents=True)
        (top / name / "csr.h").touch()
    assert submission.read_submission(top, manifest) == {
        "boot": {"csr.h": b""}, "trap": {"a.c": b"int a;\n"}}


# --- what it comes in ----------------------------------------------------------------------------

SOURCES = {"trap/a.c": b"int a;\r\n", "kern/lib/b.h": b"int b;\n", "Makefile": b"",
           "user/x.c": b""}
FOUND = {"trap": {"a.c": b"int a;\n"}, "kern/lib": {"b.h": b"int b;\n"}}


def make_zip(path, files, **more):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, mode in more.get("special", {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, "/etc/passwd")
    return path


def make_tar(path, files, **more):
    kind = {"gz": "gz", "tgz": "gz", "xz": "xz", "bz2": "bz2"}.get(path.name.split(".")[-1], "")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, mode in more.get("special", {}).items():
            info = tarfile.TarInfo(name)
            info.type = {stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFCHR: tarfile.CHRTYPE,
                         stat.S_IFIFO: tarfile.FIFOTYPE, 0: tarfile.LNKTYPE}[stat.S_IFMT(mode)]
            info.linkname = "/etc/passwd"
            archive.addfile(info)
    return path


def write(top, files):
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def below(folder, files):
    return {f"{folder}/{name}": content for name, content in files.items()}


def git(top, *words):
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", top, *name, *words], check=True, stdout=subprocess.DEVNULL)


def repository(path, bare):
    write(path / "work", SOURCES)
    git(path / "work", "init", "-q")
    git(path / "work", "add", "-A")
    git(path / "work", "commit", "-qm", "x")
    if bare:
        git(path, "clone", "-q", "--bare", "work", "x.git")
    return path / ("x.git" if bare else "work")


def read(top, scratch):
    return submission.read(top, submission.load_manifest(), scratch, submission.fresh_user())


MADE = {
    "zip": lambda at: make_zip(at / "A Student.ZIP", SOURCES),
    "github": lambda at: make_zip(at / "a.zip", below("kernel-main", SOURCES)),
    "macos": lambda at: make_zip(at / "a.zip", {
        **below("k", SOURCES), **below("__MACOSX/k", {"trap/._a.c": b"x", "trap/a.c": b"x"}),
        "k/trap/._a.c": b"\0", "k/.DS_Store": b"\0", ".git/trap/a.c": b"x"}),
    "tgz": lambda at: make_tar(at / "a.tgz", below("./x", SOURCES)),
    "tar": lambda at: make_tar(at / "a.tar", SOURCES),
    "tar.gz": lambda at: make_tar(at / "a.tar.gz", SOURCES),
    "tar.xz": lambda at: make_tar(at / "a.tar.xz", SOURCES),
    "tar.bz2": lambda at: make_tar(at / "a.tar.bz2", SOURCES),
    "folder": lambda at: write(at / "a", SOURCES),
    "deep": lambda at: write(at / "a", below("x y/__z/é", SOURCES)),
    "archive in a folder": lambda at: make_zip(write(at / "a", {"readme": b""}) / "k.zip",
                                               SOURCES).parent,
    "bare": lambda at: repository(at, True),
    "repository": lambda at: repository(at, False),
}


@pytest.mark.parametrize("kind", MADE)
def test_taken(tmp_path, scratch, kind):
    assert read(MADE[kind](tmp_path), scratch) == FOUND


def test_repository_without_its_files(tmp_path, scratch):
    """HEAD is read; nothing of its configuration is run, nor does it lead elsewhere."""
    top = repository(tmp_path, False)
    git(top, "gc", "-q")
    git(top, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    git(top, "config", "tar.tar.command", f"touch {tmp_path}/ran")
    for name in ("trap", "kern", "user", "Makefile"):
        shutil.rmtree(top / name, ignore_errors=True)
    assert read(top, scratch) == FOUND and not (tmp_path / "ran").exists()
    (top / ".git" / "HEAD").write_text("ref: refs/../../../etc/passwd")
    with pytest.raises(submission.Unusable, match="no commit in its HEAD"):
        read(top, scratch)


def encrypted(path):
    """A zip archive that says so."""
    data = bytearray(make_zip(path, SOURCES).read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 1)
    path.write_bytes(data)
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])
    return path


LINK = stat.S_IFLNK | 0o777
HOSTILE = {
    "leads out": (lambda at: make_zip(at / "a.zip", {**SOURCES, "../x": b""}), "leads out of it"),
    "absolute": (lambda at: make_tar(at / "a.tar", {**SOURCES, "/etc/x": b""}), "leads out of it"),
    "backslash": (lambda at: make_zip(at / "a.zip", {"trap\\a.c": b""}), "leads out of it"),
    "link": (lambda at: make_zip(at / "a.zip", SOURCES, special={"trap/x.c": LINK}),
             "trap/'x.c' is not a regular file"),
    "tar link": (lambda at: make_tar(at / "a.tar", SOURCES, special={"vm/x.c": LINK}),
                 "vm/'x.c' is not a regular file"),
    "hard link": (lambda at: make_tar(at / "a.tar", SOURCES, special={"vm/x.c": 0}),
                  "not a regular file"),
    "device": (lambda at: make_tar(at / "a.tar", SOURCES, special={"vm/x.c": stat.S_IFCHR}),
               "not a regular file"),
    "linked folder": (lambda at: make_tar(at / "a.tar", SOURCES, special={"vm": LINK}),
                      "'vm' is a link"),
    "bomb": (lambda at: make_tar(at / "a.tar.gz", {**SOURCES, "x": bytes(65 << 20)}),
             "more than 64 MiB in it"),
    "many": (lambda at: make_zip(at / "a.zip", {**SOURCES, **{f"x{i}": b"" for i in range(10001)}}),
             "more than 10000 members"),
    "in an archive": (lambda at: make_zip(at / "a.zip", {"x/k.zip": b""}), "archive in an archive"),
    "encrypted": (lambda at: encrypted(at / "a.zip"), "encrypted"),
    "truncated": (lambda at: cut(make_zip(at / "a.zip", SOURCES)), "damaged"),
    "truncated tar": (lambda at: cut(make_tar(at / "a.tgz", SOURCES)), "damaged"),
    "another kind": (lambda at: make_zip(at / "a.tar.gz", SOURCES), "damaged, or of another kind"),
    "rar": (lambda at: make_zip(at / "a.rar", SOURCES), "neither a folder nor an archive"),
    "twice": (lambda at: make_tar(at / "a.tar", {**SOURCES, "./trap/a.c": b"x"}), "twice"),
    "two kernels": (lambda at: make_zip(at / "a.zip", {**below("x", SOURCES),
                                                       **below("y", SOURCES)}), "'x', 'y'"),
    "two folders": (lambda at: write(at / "a", {**below("x", SOURCES), **below("y", SOURCES)}),
                    "'x', 'y'"),
    "nothing": (lambda at: write(at / "a", {"x/y": b""}), "no kernel sources"),
    "nothing packed": (lambda at: make_zip(at / "a.zip", {"x/y": b""}), "no kernel sources"),
    "empty": (lambda at: write(at, {"a.zip": b""}) / "a.zip", "damaged"),
}


@pytest.mark.parametrize("packed", ["folder", "zip"])
@pytest.mark.parametrize("name", ["fault copy.c", "link.c"])
def test_no_score_for_an_odd_file(tmp_path, name, packed):
    """A copy that a file manager made, or a link: one line, and neither a score nor 0 points."""
    top = write(tmp_path / "in", SOURCES)
    if name == "link.c":
        (top / "trap" / name).symlink_to("/etc/passwd")
    else:
        (top / "trap" / name).write_bytes(b"")
    if packed == "zip":
        special = {f"trap/{name}": LINK} if name == "link.c" else {}
        files = {} if special else {f"trap/{name}": b""}
        top = make_zip(tmp_path / "a.zip", {**SOURCES, **files},
                       special=special)
    with pytest.raises(submission.Unusable, match="cannot be taken: .*(not a name|regular file)"):
        submission.build(top, guest.BUILD, 1, lambda line: None)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_how_it_is_packed_costs_no_points(tmp_path, scratch, kind):
    make, says = HOSTILE[kind]
    with pytest.raises(submission.Unusable) as refused:
        read(make(tmp_path), scratch)
    assert says in str(refused.value) and str(refused.value).isprintable()


def test_line_about_how_it_is_packed(tmp_path, scratch):
    (tmp_path / "k.zip").write_bytes(b"PK")
    done = grade(tmp_path / "k.zip", tmp_path / "j.json", scratch)
    assert done.returncode == 1 and done.stdout.count("\n") == 1 and "Score" not in done.stdout
    assert done.stdout.startswith("grade: 'k.zip' cannot be taken: the archive is damaged")
    assert not (tmp_path / "j.json").exists() and not list(scratch.iterdir())


def test_bomb_in_a_zip(tmp_path, scratch):
    """A source is decompressed no further than it may be long; others not at all."""
    path = make_zip(tmp_path / "a.zip", {**SOURCES, "x": bytes(200 << 20)})
    assert read(path, scratch) == FOUND
    path = make_zip(tmp_path / "b.zip", {**SOURCES, "trap/x.c": bytes(200 << 20)})
    with pytest.raises(submission.Refused, match="trap/x.c is larger than"):
        read(path, scratch)


@pytest.mark.parametrize("name", ["trap/a b.c", "trap/\x1b[2J.c", "trap/é.c", "trap/$(x).c"])
def test_names_in_archives(tmp_path, scratch, name):
    files = {name: b""}
    for path in (make_zip(tmp_path / "a.zip", files), make_tar(tmp_path / "a.tar", files)):
        with pytest.raises(submission.Refused, match="is not a name") as refused:
            read(path, scratch)
        assert str(refused.value).isprintable()


# --- what is put where ---------------------------------------------------------------------------


def test_overlay(tmp_path, manifest):
    tree = whole(tmp_path / "tree", manifest)
    mine = whole(tmp_path / "mine", manifest)
    kept = ("trap/rendezvous.S", "kern/provoke/provoke.c", "kern/provoke/faults.S",
            "kern/provoke/tests.h", "vm/layout.h", "kern/lib/trapframe.h", "kern/lib/abi.h",
            "kern/lib/csr.h")
    for name in kept:
        (mine / name).write_text("#error mine\n")
    (mine / "vm" / "tlb.c").unlink()
    (mine / "trap" / "new.c").write_text("int new;\n")
    (mine / "trap" / "trap.c").write_text("int trap;\n")
    shutil.rmtree(mine / "boot")
    before = (tree / "vm" / "page.c").stat()
    found = submission.read_submission(mine, manifest)
    assert sorted(submission.overlay(tree, found, manifest)) == sorted(kept)
    for name in kept:
        assert (tree / name).read_bytes() == (guest.TOP / name).read_bytes()
    assert not (tree / "vm" / "tlb.c").exists() and (tree / "boot" / "main.c").exists()
    assert (tree / "trap" / "new.c").exists()
    assert (tree / "trap" / "trap.c").read_text() == "int trap;\n"
    assert (tree / "vm" / "page.c").stat().st_ino == before.st_ino


def test_deleted_instructors_file_stays(tmp_path, manifest):
    tree = whole(tmp_path / "tree", manifest)
    submission.overlay(tree, {"vm": {"a.c": b""}}, manifest)
    assert sorted(p.name for p in (tree / "vm").iterdir()) == ["a.c", "layout.h"]


def test_manifest_names_all_that_is_the_instructors(manifest):
    """What the kept files include is kept too, or is an interface of the kernel that the C of
    kern/provoke/ cannot do without."""
    for name in ("trap/rendezvous.S", "kern/provoke/faults.S", "vm/layout.h",
                 "kern/lib/trapframe.h", "kern/lib/abi.h", "kern/lib/csr.h", "kern/lib/types.h"):
        for line in (guest.TOP / name).read_text().splitlines():
            if line.startswith('#include "'):
                folder, _, base = line.split('"')[1].rpartition("/")
                assert manifest.kept(folder, base), f"{name}: {line}"


# --- what is compiled ----------------------------------------------------------------------------


def attempt(top):
    said = []
    directory, why = submission.build(top, guest.BUILD, 2, said.append)
    if directory:
        submission.remove(directory)
    return directory, why, "\n".join(said)


@pytest.mark.parametrize("text, says", [
    ("int x = ;\n", "does not build: trap/a.c:1:9: error: expected expression"),
    ("#include __FILE__\n", "nested depth"),
    (BOMB, "CPU time limit exceeded"),
    ('asm(".rept 1000000000\\n.quad 0\\n.endr");\n', "does not build"),
    ("char x[64 << 20] = {1};\n", "does not build"),
    ("void f(void) { undefined_thing(); }\n", "implicit-function-declaration"),
    ("void f(void);\nvoid report_rendezvous(void);\nvoid report_rendezvous(void) {}\n",
     "multiple definition of `report_rendezvous'"),
    (FRAME.format(size="2000"), "docs/kernel-stacks.md"),
    (FRAME.format(size="n"), "docs/kernel-stacks.md"),
    ("void f(int n, void (*g)(char *)) { g(__builtin_alloca(n)); }\n", "docs/kernel-stacks.md"),
], ids=["syntax", "recursion", "bomb", "assembler", "size", "undeclared", "rendezvous", "frame",
        "array", "alloca"])
def test_builds_that_fail(tmp_path, monkeypatch, text, says):
    monkeypatch.setattr(submission, "CPU_SECONDS", 1)
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    (tmp_path / "trap" / "a.c").write_text(text)
    directory, why, _ = attempt(tmp_path)
    assert directory is None and says in why and why.isprintable()


@pytest.mark.skipif(not ROOT, reason="only root can become another user")
@pytest.mark.parametrize("text, says", [
    ('#include "SECRET"\n', "Permission denied"),
    ('asm(".incbin \\"SECRET\\"");\n', "file not found"),
], ids=["include", "incbin"])
def test_compiler_cannot_read_what_root_can(tmp_path, text, says):
    secret = tmp_path / "secret"
    secret.write_text("int stolen;\n")
    secret.chmod(0o600)
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    (tmp_path / "trap" / "a.c").write_text(text.replace("SECRET", str(secret)))
    assert says in attempt(tmp_path)[1]


def test_warnings_cost_nothing(tmp_path):
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    (tmp_path / "trap" / "a.c").write_text("static int unused(int x) {\n  int y;\n}\n")
    directory, why, said = attempt(tmp_path)
    assert directory and not why
    assert "trap/a.c:1:12: warning: 'unused' defined but not used" in said


@pytest.mark.parametrize("umask", [0o077, 0o000, 0o777])
@pytest.mark.parametrize("locale", ["C", "tr_TR.UTF-8"])
def test_neither_modes_nor_locale_matter(tmp_path, monkeypatch, umask, locale):
    """Nor do line ends: the kernel is the instructor's, byte for byte."""
    monkeypatch.setenv("LC_ALL", locale)
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    for path in (tmp_path / "trap").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        path.chmod(0o400)
    (tmp_path / "trap").chmod(0o500)
    before = os.umask(umask)
    try:
        directory, why = submission.build(tmp_path, guest.BUILD, 2, lambda line: None)
    finally:
        os.umask(before)
        (tmp_path / "trap").chmod(0o700)
    assert not why
    kernel = (directory / "kernel").read_bytes()
    submission.remove(directory)
    assert kernel == (guest.BUILD / "kernel").read_bytes()


def test_many_warnings_are_counted():
    shown = []
    submission.show_warnings("a.c:1:2: warning: x\n" * 99, shown.append)
    assert len(shown) == submission.WARNINGS_SHOWN + 1 and "89 more" in shown[-1]


def owner(pid):
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None  # it has ended


def owned_by(uid):
    return [name for name in os.listdir("/proc") if name.isdigit() and owner(name) == uid]


def test_time_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "WALL_SECONDS", 4 / submission.SCALE)
    monkeypatch.setattr(submission, "make", lambda *a, make=submission.make:
                        (True, "") if a[2] == "tools" else make(*a))
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    (tmp_path / "trap" / "a.c").write_text(ASSEMBLER_BOMB)
    assert "stopped after 4 s" in attempt(tmp_path)[1]
    end = time.monotonic() + 60
    while ROOT and (left := owned_by(submission.fresh_user())):
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.1)


def test_what_is_written_is_limited(tmp_path, monkeypatch):
    """No file is too large, but all together are."""
    monkeypatch.setattr(submission, "WRITTEN_MAX", 16 << 20)
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    for i in range(6):
        (tmp_path / "trap" / f"a{i}.c").write_text('asm(".data\\n.zero 4 << 20");\n')
    assert "compiling has written more than 16 MiB" in attempt(tmp_path)[1]


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name, spoiled", [
    ("copy", full),
    ("take", full),
    ("room", lambda path: 0),
    ("make", lambda *a: (a[2] == "tools", "a.c:1: error: can't write: No space left on device")),
])
def test_full_disk_is_not_the_submissions_fault(tmp_path, scratch, monkeypatch, name, spoiled):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    if name == "make":
        monkeypatch.setattr(submission, "room", lambda path: submission.ROOM_MIN)
    elif name == "room":
        (tmp_path / "trap" / "a.c").write_text("int x = ;\n")
    monkeypatch.setattr(submission, name, spoiled)
    with pytest.raises(submission.Unusable, match="No space left|is full"):
        attempt(tmp_path)
    assert not list(scratch.iterdir())


def test_claim_of_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "room", lambda path: 1 << 40)
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "a.c").write_text("#error No space left on device\n")
    assert "does not build" in attempt(tmp_path)[1]


def test_deleted_file_is_missed(tmp_path):
    shutil.copytree(guest.TOP / "trap", tmp_path / "trap")
    (tmp_path / "trap" / "backtrace.c").unlink()
    assert "undefined reference to `backtrace" in attempt(tmp_path)[1]


def test_good_one(tmp_path, manifest, monkeypatch):
    """Also as an ordinary user; what was kept of the submission is one file."""
    monkeypatch.setattr(submission, "fresh_user", lambda: None)
    mine = whole(tmp_path / "mine", manifest)
    (mine / "trap" / "rendezvous.S").write_text("mine")
    (mine / "vm" / "page.c").write_text((mine / "vm" / "page.c").read_text() + "// mine\n")
    said = []
    directory, why = submission.build(mine, guest.BUILD, 2, said.append)
    try:
        assert not why and "not root" in "".join(said) and "trap/rendezvous.S" in "".join(said)
        assert (directory / "fs.img").read_bytes() == (guest.BUILD / "fs.img").read_bytes()
        assert {p.name for p in directory.iterdir()} == {"fs.img", "fsck", "user", "kernel", "kern"}
    finally:
        submission.remove(directory)
    assert not directory.parent.exists()


def test_unusable(tmp_path, monkeypatch):
    with pytest.raises(submission.Unusable, match="no directory"):
        submission.build(tmp_path / "x", guest.BUILD)
    if ROOT:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        tmp_path.chmod(0o700)
        with pytest.raises(submission.Unusable, match="set TMPDIR"):
            submission.build(guest.TOP, guest.BUILD, say=lambda line: None)
        assert not list(tmp_path.iterdir())


def test_first_errors():
    said = ("\x1b[2Ja.c:1: error: \u202eScore: 9/9\rx\nScore: 9/9\n" * 9 +
            "make: *** [Makefile:9: build/a.o] Error 1\n")
    shown = submission.first_errors(said)
    assert shown.isprintable() and shown.count("error") == submission.ERRORS_SHOWN
    assert submission.first_errors("\n\nmake: *** Stop.\n") == "make: *** Stop."
    assert submission.first_errors("x" * 10000 + " error") and len(shown) < 400


# --- the whole way -------------------------------------------------------------------------------


def grade(top, out, scratch, only="overflow.recursion,layout.guards"):
    command = [sys.executable, GRADE / "grade", "--submission", top, "--json", out]
    command += ["--only", only, "--logs", out.parent / "logs"]
    return subprocess.run(command, env={**os.environ, "TMPDIR": str(scratch)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def test_reference_as_submission(tmp_path, manifest, scratch):
    mine = whole(tmp_path / "it's $(a) path; with all", manifest)
    done = grade(mine, tmp_path / "j.json", scratch)
    found = json.loads((tmp_path / "j.json").read_text())
    assert done.returncode == 0, done.stdout
    assert found["complete"] and found["score"] == found["max"] > 0
    assert not list(scratch.iterdir()) and not (tmp_path / "logs").exists()


def test_broken_submission(top, scratch):
    done = grade(top, top / "j.json", scratch)
    found = formats.read_json(top / "j.json")
    assert done.returncode == 1 and "Score: 0/" in done.stdout
    assert {c["status"] for c in found["cases"]} == {"error"}
    assert all("does not build" in c["reason"] for c in found["cases"])
    assert not list(scratch.iterdir())


def test_hopeless_submission(tmp_path, scratch):
    """One boot is tried before all cases; what every case needs is not tried for each."""
    shutil.copytree(guest.TOP / "boot", tmp_path / "boot")
    main = (tmp_path / "boot" / "main.c").read_text()
    assert "  bootarg_check_flags();\n" in main
    (tmp_path / "boot" / "main.c").write_text(main.replace(
        "  bootarg_check_flags();\n", "  for (;;)\n    ;\n"))
    before = os.times()
    done = grade(tmp_path, tmp_path / "j.json", scratch, only="tag:core")
    after = os.times()
    found = formats.read_json(tmp_path / "j.json")["cases"]
    assert done.returncode == 1 and "Score: 0/" in done.stdout and len(found) > 100
    assert {c["status"] for c in found} == {"timeout"}
    assert all(c["reason"].startswith("the kernel does not boot") for c in found)
    assert after.children_user - before.children_user < 60 * submission.SCALE


def test_make_does_not_expand_the_path(tmp_path):
    path = f"$(shell touch {tmp_path}/a)$(error b)'; touch {tmp_path}/c; '\"`touch {tmp_path}/d`"
    done = subprocess.run(["make", "-s", "grade", f"SUBMISSION={path}"], cwd=guest.TOP, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert "there is no directory" in done.stdout and not list(tmp_path.iterdir())
