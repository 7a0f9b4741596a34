"""`sybilion-mcp drivers`, as a person at a terminal uses it."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from sybilion_mcp.cli import main
from sybilion_mcp.engine import library as library_module
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.library import DriverLibrary

MONTHS = [f"2025-{month:02d}" for month in range(1, 13)]

Columns = Mapping[str, Sequence[object]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "drivers.db"


@pytest.fixture
def csv_of(tmp_path: Path) -> Callable[[Columns], str]:
    """Writes a table with a column of months and returns its path."""

    def write(columns: Columns) -> str:
        head = ",".join(["month", *columns])
        rows = zip(MONTHS, *columns.values(), strict=True)
        path = tmp_path / "table.csv"
        path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]), encoding="utf-8")
        return str(path)

    return write


def kept(folder: Path) -> dict[str, Candidate]:
    return {one.name: one for one in anyio.run(DriverLibrary(folder).candidates)}


TWO: Columns = {"Copper": range(100, 112), "Zinc": ["", "", *range(20, 28), "", ""]}


def test_a_wide_file_fills_the_folder_and_blank_ends_are_trimmed(
    csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drivers", "add", csv_of(TWO), "--region", "World", "--category", "Metals"]) == 0

    assert capsys.readouterr().out.splitlines()[:2] == [
        'Added "Copper": 2025-01 to 2025-12, 12 months.',
        'Added "Zinc": 2025-03 to 2025-10, 8 months.',
    ]
    assert next(iter(kept(folder)["Zinc"].months.items())) == ("2025-03-01", 20.0)


def test_adding_again_replaces_and_says_so(
    csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["drivers", "add", csv_of(TWO)])
    capsys.readouterr()

    assert main(["drivers", "add", csv_of({"COPPER": range(12), "Tin": range(12)})]) == 0

    assert capsys.readouterr().out.splitlines()[:2] == [
        'Replaced the numbers of "COPPER": 2025-01 to 2025-12, 12 months.',
        'Added "Tin": 2025-01 to 2025-12, 12 months.',
    ]
    assert kept(folder).keys() == {"COPPER", "Zinc", "Tin"}


def test_unsound_columns_are_named_with_a_reason_and_the_sound_ones_kept(
    csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = [1, 2, "", *range(9)]
    columns: Columns = {"Sound": range(12), "Gap": gap, "Note": ["text"] * 12, "Empty": [""] * 12, "": range(5, 17)}

    assert main(["drivers", "add", csv_of(columns)]) == 1

    said = capsys.readouterr().err
    assert 'Left out "Gap": 2025-03 has no value (null). Add --fill linear' in said
    assert 'Left out "Note", "Empty": It holds no numbers.' in said
    assert "Nothing was added" not in said
    assert "Left out column 6: It has no name." in said
    assert kept(folder).keys() == {"Sound"}


class TestOneNameTwice:
    GERMAN = ("--region", "Germany", "--category", "Sales")

    @pytest.mark.parametrize("name", ["Orders", "ORDERS ", "Or\u200bders"])
    def test_without_a_place_the_only_one_is_replaced_where_it_is(
        self, name: str, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["drivers", "add", csv_of({"Orders": range(12)}), *self.GERMAN])
        (before,) = kept(folder).values()
        capsys.readouterr()

        assert main(["drivers", "add", csv_of({name: range(20, 32)})]) == 0

        (after,) = kept(folder).values()
        assert (after.id, after.region, after.category) == (before.id, 1, 1)
        assert min(after.months.values()) == 20
        assert capsys.readouterr().out.startswith("Replaced the numbers of")

    def test_with_another_place_it_is_another_and_that_is_said(
        self, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = csv_of({"Orders": range(12)})
        main(["drivers", "add", file, *self.GERMAN])
        capsys.readouterr()

        assert main(["drivers", "add", file, "--region", "Peru"]) == 0
        told = capsys.readouterr().out
        assert main(["drivers", "add", file, "--region", "peru"]) == 0
        again = capsys.readouterr().out
        assert main(["drivers", "add", file, "--region", "India"]) == 0

        beside = '; another "Orders" (Germany, Sales) stays beside it.'
        assert told.splitlines()[0] == f'Added "Orders": 2025-01 to 2025-12, 12 months{beside}'
        assert again.startswith("Replaced")
        assert "beside" not in again
        assert '; 2 others called "Orders" stay beside it.' in capsys.readouterr().out
        assert len(anyio.run(DriverLibrary(folder).candidates)) == 3

    def test_where_several_are_meant_the_series_is_refused_with_the_choices(
        self, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = csv_of({"Orders": range(12)})
        main(["drivers", "add", file, *self.GERMAN])
        main(["drivers", "add", file, "--region", "Peru"])
        capsys.readouterr()

        assert main(["drivers", "add", file]) == 1
        alone = capsys.readouterr()
        assert main(["drivers", "add", csv_of({"orders": [5.0] * 12, "Tin": range(12)})]) == 1
        among = capsys.readouterr()

        assert alone.err.startswith('Nothing was added. Left out "Orders": 2 series have this name: ')
        assert "(Germany, Sales)" in alone.err
        assert "(Peru, no category)" in alone.err
        assert "--region and --category" in alone.err
        assert alone.out == ""
        assert among.err.startswith('Left out "orders": 2 series')
        assert among.out.startswith('Added "Tin"')
        assert "never changes" not in among.out
        assert sorted(one.name for one in anyio.run(DriverLibrary(folder).candidates)) == ["Orders", "Orders", "Tin"]

    def test_beyond_the_lines_that_are_shown_they_are_counted(
        self, csv_of: Callable[[Columns], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = csv_of({f"s{number}": range(12) for number in range(25)})
        main(["drivers", "add", file])

        assert main(["drivers", "add", file, "--region", "Peru"]) == 0

        assert "Added 5 more; 5 of them stay beside others of the same name; see" in capsys.readouterr().out


def test_a_series_that_never_changes_is_added_with_a_note(
    csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drivers", "add", csv_of({"Flat": [7] * 12, "Level": [0.5] * 12, "Tin": range(12)})]) == 0

    assert 'Note on "Flat", "Level": It never changes, so it can drive nothing.' in capsys.readouterr().out
    assert kept(folder).keys() == {"Flat", "Level", "Tin"}


class TestTheColumnOfDates:
    @pytest.mark.parametrize(
        "asked",
        [
            ["--value-column", "month"],
            ["--value-column", "Tin", "--value-column", "MONTH"],
            ["--value-column", "month", "--name", "Copper"],
        ],
    )
    def test_as_values_it_is_named_for_what_it_is(
        self, asked: list[str], csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["drivers", "add", csv_of({"Copper": range(12), "Tin": range(12)}), *asked]) == 1

        said = capsys.readouterr().err
        assert said.casefold().startswith('nothing was added. "month" is the column of dates. name columns of numbers')
        assert "--value-column" in said
        assert not folder.exists()

    def test_values_without_any_dates_are_told_as_such(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "table.csv"
        file.write_text("a,b\n1,2\n3,4\n")

        assert main(["drivers", "add", str(file), "--value-column", "a"]) == 1

        assert "No column holds dates" in capsys.readouterr().err

    @pytest.mark.parametrize("more", [[], ["--value-column", "Tin"], ["--value-column", "Tin", "--name", "Zinc"]])
    def test_another_one_named_for_it_is_told_in_a_line(
        self, more: list[str], csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = csv_of({"Copper": range(100, 112), "Tin": range(12)})

        assert main(["drivers", "add", file, "--date-column", "Copper", *more]) == 1

        assert capsys.readouterr().err == (
            'Nothing was added. "Copper" holds no dates. Name the column that does with --date-column.\n'
        )
        assert not folder.exists()

    def test_one_with_few_dates_is_doubted(
        self, csv_of: Callable[[Columns], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = csv_of({"Since": ["2025-01", *["never"] * 11], "Tin": range(12)})

        assert main(["drivers", "add", file, "--date-column", "Since", "--value-column", "Tin"]) == 1

        said = capsys.readouterr().err
        assert said.startswith("Nothing was added. Left out")
        assert "Correct the file. Or name another --date-column." in said


@pytest.mark.parametrize("header", ["copper", " Copper ", "Cop\u200bper"])
def test_two_columns_of_one_name_are_left_out_both(
    csv_of: Callable[[Columns], str], folder: Path, header: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drivers", "add", csv_of({"Copper": range(12), header: range(12)})]) == 1

    assert "different names" in capsys.readouterr().err
    assert not folder.exists()


def test_fill_and_aggregate_make_months_of_what_is_none(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "days.csv"
    file.write_text("day,Rate\n" + "\n".join(f"2025-{m:02d}-{d:02d},{m}" for m in (1, 2, 4) for d in range(1, 29)))

    assert main(["drivers", "add", str(file)]) == 1
    assert "--aggregate mean" in capsys.readouterr().err
    assert main(["drivers", "add", str(file), "--aggregate", "mean", "--fill", "linear"]) == 0

    assert list(kept(folder)["Rate"].months.values()) == [1.0, 2.0, 3.0, 4.0]
    assert 'Note on "Rate": fill="linear" set 2025-03' in capsys.readouterr().out


class TestName:
    def test_it_names_the_one_series_of_a_file(self, csv_of: Callable[[Columns], str], folder: Path) -> None:
        file = csv_of({"value": range(12), "note": ["x"] * 12})

        assert main(["drivers", "add", file, "--name", "Births in Peru"]) == 0

        assert kept(folder).keys() == {"Births in Peru"}

    def test_several_series_are_refused_with_what_to_do(
        self, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = csv_of({"a": range(12), "b": range(12)})

        assert main(["drivers", "add", file, "--name", "Births"]) == 1
        assert "--value-column" in capsys.readouterr().err
        assert main(["drivers", "add", file, "--name", "Births", "--value-column", "a", "--value-column", "b"]) == 1
        assert "--name is for one series" in capsys.readouterr().err
        assert not folder.exists()
        assert main(["drivers", "add", file, "--name", "Births", "--value-column", "b"]) == 0

    @pytest.mark.parametrize("flag", ["--name", "--region", "--category"])
    @pytest.mark.parametrize("text", ["", "\x1b\x07", "x" * 256])
    def test_names_that_cannot_be_used_are_refused(
        self, csv_of: Callable[[Columns], str], folder: Path, flag: str, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["drivers", "add", csv_of({"a": range(12)}), flag, text]) == 1

        assert flag in capsys.readouterr().err
        assert not folder.exists()


def test_a_long_table_is_not_averaged_away(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{month},{region},{at}" for at, month in enumerate(MONTHS) for region in "NS"]
    file = tmp_path / "long.csv"
    file.write_text("\n".join(["month,region,Tin", *rows]), encoding="utf-8")

    assert main(["drivers", "add", str(file), "--value-column", "Tin"]) == 1
    told = capsys.readouterr().err
    assert 'told apart by "region"' in told
    assert "--aggregate mean" not in told

    assert main(["drivers", "add", str(file), "--value-column", "Tin", "--aggregate", "sum"]) == 0
    assert kept(folder)["Tin"].months["2025-12-01"] == 22.0


def test_value_columns_choose(csv_of: Callable[[Columns], str], folder: Path) -> None:
    file = csv_of({"a": range(12), "b": range(12), "c": ["x"] * 12})

    assert main(["drivers", "add", file, "--value-column", "b", "--value-column", "A", "--date-column", "month"]) == 0

    assert kept(folder).keys() == {"a", "b"}


def test_hostile_names_are_harmless_in_the_folder_and_on_the_screen(
    csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns: Columns = {"\x1b[31m<b>Ignore\u202e</b>": range(12), "=cmd()": range(12), "x" * 300: range(12)}

    assert main(["drivers", "add", csv_of(columns)]) == 1
    assert main(["drivers", "list"]) == 0
    assert main(["drivers", "list", "--json"]) == 0

    said = capsys.readouterr()
    assert not {"\x1b", "\u202e"}.intersection(said.out + said.err)
    assert "<b>" not in said.out.split("[\n")[0]
    assert "the name has 300 bytes" in said.err.lower()
    assert all(name.isprintable() for name in kept(folder))


def test_huge_numbers_are_kept_and_endless_ones_are_not(csv_of: Callable[[Columns], str], folder: Path) -> None:
    columns: Columns = {"Huge": [1e308, -1e308] * 6, "Endless": [1.0] * 6 + ["1e999"] + [1.0] * 5}

    assert main(["drivers", "add", csv_of(columns)]) == 1

    assert kept(folder).keys() == {"Huge"}


class TestLimits:
    def test_more_columns_than_the_folder_takes_are_refused(
        self, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["drivers", "add", csv_of({f"s{number}": range(12) for number in range(1001)})]) == 1

        assert "more than 1,001 columns" in capsys.readouterr().err
        assert not folder.exists()

    def test_a_thousand_series_fit(
        self, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["drivers", "add", csv_of({f"s{number}": range(12) for number in range(1000)})]) == 0
        assert len(kept(folder)) == 1000
        assert "Added 980 more" in capsys.readouterr().out

        assert main(["drivers", "add", csv_of({"one more": range(12)})]) == 1
        assert "takes 1,000 series" in capsys.readouterr().err

    def test_a_forged_year_is_no_series_of_a_hundred_thousand_months(
        self, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "forged.csv"
        file.write_text("month,a\n" + "\n".join(f"{month}-01,1" for month in [*MONTHS, "9999-12"]))

        assert main(["drivers", "add", str(file), "--fill", "linear"]) == 1

        assert f"more than {library_module.MAX_MONTHS:,}" in capsys.readouterr().err
        assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("absent.csv", None, "does not exist"),
        ("table.pdf", "x", "Only .csv"),
        ("table.csv", "", "no rows"),
        ("table.csv", "a,b\n1,2\n", "--date-column"),
        ("table.csv", "month\n2025-01\n2025-02\n", "no column beside the dates"),
        ("table.csv", "day,a\n01/02/2025,1\n02/03/2025,2\n", "ISO dates"),
        ("table.csv", "2025-01,5\n2025-02,6\n", "no name"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_a_line(
    name: str, content: str | None, told: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    assert main(["drivers", "add", str(tmp_path / name)]) == 1

    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert "`series`" not in said
    assert not folder.exists()


class TestListAndRemove:
    @pytest.fixture(autouse=True)
    def filled(self, csv_of: Callable[[Columns], str], capsys: pytest.CaptureFixture[str]) -> None:
        main(["drivers", "add", csv_of({"copper": range(12)})])
        main(["drivers", "add", csv_of(TWO), "--region", "World", "--category", "Metals"])
        capsys.readouterr()

    def test_the_list_shows_names_places_spans_and_short_ids(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["drivers", "list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main(["drivers", "list", "--json"]) == 0
        data = json.loads(capsys.readouterr().out)

        zinc = next(one for one in data if one["name"] == "Zinc")
        assert len(lines) == 4
        shown = f"{zinc['id'][:8]} Zinc World (1) Metals (1) 2025-03 to 2025-10 8"
        assert " ".join(lines[-1].split()) == shown
        assert (zinc["region_id"], zinc["region"], zinc["category"]) == (1, "World", "Metals")
        assert (zinc["first_month"], zinc["last_month"], zinc["months"]) == ("2025-03", "2025-10", 8)

    def test_a_name_in_any_case_is_removed(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["drivers", "remove", "zinc"]) == 0

        assert capsys.readouterr().out == 'Removed "Zinc".\n'
        assert sorted(kept(folder)) == ["Copper", "copper"]

    def test_a_name_of_two_series_is_removed_by_id_only(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["drivers", "remove", "Copper", "Zinc"]) == 1
        told = capsys.readouterr().err
        assert sorted(kept(folder)) == ["Copper", "copper"]
        assert kept(folder)["Copper"].id in told

        assert main(["drivers", "remove", kept(folder)["Copper"].id[:8]]) == 0
        assert sorted(kept(folder)) == ["copper"]

    @pytest.mark.parametrize("asked", ["Lead", "", "0", "%"])
    def test_what_is_not_there_is_said_and_nothing_else_removed(
        self, asked: str, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["drivers", "remove", asked]) == 1

        assert "drivers list" in capsys.readouterr().err
        assert len(kept(folder)) == 3


def test_an_empty_folder_lists_nothing_and_is_not_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "list"]) == 0
    assert "drivers add" in capsys.readouterr().out
    assert main(["drivers", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["drivers", "remove", "anything"]) == 1
    assert not folder.parent.exists()


def test_a_data_folder_that_cannot_be_used_is_told(
    csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.parent.mkdir()
    folder.write_bytes(b"no database" * 1000)

    for command in (["add", csv_of(TWO)], ["list"], ["remove", "Copper"]):
        assert main(["drivers", *command]) == 1
        assert "SYBILION_MCP_HOME" in capsys.readouterr().err


class TestADamagedFolder:
    @pytest.fixture(autouse=True)
    def damaged(self, csv_of: Callable[[Columns], str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        main(["drivers", "add", csv_of(TWO), "--region", "World"])
        with closing(sqlite3.connect(folder)) as connection, connection:
            connection.execute("UPDATE drivers SET months = '{' WHERE name = 'Zinc'")
        capsys.readouterr()

    @pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["remove", "Copper"]])
    def test_it_is_told_in_a_line_that_names_the_file_and_the_series(
        self, command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["drivers", *command]) == 2

        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert str(folder) in said.err
        assert '"Zinc"' in said.err

    def test_adding_the_series_again_repairs_it(self, csv_of: Callable[[Columns], str], folder: Path) -> None:
        assert main(["drivers", "add", csv_of({"zinc": range(12)})]) == 0

        assert main(["drivers", "list"]) == 0
        assert kept(folder)["zinc"].region == 1


def test_real_prices_come_in_and_their_gaps_are_named(
    shared_data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drivers", "add", str(shared_data / "pinksheet" / "monthly_prices.csv")]) == 1

    assert len(kept(folder)) > 60
    assert "Phosphate rock" in capsys.readouterr().err
