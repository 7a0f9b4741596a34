"""An artifact of the largest size there is: downloaded, kept and written out in little memory."""

import json
import random
import sys
from pathlib import Path

import anyio
import pytest

from sybilion_mcp.backends.sybilion import MAX_ARTIFACT_BYTES
from tests.hosted import serving

pytestmark = pytest.mark.anyio

NAME = "backtest_metrics.json"
MOST = 60 * 10**6

READER = """
import json, sys, anyio
from pathlib import Path
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import results, sybilion_results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from sybilion_mcp.settings import Settings

def memory(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))

async def silent(*_):
    pass

async def main(url, token, folder, small, large, name, way):
    settings = Settings(home=Path(folder) / "home", api_token=token, api_base_url=url, allow_dirs=(Path(folder),))
    desk = Desk(settings)
    await follow(desk, small, 0, silent)
    await sybilion_results.report(desk, small)
    await results.save_artifact(desk, f"{folder}/small", small, "forecast.json")
    idle = memory("VmRSS")
    if way == "get_status":
        await follow(desk, large, 0, silent)
    await results.save_artifact(desk, f"{folder}/first", large, name)
    await results.save_artifact(desk, f"{folder}/again", large, name)
    await sybilion_results.report(desk, large)
    try:
        await results.artifact(desk, large, name)
    except Refusal as refusal:
        print(json.dumps({"refused": refusal.code, "above_idle": memory("VmHWM") - idle}))
    await desk.aclose()

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell how much memory is used")
@pytest.mark.parametrize("way", ["read_artifact", "get_status"])
async def test_the_largest_artifact_is_read_in_little_memory(tmp_path: Path, way: str) -> None:
    half = MAX_ARTIFACT_BYTES // 2
    content = random.Random(5).randbytes(half) + b" " * (MAX_ARTIFACT_BYTES - half)
    async with serving() as api:
        small, large = api.make_job(), api.make_job()
        api.artifacts[large][NAME] = content
        for job_id in (small, large):
            api.finish(job_id)
        command = [sys.executable, "-W", "error", "-c", READER, api.url, api.token, str(tmp_path)]
        with anyio.fail_after(120):
            done = await anyio.run_process([*command, small, large, NAME, way], stderr=None)
        requests = [one for one in api.requests if f"{large}/artifacts/{NAME.replace('.', '%2E')}" in one]

    said = json.loads(done.stdout)
    assert said["refused"] == "artifact_too_large"
    assert said["above_idle"] <= MOST
    assert (tmp_path / "first").read_bytes() == content
    assert (tmp_path / "again").read_bytes() == content
    assert len(requests) == 1
