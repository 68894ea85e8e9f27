# SPDX-License-Identifier: MIT
"""What operations cost: instructions counted by a guest, which repeat, against limits."""

import re
import subprocess

import guest
import pytest

ICOUNT = ["-icount", "shift=0"]
bench = guest.load_script(guest.TOP / "test" / "tools" / "bench")


def measure(build, folder):
    prefix = subprocess.run([guest.TOP / "test/tools/doctor", "--cross"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    command = guest.arguments(mem="1G", append="nproc=10100 -- /bench", extra=ICOUNT,
                              kernel=build / "kernel")
    return {**bench.guest_figures(folder / "log", command),
            **bench.entry_figures(f"{prefix}objdump", build / "kernel"),
            **bench.sharing_figures(build)}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    return measure(guest.BUILD, tmp_path_factory.mktemp("bench"))


@pytest.mark.xdist_group("figures")
@pytest.mark.parametrize("row", [r for r in bench.TABLE if r.unit != "seconds"],
                         ids=lambda row: row.what)
def test_limit(figures, row):
    value = row.value(figures)
    assert value is not None, "not measured"
    assert row.limit is None or value <= row.limit


@pytest.mark.long
def test_limits_where_stacks_grow(tmp_path, capsys):
    build = guest.beside(guest.build_growing(), tmp_path)
    (build / "memory-trace.so").symlink_to((guest.BUILD / "memory-trace.so").resolve())
    figures = measure(build, tmp_path)
    assert "growth" in figures and "share-make-pipe" in figures
    above = bench.show(figures, (build / "options").read_text())
    assert above == 0, capsys.readouterr().out


def test_limits_of_stacks_that_are_blocks(tmp_path, capsys):
    kernel = guest.build_unguarded()
    command = guest.arguments(mem="1G", append="-- /bench stack", extra=ICOUNT, kernel=kernel)
    figures = bench.guest_figures(tmp_path / "log", command)
    assert "stack-cached" in figures
    above = bench.show(figures, kernel.with_name("options").read_text())
    assert above == 0, capsys.readouterr().out


def test_page_has_every_limit():
    page = (guest.TOP / "docs" / "bench.md").read_text()
    rows = [line.split("|")[3] for line in page.splitlines() if line.count("|") == 5]
    written = re.findall(r"[\d,]+", " ".join(rows))
    pages = {"check of sp", "fork beside", "dearest", "fences"}  # in its text
    for row in bench.TABLE:
        if row.limit is not None and not row.what.startswith(tuple(pages)):
            assert f"{row.limit:,}" in written, row.what


def test_pages_agree():
    """What docs/growing-stacks.md says of the usual kernel, docs/bench.md says too."""
    bench_page = (guest.TOP / "docs" / "bench.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([\d,; ]+) \| [\d,; ]+ \|$",
                      (guest.TOP / "docs" / "growing-stacks.md").read_text(), re.MULTILINE)
    rows = {what: figures.split("; ") for what, figures in rows}
    assert len(rows) >= 6
    for what in rows:
        if what.startswith(("stack ", "thread ", "fork")):
            for figure in rows[what]:
                assert re.search(rf"[ |]{figure}[ ;]", bench_page), f"{what}: {figure}"


@pytest.mark.xdist_group("figures")
def test_above_limit(figures, capsys):
    """The script says which figure is above its limit."""
    options = (guest.BUILD / "options").read_text()
    assert bench.show(figures, options) == 0
    much = {**figures, "null": 133, "fork-10000": figures["fork-10"] * 3}
    assert bench.show(much, options) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "TOO MUCH" in line]
    assert [line.split()[:2] for line in lines] == [["null", "system"], ["fork", "beside"],
                                                    ["dearest", "of"]]


def test_little_room(boot):
    """Where ten thousand processes do not fit the rest is measured all the same."""
    r = boot("bench fork-1000 null", extra=ICOUNT)
    assert r.code == 0, r.explain()
    assert "bench: fork-1000 needs more processes" in r.output and "bench: null " in r.output


def test_unknown_name(boot):
    r = boot("bench nothing", extra=ICOUNT)
    assert r.code != 0 and "bench: there is no nothing" in r.output, r.explain()
