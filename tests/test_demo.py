"""The demo is the first thing anybody sees."""

import re
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import good_series
from tests.timing import wall_clock


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sybilion_mcp", "demo", *arguments], capture_output=True, text=True, timeout=120
    )


@wall_clock
def test_the_made_up_conversation_ends_with_table_bands_true_drivers_and_past_errors() -> None:
    started = time.monotonic()
    done = run()

    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started <= 60
    report = done.stdout[done.stdout.index("## Forecast") :]
    assert len(re.findall(r"^\s+\d{4}-\d{2},\d+,\d+,\d+,\d+,\d+", report, re.MULTILINE)) == 12
    assert re.search(r'"Gas price .*",\d+,\+[\d.]+,3,', report)
    assert re.search(r'"Interest rate .*",\d+,-[\d.]+,6,', report)
    assert not re.search(r'"Hotel nights .*",\d+,', report)
    assert "MASE" in report
    assert "seasonal naive" in report


def test_the_users_own_file_is_repaired_and_forecast(tmp_path: Path) -> None:
    series = good_series(125)
    rows = [f"{month},{value}" for month, value in series.items() if month != "2020-02-01"]
    file = tmp_path / "my sales.csv"
    file.write_text("\n".join(["month,units", *rows]))

    done = run("--file", str(file))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing_month" in done.stdout
    assert "## Forecast" in done.stdout


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    done = run("--file", str(tmp_path / "nothing.csv"))

    assert done.returncode == 2
    assert "there is no file" in done.stderr


def test_a_file_that_cannot_be_forecast_says_why(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text("\n".join(["month,units", *(f"{month},{value}" for month, value in good_series(20).items())]))

    done = run("--file", str(file))

    assert done.returncode == 1
    assert "too_short" in done.stdout or "allow no forecast" in done.stdout
