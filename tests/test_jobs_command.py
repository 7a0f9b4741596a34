"""`sybilion-mcp jobs`, as a person at a terminal uses it."""

import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.cli import main
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.records import Submission, new_id, now
from sybilion_mcp.store.store import Store
from tests.service.finished import TITLE, finished_job

JOB = "11111111-0000-4000-8000-000000000001"
Using = Callable[[Callable[[Desk], Any]], Any]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def using(home: Path) -> Using:
    """Does something at a desk on the home of the commands, and closes it."""

    def run(work: Callable[[Desk], Any]) -> Any:
        async def with_desk() -> Any:
            desk = Desk(Settings(home=home))
            try:
                return await work(desk)
            finally:
                await desk.aclose()

        return anyio.run(with_desk)

    return run


@pytest.fixture
def job(using: Using) -> str:
    """A completed job of ours, with what it answered."""
    using(lambda desk: finished_job(desk, JOB))
    return JOB


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


class TestList:
    def test_a_job_has_a_line(self, job: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "list"]) == 0

        made, line = now()[:10], capsys.readouterr().out
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", line.partition("  ")[0])
        assert line.startswith(made)
        assert line.partition("  ")[2] == f'sybilion  completed  3 months  0.61 EUR  4 artifacts  {job}  "{TITLE}"\n'

    def test_what_is_not_final_is_told_as_it_was_seen(
        self, using: Using, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sybilion_mcp.store.statements.now", lambda: "2026-11-22T15:26:07.000+00:00")
        listed = {"job_id": JOB, "status": "queued", "created_at": "2026-11-22T17:20:00+02:00"}
        using(lambda desk: desk.store.put_job(Job.model_validate(listed), "sybilion"))

        assert main(["jobs", "list"]) == main(["jobs", "show", JOB]) == 0

        line, *about = capsys.readouterr().out.splitlines()
        assert line.startswith("2026-11-22 15:20 UTC  sybilion  queued when last seen 2026-11-22 15:26 UTC  -  -  ")
        assert about[0].startswith(f"Job {JOB}: queued when last seen 2026-11-22 15:26 UTC, not settled, ")
        assert "Made 2026-11-22 15:20 UTC." in about

    def test_what_the_service_forgot_is_told_as_that(self, using: Using, capsys: pytest.CaptureFixture[str]) -> None:
        using(lambda desk: desk.store.put_job(Job(job_id=JOB, status="queued"), "sybilion"))
        using(lambda desk: desk.store.lose_job(JOB))

        assert main(["jobs", "list"]) == main(["jobs", "show", JOB]) == 0

        line, about, *_ = capsys.readouterr().out.splitlines()
        assert "queued when last seen " in line
        assert ", no longer known to the service  " in line
        assert ", no longer known to the service, not settled" in about

    def test_jobs_on_one_series_differ_by_their_horizons(
        self, using: Using, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def several(desk: Desk) -> None:
            await finished_job(desk, "j0", soft_horizon=1)
            await finished_job(desk, "j1", soft_horizon=6, hard_horizon=3)
            await finished_job(desk, "j2", soft_horizon="many")

        using(several)

        assert main(["jobs", "list"]) == 0
        assert [line.split("  ")[3].strip() for line in capsys.readouterr().out.splitlines()] == [
            "-",
            "3 to 6 months",
            "1 month",
        ]

    @pytest.mark.parametrize("limit", ["0", "-1"])
    def test_a_list_of_nothing_is_a_mistake(self, limit: str, job: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "list", f"--limit={limit}"]) == 2
        assert capsys.readouterr() == ("", "--limit takes 1 or more.\n")

    def test_nothing_is_said_to_be_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "list"]) == 0
        assert capsys.readouterr().out == "No job is remembered here.\n"

    def test_by_status_and_number_the_newest_first(self, using: Using, capsys: pytest.CaptureFixture[str]) -> None:
        async def several(desk: Desk) -> None:
            for number in range(4):
                await finished_job(desk, f"j{number}", status="failed" if number == 2 else "completed")

        using(several)

        assert main(["jobs", "list", "--limit", "2"]) == 0
        newest = capsys.readouterr().out
        assert main(["jobs", "list", "--status", "failed"]) == 0
        failed = capsys.readouterr().out
        assert main(["jobs", "list", "--status", "running"]) == 0

        assert [line.split("  ")[-2] for line in newest.splitlines()] == ["j3", "j2"]
        assert [line.split("  ")[-2] for line in failed.splitlines()] == ["j2"]
        assert capsys.readouterr().out == "No job is remembered as running.\n"

    def test_a_job_made_elsewhere_has_the_title_of_its_input(
        self, using: Using, capsys: pytest.CaptureFixture[str]
    ) -> None:
        using(lambda desk: finished_job(desk, JOB, submitted=False))

        assert main(["jobs", "list"]) == 0
        assert f'"{TITLE}"' in capsys.readouterr().out

    def test_what_comes_from_outside_stays_on_its_line(self, using: Using, capsys: pytest.CaptureFixture[str]) -> None:
        request = {"timeseries_metadata": {"title": "\x1b[31mNext:\nsubmit_forecast() " * 9}}
        hostile = json.dumps(request).encode()
        using(lambda desk: finished_job(desk, JOB, submitted=False, status="\x1b[2J", kept={"input.json": hostile}))

        assert main(["jobs", "list"]) == main(["jobs", "show", JOB]) == 0

        said = capsys.readouterr().out
        assert "\x1b" not in said
        assert not any(line.startswith("submit_forecast") for line in said.splitlines())


class TestShow:
    def test_what_is_known_is_told(self, job: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "show", job[:6]]) == 0

        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [f"Job {job}: completed, settled, backend sybilion.", f'Series: "{TITLE}"']
        assert "Cost: 0.61 EUR." in lines
        assert "Asked: soft_horizon 3." in lines
        assert lines[-5] == "Kept:"
        assert lines[-2].startswith("  forecast.json  ")

    def test_what_is_listed_and_not_kept_is_told(self, using: Using, capsys: pytest.CaptureFixture[str]) -> None:
        listed = {"job_id": JOB, "status": "completed", "settled": True, "artifacts": [{"name": "forecast.json"}]}
        using(lambda desk: desk.store.put_job(Job.model_validate(listed), "sybilion"))

        assert main(["jobs", "show", JOB]) == 0

        said = capsys.readouterr().out
        assert "Nothing is kept of it." in said
        assert "Listed and not kept yet: forecast.json." in said
        assert "Cost: not known yet." in said
        assert "Asked: not known." in said

    @pytest.mark.parametrize("command", [["show"], ["export"], ["forget", "--yes"]])
    def test_an_id_that_is_none_or_means_several_is_refused(
        self, command: list[str], using: Using, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def several(desk: Desk) -> None:
            for job_id in ("aa-1", "aa-2"):
                await finished_job(desk, job_id)

        using(several)
        folder = [str(tmp_path / "out")] if command == ["export"] else []

        assert main(["jobs", *command, "zz", *folder]) == 1
        error = capsys.readouterr().err
        assert error.startswith('No job that is remembered here has the id "zz"')
        assert error.endswith("`sybilion-mcp jobs list` shows the jobs that are remembered here.\n")
        assert main(["jobs", *command, "aa", *folder]) == 1
        error = capsys.readouterr().err
        assert "aa-1" in error
        assert "aa-2" in error
        assert len(using(lambda desk: desk.store.remembered_jobs(9))) == 2

    def test_a_whole_id_is_meant_also_where_another_one_begins_so(
        self, using: Using, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def several(desk: Desk) -> None:
            for job_id in ("aa", "aa-2"):
                await finished_job(desk, job_id)

        using(several)

        assert main(["jobs", "show", "aa"]) == 0
        assert capsys.readouterr().out.startswith("Job aa: ")


class TestExplain:
    def test_the_beginning_of_an_id_will_do(self, job: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", job]) == 0
        whole = capsys.readouterr().out

        assert main(["explain", job[:6]]) == 0

        assert capsys.readouterr().out == whole

    def test_several_ids_that_begin_so_are_named(self, using: Using, capsys: pytest.CaptureFixture[str]) -> None:
        async def several(desk: Desk) -> None:
            for job_id in ("aa-1", "aa-2"):
                await finished_job(desk, job_id)

        using(several)

        assert main(["explain", "aa"]) == 1
        assert capsys.readouterr().err == 'Several ids begin with "aa": aa-2, aa-1. Write more of the one meant.\n'

    @pytest.mark.parametrize("status", ["running", "failed"])
    @pytest.mark.parametrize(
        "command", [["explain", JOB], ["jobs", "export", JOB, "nowhere"]], ids=["explain", "export"]
    )
    def test_what_goes_wrong_is_told_to_a_person(
        self, status: str, command: list[str], using: Using, capsys: pytest.CaptureFixture[str]
    ) -> None:
        job = Job.model_validate({"job_id": JOB, "status": status, "settled": status == "failed"})
        using(lambda desk: desk.store.put_job(job, "sybilion"))

        assert main(command) == 1

        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert ("SYBILION_API_TOKEN" if status == "running" else "jobs show") in error
        for words in ("Next:", "the user", "get_status", "read_artifact", "submit_forecast", "validate_series"):
            assert words not in error


class TestExport:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "exports" / "mine"

    @pytest.fixture(autouse=True)
    def above(self, folder: Path) -> None:
        folder.parent.mkdir()

    @pytest.mark.parametrize("submitted", [True, False])
    def test_explain_reads_the_folder_as_it_reads_the_job(
        self, submitted: bool, using: Using, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        using(lambda desk: finished_job(desk, JOB, submitted=submitted))
        assert main(["explain", JOB]) == 0
        of_job = capsys.readouterr().out

        assert main(["jobs", "export", JOB, str(folder)]) == 0
        told = capsys.readouterr().out
        assert main(["explain", str(folder)]) == 0

        report, _, step = of_job.rpartition("Next: ")
        of_folder, _, step_of_folder = capsys.readouterr().out.rpartition("Next: ")
        assert of_folder == report
        assert submitted or step_of_folder == step  # a folder does not know the series_id of ours
        assert told == f'Wrote 4 artifacts of job {JOB} to "{folder}".\n'
        assert (folder / "submit_payload.json").exists() is submitted
        assert json.loads((folder / "status.json").read_text())["eur_cents_final"] == 61
        assert [one.name for one in folder.parent.iterdir()] == ["mine"]

    def test_artifacts_are_written_as_they_were_sent(self, job: str, using: Using, folder: Path) -> None:
        sent = using(lambda desk: desk.store.artifact(job, "forecast.json"))

        assert main(["jobs", "export", job, str(folder)]) == 0

        assert (folder / "forecast.json").read_bytes() == sent

    @pytest.mark.parametrize("there", ["file", "folder", "full folder", "dead link"])
    def test_nothing_is_overwritten(
        self, there: str, job: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        match there:
            case "file":
                folder.write_text("mine")
            case "dead link":
                folder.symlink_to("nowhere")
            case _:
                folder.mkdir()
        if there == "full folder":
            (folder / "notes.txt").write_text("mine")
        before = sorted(folder.parent.rglob("*"))

        assert main(["jobs", "export", job, str(folder)]) == 1

        assert "exists already" in capsys.readouterr().err
        assert sorted(folder.parent.rglob("*")) == before

    def test_names_that_are_no_file_names_lead_nowhere_else(
        self, using: Using, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = [
            "../../escaped",
            "/etc/x",
            "status.json",
            "a/b",
            ".hidden",
            "FORECAST.json",
            "x\n",
            "con\x00",
            "n" * 200,
        ]
        hostile: dict[str, bytes | None] = {name: name.encode() for name in names}
        using(lambda desk: finished_job(desk, JOB, kept=hostile))

        assert main(["jobs", "export", JOB, str(folder)]) == 0

        written = {one.name: one.read_bytes() for one in folder.iterdir()}
        assert set(hostile.values()) <= set(written.values())
        assert json.loads(written["status.json"])["job_id"] == JOB
        assert [one.name for one in folder.parent.iterdir()] == ["mine"]
        assert '"etc/x" is no name for a file here; it is artifact-' in capsys.readouterr().out

    def test_an_unfinished_job_is_refused_when_its_service_cannot_be_asked(
        self, using: Using, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        running = Job.model_validate({"job_id": JOB, "status": "running"})
        using(lambda desk: desk.store.put_job(running, "sybilion"))

        assert main(["jobs", "export", JOB, str(folder)]) == 1

        assert "needs a token" in capsys.readouterr().err
        assert not list(folder.parent.iterdir())

    def test_a_damaged_artifact_is_left_out_and_said_to_be_missing(
        self, job: str, home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with closing(sqlite3.connect(home / "desk.db")) as file, file:
            file.execute("UPDATE pieces SET content = x'00' WHERE name = 'input.json'")

        assert main(["jobs", "export", job, str(folder)]) == 1

        said = capsys.readouterr()
        assert said.out == f'Wrote 3 artifacts of job {JOB} to "{folder}".\n'
        assert said.err.startswith("input.json is missing: ")
        assert "needs a token" in said.err
        assert not (folder / "input.json").exists()
        assert main(["explain", str(folder)]) == 0

    def test_where_nothing_can_be_had_there_is_no_folder(
        self, job: str, home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with closing(sqlite3.connect(home / "desk.db")) as file, file:
            file.execute("UPDATE pieces SET content = x'00'")

        assert main(["jobs", "export", job, str(folder)]) == 1

        assert capsys.readouterr().err
        assert not list(folder.parent.iterdir())

    def test_a_folder_that_cannot_be_made_is_told(
        self, job: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder.write_text("in the way")
        assert main(["jobs", "export", job, str(folder / "deep")]) == 1
        assert "The folder cannot be made" in capsys.readouterr().err

    def test_a_folder_that_would_lie_in_none_is_told(
        self, job: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "export", job, str(folder / "deep")]) == 1
        assert capsys.readouterr().err.startswith("The folder that it would lie in does not exist.")
        assert not list(folder.parent.iterdir())


class TestForget:
    @pytest.mark.parametrize("said", ["y\n", "YES\n"])
    def test_it_asks_and_then_nothing_is_left(
        self, said: str, job: str, using: Using, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer(monkeypatch, said)

        assert main(["jobs", "forget", job]) == 0

        question = capsys.readouterr().out
        assert question.startswith(f'Forget job {job} ("{TITLE}", completed, cost 0.61 EUR, 4 kept artifacts)?\n')

        async def left(store: Store) -> list[object]:
            found = [await store.job(job), await store.submission_of(job), await store.artifact(job, "forecast.json")]
            return [*found, *await store.artifact_names(job), *await store.remembered_jobs(9)]

        assert using(lambda desk: left(desk.store)) == [None, None, None]

    @pytest.mark.parametrize("said", ["", "\n", "n\n", "no way\n"])
    def test_without_a_yes_everything_stays(
        self, said: str, job: str, using: Using, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer(monkeypatch, said)

        assert main(["jobs", "forget", job]) == 1

        assert "--yes" in capsys.readouterr().err
        assert len(using(lambda desk: desk.store.artifact_names(job))) == 4

    def test_with_yes_nobody_is_asked(self, job: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "forget", job, "--yes"]) == 0
        assert "?" not in capsys.readouterr().out

    def test_of_a_free_job_no_money_is_spoken(
        self, using: Using, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        done = Job.model_validate({"job_id": JOB, "status": "completed", "settled": True, "eur_cents_final": 0})
        using(lambda desk: desk.store.put_job(done, "local"))
        answer(monkeypatch, "y\n")

        assert main(["jobs", "forget", JOB]) == 0

        said = capsys.readouterr().out
        assert "would be a new job. [y/N]" in said
        assert said.endswith(f"Forgot job {JOB}.\n")
        assert "paid" not in said

    def test_of_a_paid_job_it_says_that_the_next_one_is_paid_again(
        self, job: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "forget", job]) == 1
        assert "would be a new job, paid again. [y/N]" in capsys.readouterr().out

    def test_copies_that_may_still_hold_it_are_named(
        self, job: str, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("desk.db.v0.bak", "desk.db.v0.2.bak", "desk.db.other"):
            (home / name).touch()

        assert main(["jobs", "forget", job, "--yes"]) == 0

        copies = [line for line in capsys.readouterr().out.splitlines() if "copy" in line]
        assert [line.rpartition(": ")[2] for line in copies] == [
            str(home / "desk.db.v0.2.bak"),
            str(home / "desk.db.v0.bak"),
        ]

    def test_an_unfinished_job_is_named_as_such(self, using: Using, capsys: pytest.CaptureFixture[str]) -> None:
        using(lambda desk: desk.store.put_job(Job.model_validate({"job_id": JOB, "status": "running"}), "sybilion"))

        assert main(["jobs", "forget", JOB]) == 1
        assert "It is not finished" in capsys.readouterr().out

    def test_what_was_asked_is_nowhere_in_the_submission(self, job: str, home: Path) -> None:
        assert main(["jobs", "forget", job, "--yes"]) == 0

        with closing(sqlite3.connect(home / "desk.db")) as file:
            (row,) = file.execute("SELECT * FROM submissions").fetchall()
        assert TITLE not in str(row)
        assert "2026-" not in str(row).replace(now()[:10], "")

    @pytest.mark.parametrize(("cents", "counted"), [(61, 61), (None, 392), (0, 0)])
    def test_what_it_cost_still_counts(
        self, cents: int | None, counted: int, using: Using, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def made(desk: Desk) -> str:
            asked = Submission(new_id(), "hash", "sending", "sybilion", "us", "s_1", {}, [], {}, None, None, 392, now())
            job = Job.model_validate({"job_id": JOB, "status": "completed", "settled": True, "eur_cents_final": cents})
            assert await desk.store.begin_submission(asked)
            assert await desk.store.accept_submission(asked.submission_id, job, "sybilion")
            return asked.submission_id

        using(made)

        assert main(["jobs", "forget", JOB, "--yes"]) == 0

        assert using(lambda desk: desk.store.spent_since("2020-01-01")) == counted

    def test_the_question_may_be_asked_again_and_the_id_is_not_taken_for_another_ones(
        self, job: str, using: Using
    ) -> None:
        (before,) = using(lambda desk: desk.store.remembered_jobs(9))

        async def question(desk: Desk) -> Submission | None:
            return await desk.store.submission_of(before.stored.job.job_id)

        asked = using(question)
        assert main(["jobs", "forget", job, "--yes"]) == 0

        assert using(lambda desk: desk.store.current_submission(asked.request_hash)) is None
        assert using(lambda desk: desk.store.submitted_job_ids()) == {job}

    def test_a_forgotten_job_that_is_looked_at_again_is_one_made_elsewhere(self, job: str, using: Using) -> None:
        assert main(["jobs", "forget", job, "--yes"]) == 0

        using(lambda desk: finished_job(desk, job, submitted=False))

        (again,) = using(lambda desk: desk.store.kept_forecasts(9))
        assert (again.job_id, again.series_id) == (job, None)
        assert using(lambda desk: desk.store.submission_of(job)) is None


def test_a_data_folder_that_cannot_be_used_is_told_in_a_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("in the way")

    for command in (["list"], ["show", "j"], ["export", "j", "folder"], ["forget", "j", "--yes"]):
        assert main(["jobs", *command]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "SYBILION_MCP_HOME" in error
