"""What a worker process is asked to do; light, because the server imports it too."""


def run_many(request: str) -> dict[str, bytes]:
    """Run one checked request (JSON text) to its files: file name → content."""
    import json

    from sybilion_mcp.engine.eomer.work import run_eomer

    return run_eomer(json.loads(request))
