"""What the environment says: above all where the token comes from."""

from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.backends.sybilion import SybilionClient
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings, unread_names

pytestmark = pytest.mark.anyio

TOKEN = "sk_ops_canary_0123456789"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SYBILION_API_TOKEN", "SYBILION_API_TOKEN_FILE", "EOMER_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def token_of(settings: Settings) -> str | None:
    return settings.api_token.get_secret_value() if settings.api_token else None


@pytest.mark.parametrize("written", [TOKEN, f"{TOKEN}\n", f"\n  {TOKEN}\t\r\n"])
async def test_the_token_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str) -> None:
    file = tmp_path / "token"
    file.write_text(written, encoding="utf-8")
    monkeypatch.setenv("SYBILION_API_TOKEN_FILE", str(file))

    settings = Settings()

    assert token_of(settings) == TOKEN
    assert settings.default_backend == "sybilion"
    assert TOKEN in settings.secrets
    desk = Desk(settings)
    assert desk.backend().name == "sybilion"
    await desk.aclose()


def test_the_token_itself_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sk_ops_another", encoding="utf-8")
    monkeypatch.setenv("SYBILION_API_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("SYBILION_API_TOKEN", TOKEN)

    assert token_of(Settings()) == TOKEN


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist."),
        (b"", "is empty."),
        (b" \n", "is empty."),
        (b"\xff\xfe\x00", "holds no text."),
        ("a folder", "cannot be read: Is a directory."),
        (f"{TOKEN}\nand more\n".encode(), "holds several lines; it must hold the token and nothing else."),
    ],
)
def test_a_file_without_a_token_is_told_when_the_token_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | str | None, told: str
) -> None:
    """And the hosted service stays what was meant: nothing else answers in its place."""
    file = tmp_path / "token"
    if isinstance(content, str):
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("SYBILION_API_TOKEN_FILE", str(file))

    settings = Settings()

    assert settings.default_backend == "sybilion"
    with pytest.raises(Refusal) as caught:
        Desk(settings).backend()
    assert caught.value.code == "token_missing"
    assert caught.value.message.endswith(f"The file that SYBILION_API_TOKEN_FILE names {told}")
    assert "SYBILION_API_TOKEN_FILE" in caught.value.hint


def test_a_file_that_was_corrected_since_takes_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYBILION_API_TOKEN_FILE", str(tmp_path / "token"))
    settings = Settings()
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")

    with pytest.raises(Refusal) as caught:
        Desk(settings).backend()

    assert "corrected after" in caught.value.message
    assert "restart" in caught.value.hint


@pytest.mark.parametrize("variable", ["SYBILION_API_TOKEN", "SYBILION_API_TOKEN_FILE"])
async def test_a_token_that_is_refused_is_named_by_where_it_comes_from(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the service, and before it is sent."""
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    (tmp_path / "odd").write_text("sk_ops_\N{SNOWMAN}", encoding="utf-8")
    of_file = variable.endswith("_FILE")
    monkeypatch.setenv(variable, str(tmp_path / "token") if of_file else TOKEN)
    refusing = httpx.MockTransport(lambda _: httpx.Response(401, json={"error": "invalid bearer token"}))
    client = SybilionClient("http://api.example", TOKEN, transport=refusing, token_variable=Settings().token_variable)
    with pytest.raises(BackendError) as caught:
        await client.account()
    await client.aclose()

    failure = explain(caught.value, Subject("submit_forecast"))

    assert failure.code == "token_rejected"
    assert failure.message == f"The service does not accept the token of {variable}."
    monkeypatch.setenv(variable, str(tmp_path / "odd") if of_file else "sk_ops_\N{SNOWMAN}")
    with pytest.raises(Refusal, match=f"The token of {variable} holds") as refused:
        Desk(Settings()).backend()
    assert refused.value.code == "token_rejected"


def test_a_token_that_was_given_for_its_file_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYBILION_API_TOKEN_FILE", TOKEN)

    settings = Settings()

    with pytest.raises(Refusal) as caught:
        Desk(settings).backend()
    assert TOKEN not in f"{settings!r} {settings} {caught.value.message} {caught.value.hint}"


def test_settings_do_not_tell_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOMER_API_KEY", "eomer-key-0123456789")
    settings = Settings(api_token=TOKEN)

    assert settings.secrets == (TOKEN, "eomer-key-0123456789")
    for told in (repr(settings), str(settings), settings.model_dump_json(), repr(Desk(settings))):
        assert TOKEN not in told
        assert "0123456789" not in told


def test_a_secret_in_the_wrong_place_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYBILION_MCP_BACKEND", TOKEN)

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("toolset", ["core", "all"])
def test_the_environment_chooses_the_toolset(monkeypatch: pytest.MonkeyPatch, toolset: str) -> None:
    assert Settings().toolset == "core"
    monkeypatch.setenv("SYBILION_MCP_TOOLSET", toolset)

    assert Settings().toolset == toolset


def test_the_key_and_the_address_of_eomer_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOMER_API_KEY", " eomer-key-0123456789 ")
    monkeypatch.setenv("EOMER_API_BASE_URL", "https://api.eomer.test")

    settings = Settings()

    assert settings.eomer_api_base_url == "https://api.eomer.test"
    assert settings.secrets == ("eomer-key-0123456789",)
    assert "eomer-key" not in repr(settings)
    assert settings.default_backend == "local"


def test_no_secret_belongs_into_the_address_of_eomer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOMER_API_BASE_URL", "https://user:word@api.eomer.test")

    with pytest.raises(ValidationError, match="no user, password"):
        Settings()


@pytest.mark.parametrize(("token", "backend"), [(None, "local"), ("sk_ops_x", "sybilion")])
def test_what_only_sybilion_has_is_asked_there_though_eomer_is_the_backend(token: str | None, backend: str) -> None:
    assert Settings(backend="eomer", api_token=token).sybilion_backend == backend


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SYBILLION_API_TOKEN", "SYBILION_API_TOKEN"),
        ("Sybilon_Api_Token", "SYBILION_API_TOKEN"),
        ("SYBILION_TOKEN", "SYBILION_API_TOKEN"),
        ("SYBILION_MCP_TOKEN", "SYBILION_API_TOKEN"),
        ("EOMER_APIKEY", "EOMER_API_KEY"),
        ("EOMMER_API_KEY", "EOMER_API_KEY"),
        ("SYBILLION_MCP_SPEND", "SYBILION_MCP_SPEND"),
        ("SYBILION_MCP_SPENDCAP", "SYBILION_MCP_SPEND_CAP_EUR_CENTS"),
        ("SYBILION_MCP_SPEND_CAP", "SYBILION_MCP_SPEND_CAP_EUR_CENTS"),
        ("SYBILION_MCP_SPENDS", "SYBILION_MCP_SPEND"),
    ],
)
def test_a_name_that_nothing_reads_is_told_with_what_was_meant(name: str, meant: str) -> None:
    assert unread_names({name: "a secret", "PATH": "/bin"}) == [f"{name} (did you mean {meant}?)"]


@pytest.mark.parametrize("name", ["GITHUB_API_TOKEN", "HOME", "COHERE_API_KEY", "EXA_API_KEY", "SYBILION_API_TOKEN"])
def test_names_that_are_read_or_belong_to_others_are_not_told(name: str) -> None:
    assert unread_names({name: "1"}) == []
