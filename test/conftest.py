# SPDX-License-Identifier: MIT
"""Fixtures of the tests that boot guests."""

import functools
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import guest  # noqa: E402
from grade.host import ask_for_large_pages  # noqa: E402


@pytest.hookimpl(trylast=True)  # when there is a terminal reporter
def pytest_configure(config):
    """Processes that run tests end with the one that started them, and take their QEMUs along."""
    ask_for_large_pages()
    config.addinivalue_line("markers", "long: takes 10 seconds of CPU time or more")
    if hasattr(config, "workerinput"):
        guest.die_with_parent()
    elif config.getoption("numprocesses", None):
        config.pluginmanager.register(Progress(config.get_terminal_writer()))


class Progress:
    """In place of dots says how many tests have ended, and what runs now: on a terminal in one line
    that moves, elsewhere in a line every half minute."""

    def __init__(self, writer):
        self.writer, self.moves, self.ended, self.said = writer, writer.hasmarkup, 0, 0
        self.running = {}  # tests, and since when

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report):
        return ("passed" if report.when == "call" else "", "", "") if report.passed else None

    def pytest_runtest_logstart(self, nodeid):
        self.running[nodeid] = time.monotonic()
        self.say()

    def pytest_runtest_logfinish(self, nodeid):
        self.running.pop(nodeid, None)
        self.ended += 1
        self.say()

    def say(self):
        now = time.monotonic()
        if not self.running or now - self.said < (0.2 if self.moves else 30):
            return
        oldest = min(self.running, key=self.running.get)
        line = f"{self.ended} ended; running: {oldest.partition('/')[2]}, " \
               f"{now - self.running[oldest]:.0f} s, and {len(self.running) - 1} more"
        width = self.writer.fullwidth - 1
        self.writer.write(f"\r\x1b[K{line[:width]}" if self.moves else f"{line}\n", flush=True)
        self.said = now

    def pytest_sessionfinish(self):
        if self.moves:
            self.writer.write("\r\x1b[K")


def pytest_collection_modifyitems(items):
    """What takes long begins first, so that no processor has to wait for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def boot(request):
    """guest.run with the test's name; the log stays when the test fails."""
    results = []

    def run(program=None, **options):
        result = guest.run(program, name=request.node.name, **options)
        results.append(result)
        return result

    yield run
    report = getattr(request.node, "report_call", None)
    if report is not None and report.passed:
        for result in results:
            result.log.unlink(missing_ok=True)


@pytest.fixture
def boot_other(boot, kernel):
    """The same with the kernel that the file's fixture makes."""
    return functools.partial(boot, kernel=kernel)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)


@pytest.fixture(scope="session")
def symbols():
    return guest.Symbols()
