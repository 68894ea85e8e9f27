# SPDX-License-Identifier: MIT
"""User programs: usertests, the shell and the usual programs, mkfs, binaries of other making."""

import re
import shutil
import struct
import subprocess

import guest
import pytest

MKFS = guest.BUILD / "mkfs"
PROGRAMS = guest.BUILD / "bin"
INODE = 32 * 1024 + 64  # of the root, in the stock geometry; the others follow


def mkfs(*args):
    return subprocess.run([MKFS, *args], capture_output=True, text=True, errors="replace")


def make_image(path, *files, options=()):
    """A disk image with all programs and the files."""
    made = mkfs(*options, path, *sorted(PROGRAMS.iterdir()), *files)
    assert made.returncode == 0, made.stderr
    return path


def run_script(boot, tmp_path, script, **machine):
    """Boot straight into a shell that runs the script."""
    path = tmp_path / "script"
    path.write_text(script)
    return boot("sh script", image=make_image(tmp_path / "fs.img", path), **machine)


# --- usertests ---


@pytest.mark.long
@pytest.mark.parametrize(
    "options, cpus, mem", [("", 1, "128M"), ("-q", 3, "128M"), ("-q", 2, "64M"), ("-q", 4, "512M")]
)
def test_usertests(boot, tmp_path, options, cpus, mem):
    image = shutil.copy(guest.IMAGE, tmp_path / "fs.img")
    r = boot(f"usertests {options}", cpus=cpus, mem=mem, image=f"{image},snapshot=off")
    failed = [line for line in r.output.splitlines() if line.endswith("FAILED")]
    assert r.code == 0 and "ALL TESTS PASSED" in r.output, f"{failed}\n{r.explain()}"
    assert "skipped" not in r.output, r.explain()
    checked = guest.fsck(image)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 3])
def test_overcommit(boot, cpus):
    """fork promises no memory; a process that then gets no page is killed with the reason."""
    r = boot(f"usertests -q {guest.MEMORY}", cpus=cpus, append="overcommit")
    assert r.code == 0 and "ALL TESTS PASSED" in r.output, r.explain()
    much = r.output.split("test overcommit-little: OK\n")[1].split("test overcommit-much: OK")[0]
    killed = re.findall(r"^The kernel killed .*: no memory for the page it uses\.$", much,
                        re.MULTILINE)
    assert 1 <= len(killed) <= 3  # all three, if the last asks before the pages of another are free


def test_edges(boot):
    """Each row of the table in docs/interface.md is a check of usertests, and each check a row."""
    page = (guest.TOP / "docs" / "interface.md").read_text()
    table = page.split("## Edges\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert all(len(row) == 4 for row in rows), rows
    r = boot("usertests @edges")
    checks = re.findall(r"^\| (.*) \|$", r.output, re.MULTILINE)
    assert r.code == 0 and len(checks) > 50, r.explain()
    assert sorted(checks) == sorted(" | ".join(row[:3])[2:] for row in rows)


def test_usertests_fails(boot):
    """A failure is seen from outside."""
    r = boot("usertests no-such-test")
    assert r.code == 1, r.explain()


def test_usertests_names(boot):
    """A name that ends with - stands for all that begin with it, if there are any."""
    r = boot("usertests -lq lazy- pipe")
    listed = re.findall(r"^([a-z-]+)(?: \(slow\))?$", r.output, re.MULTILINE)
    table = (guest.TOP / "user/usertests/lazy.c").read_text()
    assert listed == [*re.findall(r'\{"(.*?)", \w+, false\}', table), "pipe"], r.explain()
    assert boot("usertests lazy-nothing-").code == 1


@pytest.mark.parametrize("program", ["forktest", "stressfs", "zombie", "kstacks", "ps", "true"])
def test_programs(boot, program):
    r = boot(program, cpus=2)
    assert r.code == 0, r.explain()


def test_help(boot):
    """Each program has a line about it."""
    r = boot("help")
    assert r.code == 0 and "cd [dir], exit [status]" in r.output, r.explain()
    for program in {path.stem for path in (guest.TOP / "user").glob("*.c")} - {"mkfs", "fsck"}:
        assert re.search(rf"^  {program} +\S+", r.output, re.M), program


# --- the shell and what it runs ---

SCRIPT = """\
# comments and empty lines do nothing

echo one; echo two ; echo three   # behind commands too
echo 'a  b' "c;d" e'f'"g" '' | cat
echo first > f; echo second >> f; cat < f
echo swapped >g cat <f; cat g
(echo in; (echo inner)) | wc
((((((((((echo 10 deep; echo piped | cat))))))))))
mkdir d; cd d; echo deep > x; cd ..; cat d/x; rm d/x d
cat nothing
nothing
ls | grep script
grep -n '^s.*d$' f
grep -c o f g
grep -iv SECOND f
ln f h; rm f; cat h
echo x | (cat; echo y) | cat | cat > out; wc out
sleep 1 & echo background
kill 0
sh -c 'echo from -c; exit 5'
exit 3
echo never
"""

EXPECTED = """\
one
two
three
a  b c;d efg \n\
first
second
swapped cat
2 2 9 \n\
10 deep
piped
deep
cat: cannot open nothing
sh: cannot run nothing
script         2 """


def test_shell(boot, tmp_path):
    r = run_script(boot, tmp_path, SCRIPT)
    assert r.code == 3, r.explain()
    assert EXPECTED in r.output, r.explain()
    rest = r.output.split("script         2 ", 1)[1].split("\n", 1)[1]
    assert rest == (
        "2:second\nf:1\ng:0\nfirst\nfirst\nsecond\n2 2 4 out\nbackground\n"
        "kill: there is no process 0\nfrom -c\n"
    )


@pytest.mark.xdist_group("shell")
@pytest.mark.parametrize(
    "line, message",
    [
        ("echo 'open", "a quote is not closed"),
        ("(echo a", "a ) is missing"),
        ("echo a)", "did not expect )"),
        ("()", "did not expect )"),
        ("| cat", "did not expect |"),
        ("echo a ||", "did not expect |"),
        ("echo a |", "the line ends too early"),
        ("echo a | ; echo b", "did not expect ;"),
        (";;", "did not expect ;"),
        ("echo > > f", "a file name must follow >"),
        ("cat <", "the line ends too early"),
        ("echo a (echo b)", "did not expect ("),
        ("(echo a) b", "did not expect word b"),
        ("(" * 11 + "echo" + ")" * 11, "too many ( inside each other"),
        ("echo " + "w " * 40, "too many words"),
        ("echo " + "w " * 400, "too many words"),
        ("echo " + "x" * 2000, "the line is too long"),
        ("true" + " | true" * 40, "too many |"),
        ("cd nowhere", "cannot cd to nowhere"),
        ("cat < nothing", "cannot open nothing"),
        ("ln nothing n", "ln: cannot give nothing the name n: the first is not there"),
        ("ln . n", "ln: cannot give . the name n: a directory has only one name"),
        ("ln cat ls", "ln: cannot give cat the name ls: the second is there already"),
        ("ln cat no/n", "ln: cannot give cat the name no/n: no such place"),
        ("rm nothing", "rm: cannot remove nothing: it is not there"),
        ("mkdir full full/d; rm full", "rm: cannot remove full: a directory must be empty"),
        ("mkdir ls", "mkdir: cannot make ls: it is there already"),
        ("mkdir no/d", "mkdir: cannot make no/d: no such place"),
    ],
)
def test_shell_complains(shell_complaints, line, message):
    """Nothing of a bad line runs, the message says what is wrong, and the shell goes on."""
    number, output = shell_complaints(line)
    part = output.split(f"<{number}>", 1)[1].split(f"</{number}>", 1)[0]
    assert message in part, part


@pytest.fixture(scope="module")
def shell_complaints(tmp_path_factory):
    """One boot for all the bad lines: each between two marks."""
    mark = next(m for m in test_shell_complains.pytestmark if m.name == "parametrize")
    lines = [line for line, _ in mark.args[1]]
    tmp_path = tmp_path_factory.mktemp("shell")
    script = "".join(f"echo '<{i}>'\n{line}\necho '</{i}>'\n" for i, line in enumerate(lines))
    r = run_script(guest.run, tmp_path, script + "exit 0\n")
    assert r.code == 0, r.explain()
    return lambda line: (lines.index(line), r.output)


def test_init_reports_death(boot):
    """A program that is killed, and one that is not there, end the machine with a failure."""
    assert boot("nothing").code == 127
    assert boot("sh -c (exit").code == 2


def test_ps_sorts_by_pid(boot, tmp_path):
    """ps lists by pid, also when the table of pids, 512 slots here, has begun anew."""
    script = "true\n" * 500 + "ps\n" * 20
    r = run_script(boot, tmp_path, script, append="nproc=20")
    lists = r.output.split("  PID PARENT STATE    HART  PAGES ACCOUNT NAME\n")[1:]
    pids = [[int(pid) for pid in re.findall(r"^ *(\d+) .* (?:init|sh|ps)$", text, re.M)]
            for text in lists]
    assert pids[0][2] < 512 < pids[-1][2] and all(p[:2] == [1, 2] for p in pids), r.explain()
    assert all(p == sorted(p) and len(p) == 3 for p in pids), r.explain()


# --- accounts ---

BOMB = """\
ps; echo '<bomb>'
limit 8 forkbomb {options} stop &
sleep 30
ls | grep script; (echo one; echo two) | wc
ps; echo '<end>'
echo > stop; sleep 80
ps; echo '<gone>'
"""


def listing(text):
    """What ps says: processes by name, and accounts as (id, stacks, limit)."""
    processes, accounts = text.split("ACCOUNT WITHIN STACKS  LIMIT\n")
    names = [line.split()[-1] for line in processes.splitlines() if line[:5].strip().isdigit()]
    rows = [line.split() for line in accounts.splitlines() if line[:7].strip().isdigit()]
    return names, [(int(row[0]), int(row[2]), row[3]) for row in rows]


@pytest.mark.parametrize("cpus", [1, 3])
@pytest.mark.parametrize("options", ["", "-z"])
def test_fork_bomb(boot, tmp_path, options, cpus):
    """A shell goes on beside a fork bomb with a limit, and nothing of that is left behind."""
    script = BOMB.format(options=options)
    r = run_script(boot, tmp_path, script, cpus=cpus)
    assert r.code == 0, r.explain()
    before, rest = r.output.split("<bomb>\n")
    during, after = rest.split("<end>\n")
    assert "script " in during and "2 2 8 \n" in during, r.explain()
    names, accounts = listing(during)
    assert [limit for _, _, limit in accounts] == ["-", "8"] and accounts[1][1] <= 8, accounts
    if not options:
        assert names.count("forkbomb") == accounts[1][1] == 8, r.explain()
    assert listing(after) == listing(before), r.explain()


def test_full_account_where_stacks_grow(boot, tmp_path):
    """fork asks for the room of a whole stack.  Where there is none, ps shows a full account."""
    script = "limit 3 forkbomb stop &\nsleep 20\nps\necho > stop\n"
    r = run_script(boot, tmp_path, script, kernel=guest.build_growing())
    names, accounts = listing(r.output)
    assert names.count("forkbomb") > 3 and accounts[1][1:] == (3, "3"), r.explain()


def test_limit(boot, tmp_path):
    """The program limit: what it runs, what it refuses."""
    script = "limit\nlimit 0 ps\nlimit 2x ps\nlimit 2 nothing\nlimit 1 echo alone\n"
    script += "limit 1 sh -c ls\nmkdir d; cd d\nlimit 2 sh -c 'limit 9 sh -c ls'\n"
    script += "limit 2 sh -c 'exit 7'\n"
    r = run_script(boot, tmp_path, script)
    assert r.code == 7, r.explain()
    for text, times in [
        ("usage: limit stacks command", 3),
        ("limit: cannot run nothing\n", 1),
        ("alone\n", 1),
        ("sh: cannot fork", 2),
    ]:
        assert r.output.count(text) == times, (text, r.output)


# --- disks ---


def test_padded_root(boot, tmp_path):
    """Images made elsewhere round the root's size up to whole blocks: the rest is free entries."""
    image = make_image(tmp_path / "fs.img")
    data = bytearray(image.read_bytes())
    (size,) = struct.unpack_from("<I", data, INODE + 8)
    struct.pack_into("<I", data, INODE + 8, -(-size // 1024) * 1024)
    image.write_bytes(data)
    r = boot("usertests directory file-links", image=f"{image},snapshot=off")
    assert r.code == 0, r.explain()
    assert guest.fsck(image).returncode == 0


@pytest.mark.parametrize("moment", ["shuffle", "own-names", "same-tree", "walk"])
def test_power_cut(boot, tmp_path, moment):
    """QEMU is killed while programs write: the log makes good what it finds, at the next mount."""
    image = make_image(tmp_path / "fs.img")
    disk = f"{image},snapshot=off"
    tests = [f"race-{moment}", "race-same-name", "race-own-files", "race-truncate"]
    r = boot("usertests " + " ".join(tests), cpus=2, image=disk, until=f"race-{moment}: OK")
    assert r.stopped == "seen", r.explain()
    found = guest.fsck(image)
    assert found.returncode == 0, found.stdout
    r = boot("sh -c ls", image=disk)
    assert r.code == 0, r.explain()
    found = guest.fsck(image)
    assert found.returncode == 0 and "note:" not in found.stdout, found.stdout


@pytest.mark.parametrize(
    "options", [("-s", "20000", "-i", "3000", "-l", "31"), ("-s", "500", "-i", "60", "-l", "15")]
)
def test_geometry(boot, tmp_path, options):
    """Nothing of the layout is taken for granted."""
    image = make_image(tmp_path / "fs.img", options=options)
    r = boot("usertests directory file-sizes disk-many-rounds", image=f"{image},snapshot=off")
    assert r.code == 0, r.explain()
    assert guest.fsck(image).returncode == 0


# --- mkfs ---


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("mkfs") / "fs.img"
    files = [PROGRAMS / name for name in ("sh", "cat", "echo")]
    assert mkfs(path, *files).returncode == 0
    return path


def test_stock_geometry(image):
    """The numbers of a stock image, read here independently."""
    data = image.read_bytes()
    assert len(data) == 2000 * 1024
    assert struct.unpack_from("<8I", data, 1024) == (0x10203040, 2000, 1954, 200, 30, 2, 32, 45)
    assert struct.unpack_from("<4hI", data, 32 * 1024 + 64)[:4] == (1, 0, 0, 1)
    assert data[46 * 1024 : 46 * 1024 + 4] == b"\1\0.\0"
    assert guest.fsck(image).returncode == 0


def refused(tmp_path, message, *args):
    made = mkfs(*args)
    assert made.returncode == 1 and message in made.stderr, made.stderr
    assert not list(tmp_path.glob("f.img*"))


def test_mkfs_refuses(tmp_path):
    big, long_name = tmp_path / "big", tmp_path / "fifteen-letters"
    big.write_bytes(bytes(268 * 1024 + 1))
    long_name.write_bytes(b"")
    out, sh, cat = tmp_path / "f.img", PROGRAMS / "sh", PROGRAMS / "cat"
    refused(tmp_path, "too large", out, big)
    refused(tmp_path, "1 to 14 characters", out, long_name)
    refused(tmp_path, "the same name", out, sh, sh)
    refused(tmp_path, "cannot open", out, tmp_path / "nothing")
    refused(tmp_path, "too many files", "-i", "3", out, sh, cat)
    refused(tmp_path, "the image is full", "-s", "50", out, sh, cat)
    refused(tmp_path, "are too few", "-s", "20", out, sh)
    refused(tmp_path, "wants a number", "-s", "many", out, sh)
    refused(tmp_path, "-l wants a number from 15 to 128", "-l", "14", out, sh)
    refused(tmp_path, "-l wants a number from 15 to 128", "-l", "129", out, sh)
    refused(tmp_path, "cannot create", tmp_path / "no" / "f.img", sh)


def test_mkfs_names(tmp_path):
    """Of a path the last part counts, without a leading underscore; 14 characters are all right."""
    fourteen = tmp_path / "_fourteenletter"
    fourteen.write_bytes(b"x")
    assert mkfs(tmp_path / "f.img", fourteen).returncode == 0
    data = (tmp_path / "f.img").read_bytes()
    assert data[46 * 1024 + 34 : 46 * 1024 + 48] == b"fourteenletter"
