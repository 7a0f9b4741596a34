"""The conformance suite of the protocol, on both versions of it."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import serving

SECONDS = 240
VERSIONS = ["2026-07-28", "2025-11-25"]
HERE = Path(__file__).parent


def conforms(command: list[str], address: str, version: str, out: Path, *more: str) -> str:
    """Run every scenario of a version. A failure that the baseline does not hold fails it, and one it holds in vain."""
    ran = subprocess.run(
        [*command, "server", "--url", address, "--suite", "all", "--spec-version", version, "-o", str(out), *more],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    summary = ran.stdout.rpartition("=== SUMMARY ===")[2]
    assert ran.returncode == 0, summary + ran.stderr
    return summary


@pytest.fixture
def command(node: str, packages: Path) -> list[str]:
    return [node, str(packages / "@modelcontextprotocol/conformance/dist/index.js")]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_product_passes_all_that_needs_no_fixture(
    version: str, command: list[str], http_server: str, tmp_path: Path
) -> None:
    """The server as it is served, with the baseline of what a desk cannot have."""
    baseline = HERE / f"conformance-baseline-{version}.yml"

    conforms(command, http_server, version, tmp_path / "out", "--expected-failures", str(baseline))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_factory_with_fixtures_passes_all(version: str, command: list[str], tmp_path: Path) -> None:
    arguments = ["-m", "tests.clients.conformance_server", str(tmp_path / "desk")]
    with serving(arguments, tmp_path) as address:
        summary = conforms(command, address, version, tmp_path / "out")

    assert re.search(r"Total: \d+ passed, 0 failed", summary)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_entry_of_a_baseline_says_why(version: str) -> None:
    """And names a single check, so that the others of its scenario stay enforced."""
    lines = (HERE / f"conformance-baseline-{version}.yml").read_text().splitlines()

    entries = [line for line in lines if line.startswith("  - ")]
    assert entries
    for entry in entries:
        assert re.fullmatch(r"  - [\w-]+:[\w$-]+ # .{10,}", entry), entry
