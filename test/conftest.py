# SPDX-License-Identifier: MIT
"""Fixtures of the tests that boot guests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import guest  # noqa: E402


def pytest_configure(config):
    """Processes that run tests end with the one that started them, and take their QEMUs along."""
    config.addinivalue_line("markers", "long: takes 10 seconds of CPU time or more")
    if hasattr(config, "workerinput"):
        guest.die_with_parent()


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)


@pytest.fixture(scope="session")
def symbols():
    return guest.Symbols()
