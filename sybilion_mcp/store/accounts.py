"""Whose the tokens are. A user keeps the name of an account whatever token comes next."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from sybilion_mcp.store.tables import accounts


def tokens_beside(token: str) -> Select[tuple[str]]:
    """Every token of the account that a token belongs to; none where it is not known."""
    name = select(accounts.c.name).where(accounts.c.token == token).scalar_subquery()
    return select(accounts.c.token).where(accounts.c.name == name)


async def names(connection: AsyncConnection, token: str) -> list[str]:
    """The name of the token's account, then its other tokens; nothing where the token is not known."""
    first: Any = accounts.c.token == accounts.c.name
    return list(await connection.scalars(tokens_beside(token).order_by(first.desc(), accounts.c.token)))


async def learn(connection: AsyncConnection, token: str, user: str, service: str) -> None:
    known = select(accounts.c.name).where(accounts.c.user == user).limit(1)
    name = await connection.scalar(known) or token
    row = upsert(accounts).values(token=token, user=user, name=name, service=service)
    await connection.execute(row.on_conflict_do_nothing())


async def any_at(connection: AsyncConnection, service: str) -> bool:
    return await connection.scalar(select(accounts.c.token).where(accounts.c.service == service).limit(1)) is not None
