#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Grade the checkout in this directory, as Classroom 50 asks for it: write result.json and
release-body.md there.  Exit code 0: there is a result."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def committed():
    """When the student committed what is graded; nothing if git does not know."""
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        return ""
    instant = datetime.datetime.fromtimestamp(int(done.stdout), datetime.timezone.utc)
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def main():
    top, tree = Path.cwd(), HERE / "tree"
    result = top / "result.json"
    result.unlink(missing_ok=True)
    environment = dict(os.environ, CI="true", COMMITTED_AT=committed())
    subprocess.run(["tar", "-xzf", HERE / "tree.tar.gz", "-C", HERE], check=True)
    subprocess.run(["sh", "test/tools/doctor", "build", "test"], cwd=tree, env=environment,
                   check=True)
    subprocess.run([os.environ.get("MAKE", "make"), "-s", "-C", tree, "grade", f"SUBMISSION={top}",
                    f"CLASSROOM50={result}", f"MARKDOWN={top / 'release-body.md'}"],
                   env=environment, check=False)
    return 0 if result.exists() else 1


if __name__ == "__main__":
    sys.exit(main())
