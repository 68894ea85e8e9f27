# SPDX-License-Identifier: MIT
"""The pure parts of the kernel, compiled for the host under ASan and UBSan."""

import subprocess

import guest
import pytest

SOURCES = sorted((guest.TOP / "test/host").glob("test_*.c"))


LONG = ("test_fs",)


@pytest.mark.parametrize("source", [
    pytest.param(path, id=path.stem, marks=[pytest.mark.long] if path.stem in LONG else [])
    for path in SOURCES])
def test_host(source):
    program = guest.BUILD / "test/host" / source.stem
    done = subprocess.run([program], cwd=guest.TOP, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
