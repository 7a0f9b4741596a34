"""The request while it is checked: as sent, then with the offered fixes applied one by one."""

from dataclasses import dataclass
from datetime import date

from pydantic import BaseModel

from sybilion_mcp.contract.problem import Fix
from sybilion_mcp.contract.request import Filters, ForecastRequest, TimeseriesMetadata


@dataclass(slots=True)
class Draft:
    """`unreadable` names the fields whose JSON type was wrong: their rules have nothing to say."""

    request: ForecastRequest
    today: date
    unreadable: frozenset[str] = frozenset()

    def readable(self, name: str) -> bool:
        return not any(path == name or path.startswith((f"{name}.", f"{name}[")) for path in self.unreadable)

    def value(self, path: str) -> object:
        owner, name = self._owner(path)
        value: object = getattr(owner, name)
        return value

    def apply(self, fix: Fix) -> None:
        owner, name = self._owner(fix.field)
        setattr(owner, name, fix.value)

    def _owner(self, path: str) -> tuple[BaseModel, str]:
        head, _, name = path.rpartition(".")
        if head == "timeseries_metadata":
            self.request.timeseries_metadata = self.request.timeseries_metadata or TimeseriesMetadata()
            return self.request.timeseries_metadata, name
        if head == "filters":
            self.request.filters = self.request.filters or Filters()
            return self.request.filters, name
        return self.request, name
