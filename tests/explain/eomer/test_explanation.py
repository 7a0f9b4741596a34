"""The explanation of a job of Eomer: told whole, in order, and never in our own voice."""

import csv
import json
import re
from typing import Any

import pytest
from hypothesis import given

from sybilion_mcp.contract.eomer import EomerJob
from sybilion_mcp.explain.told import Told
from tests.explain.eomer.made_up import (
    ask,
    data_of,
    document_of,
    explanation_of,
    history,
    many,
    one,
    part_of,
    results_of,
)
from tests.explain.eomer.test_forecast import pages_from, size_of
from tests.explain.hostile import CORPUS, ORDINARY, problems_of, problems_of_data
from tests.explain.test_hostile_text import any_text, sendable
from tests.timing import cpu_seconds

hostile = pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS.keys())
VIEWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("report", {}),
    ("forecast", {}),
    ("forecast", {"view": "table"}),
    ("forecast/#1", {}),
    ("drivers", {"limit": 1}),
    ("drivers", {"view": "table", "offset": 1}),
    ("backtest", {}),
    ("input", {"limit": 5}),
)
UNKNOWN = "a field that nobody knows"


def told_with(text: str, artifact: str, view: dict[str, Any]) -> Told:
    """An answer about a job that carries the text wherever a name or a sentence may stand."""
    text = sendable(text)
    item_id = text.replace("\x00", "")[:1000]
    panel = {item_id: history(100.0), "sound": history(5.0)}
    document = document_of(
        explainability={**explanation_of(text), UNKNOWN: text},
        error=text,
        model_version=text,
        **{UNKNOWN: {"text": text}},
    )
    results = results_of({item_id: [103.0], "sound": [5.0]}, panel=panel, document=document, title=text)
    return ask(results, artifact, **view)


class TestHostileText:
    @hostile
    @pytest.mark.parametrize(("artifact", "view"), VIEWS)
    def test_every_answer_is_the_ordinary_one_around_the_quotes(
        self, artifact: str, view: dict[str, Any], text: str
    ) -> None:
        shown, ordinary = told_with(text, artifact, view), told_with(ORDINARY, artifact, view)

        assert problems_of(shown.text, ordinary.text) == []

    @hostile
    @pytest.mark.parametrize(("artifact", "view"), VIEWS)
    def test_the_data_is_harmless_too(self, artifact: str, view: dict[str, Any], text: str) -> None:
        shown, ordinary = told_with(text, artifact, view), told_with(ORDINARY, artifact, view)

        ours = (".parts", ".series.columns")  # names of files are ids
        assert problems_of_data(shown.data, ordinary.data, ours=ours) == []
        assert json.loads(json.dumps(shown.data, allow_nan=False).encode()) == shown.data

    @given(any_text)
    def test_so_it_is_for_any_text(self, text: str) -> None:
        assert problems_of(told_with(text, "drivers", {}).text, told_with(ORDINARY, "drivers", {}).text) == []

    @hostile
    def test_names_of_files_are_ids(self, text: str) -> None:
        parts = [part_of("Fine", artifact_id=sendable(text)[:1000], format=sendable(text)[:1000], download_url="/x")]
        told = ask(one(document=document_of(explainability={"artifacts": parts})), "drivers")

        named = re.findall(r"artifact=([^)]*)\)", told.text.split("\nNext: ")[0])
        assert len(named) == 1
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,160}", name) for name in named)
        assert [line for line in told.text.splitlines() if line.startswith("Next")] == [told.text.splitlines()[-1]]

    def test_a_table_of_markdown_is_told_in_its_cells(self) -> None:
        preview = "| hour | effect |\n| --- | ---: |\n| 07:00 | **+19** |\n| [18:00](http://evil.example) | -19 |"
        told = ask(one(document=document_of(explainability={"artifacts": [part_of("x", preview_markdown=preview)]})))

        assert 'begins "hour, effect; 07:00, +19 ; 18:00 (http evil. example), -19"' in told.text


class TestWhatIsTold:
    def test_every_part_in_display_order_with_what_it_says(self) -> None:
        parts = [
            part_of("last", display_order=None, artifact_id="z"),
            part_of("second", display_order=2, artifact_id="b", download_url="/jobs/j1/files/b.csv"),
            part_of(
                "first", display_order=1, artifact_id="a", format="svg", download_url="/f/a", is_primary_visual=True
            ),
        ]
        told = ask(one(document=document_of(explainability={"artifacts": parts})), "drivers")

        places = [told.text.index(f'{number}. "{name}"') for number, name in enumerate(("first", "second", "last"), 1)]
        assert places == sorted(places)
        assert '1. "first" (svg, artifact=a.svg, the main picture): "first"' in told.text
        assert '3. "last" (csv, no file)' in told.text
        assert [part.get("artifact") for part in data_of(told)["parts"]] == ["a.svg", "b.csv", None]

    def test_analyses_that_were_made_left_out_or_never_told_of(self) -> None:
        explained = {
            "selected_analyses": ["shap", "trend", "lime"],
            "completed_analyses": ["trend"],
            "skipped_analyses": {"shap": "the model has no trees"},
            "warnings": ["few observations"],
        }
        text = ask(one(document=document_of(explainability=explained)), "drivers").text

        assert 'Analyses made: "trend". Selected and not told of: "lime".' in text
        assert 'Not made: "shap": "the model has no trees".' in text
        assert 'Warnings: "few observations".' in text

    def test_a_report_says_how_many_parts_it_leaves_out(self) -> None:
        told = ask(one(document=document_of(explainability=explanation_of("Fine", parts=20))))

        shown = len(re.findall(r"^\d+\. ", told.text, re.MULTILINE))
        assert f'{20 - shown} more parts: read_artifact(artifact="drivers").' in told.text

    def test_one_that_says_nothing_is_told_to(self) -> None:
        assert "says nothing" in ask(one(document=document_of(explainability={"enabled": True})), "drivers").text

    def test_a_job_without_an_explanation_says_so(self) -> None:
        assert "The job came without an explanation." in ask(one(), "drivers").text
        assert "The job came without an explanation." in ask(one()).text

    def test_an_explanation_in_a_file_of_its_own_counts_too(self) -> None:
        from sybilion_mcp.contract.eomer_files import EXPLANATION, FORECAST
        from sybilion_mcp.explain.eomer.results import read_results
        from tests.explain.eomer.made_up import table_of

        files = {FORECAST: table_of({"a": [1.0]}), EXPLANATION: b'{"overview_markdown": "It rises."}'}
        told = ask(read_results(files, one().facts, None), "drivers")

        assert '"It rises."' in told.text

    def test_200_parts_are_reached_in_answers_of_6_kb(self) -> None:
        explained = explanation_of("A sentence of some length about what was found. " * 3, parts=200)
        results = one(document=document_of(explainability=explained))

        pages = pages_from(results, "drivers")

        numbers = [int(found) for page in pages for found in re.findall(r"^(\d+)\. ", page.text, re.MULTILINE)]
        assert numbers == list(range(1, 201))
        assert not any("more part" in page.text for page in pages), "the next step says so"
        assert max(map(size_of, pages)) <= 6000


class TestReport:
    def test_holds_everything_of_an_explanation_of_ordinary_size(self) -> None:
        told = ask(one(document=document_of(explainability=explanation_of("It rises."))))

        assert told.text.startswith('# "Orders of made-up products, units"\njob j1, Eomer, in steps of one day')
        assert "Eomer tells no cost" in told.text
        assert {"last_value", "forecast", "bands", "skill", "verdict", "caveats", "explanation"} <= data_of(told).keys()
        assert "cost_eur_cents" not in told.data

    @pytest.mark.parametrize("length", [10, 1000, 100_000])
    def test_is_at_most_6_kb_whatever_came(self, length: int) -> None:
        explained = explanation_of("word " * (length // 5), parts=200)
        for results in (one(document=document_of(explainability=explained)), many()):
            told = ask(results)
            assert len(told.text.encode()) <= 6000
            assert told.text.splitlines()[-1].startswith("Next: read_artifact(")

    @pytest.mark.parametrize(
        "document",
        [
            {"job_id": "j1", "status": "completed", "created_at": "2026-11-22T08:00:00Z"},
            document_of(new_field={"deep": [1, 2]}, status="completed", explainability={"new": "x"}, num_items="three"),
            {**dict.fromkeys(EomerJob.model_fields, "said"), **document_of(explainability=explanation_of("It rises."))},
            document_of(explainability="none", external_covariate_metadata=[], forecast_plot_url=5),
        ],
        ids=["only what is required", "unknown fields", "every field", "fields of the wrong kind"],
    )
    def test_of_any_document_it_tells_the_forecast(self, document: dict[str, object]) -> None:
        told = ask(one(document=document))

        assert len(data_of(told)["forecast"]) == 3
        assert len(told.text.encode()) <= 4000

    def test_a_document_that_is_none_is_left_out_and_said_to_be(self) -> None:
        told = ask(one(document={"hello": "world"}))

        assert "job.json: it is no job of Eomer" in told.text

    def test_series_without_a_forecast_and_short_ones_are_named(self) -> None:
        panel = {name: history(1.0) for name in ("a", "b", "c")}
        told = ask(results_of({"a": [1.0], "b": [1.0, 2.0]}, panel=panel, document=document_of(prediction_length=2)))

        assert '1 of the series sent came without a forecast: "c".' in told.text
        assert "2 steps were asked for; 1 of 2 series have fewer." in told.text

    def test_the_table_is_one_that_a_reader_of_csv_takes(self) -> None:
        lines = ask(results_of({'a "b", c': [1.0], "d": [2.0]}, panel={}), "forecast").text.splitlines()
        start = lines.index("no,item_id,last_value,forecast,lower_80,upper_80,move")

        assert [row[1] for row in csv.reader(lines[start : start + 3])] == ["item_id", "a 'b', c", "d"]


def verbose(text: str) -> dict[str, Any]:
    """An explanation that says as much as it can, everywhere."""
    part = {"label": text, "description": text, "preview_markdown": text, "highlights": [text] * 5, "format": "csv"}
    return {
        "overview_markdown": text,
        "selected_analyses": [f"{number}{text}" for number in range(30)],
        "completed_analyses": [f"c{number}{text}" for number in range(30)],
        "skipped_analyses": {f"s{number}{text}": text for number in range(30)},
        "warnings": [text] * 30,
        "artifacts": [{"artifact_id": f"x{number}", "download_url": f"/f/{number}", **part} for number in range(60)],
    }


def sent_bytes(told: Told) -> int:
    return len(told.text.encode()) + len(json.dumps(told.data, ensure_ascii=False, separators=(",", ":")).encode())


class TestBounds:
    @pytest.mark.parametrize("letters", ["w ", "\N{GRINNING FACE} ", "\u9810", "\u0416", "a\u0301"])
    def test_however_much_is_said_an_answer_keeps_its_size(self, letters: str) -> None:
        text = letters * 3000
        item_ids = [f"{letters * 90}{number}" for number in range(30)]
        results = results_of(
            {item_id: [103.0, 104.0] for item_id in item_ids},
            panel={item_id: history(100.0) for item_id in [*item_ids, *(f"{one} x" for one in item_ids)]},
            document=document_of(explainability=verbose(text)),
            title=text,
        )
        report = ask(results)

        assert len(report.text.encode()) <= 6000
        assert sent_bytes(report) <= 10_000
        assert report.text.splitlines()[-1] == report.step.line
        for offset in (0, 7, 59):
            page = ask(results, "drivers", offset=offset)
            assert sent_bytes(page) <= 6000
            assert page.data["parts"]

    def test_an_overview_of_usual_length_is_told_whole(self) -> None:
        told = ask(one(document=document_of(explainability={"overview_markdown": "word " * 150})), "drivers")

        assert "word " * 149 + "word" in told.text

    @pytest.mark.parametrize(
        "preview",
        ["x|" + " " * 90_000 + "y", "|" * 90_000 + "x", "- " * 45_000 + "|x", "|\n" * 45_000 + "x", " |" * 45_000],
    )
    def test_no_markdown_takes_long(self, preview: str) -> None:
        parts = [part_of(preview, artifact_id=f"p{number}", highlights=[preview]) for number in range(3)]
        results = one(document=document_of(explainability={"overview_markdown": preview, "artifacts": parts}))

        assert cpu_seconds(lambda: ask(results)) < 2
