# SPDX-License-Identifier: MIT
"""The machine comes up, in every size, and says clearly why it does not."""

import re

import guest
import pytest


@pytest.mark.parametrize("cpus", [1, 3, 8])
@pytest.mark.parametrize("mem", ["64M", "128M", "1G"])
def test_boot(boot, cpus, mem):
    r = boot("echo up and running", cpus=cpus, mem=mem)
    assert r.code == 0, r.explain()
    assert f"Bulwark: {cpus} hart" in r.output
    assert "up and running" in r.output


def test_boot_4g(boot):
    r = boot("echo up and running", cpus=2, mem="4G")
    assert r.code == 0, r.explain()


def test_boot_modern_virtio(boot):
    r = boot("cat README", cpus=2, extra=["-global", "virtio-mmio.force-legacy=false"])
    assert "README" in r.output or r.code is not None, r.explain()


def test_sbi_timer(boot):
    """Without Sstc the firmware's timer serves."""
    r = boot("echo up and running", cpus=2, extra=["-cpu", "rv64,sstc=off"])
    assert r.code == 0, r.explain()


def test_no_vector_registers(boot):
    """Firmware leaves them on where there are any; no one saves them, so no program has them."""
    r = boot("usertests fault-instructions", extra=["-cpu", "rv64,v=true,vext_spec=v1.0"])
    assert r.code == 0, r.explain()


@pytest.mark.parametrize(
    "argument, limits",
    [
        ("nproc=1", "2 to 1048576"),
        ("nproc=many", "2 to 1048576"),
        ("kstack_cache=17", "0 to 16"),
        ("kstack_cache=-1", "0 to 16"),
        ("kstack_cache=", "0 to 16"),
    ],
)
def test_bad_number(boot, argument, limits):
    r = boot("true", append=argument)
    assert r.code not in (0, None), r.explain()
    assert f"panic: {argument}: must be a number from {limits}" in r.output, r.explain()


@pytest.mark.parametrize("flag", ["gdb", "kasan_continue", "overcommit", "panic_on_fault"])
def test_bad_flag(boot, flag):
    """A word that stands alone has no value."""
    r = boot("true", append=f"{flag}=1")
    assert r.code not in (0, None), r.explain()
    assert f"panic: {flag}: takes no value" in r.output, r.explain()


@pytest.mark.parametrize("size", [0, 1, 16])
def test_stack_cache(boot, size):
    """The kernel keeps that many stacks when more were in use at once."""
    r = boot("sh -c true|true|true|true|true|true|true|true|true|true|true|true|true;ps",
             append=f"kstack_cache={size}")
    assert r.code == 0, r.explain()
    found = re.search(
        r"stacks: (\d+) cached.* since boot (\d+) mapped, (\d+) reused, (\d+) unmapped", r.output
    )
    assert found, r.explain()
    cached, mapped, reused, unmapped = map(int, found.groups())
    assert mapped + reused >= 16 and cached <= size, r.explain()  # processes, and the hart's own
    assert (reused == 0) == (size == 0) and (unmapped == 0) == (size == 16), r.explain()


def test_exit_codes(boot):
    assert boot("poweroff 0").code == 0
    assert boot("poweroff 7").code == 7


def test_no_disk(boot):
    r = boot(image=None)
    assert r.code not in (0, None), r.explain()
    assert "disk" in r.output.lower(), r.explain()


def corrupt_image(tmp_path, change):
    """A copy of the disk image with change(bytearray) applied."""
    data = bytearray(guest.IMAGE.read_bytes())
    change(data)
    path = tmp_path / "bad.img"
    path.write_bytes(data)
    return path


def zero_magic(data):
    data[1024:1028] = b"\0\0\0\0"


def huge_inodes(data):
    data[1024 + 12 : 1024 + 16] = b"\xff\xff\xff\xff"


def huge_log(data):
    data[1024 + 16 : 1024 + 20] = b"\xff\xff\xff\x7f"


def cut_short(data):
    del data[20 * 1024 :]


def all_zero(data):
    data[:] = bytes(len(data))


@pytest.mark.parametrize("change", [zero_magic, huge_inodes, huge_log, cut_short, all_zero])
def test_bad_disk(boot, tmp_path, change):
    r = boot("echo up", image=corrupt_image(tmp_path, change))
    assert r.code not in (0, None), r.explain()
    assert "\nup\n" not in r.output
    assert "file system" in r.output.lower() or "disk" in r.output.lower(), r.explain()


def test_too_little_memory(boot):
    r = boot("echo up", mem="4M")
    assert r.code != 0, r.explain()
