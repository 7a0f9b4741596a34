"""Every environment name the program reads, in one place. A command-line flag wins over the environment."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BackendName = Literal["local", "sybilion", "eomer"]
SpendPolicy = Literal["ask", "allow", "deny"]
Toolset = Literal["core", "all"]
_LONGEST_TOKEN = 16_384  # characters of a token file that are read
_OURS = ("SYBILION_", "EOMER_")
_CLOSE = 0.86  # as near a name that only begins somewhat like ours must come: those of other programs are let be
_OWN = "SYBILION_MCP_"
_THE_FILE = "The file that SYBILION_API_TOKEN_FILE names"


def _default_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path("sybilion-mcp", appauthor=False)


class Settings(BaseSettings):
    """Money in EUR cents. `home` is the data folder; no folder is allowed for files unless named.

    The token is the one in `api_token_file` unless it is given itself; None when neither is, or the file holds none.
    """

    model_config = SettingsConfigDict(
        env_prefix="SYBILION_MCP_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    api_token_file: Path | None = Field(
        None, validation_alias=AliasChoices("api_token_file", "SYBILION_API_TOKEN_FILE"), repr=False
    )
    api_token: SecretStr | None = Field(
        None, validation_alias=AliasChoices("api_token", "SYBILION_API_TOKEN"), validate_default=True
    )
    api_base_url: str = Field(
        "https://api.sybilion.dev", validation_alias=AliasChoices("api_base_url", "SYBILION_API_BASE_URL")
    )
    eomer_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("eomer_api_key", "EOMER_API_KEY"))
    eomer_api_base_url: str = Field(
        "https://eomer-api.onrender.com", validation_alias=AliasChoices("eomer_api_base_url", "EOMER_API_BASE_URL")
    )
    backend: BackendName | None = None
    home: Path = Field(default_factory=_default_home)
    allow_dirs: Annotated[tuple[Path, ...], NoDecode] = ()
    read_only: bool = False
    toolset: Toolset = "core"
    spend: SpendPolicy = "ask"
    spend_cap_eur_cents: int | None = Field(None, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

    # Only for HTTP.
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names under which clients reach the server; one without a port fits every port."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Web pages that may call it, as https://app.example.com."""
    public_url: str | None = None
    """Where clients reach the endpoint, as https://forecasts.example.com/mcp."""
    oauth_issuer: str | None = None
    """With it every caller needs a token of this authorization server."""
    oauth_audience: str | None = None
    oauth_scopes: Annotated[tuple[str, ...], NoDecode] = ()
    oauth_jwks_url: str | None = None
    """Where the issuer's keys are; otherwise its own description says so."""

    @field_validator("api_token")
    @classmethod
    def _from_file(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        file = info.data.get("api_token_file")
        if token is not None or file is None:
            return token
        read = _read_token(file)[0]
        return SecretStr(read) if read else None

    @property
    def token_fault(self) -> str:
        """Why there is no token, though a file is said to hold it; empty where none is said."""
        if self.api_token is not None or self.api_token_file is None:
            return ""
        return _read_token(self.api_token_file)[1] or "The file was corrected after this server had read it."

    @property
    def token_variable(self) -> str:
        """Where the token comes from."""
        given = "api_token" in self.model_fields_set or self.api_token_file is None
        return "SYBILION_API_TOKEN" if given else "SYBILION_API_TOKEN_FILE"

    @field_validator("api_base_url", "eomer_api_base_url")
    @classmethod
    def _address_alone(cls, url: str, about: ValidationInfo) -> str:
        """Addresses are told and logged, so none may hold a secret; and what each call adds is not part of them."""
        if "@" in url or "?" in url or "#" in url:
            variable = "EOMER_API_KEY" if about.field_name == "eomer_api_base_url" else "SYBILION_API_TOKEN"
            raise ValueError(f"must hold no user, password or query; what is secret goes into {variable}")
        if url.rstrip("/").endswith("/api/v1"):
            raise ValueError("must end before /api/v1, which every call adds itself")
        return url

    @field_validator("public_url")
    @classmethod
    def _address_of_web(cls, url: str | None) -> str | None:
        try:
            parts = urlsplit(url or "https://none.given")
        except ValueError:  # half an IPv6 address
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address as https://forecasts.example.com/mcp")
        return url

    @field_validator("allow_dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """In the environment, folders are separated as in PATH."""
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("allowed_hosts", "allowed_origins", "oauth_scopes", mode="before")
    @classmethod
    def _separate(cls, value: object) -> object:
        """In the environment, several are separated by commas or spaces."""
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @property
    def drivers_file(self) -> Path:
        """The driver folder of the embedded engine, which the sandbox shares."""
        return self.home / "drivers.db"

    @field_validator("home", mode="after")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()

    @property
    def default_backend(self) -> BackendName:
        """Without a token the embedded engine answers; with one, or a file that should hold it, the Sybilion API."""
        return self.backend or ("sybilion" if self.api_token or self.api_token_file else "local")

    @property
    def sybilion_backend(self) -> BackendName:
        """Who answers what only Sybilion's API has, unless a call says otherwise."""
        if self.default_backend != "eomer":
            return self.default_backend
        return "sybilion" if self.api_token or self.api_token_file else "local"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be told."""
        given = (self.api_token, self.eomer_api_key)
        return tuple(one.get_secret_value().strip() for one in given if one is not None)


def variable(field: str) -> str:
    """The environment name that a field is set by, as a mistake in it is told."""
    if field.upper() == field:
        return field
    alias = Settings.model_fields[field].validation_alias if field in Settings.model_fields else None
    return str(alias.choices[-1]) if isinstance(alias, AliasChoices) else f"SYBILION_MCP_{field.upper()}"


def unread_names(environment: Mapping[str, str]) -> list[str]:
    """Names of the environment that look like ours and that nothing reads, with what was probably meant; five of them.

    What they are set to is not told.
    """
    known, told = known_names(), []
    for name in sorted(name for name in environment if name.upper() not in known):
        ours = name.upper().startswith(_OURS)
        meant = _meant(name.upper(), known, 0.7 if ours else _CLOSE) if ours or _begins_alike(name.upper()) else None
        if ours or meant:
            told.append(f"{name[:60]}{f' (did you mean {meant}?)' if meant else ''}")
    return told[:5]


def _begins_alike(name: str) -> bool:
    """Whether the first word has the letters of one of ours, but one: quickly told, as every start asks."""
    letters = set(name.partition("_")[0])
    return any(len(letters.symmetric_difference(one.rstrip("_"))) <= 1 for one in _OURS)


def _meant(name: str, known: Collection[str], least: float) -> str | None:
    """The nearest of the names, which are told apart by what they do not all begin with, and by no underscores."""
    from difflib import get_close_matches

    if name.startswith(_OWN):
        names = {one.removeprefix(_OWN).replace("_", ""): one for one in known if one.startswith(_OWN)}
        said = name.removeprefix(_OWN).replace("_", "")
        longer = [names[one] for one in sorted(names) if len(said) > len("SPEND") and one.startswith(said)]
        near = get_close_matches(said, names, n=1, cutoff=0.6)
        if longer or near:
            return longer[0] if longer else names[near[0]]
        name = f"{_OURS[0]}{name.removeprefix(_OWN)}"
    near = get_close_matches(name, known, n=1, cutoff=least)
    return near[0] if near else None


def known_names() -> frozenset[str]:
    """Every name of the environment that the settings read, in capitals; they are read in any case."""
    return frozenset(map(variable, Settings.model_fields))


def _read_token(file: Path) -> tuple[str, str]:
    """The token that a file holds, and what is wrong where it holds none, which only matters once it is needed.

    The path is not told: somebody may have written the token in its place.
    """
    try:
        with file.expanduser().open(encoding="utf-8-sig") as opened:
            token = opened.read(_LONGEST_TOKEN).strip()
    except (FileNotFoundError, NotADirectoryError):
        return "", f"{_THE_FILE} does not exist."
    except UnicodeDecodeError:
        return "", f"{_THE_FILE} holds no text."
    except (OSError, ValueError, RuntimeError) as error:  # not allowed, a folder, or no home to expand
        reason = getattr(error, "strerror", None) or "its path is none"
        return "", f"{_THE_FILE} cannot be read: {reason}."
    if not token:
        return "", f"{_THE_FILE} is empty."
    if len(token.splitlines()) > 1:
        return "", f"{_THE_FILE} holds several lines; it must hold the token and nothing else."
    return token, ""
