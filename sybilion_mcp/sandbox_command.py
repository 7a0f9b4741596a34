"""`sandbox`: the embedded engine on a port, with the wire and on the terms that were asked for."""

import argparse
from collections.abc import Callable
from dataclasses import replace

from sybilion_mcp.settings import Settings


def sandbox(arguments: argparse.Namespace, settings: Callable[[], Settings]) -> None:
    """Serve until interrupted, or print the description of the API.

    Raises `OSError` where the address cannot be used.
    """
    if arguments.openapi:
        from sybilion_mcp.engine.description import print_description

        print_description()
        return
    home = settings().home / "sandbox"
    if arguments.api == "eomer":
        from sybilion_mcp.engine.eomer.sandbox import serve_eomer_sandbox

        serve_eomer_sandbox(arguments.host, arguments.port, home / "eomer")
        return
    from sybilion_mcp.engine.sandbox import serve_sandbox
    from sybilion_mcp.engine.terms import TIERS, Terms

    given = vars(arguments)
    caps = {name: given[name] for name in ("max_jobs", "requests_per_minute") if name in given}
    rest = {name: given[name] for name in ("credit_eur_cents", "job_seconds", "retention_seconds") if name in given}
    terms = Terms(tier=replace(TIERS[arguments.tier], **caps), **rest)
    serve_sandbox(arguments.host, arguments.port, home, settings().drivers_file, terms)
