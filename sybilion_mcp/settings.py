"""Every environment name the program reads, in one place. A command-line flag wins over the environment."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BackendName = Literal["local", "sybilion"]
SpendPolicy = Literal["ask", "allow", "deny"]
_LONGEST_TOKEN = 16_384  # characters of a token file that are read


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
    """Read only to be kept out of answers and logs."""
    backend: BackendName | None = None
    home: Path = Field(default_factory=_default_home)
    allow_dirs: Annotated[tuple[Path, ...], NoDecode] = ()
    read_only: bool = False
    spend: SpendPolicy = "ask"
    spend_cap_eur_cents: int | None = Field(None, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

    @field_validator("api_token")
    @classmethod
    def _from_file(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        file = info.data.get("api_token_file")
        return _token_in(file) if token is None and file is not None else token

    @field_validator("allow_dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """In the environment, folders are separated as in PATH."""
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

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
    def secrets(self) -> tuple[str, ...]:
        """What must never be told."""
        given = (self.api_token, self.eomer_api_key)
        return tuple(one.get_secret_value().strip() for one in given if one is not None)


def _token_in(file: Path) -> SecretStr | None:
    """The token that a file holds; None when it cannot be read, which only matters once the token is needed."""
    try:
        with file.expanduser().open(encoding="utf-8-sig") as opened:
            token = opened.read(_LONGEST_TOKEN).strip()
    except (OSError, ValueError, RuntimeError):  # not there, not allowed, no text, or no home to expand
        return None
    return SecretStr(token) if token else None
