# SPDX-License-Identifier: MIT
"""What a person types, on another release of Debian: DEBIAN=13 make test, as root.

Left out when no release is asked for, since it takes long."""

import os
import subprocess

import guest
import pytest

RELEASES = os.environ.get("DEBIAN", "").split()
TESTS = ("test/test_gdb.py test/test_gdb_commands.py test/test_boot.py test/test_tools.py "
         "test/test_compat.py").split()


@pytest.mark.skipif(not RELEASES, reason="DEBIAN= names no release")
@pytest.mark.parametrize("release", RELEASES)
def test_release(release):
    environment = guest.environment()
    environment.pop("DEBIAN", None)
    for command in (["make", "doctor"], ["make", "image", "host"],
                    ["make", "run-usertests", "ARGS=-q"], ["test/tools/doctor", "test"],
                    ["/usr/bin/python3", "-m", "pytest", "-q", "-n", "auto", *TESTS]):
        done = subprocess.run(["test/tools/debian", release, *command], cwd=guest.TOP, text=True,
                              env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert done.returncode == 0 or "doctor" in command, done.stdout[-4000:]
