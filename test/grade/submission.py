# SPDX-License-Identifier: MIT
"""Turn a directory that a stranger filled into a kernel that can be graded.

The tree in which it is built is the instructor's, but for the files that the manifest names.  Those
are copied as bytes, from regular files with harmless names, so that nothing but the compiler ever
looks at them.  The compiler runs as a user that owns nothing else and with limits.  Of what it
leaves only the kernel is taken, and that runs only under QEMU.
"""

import fnmatch
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import host
import intake
from intake import Unusable

TOP = Path(__file__).resolve().parents[2]
MAKE = os.environ.get("MAKE", "make")  # the one that runs
MANIFEST = Path(__file__).resolve().parent / "manifest"
SCALE = float(os.environ.get("TEST_TIME_SCALE", "1"))

# What builds a kernel.
TREE = ("Makefile", "kernel.ld", "test/tools", "test/lint/lint.mk", "test/labs/labs.mk", "boot",
        "trap", "kern", "vm")
REUSED = ("options", "boot", "trap", "kern", "vm")  # of the instructor's build directory
TAKEN = ("kernel",)  # of the submission's build directory
# What the grader reads too, of the instructor's build directory.
GIVEN = ("fs.img", "fsck", "user", "kern/provoke")
ENVIRONMENT = ("PATH", "CROSS", "LLVM", "HOSTCC", "PYTHON", "VMAP_STACK",
               "KSTACK_GROW", "KASAN")

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
SOURCES_MAX = 250
SOURCE_MAX = 256 << 10  # bytes of one
TOTAL_MAX = 4 << 20  # bytes of all
ENTRIES_MAX = 5000  # names in one folder

CPU_SECONDS = 20  # of one process
WALL_SECONDS = 600
MEMORY = 1 << 30
FILE_SIZE = 16 << 20
PROCESSES = 128
WRITTEN_MAX = 128 << 20  # bytes of all files that compiling leaves
OUTPUT_READ = 256 << 10
POLL = 0.2  # seconds between two looks at these
ROOM_MIN = 1 << 20  # bytes; a disk with less is full
ERRORS_SHOWN = 4
WARNINGS_SHOWN = 10
# Warnings that are errors in the kernel, as gcc and clang name them.
FRAME_RULES = re.compile(r"\[-Werror[=,](-W)?(stack-usage|frame-larger-than|vla|alloca)\b")
USERS = 0x70000000  # user ids from here up belong to no user
NOBODY = 65534


class NotTaken(Unusable):
    """There is something about the submission itself that only its author can mend."""


class Refused(Exception):
    """The submission is at fault."""


# --- the manifest --------------------------------------------------------------------------------


class Manifest:
    def __init__(self, text):
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        self.takes = [line.rpartition("/") for line in lines if not line.startswith("!")]
        self.keeps = [line[1:].rpartition("/") for line in lines if line.startswith("!")]
        self.folders = list(dict.fromkeys(folder for folder, _, _ in self.takes))
        self.whole = False  # no folder may be missing

    @staticmethod
    def match(rules, folder, name):
        return any(folder == f and fnmatch.fnmatchcase(name, p) for f, _, p in rules)

    def names(self, folder, name):
        return self.match(self.takes, folder, name)

    def kept(self, folder, name):
        return self.match(self.keeps, folder, name)


def load_manifest(handed_in=None):
    """Return the manifest.  handed_in: patterns of files; then those alone are taken, and no folder
    of them may be missing: here it is solved."""
    manifest = Manifest(MANIFEST.read_text(encoding="utf-8"))
    if handed_in:
        manifest.takes = Manifest("\n".join(handed_in)).takes
        manifest.folders = list(dict.fromkeys(folder for folder, _, _ in manifest.takes))
        manifest.whole = True
    return manifest


# --- reading what a stranger wrote ---------------------------------------------------------------


def open_folder(top, folder):
    """Open top/folder without following links.  Returns a descriptor, or None: not there."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    here = os.open(top, flags)
    try:
        for part in folder.split("/"):
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
    except FileNotFoundError:
        os.close(here)
        return None
    except OSError as error:
        os.close(here)
        raise Refused(f"{folder} is not a folder, or cannot be read ({error.strerror})") from error
    return here


def list_folder(descriptor, folder):
    names = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) > ENTRIES_MAX:
                raise Refused(f"{folder} has more than {ENTRIES_MAX} files")
    return sorted(names)


def checked(path, content):
    """Return a source as it will be compiled: lines end as they do here."""
    if len(content) > SOURCE_MAX:
        raise Refused(f"{path} is larger than {SOURCE_MAX >> 10} KiB")
    return content.replace(b"\r\n", b"\n")


def check_name(path, name):
    if not NAME.fullmatch(name):
        raise Refused(f"{ascii(path)} is not a name for a source: letters, digits and _.- only")


def read_source(descriptor, folder, name):
    """Return the bytes of a file, which must be an ordinary one."""
    path = f"{folder}/{name}"
    check_name(path, name)
    if not stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
        raise Refused(f"{path} is not a regular file")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=descriptor), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise Refused(f"{path} has other names too (a hard link), or is not a regular file")
        return checked(path, file.read(SOURCE_MAX + 1))


def read_submission(top, manifest):
    """Return {folder: {name: bytes}} of the folders that are there, the instructor's files too."""
    found = {}
    for folder in manifest.folders:
        descriptor = open_folder(top, folder)
        if descriptor is None:
            continue
        try:
            names = [name for name in list_folder(descriptor, folder)
                     if manifest.names(folder, name) and not name.startswith(".")]
            if sum(map(len, found.values())) + len(names) > SOURCES_MAX:
                raise Refused(f"more than {SOURCES_MAX} source files")
            found[folder] = {name: read_source(descriptor, folder, name) for name in names}
        except OSError as error:
            raise Refused(f"{folder} cannot be read: {error}") from error
        finally:
            os.close(descriptor)
    found = {folder: sources for folder, sources in found.items() if sources}
    if not found:
        raise Refused(f"no kernel sources in it; wanted: {', '.join(manifest.folders)}")
    check_total(found)
    return found


def check_total(found):
    if sum(len(content) for sources in found.values() for content in sources.values()) > TOTAL_MAX:
        raise Refused(f"more than {TOTAL_MAX >> 20} MiB of sources")


def read_packed(archive, manifest):
    """The same of an archive."""
    found, count = {}, 0
    for folder, name, content in intake.read_archive(archive, manifest, SOURCE_MAX):
        path = f"{folder}/{name}"
        check_name(path, name)
        found.setdefault(folder, {})[name] = checked(path, content)
        count += 1
        if count > SOURCES_MAX:
            raise Refused(f"more than {SOURCES_MAX} source files")
        check_total(found)
    return found


def read(top, manifest, scratch, uid):
    """The same of whatever it came in.  An archive is written to scratch, by that user, when git
    has to make one."""
    if not os.path.isdir(top):
        return read_packed(top, manifest)
    tree = intake.find_tree(top, manifest.folders)
    if tree:
        return read_submission(tree, manifest)
    archive, repository = intake.find_archive(top), intake.find_repository(top)
    if not archive and not repository:
        raise Unusable(f"no kernel sources in it; wanted: {', '.join(manifest.folders)}")

    def git(words):
        give(scratch / "git", uid)
        fine, said = run_confined(words, scratch, uid)
        return fine, first_errors(said)

    return read_packed(archive or intake.export_head(repository, scratch, git), manifest)


def overlay(tree, found, manifest):
    """Put the sources in the place of the instructor's.  Returns paths that differ but stay his.

    A file that is the same is left alone, and with it what was compiled from it.
    """
    ignored = []
    for folder, sources in found.items():
        for old in (tree / folder).iterdir():
            if manifest.names(folder, old.name) and not manifest.kept(folder, old.name) and \
                    old.name not in sources:
                old.unlink()
        for name, content in sources.items():
            path = tree / folder / name
            same = path.is_file() and path.read_bytes() == content
            if manifest.kept(folder, name):
                ignored += [] if same else [f"{folder}/{name}"]
            elif not same:
                path.unlink(missing_ok=True)
                path.write_bytes(content)
    return ignored


# --- building ------------------------------------------------------------------------------------


@contextmanager
def lock(directory):
    """Hold the instructor's build directory: graders may run side by side."""
    directory.mkdir(parents=True, exist_ok=True)
    with host.hold(directory):
        yield


def copy(source, target, names):
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy2(source / name, target / name)


def fresh_user():
    """Return a user id that nothing belongs to, or None when only root could become it."""
    if os.geteuid() != 0:
        return None
    uid = USERS + os.getpid()
    try:
        there = Path("/proc/self/uid_map").read_text(encoding="ascii")
    except OSError:
        return NOBODY
    for line in there.splitlines():
        first, _, count = map(int, line.split())
        if first <= uid < first + count:
            return uid
    return NOBODY


def give(path, uid):
    """Make uid, if there is one, the owner of all below path."""
    for directory, _, files in os.walk(path) if uid is not None else ():
        for name in [".", *files]:
            os.chown(os.path.join(directory, name), uid, uid, follow_symlinks=False)


def confine(uid):
    """In the child, as its user: limits, and no way back."""
    cpu = int(CPU_SECONDS * SCALE) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))  # a signal that is named, then SIGKILL
    limits = [(resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, FILE_SIZE),
              (resource.RLIMIT_CORE, 0)]
    if uid is not None:  # else all that the user runs would count
        limits.append((resource.RLIMIT_NPROC, PROCESSES))
    for what, most in limits:
        resource.setrlimit(what, (most, most))
    host.die_with_parent()
    host.gain_nothing()
    os.umask(0o022)


def size(top):
    """Bytes of all files below top.  They may come and go meanwhile."""
    total = 0
    for directory, _, files in os.walk(top):
        for name in files:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except OSError:
                pass
    return total


def wait(process, scratch):
    """Wait for make and for what it is to leave.  Returns why it is to be stopped, or ''."""
    most, end = size(scratch) + WRITTEN_MAX, time.monotonic() + WALL_SECONDS * SCALE
    running = True
    while running:
        try:
            process.wait(POLL)
            running = False
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                return f"stopped after {WALL_SECONDS * SCALE:.0f} s"
        if size(scratch) > most:
            return f"stopped, since compiling has written more than {WRITTEN_MAX >> 20} MiB"
    return ""


def run_confined(words, scratch, uid):
    """Run a command on what is in scratch.  Returns (whether all went well, what was printed)."""
    environment = {k: os.environ[k] for k in ENVIRONMENT if k in os.environ}
    environment.update(TMPDIR=str(scratch / "tmp"), HOME=str(scratch / "tmp"), LC_ALL="C",
                       GIT_CONFIG_SYSTEM="/dev/null", GIT_CONFIG_GLOBAL="/dev/null")
    user = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    log = scratch / "log"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            words, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=lambda: confine(uid), **user)
        try:
            stopped = wait(process, scratch)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    with open(log, "rb") as file:
        said = file.read(OUTPUT_READ).decode(errors="replace")
    if stopped:
        said = f"error: {stopped}\n" + said
    return process.returncode == 0 and not stopped, said


def make(scratch, uid, target, build, jobs):
    return run_confined([MAKE, "--no-print-directory", "-C", str(scratch / "tree"), f"-j{jobs}",
                         target, f"BUILD={build}"], scratch, uid)


def room(path):
    """Bytes that are free where path is, or would be."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "."
    disk = os.statvfs(path)
    free = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return free * disk.f_frsize if disk.f_blocks else ROOM_MIN


def need_room(*paths):
    """Raise Unusable if a disk is full: then nothing that goes wrong says anything."""
    for path in paths:
        if room(path) < ROOM_MIN:
            raise Unusable(f"the disk of {path} is full")


def blame(scratch, said):
    """Raise Unusable if make failed for want of room.  A source may say so too, but not make it
    true; a compiler that fails takes away what it has written."""
    if "Disk quota exceeded" in said or "No space left" in said and room(scratch) < WRITTEN_MAX:
        raise Unusable(f"the disk of {scratch} is full: {first_errors(said)}")
    need_room(scratch)


def printable_lines(said):
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in said.splitlines()]
    lines = [line if len(line) <= 300 else f"{line[:99]}...{line[-198:]}" for line in lines]
    return [line.strip() for line in lines if line.strip() and not re.match("  [A-Z]+ ", line)]


def first_errors(said):
    """Return what is worth showing of a build that failed, in one printable line."""
    lines = printable_lines(said)
    telling = re.compile("error|undefined reference|multiple definition|exhausted", re.IGNORECASE)
    own = [line for line in lines if not re.match(r"g?make|\d* *\|", line)]
    errors = ([line for line in own if telling.search(line)] or own or lines)[:ERRORS_SHOWN]
    if any(FRAME_RULES.search(line) for line in errors):
        errors.append("a kernel frame has a fixed size and a limit (docs/kernel-stacks.md)")
    return "; ".join(errors)


def show_warnings(said, say):
    """Show what the compiler warns of: it costs no points."""
    found = [line for line in printable_lines(said) if re.search(r": warning: ", line)]
    for line in found[:WARNINGS_SHOWN]:
        say(f"grade: {line}")
    if len(found) > WARNINGS_SHOWN:
        say(f"grade: and {len(found) - WARNINGS_SHOWN} more warnings")


def take(scratch, build):
    """Collect what the grader reads.  Of the submission that is one file."""
    for name in TAKEN:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(scratch / "tree" / build / name, flags), "rb") as made:
            (scratch / "result" / name).write_bytes(made.read(FILE_SIZE))


def prepare(top, base, scratch, build, uid, say, manifest):
    """Fill the scratch directory: tree, with sources and objects, tmp, result."""
    for name in ("tmp", "result"):
        (scratch / name).mkdir()
    give(scratch / "tmp", uid)
    try:
        found = read(top, manifest, scratch, uid)
    except (Unusable, Refused) as error:
        raise NotTaken(f"{ascii(top.name)} cannot be taken: {error}") from error
    with lock(base):
        copy(TOP, scratch / "tree", TREE)
        copy(base, scratch / "tree" / build, REUSED)
        copy(base, scratch / "result", GIVEN)
    ignored = overlay(scratch / "tree", found, manifest)
    missing = [folder for folder in manifest.folders if folder not in found]
    if missing and manifest.whole:
        raise Refused(f"not submitted: {', '.join(missing)}")
    for what, names in (("of the submission not used", ignored), ("not submitted", missing)):
        if names:
            say(f"grade: {what}, the instructor's instead: {', '.join(names)}")


def build_in(scratch, top, base, jobs, say, manifest):
    build = str(base.relative_to(TOP)) if base.is_relative_to(TOP) else "build"
    uid = fresh_user()
    if uid is None:
        say("grade: not root, so the submission is compiled as you, and can read what you can")
    else:
        if any(not parent.stat().st_mode & 1 for parent in scratch.parents):
            raise Unusable(f"{scratch} cannot be reached by another user; set TMPDIR")
        scratch.chmod(0o711)
    prepare(top, base, scratch, build, uid, say, manifest)
    give(scratch / "tree", uid)
    fine, said = make(scratch, uid, "tools", build, jobs)
    if not fine:
        raise Unusable(f"the tools do not work for user {uid}: {first_errors(said)}")
    fine, said = make(scratch, uid, "kernel", build, jobs)
    if not fine:
        blame(scratch, said)
        raise Refused(f"the kernel does not build: {first_errors(said)}")
    show_warnings(said, say)
    take(scratch, build)


def build(top, base, jobs=1, say=print, handed_in=None):
    """Build the submission in top.  base: the instructor's build directory, up to date.  handed_in:
    patterns of files; then those alone are taken.

    Returns (a directory for machine.Build, ''), or (None, why there is none).  The caller ends with
    remove(directory).  Raises Unusable when that is not the submission's fault.
    """
    if not os.path.exists(top):
        raise Unusable(f"there is no directory or archive {top}")
    try:
        scratch = Path(tempfile.mkdtemp(prefix="grade-")).resolve()
    except OSError as error:
        raise Unusable(f"there is no room for a scratch directory: {error}") from error
    umask = os.umask(0o022)
    try:
        scratch.chmod(0o700)
        build_in(scratch, top, base, jobs, say, load_manifest(handed_in))
    except Refused as refused:
        remove(scratch / "result")
        return None, str(refused)
    except OSError as error:
        remove(scratch / "result")
        first = error.args[0][0][-1] if isinstance(error, shutil.Error) else error
        raise Unusable(f"it cannot be built in {scratch}: {first}") from error
    except BaseException:
        remove(scratch / "result")
        raise
    finally:
        os.umask(umask)
    return scratch / "result", ""


def remove(directory):
    """Remove the scratch directory that build() has made, unless KEEP says not to."""
    if os.environ.get("KEEP"):
        print(f"grade: kept {directory.parent}")
    else:
        shutil.rmtree(directory.parent, ignore_errors=True)
