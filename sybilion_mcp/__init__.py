"""The forecasting desk for language-model agents: an MCP server over the Sybilion API and an embedded engine."""

__version__ = "0.1.0"
