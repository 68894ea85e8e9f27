# SPDX-License-Identifier: MIT
"""The model of a stack's life keeps its rules, and each fence left out breaks one."""

import shutil
import subprocess
import sys

import guest
import pytest

CHECK = guest.TOP / "test" / "model" / "check"
checker = guest.load_script(CHECK)


spin = pytest.mark.skipif(not shutil.which("spin"), reason="no spin")


@spin
@pytest.mark.parametrize("name", checker.names())
def test_model(name):
    line, right = checker.check(name)
    assert right, line


def test_every_switch_is_explained():
    page = (guest.TOP / "docs" / "fences.md").read_text()
    names = checker.names()
    assert len(names) >= 13
    for name in names[1:]:
        assert f"`{name}`" in page, name


@spin
@pytest.mark.parametrize("body, found", [
    ("x++; assert(x == 2)", "a rule is broken in rule()"),
    ("if :: x == 0 :: x == 1 -> x = 5 fi", "these lines are not reached"),
])
def test_what_is_wrong_is_found(monkeypatch, tmp_path, body, found):
    model = tmp_path / "kstack.pml"
    model.write_text(f"byte x;\ninline rule() {{\n{body}\n}}\nactive proctype p() {{ rule() }}\n")
    monkeypatch.setattr(checker, "MODEL", model)
    line, right = checker.check("none")
    assert not right and found in line, line


@spin
def test_trace():
    """It can be asked how the rule comes to be broken."""
    done = subprocess.run([sys.executable, str(CHECK), "--trace", "NO_LOCAL_FENCE"], text=True,
                          check=True, stdout=subprocess.PIPE)
    assert "assertion violated" in done.stdout and "kstack.pml:" in done.stdout
