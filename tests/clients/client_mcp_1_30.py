"""Runs under `mcp` 1.30, in an environment of its own: reads a plan from stdin, prints what this client saw."""

import json
import sys
from contextlib import asynccontextmanager

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import ResourceTemplateReference
from pydantic import AnyUrl


@asynccontextmanager
async def connected(plan):
    if "url" in plan:
        async with streamablehttp_client(plan["url"]) as (reading, writing, _):
            yield reading, writing
    else:
        server = StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"])
        async with stdio_client(server) as (reading, writing):
            yield reading, writing


def answer(result):
    return {"is_error": bool(result.isError), "data": result.structuredContent, "text": result.content[0].text}


async def seen(plan):
    async with connected(plan) as streams, ClientSession(*streams) as session:
        started = await session.initialize()
        tools = await session.list_tools()
        guide = await session.read_resource(AnyUrl(plan["uri"]))
        prompt = await session.get_prompt(plan["prompt"]["name"], plan["prompt"]["arguments"])
        reference = ResourceTemplateReference(type="ref/resource", uri=plan["template"])
        completed = await session.complete(reference, plan["begun"])
        return {
            "server": started.serverInfo.name,
            "protocol": started.protocolVersion,
            "tools": [tool.name for tool in tools.tools],
            "good": answer(await session.call_tool(plan["good"]["name"], plan["good"]["arguments"])),
            "bad": answer(await session.call_tool(plan["bad"]["name"], plan["bad"]["arguments"])),
            "unknown": answer(await session.call_tool(plan["good"]["name"], {"horizn": 3})),
            "resources": len((await session.list_resources()).resources),
            "templates": [one.uriTemplate for one in (await session.list_resource_templates()).resourceTemplates],
            "guide": guide.contents[0].text,
            "prompts": [one.name for one in (await session.list_prompts()).prompts],
            "prompt": prompt.messages[0].content.text,
            "completed": completed.completion.values,
        }


print(json.dumps(anyio.run(seen, json.load(sys.stdin))))
