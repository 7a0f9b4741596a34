"""A checked request as the multipart form that is posted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sybilion_mcp.contract.eomer_request import MIN_OBSERVATIONS, EomerRequest, frequency_of, table_of


@dataclass(frozen=True, slots=True)
class Form:
    """The multipart form of a submit: its fields, and the table as a file."""

    fields: Mapping[str, str]
    filename: str
    content: bytes


def form_of(body: Mapping[str, object]) -> Form:
    """The form for a body that passed `check_eomer`. Silence of the caller stays silence, but for what must be said.

    Fewer than three observations tell no service how far apart they are, so that the frequency is named then.
    """
    request = EomerRequest.model_validate(dict(body))
    fields = {
        "prediction_length": str(request.prediction_length),
        "presets": request.presets,
        "item_id_column": request.item_id_column,
        "timestamp_column": request.timestamp_column,
        "target_column": request.target_column,
    }
    freq = request.freq
    if freq is None and max(map(len, request.series.values())) <= MIN_OBSERVATIONS:
        found = frequency_of(request)
        freq = found.alias if found else None
    if freq is not None:
        fields["freq"] = freq
    if request.quantile_levels:
        fields["quantile_levels"] = ",".join(f"{level:g}" for level in request.quantile_levels)
    if request.explainability is not None:
        fields["explainability"] = json.dumps(request.explainability)
    return Form(fields, "series.csv", table_of(request))
