"""Every environment name the program reads, in one place. A command-line flag wins over the environment."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BackendName = Literal["local", "sybilion"]
SpendPolicy = Literal["ask", "allow", "deny"]


def _default_home() -> Path:
    from platformdirs import user_data_path

    return user_data_path("sybilion-mcp", appauthor=False)


class Settings(BaseSettings):
    """Money in EUR cents. `home` is the data folder; no folder is allowed for files unless named."""

    model_config = SettingsConfigDict(env_prefix="SYBILION_MCP_", env_ignore_empty=True, extra="ignore", frozen=True)

    api_token: SecretStr | None = Field(None, validation_alias=AliasChoices("api_token", "SYBILION_API_TOKEN"))
    api_base_url: str = Field(
        "https://api.sybilion.dev", validation_alias=AliasChoices("api_base_url", "SYBILION_API_BASE_URL")
    )
    backend: BackendName | None = None
    home: Path = Field(default_factory=_default_home)
    allow_dirs: Annotated[tuple[Path, ...], NoDecode] = ()
    read_only: bool = False
    spend: SpendPolicy = "ask"
    spend_cap_eur_cents: int | None = Field(None, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"

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
        """Without a token the embedded engine answers; with one, the Sybilion API."""
        return self.backend or ("sybilion" if self.api_token else "local")
