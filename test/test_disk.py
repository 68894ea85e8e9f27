# SPDX-License-Identifier: MIT
"""Disks that are not as they should be: missing, damaged, cut off, failing."""

import shutil
import struct
import subprocess

import guest
import pytest
import xv6image

MKFS = guest.BUILD / "mkfs"
BLOCK = 1024
SUPER = BLOCK  # magic, size, nblocks, ninodes, nlog, logstart, inodestart, bmapstart
LOG = 2 * BLOCK


def copy_image(tmp_path):
    return shutil.copy(guest.IMAGE, tmp_path / "fs.img")


def overwrite(image, offset, *words):
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f"<{len(words)}I", *words))


def failing(image, *rules):
    """QEMU's name of a drive on the image whose requests fail as the rules say."""
    config = image.with_suffix(".rules")
    text = [f'[inject-error]\nevent = "{event}"\nerrno = "5"\n{more}\n' for event, more in rules]
    config.write_text("\n".join(text))
    return f"blkdebug:{config}:{image},snapshot=off"


def check(image):
    checked = guest.fsck(image)
    assert checked.returncode == 0, checked.stdout


def test_no_disk(boot):
    r = boot("echo up", image=None)
    assert r.code not in (0, None) and "there is no disk" in r.output, r.explain()


@pytest.mark.parametrize(
    "offset, word, why",
    [
        (SUPER, 0, "magic"),
        (SUPER + 4, 1 << 31, "larger than the disk"),
        (SUPER + 12, 0, "no inodes"),
        (SUPER + 16, 3, "log is too small"),
        (SUPER + 20, 0, "(log)"),
        (SUPER + 24, 1 << 30, "(inodes)"),
        (SUPER + 28, 1999, "(data)"),
        (LOG, 200, "header is damaged"),
    ],
)
def test_damaged(boot, tmp_path, offset, word, why):
    """A clean message, whatever the superblock or the log says."""
    image = copy_image(tmp_path)
    overwrite(image, offset, word)
    assert guest.fsck(image).returncode == (8 if why == "magic" else 4)
    r = boot("echo up", image=image)
    assert r.code not in (0, None) and "cannot mount" in r.output, r.explain()
    assert why in r.output and "panic" not in r.output, r.explain()


def test_short_image(boot, tmp_path):
    image = copy_image(tmp_path)
    with open(image, "r+b") as file:
        file.truncate(500 * BLOCK)
    r = boot("echo up", image=image)
    assert r.code not in (0, None) and "larger than the disk" in r.output, r.explain()


def test_pulled_plug(boot, tmp_path):
    """The machine is stopped while it writes, three times; each time it comes up again."""
    image = copy_image(tmp_path)
    tests = ["race-own-files", "race-shuffle", "race-same-tree", "disk-many-rounds"]
    for i, at in enumerate(tests[:3]):
        program = "usertests " + " ".join(tests[i:])
        r = boot(program, cpus=3, image=f"{image},snapshot=off", until=f"{at}: OK")
        assert r.stopped == "seen", r.explain()
        r = boot("ls", image=f"{image},snapshot=off")
        assert r.code == 0 and "README" in r.output and "damaged" not in r.output, r.explain()
        check(image)


README = guest.BUILD / "README"


def image_with_script(tmp_path, *lines):
    script, image = tmp_path / "script", tmp_path / "fs.img"
    script.write_text("".join(f"{line}\n" for line in lines))
    programs = sorted((guest.BUILD / "bin").iterdir())
    made = subprocess.run([MKFS, image, *programs, README, script])
    assert made.returncode == 0
    return image


@pytest.mark.parametrize("end", ["poweroff 7", "exit 7"])
def test_poweroff_keeps(boot, tmp_path, end):
    """What was written before the end is on the disk, though others never stop writing."""
    for _ in range(4):
        image = image_with_script(tmp_path, "stressfs -l &", "sleep 3", "cat README > copy", end)
        r = boot("sh script", cpus=3, image=f"{image},snapshot=off")
        assert r.code == 7, r.explain()
        disk = xv6image.Reader(image)
        assert disk.word(disk.logstart, 0) == 0, "the log is not empty"
        assert disk.read("copy") == README.read_bytes()
        check(image)


def test_sync_keeps(boot, tmp_path):
    """So it is when sync has returned, and the plug is pulled."""
    image = image_with_script(tmp_path, "stressfs -l &", "sleep 3", "cat README > copy", "sync",
                              "echo synced", "sleep 1000")
    r = boot("sh script", cpus=3, image=f"{image},snapshot=off", until="synced")
    assert r.stopped == "seen", r.explain()
    assert xv6image.Reader(image).read("copy") == README.read_bytes()
    r = boot("cat copy", image=f"{image},snapshot=off")
    assert r.code == 0 and xv6image.Reader(image).read("copy") == README.read_bytes(), r.explain()
    check(image)


def test_write_errors(boot, tmp_path):
    """The log's header cannot be written: nothing is, reading goes on, and the end says so."""
    image = image_with_script(tmp_path, "mkdir new", "ls new", "cat README", "sync", "echo end")
    before = image.read_bytes()
    sector = LOG // 512
    r = boot("sh script", image=failing(image, ("write_aio", f'sector = "{sector}"')))
    assert "read-only from now on" in r.output and "panic" not in r.output, r.explain()
    assert "end\n" in r.output and "sync: the file system has failed" in r.output, r.explain()
    assert r.code == 1 and "poweroff: the file system failed" in r.output, r.explain()
    changed = [at for at in range(0, len(before), BLOCK)
               if before[at:at + BLOCK] != image.read_bytes()[at:at + BLOCK]]
    assert all(LOG < at < LOG + 30 * BLOCK for at in changed), changed
    check(image)


def test_read_errors(boot, tmp_path):
    """A block that cannot be read fails the program that needs it, and no other."""
    image = copy_image(tmp_path)
    data = image.read_bytes()
    at = data.index((guest.TOP / "README.md").read_bytes()[:BLOCK]) // 512
    rules = [("read_aio", f'sector = "{at + i}"') for i in range(2)]
    r = boot("cat README", image=image)
    assert r.code == 0, r.explain()
    r = boot("cat README", image=failing(image, *rules))
    assert r.code not in (0, None) and "panic" not in r.output, r.explain()
    r = boot("ls", image=failing(image, *rules))
    assert r.code == 0, r.explain()
