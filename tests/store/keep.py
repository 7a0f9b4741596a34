"""An artifact kept in one go, as a download keeps it piece by piece."""

from sybilion_mcp.store.draft import Draft
from sybilion_mcp.store.store import Store


async def put_artifact(store: Store, job_id: str, name: str, content: bytes) -> bool:
    with Draft() as draft:
        await fill(draft, content)
        return await store.put_draft(job_id, name, draft)


async def fill(draft: Draft, content: bytes) -> None:
    """All of it, and nothing more comes."""
    await draft.add(content)
    await draft.seal()
