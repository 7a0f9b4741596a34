// Runs under Node with the TypeScript SDK v1: reads a plan from stdin, prints what this client saw.
"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

// The packages lie outside this folder.
const installed = createRequire(process.argv[2] + "/here.js");
const { Client } = installed("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = installed("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = installed("@modelcontextprotocol/sdk/client/streamableHttp.js");

const answer = (result) => ({
  is_error: Boolean(result.isError),
  data: result.structuredContent,
  text: result.content[0].text,
});

async function seen(plan) {
  const transport = plan.url
    ? new StreamableHTTPClientTransport(new URL(plan.url))
    : new StdioClientTransport({ command: plan.command, args: plan.args, env: plan.env });
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  try {
    // Listing first: from then on this client holds every structured answer against the tool's output schema.
    const tools = (await client.listTools()).tools;
    const prompt = await client.getPrompt(plan.prompt);
    const ref = { type: "ref/resource", uri: plan.template };
    const completed = await client.complete({ ref, argument: plan.begun });
    return {
      server: client.getServerVersion().name,
      protocol: transport.protocolVersion ?? "2025-11-25",
      tools: tools.map((tool) => tool.name),
      good: answer(await client.callTool(plan.good)),
      bad: answer(await client.callTool(plan.bad)),
      unknown: answer(await client.callTool({ name: plan.good.name, arguments: { horizn: 3 } })),
      resources: (await client.listResources()).resources.length,
      templates: (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate),
      guide: (await client.readResource({ uri: plan.uri })).contents[0].text,
      prompts: (await client.listPrompts()).prompts.map((one) => one.name),
      prompt: prompt.messages[0].content.text,
      completed: completed.completion.values,
    };
  } finally {
    await client.close();
  }
}

seen(JSON.parse(readFileSync(0, "utf8"))).then(
  (found) => process.stdout.write(JSON.stringify(found) + "\n"),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  },
);
