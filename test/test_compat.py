# SPDX-License-Identifier: MIT
"""Programs and disk images from elsewhere, in the format of xv6-riscv."""

import os
import re
import shutil
import struct
import subprocess
import time

import guest
import pytest
from xv6image import BLOCK, DEVICE, DIRECTORY, Image, Reader

SOURCES = guest.TOP / "test" / "compat"
CFLAGS = ["-O", "-ggdb", "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-ffreestanding",
          "-fno-common", "-fno-omit-frame-pointer", "-nostdlib", "-fno-pie", "-fno-stack-protector"]
OLDER = ["-z", "max-page-size=4096", "-N", "-e", "main", "-Ttext", "0"]
NEWER = ["-z", "max-page-size=4096", "-T", SOURCES / "newer.ld"]
NAMES = ("init", "sh", "cat", "echo", "grep", "ls", "mkdir", "poweroff", "rm", "true", "wc")
LONG = b"".join(b"line %d\n" % i for i in range(20000))[:200 * BLOCK + 5]


def mkfs(*args):
    return subprocess.run([guest.BUILD / "mkfs", *args], capture_output=True, text=True)


def check(path):
    """This tree's own check, as a second opinion.  Returns what it prints."""
    done = guest.fsck(path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- programs ---


def cross(tool, *args):
    names = [os.environ.get("CROSS", ""), "riscv64-unknown-elf-", "riscv64-linux-gnu-"]
    prefix = next(n for n in names if n and shutil.which(n + tool))
    subprocess.run([prefix + tool, *map(str, args)], check=True)


@pytest.mark.parametrize("way, defines, link", [
    ("older", ["-DOLD", "-DTEXT_WRITABLE=1"], OLDER),
    ("between", ["-DOLD", "-DTEXT_WRITABLE=0"], [*NEWER, "-e", "main"]),
    ("newer", ["-DTEXT_WRITABLE=0"], NEWER),
])
def test_program(boot, tmp_path, way, defines, link):
    for source in "program.c", "calls.S":
        cross("gcc", *CFLAGS, *defines, "-c", "-o", tmp_path / source[0], SOURCES / source)
    name = f"_{way}"
    cross("ld", *link, "-o", tmp_path / name, tmp_path / "p", tmp_path / "c")
    made = mkfs(tmp_path / "fs.img", *sorted((guest.BUILD / "bin").iterdir()), tmp_path / name)
    assert made.returncode == 0, made.stderr
    r = boot(f"{way} the-word {way}", cpus=2, image=tmp_path / "fs.img")
    assert r.code == 7 and "\nthe-word\n" in r.output, r.explain()


@pytest.fixture(scope="module")
def extra(tmp_path_factory):
    """An image with programs compiled from the sources in test/compat/extra."""
    sources = sorted((SOURCES / "extra").glob("*.c"))
    build = os.environ.get("BUILD", "build")
    goals = [f"{build}/extra/{path.stem}" for path in sources]
    command = ["make", f"EXTRA_PROGRAMS={' '.join(map(str, sources))}", f"BUILD={build}",
               *guest.chosen("CROSS", "LLVM", "HOSTCC")]
    listed = subprocess.run([*command, "-n", "image"], cwd=guest.TOP, text=True,
                            env=guest.environment(), stdout=subprocess.PIPE, check=True).stdout
    assert f" {build}/extra/echo " in listed and f" {build}/bin/echo " not in listed
    subprocess.run([*command, "-s", *goals], cwd=guest.TOP, env=guest.environment(), check=True)
    others = [p for p in (guest.BUILD / "bin").iterdir() if f"{build}/extra/{p.name}" not in goals]
    folder = tmp_path_factory.mktemp("extra")
    (folder / "script").write_text("cat README | older\n")
    made = mkfs(folder / "fs.img", *others, *(guest.TOP / goal for goal in goals),
                guest.BUILD / "README", folder / "script")
    assert made.returncode == 0, made.stderr
    return folder / "fs.img"


@pytest.mark.xdist_group("extra")
@pytest.mark.parametrize("program", ["files", "machine"])
def test_source(boot, extra, program):
    r = boot(program, image=extra, cpus=2)
    assert r.code == 0, r.explain()


@pytest.mark.xdist_group("extra")
def test_source_that_changes(tmp_path):
    """It is compiled again, and only then."""
    source, build = tmp_path / "hi.c", os.environ.get("BUILD", "build")
    (tmp_path / "other.h").write_text("int other;\n")
    goal = guest.TOP / build / "extra" / "hi"
    command = ["make", f"EXTRA_PROGRAMS={source}", f"BUILD={build}", f"{build}/extra/hi",
               *guest.chosen("CROSS", "LLVM", "HOSTCC")]

    def made(text):
        if text:
            source.write_text(f'#include "kernel/types.h"\n#include "user/user.h"\n{text}')
        done = subprocess.run(command, cwd=guest.TOP, env=guest.environment(), text=True,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
        return "hi.c" in done.stdout, goal.read_bytes()

    program = "int main(void) { exit(%d); }\n"
    compiled, first = made(program % 1)
    assert compiled and made("") == (False, first)
    compiled, second = made('#include "other.h"\n' + program % 2)
    assert compiled and second != first
    (tmp_path / "other.h").write_text("int other = 1;\n")
    os.utime(tmp_path / "other.h", ns=(time.time_ns() + 10**9,) * 2)
    assert made("")[0]
    for path in goal.parent.glob("hi*"):
        path.unlink()


@pytest.mark.xdist_group("extra")
def test_older_source(boot, extra):
    """Its own functions replace the library's, and for it alone."""
    r = boot("sh script", image=extra)
    assert re.search(r"\nolder: [1-9]\d* lines, (found|lost), 256 ff\nolder: 82\n", r.output), \
        r.explain()


@pytest.mark.xdist_group("extra")
def test_source_in_the_place_of_a_program(boot, extra):
    r = boot("echo a b", image=extra)
    assert r.code == 3 and "\na+b\n" in r.output, r.explain()


# --- images ---


def with_programs(*scripts, **geometry):
    """An image with the usual programs, and the scripts 0, 1, ... of the given lines."""
    image = Image(**geometry)
    for name in NAMES:
        image.add(name, (guest.BUILD / "bin" / name).read_bytes())
    for number, lines in enumerate(scripts):
        image.add(str(number), "".join(f"{line}\n" for line in lines).encode())
    return image


def run(boot, path, program):
    """Boot; what is written stays.  Returns the output and the image."""
    r = boot(program, image=f"{path},snapshot=off")
    assert r.code == 0, r.explain()
    check(path)
    return r.output, Reader(path)


GEOMETRIES = {
    "stock": {},
    "newer": {"nlog": 31},
    "whole-blocks": {"size": 8192, "ninodes": 256},
    "large": {"size": 40000, "ninodes": 5000, "nlog": 200},
    "small": {"size": 700, "ninodes": 33, "nlog": 15},
    "elsewhere": {"gaps": (3, 7, 1, 20), "ninodes": 47},
}
FIRST = ("cat sub/deeper/fourteenletter", "wc long", "mkdir sub/made", "echo kept > sub/made/file",
         "cat long > copy", "rm sub/deeper/fourteenletter", "echo again > README")
SECOND = ("cat sub/made/file README", "rm long", "cat copy > long", "rm copy sub/deeper")


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_image(boot, tmp_path, geometry):
    """It mounts, is read and written, keeps what was written, and stays sound."""
    image = with_programs(FIRST, SECOND, **GEOMETRIES[geometry])
    image.add("long", LONG)
    sub = image.mkdir("sub")
    image.add("fourteenletter", b"found\n", parent=image.mkdir("deeper", parent=sub))
    path = image.finish(tmp_path / "fs.img")
    check(path)
    output, _ = run(boot, path, "sh 0")
    assert "\nfound\n" in output and f" {len(LONG)} long" in output
    output, after = run(boot, path, "sh 1")
    assert "\nkept\nagain\n" in output
    assert after.read("sub/made/file") == b"kept\n" and after.read("long") == LONG
    assert set(after.names(after.names()["sub"])) == {".", "..", "made"}


@pytest.mark.parametrize("blocks", [1, 12])
def test_root_directory_of_whole_blocks(boot, tmp_path, blocks):
    """The stock tool rounds its size up from a whole block too: the last block is a hole."""
    image = with_programs(["ls", "echo > new"])
    names = blocks * 64 - len(image.entries[1])
    empty, _ = image.add("empty1", b"", links=names)
    image.entries[1] += [(empty, f"empty{n}") for n in range(2, names + 1)]
    path = image.finish(tmp_path / "fs.img")
    _, _, size, addrs = Reader(path).inode(1)
    assert size == (blocks + 1) * BLOCK and addrs[blocks] == 0
    check(path)
    output, after = run(boot, path, "sh 0")
    assert f"\nempty{names} " in output and "new" in after.names()


def test_devices(boot, tmp_path):
    """Device 2 belongs to course images; /crash moves to its number where it had that."""
    image = with_programs(["cat statistics", "echo PANIC > statistics", "echo PANIC > crash.2",
                           "cat crash"])
    for name in ("statistics", "crash", "crash.2"):
        image.add(name, b"", kind=DEVICE, major=2)
    path = image.finish(tmp_path / "fs.img")
    output, after = run(boot, path, "sh 0")
    assert "cat: cannot read statistics" in output and "EXHAUST_STACK" in output
    majors = {name: after.major(inum) for name, inum in after.names().items()}
    assert [majors[name] for name in ("console", "statistics", "crash.2", "crash")] == [1, 2, 2, 64]


def test_no_crash_device(boot, tmp_path):
    """A kernel built without the device leaves no name of it; a file of that name is no device."""
    kernel = guest.build_variant("provoke-n", "PROVOKE=n")
    for data in (None, b"mine\n"):
        image = with_programs(["ls", "cat crash", "true"])
        if data is None:
            image.add("crash", b"", kind=DEVICE, major=2)
        else:
            image.add("crash", data)
        path = image.finish(tmp_path / "fs.img")
        r = boot("sh 0", kernel=kernel, image=f"{path},snapshot=off")
        assert r.code == 0, r.explain()
        assert ("crash" in Reader(path).names()) == (data is not None), r.explain()


@pytest.mark.parametrize("blocks", [0, 1, 29])
def test_log(boot, tmp_path, blocks):
    """What was committed is in its place after the boot; what was not has never happened."""
    image = with_programs()
    inum, addrs = image.add("file", b"old\n" * 256 * 29)
    indirect = image.data[addrs[12] * BLOCK:][:BLOCK]
    homes = [*addrs[:12], *struct.unpack("<17I", indirect[:68])]
    image.put(image.logstart, struct.pack("<30I", blocks, *homes))
    for i in range(29):
        image.put(image.logstart + 1 + i, b"new\n" * 256)
    path = image.finish(tmp_path / "fs.img")
    assert ("not yet in place" in check(path)) == (blocks > 0)
    _, after = run(boot, path, "true")
    assert after.word(after.logstart, 0) == 0
    assert after.read("file") == b"new\n" * 256 * blocks + b"old\n" * 256 * (29 - blocks)


def test_log_of_two_sectors(boot, tmp_path):
    """Half of such a header may be old, so the kernel leaves the image alone."""
    image = with_programs(nlog=200)
    image.put(image.logstart, struct.pack("<129I", 128, *range(1000, 1128)))
    path = image.finish(tmp_path / "fs.img")
    before = path.read_bytes()
    r = boot("true", image=f"{path},snapshot=off")
    checked = guest.fsck(path)
    assert r.code not in (0, None) and checked.returncode == 4, r.explain()
    assert "takes two sectors" in r.output and "in two sectors" in checked.stdout, r.explain()
    assert path.read_bytes() == before


def test_orphans(boot, tmp_path):
    """Files, and a directory, that were unlinked while open."""
    image = with_programs()
    orphans = [image.add(None, data, links=0) for data in (b"short", LONG, b"")]
    dots = struct.pack("<H14sH14s", image.next_inode, b".", 1, b"..")
    orphans.append(image.add(None, dots, kind=DIRECTORY, links=0))
    path = image.finish(tmp_path / "fs.img")
    assert check(path).count(": no links") == 4
    _, after = run(boot, path, "true")
    for inum, addrs in orphans:
        assert after.inode(inum)[0] in (0, DEVICE)  # init makes devices, which may get its number
        assert not any(after.is_used(block) for block in addrs if block)
