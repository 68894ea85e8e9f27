# SPDX-License-Identifier: MIT
"""What a submission may come in: a folder, an archive, a git repository; with the kernel's folders
at its top or a few folders down.

Archives are never unpacked: the few members that the manifest names are read into memory, each
decompressed no further than a source may be long.  Of a repository only the objects and the commit
of its HEAD are copied, so that nothing in its configuration or hooks is ever run.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

MEMBERS_MAX = 10_000
DIRECTORY_MAX = 4 << 20  # bytes of a zip archive's list of members
ARCHIVE_MAX = 64 << 20  # bytes of one
UNPACKED_MAX = 64 << 20  # bytes of a tar archive, decompressed
DEPTH_MAX = 4  # folders down to the kernel's
FOLDERS_MAX = 2000  # looked into on the way
OBJECTS_MAX = 64 << 20  # bytes of a git repository
TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
ARCHIVES = (".zip", *TARS)


class Unusable(Exception):
    """There is nothing that could be judged: the grader's machine, the instructor's own tree, or
    only the packing is at fault, and packing neither earns nor costs points."""


def is_archive(name):
    return name.lower().endswith(ARCHIVES)


def is_junk(part):
    """What tools leave behind: hidden files, and what macOS adds to archives."""
    return part.startswith(".") or part == "__MACOSX"


# --- folders -------------------------------------------------------------------------------------


def folders_below(folder):
    with os.scandir(folder) as entries:
        return sorted(e.path for e in entries
                      if not is_junk(e.name) and e.is_dir(follow_symlinks=False))


def find_tree(top, folders):
    """Return the folder at or below top, nearest to it, that has one of those folders; or None."""
    level, seen = [str(top)], 0
    for _ in range(DEPTH_MAX + 1):
        found = [at for at in level if any(os.path.lexists(os.path.join(at, f)) for f in folders)]
        if len(found) > 1:
            names = ", ".join(ascii(os.path.relpath(at, top)) for at in found[:4])
            raise Unusable(f"more than one kernel in it: {names}; name one of them")
        if found:
            return Path(found[0])
        seen += len(level)
        if seen > FOLDERS_MAX:
            raise Unusable(f"more than {FOLDERS_MAX} folders, and the kernel's not among them")
        level = [below for at in level for below in folders_below(at)]
    return None


def find_archive(top):
    """Return the one archive in a folder, or None."""
    names = sorted(name for name in os.listdir(top) if not is_junk(name))
    archives = [name for name in names if is_archive(name)]
    if len(archives) > 1:
        raise Unusable(f"{len(archives)} archives in it and no kernel sources; name one of them")
    return Path(top) / archives[0] if archives else None


# --- archives ------------------------------------------------------------------------------------


def split(name):
    """Return the parts of a member's name."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise Unusable(f"{ascii(name[:200])} in the archive leads out of it")
    return tuple(parts)


class Members:
    """What an archive has that may be a source: {parts of its name: (is a file, handle)}."""

    def __init__(self):
        self.found, self.count = {}, 0

    def add(self, name, kind, handle):
        """kind: folder, file, or other."""
        self.count += 1
        if self.count > MEMBERS_MAX:
            raise Unusable(f"the archive has more than {MEMBERS_MAX} members")
        parts = split(name)
        if kind == "folder" or not parts or any(map(is_junk, parts)):
            return
        if parts in self.found:
            raise Unusable(f"{ascii(name[:200])} is in the archive twice")
        self.found[parts] = (kind == "file", handle)

    def root(self, manifest):
        """Return the parts of the folder that the kernel's folders are in."""
        roots = set()
        for parts in self.found:
            for folder in manifest.folders:
                inner = tuple(folder.split("/"))
                if parts[-1 - len(inner):-1] == inner and manifest.names(folder, parts[-1]):
                    roots.add(parts[:-1 - len(inner)])
        if not roots:
            inside = [parts[-1] for parts in self.found if is_archive(parts[-1])]
            if inside:
                raise Unusable(f"only an archive in an archive: {ascii(inside[0])}; give that one")
            wanted = ", ".join(manifest.folders)
            raise Unusable(f"no kernel sources in the archive; wanted: {wanted}")
        nearest = min(map(len, roots))
        found = sorted("/".join(root) or "." for root in roots if len(root) == nearest)
        if len(found) > 1:
            names = ", ".join(map(ascii, found[:4]))
            raise Unusable(f"more than one kernel in the archive: {names}")
        if nearest > DEPTH_MAX:
            raise Unusable(f"the kernel is more than {DEPTH_MAX} folders down in the archive")
        return next(root for root in roots if len(root) == nearest)

    def wanted(self, manifest):
        """Yield (folder, name, handle) of each member that the manifest names."""
        root = self.root(manifest)
        for parts, (regular, handle) in sorted(self.found.items()):
            folder, name = "/".join(parts[len(root):-1]), parts[-1]
            if parts[:len(root)] != root:
                continue
            if manifest.names(folder, name):
                if not regular:
                    raise Unusable(f"{folder}/{ascii(name)} is not a regular file")
                yield folder, name, handle
            elif not regular and any(f"{f}/".startswith("/".join(parts[len(root):]) + "/")
                                     for f in manifest.folders):
                raise Unusable(f"{ascii('/'.join(parts))} is a link, not a folder")


def check_directory(file):
    """Raise Unusable if the list of members of a zip archive, which is read whole, is too long."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at >= 0 and int.from_bytes(tail[at + 12:at + 16], "little") > DIRECTORY_MAX:
        raise Unusable(f"the archive has more than {MEMBERS_MAX} members")


def read_zip(file, manifest, most):
    check_directory(file)
    with zipfile.ZipFile(file) as archive:
        members = Members()
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16 if info.create_system == 3 else 0)
            kind = "file" if mode in (0, stat.S_IFREG) else "other"
            members.add(info.orig_filename, "folder" if info.is_dir() else kind, info)
        for folder, name, info in members.wanted(manifest):
            if info.flag_bits & 1:
                raise Unusable("the archive is encrypted")
            with archive.open(info) as member:
                yield folder, name, member.read(most + 1)


class Measured(io.RawIOBase):
    """A stream of which no more than UNPACKED_MAX bytes can be read."""

    def __init__(self, stream):
        self.stream, self.read_so_far = stream, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.stream.read(len(buffer))
        self.read_so_far += len(data)
        if self.read_so_far > UNPACKED_MAX:
            raise Unusable(f"the archive has more than {UNPACKED_MAX >> 20} MiB in it")
        buffer[:len(data)] = data
        return len(data)


def decompressed(file, name):
    if name.endswith((".gz", ".tgz")):
        return gzip.GzipFile(fileobj=file)
    if name.endswith((".xz", ".txz")):
        return lzma.LZMAFile(file)
    return bz2.BZ2File(file) if name.endswith((".bz2", ".tbz2")) else file


def read_tar(file, manifest, most, name):
    """Read it as a stream, once: what may be a source is kept until the rest is known."""
    members = Members()
    stream = io.BufferedReader(Measured(decompressed(file, name)), 1 << 16)
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            content = b""
            parts = info.name.split("/")
            if info.isreg() and any(manifest.names(folder, parts[-1])
                                    for folder in manifest.folders):
                content = archive.extractfile(info).read(most + 1)
            kind = "folder" if info.isdir() else "file" if info.isreg() else "other"
            members.add(info.name, kind, content)
    yield from members.wanted(manifest)


BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
          NotImplementedError, RuntimeError, ValueError, UnicodeError)


def read_archive(path, manifest, most):
    """Iterate over (folder, name, content) of the sources in an archive.  most: bytes of one; of a
    longer one there is a byte more."""
    name = path.name.lower()
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or not is_archive(name):
            kinds = ", ".join(ARCHIVES)
            raise Unusable(f"{ascii(path.name)} is neither a folder nor an archive ({kinds})")
        if facts.st_size > ARCHIVE_MAX:
            raise Unusable(f"the archive is larger than {ARCHIVE_MAX >> 20} MiB")
        try:
            read = read_zip(file, manifest, most) if name.endswith(".zip") else \
                read_tar(file, manifest, most, name)
            yield from read
        except BROKEN as error:
            why = "".join(c if c.isprintable() else "?" for c in str(error)[:200])
            raise Unusable(f"the archive is damaged, or of another kind: {why}") from error


# --- git repositories ----------------------------------------------------------------------------


def find_repository(top):
    """Return the folder with HEAD and objects of a repository at top, bare or not, or None."""
    for at in (Path(top) / ".git", Path(top)):
        if all((at / name).is_dir() and not (at / name).is_symlink() for name in
               ("objects", "refs")) and (at / "HEAD").is_file():
            return at
    return None


def small(path):
    """The text of a short file that is not a link, or the empty string."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read(1 << 20).decode("ascii", "replace")
    except OSError:
        return ""


def head(repository):
    """Return the commit that HEAD names, as digits."""
    text = small(repository / "HEAD").strip()
    for _ in range(5):
        if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text):
            return text
        name = re.fullmatch(r"ref: (refs/[A-Za-z0-9_./-]+)", text)
        if not name or ".." in name[1]:
            break
        packed = re.search(rf"^([0-9a-f]+) {re.escape(name[1])}$",
                           small(repository / "packed-refs"), re.MULTILINE)
        text = small(repository / name[1]).strip() or (packed[1] if packed else "")
    raise Unusable("the git repository has no commit in its HEAD")


def copy_objects(source, target):
    """Copy loose objects and packs, and nothing that leads elsewhere."""
    total = 0
    for folder in [source / "pack", *sorted(source.glob("[0-9a-f][0-9a-f]"))]:
        if folder.is_symlink() or not folder.is_dir():
            continue
        (target / folder.name).mkdir(exist_ok=True)
        for path in sorted(folder.iterdir()):
            facts = path.lstat()
            total += facts.st_size
            if total > OBJECTS_MAX:
                raise Unusable(f"the git repository is larger than {OBJECTS_MAX >> 20} MiB")
            if stat.S_ISREG(facts.st_mode) and re.fullmatch(
                    r"[0-9a-f]+|pack-[0-9a-f]+\.(pack|idx)", path.name):
                (target / folder.name / path.name).write_bytes(path.read_bytes())


def export_head(repository, scratch, run):
    """Write the tree of HEAD to an archive in scratch.  run(words): run git there, confined.
    Returns the archive's path."""
    commit = head(repository)
    clean = scratch / "git"
    for name in ("objects/pack", "objects/info", "refs/heads", "info"):
        (clean / name).mkdir(parents=True)
    (clean / "HEAD").write_text("ref: refs/heads/none\n")
    config = "[core]\nrepositoryformatversion = 1\nbare = true\n"
    if len(commit) == 64:
        config += "[extensions]\nobjectformat = sha256\n"
    (clean / "config").write_text(config)
    (clean / "info" / "attributes").write_text("* -export-ignore -export-subst -text -ident\n")
    copy_objects(repository / "objects", clean / "objects")
    fine, said = run(["git", f"--git-dir={clean}", "archive", "--format=tar",
                             f"--output={clean}/head.tar", commit])
    if not fine:
        raise Unusable(f"git cannot read the repository's HEAD: {said}")
    return clean / "head.tar"
