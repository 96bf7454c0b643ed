"""What several tests share."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# A shell that runs tests in the background lets them ignore Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# An example may take its time on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recorded data beside the checkout; a test that needs it is skipped where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the recorded data in ../shared/data, which is not here")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After `make validate`, a table of what was expected and found; checks hand their lines in by ``record_property``."""
    if terminalreporter.config.option.markexpr != "validate":
        return
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    lines = sorted(line for report in reports for name, line in report.user_properties if name == "validation")
    if lines:
        terminalreporter.section("validations")
        terminalreporter.line(f"{'':58} {'expected':>12} {'found':>12} {'error':>10} {'z':>6} {'n':>9}")
        for line in lines:
            terminalreporter.line(line)
