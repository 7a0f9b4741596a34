"""The routes about an account: what it has and what it was charged."""

from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp.engine import paging
from sybilion_mcp.engine.accounts import Accounts, Balance, Charge, UsageQuery
from sybilion_mcp.engine.answers import Me, UsageEvent, UsageList, UsageSort
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.terms import Terms
from sybilion_mcp.engine.wire import Answer, account_of

FREE_TIER = 0  # where nothing is billed


async def me(request: Request) -> Response:
    account = account_of(request)
    accounts = await _accounts(request)
    terms: Terms | None = request.app.state.terms
    if accounts is None or terms is None:
        return Answer(_me(account, FREE_TIER))
    balance = await accounts.balance(account)
    answer = _me(account, terms.tier.level)
    answer["balance_eur_cents"] = balance.remaining
    answer["available_eur_cents"] = balance.available
    if balance.credit:
        answer["signup_trial"] = {
            "initial_eur_cents": balance.credit,
            "remaining_eur_cents": balance.remaining,
            "granted_at": balance.granted_at,
            "expires_at": balance.expires_at,
        }
        _add_tranche(answer, balance)
    return Answer(answer)


async def usage(request: Request) -> Response:
    account = account_of(request)
    parameters = request.query_params
    query = UsageQuery(
        page=paging.page(parameters),
        limit=paging.limit(parameters),
        sort=paging.choice(parameters, "sort", get_args(UsageSort), "id"),
        descending=paging.descending(parameters),
    )
    accounts = await _accounts(request)
    charges, total = ([], 0) if accounts is None else await accounts.usage(account, query)
    answer: UsageList = {
        "usage_events": [_event(one) for one in charges],
        "pagination": paging.pagination(query.page, query.limit, total, query.sort, descending=query.descending),
    }
    return Answer(answer)


ACCOUNT_ROUTES = (Route("/api/v1/me", me), Route("/api/v1/usage", usage))


async def _accounts(request: Request) -> Accounts | None:
    engine: Engine = request.app.state.engine
    return await engine.accounts()


def _me(account: str, tier: int) -> Me:
    """An account with nothing: nobody can pay anything in."""
    return {
        "user_id": account,
        "balance_eur_cents": 0,
        "available_eur_cents": 0,
        "api_usage_tier": tier,
        "lifetime_paid_cents": 0,
        "payment_count": 0,
        "has_ever_paid": False,
        "role": "user",
        "euro_tranches": [],
    }


def _add_tranche(answer: Me, balance: Balance) -> None:
    if balance.remaining:
        answer["euro_tranches"].append(
            {
                "id": balance.credit_id,
                "source": "signup_trial",
                "initial_eur_cents": balance.credit,
                "remaining_eur_cents": balance.remaining,
                "created_at": balance.granted_at,
                "expires_at": balance.expires_at,
            }
        )


def _event(charge: Charge) -> UsageEvent:
    return cast(
        "UsageEvent",
        {
            "id": charge.id,
            "endpoint": charge.endpoint,
            "units": charge.units,
            "credits_charged": charge.eur_cents,
            "eur_cents_charged": charge.eur_cents,
            "created_at": charge.created_at,
            "async_job_id": charge.job_id,
        },
    )
