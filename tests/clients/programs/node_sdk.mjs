// The steps of the official SDK for Node and its tool runner, which requests threads on its own (THR-1..3).

import { AND_SUN, ASK_CITY, ASK_ON, ASK_THOUGHT, ASK_WEATHER, CITY, HELLO, HELLO_THERE } from "./steps.mjs";
import { ASK_PAGES, ASK_PICTURE, A_DOT, PAGES_SAY, PDF, PNG } from "./steps.mjs";
import { IT_RAINS, KEY, MAX_TOKENS, MODEL, THOUGHT, URL, WEATHER, load, refused, same, runSteps } from "./steps.mjs";

const { Anthropic } = load("@anthropic-ai/sdk");
const { betaZodTool } = load("@anthropic-ai/sdk/helpers/beta/zod");
const { zodOutputFormat } = load("@anthropic-ai/sdk/helpers/zod");
const { z } = load("zod");

const client = new Anthropic({ baseURL: URL, authToken: KEY, apiKey: null, maxRetries: 0 });
const user = (content) => ({ role: "user", content });
const ask = (content, fields = {}) => ({ model: MODEL, max_tokens: MAX_TOKENS, messages: [user(content)], ...fields });

async function message() {
  same((await client.messages.create(ask(HELLO))).content[0].text, HELLO_THERE);
}

async function stream() {
  const events = client.messages.stream(ask(HELLO));
  let text = "";
  events.on("text", (delta) => (text += delta));
  same((await events.finalMessage()).content[0].text, HELLO_THERE);
  same(text, HELLO_THERE);
}

async function tools() {
  const weather = betaZodTool({
    name: "get_weather",
    description: "Weather of a place.",
    inputSchema: z.object({ place: z.string() }),
    run: ({ place }) => (same(place, "Ulm"), WEATHER),
  });
  same((await client.beta.messages.toolRunner(ask(ASK_WEATHER, { tools: [weather] }))).content[0].text, IT_RAINS);
  const streams = client.beta.messages.toolRunner(ask(ASK_WEATHER, { tools: [weather], stream: true }));
  same((await streams.runUntilDone()).content[0].text, IT_RAINS);
}

async function thinking() {
  const policy = { thinking: { type: "adaptive" } };
  const answer = await client.messages.create(ask(ASK_THOUGHT, policy));
  same([answer.content[0].type, answer.content[0].thinking], ["thinking", THOUGHT]);
  const messages = [user(ASK_THOUGHT), { role: "assistant", content: answer.content }, user(ASK_ON)];
  same((await client.messages.create(ask("", { ...policy, messages }))).content[0].text, AND_SUN);
}

async function structured() {
  const format = zodOutputFormat(z.object({ city: z.string() }));
  same((await client.messages.parse(ask(ASK_CITY, { output_config: { format } }))).parsed_output, { city: CITY });
}

const source = (media_type, file) => ({ type: "base64", media_type, data: file.toString("base64") });

async function image() {
  const content = [{ type: "image", source: source("image/png", PNG) }, { type: "text", text: ASK_PICTURE }];
  same((await client.messages.create(ask(content))).content[0].text, A_DOT);
}

async function pdf() {
  const content = [{ type: "document", source: source("application/pdf", PDF) }, { type: "text", text: ASK_PAGES }];
  same((await client.messages.create(ask(content))).content[0].text, PAGES_SAY);
}

async function count() {
  const { input_tokens } = await client.messages.countTokens({ model: MODEL, messages: [user(HELLO)] });
  same(input_tokens, (await client.messages.create(ask(HELLO))).usage.input_tokens);
}

async function errors() {
  await refused(401, () => client.withOptions({ authToken: "wrong" }).messages.create(ask(HELLO)));
  await refused(404, () => client.messages.create(ask(HELLO, { model: "gpt-9" })));
  await refused(400, () => client.messages.create(ask(HELLO, { messages: [] })));
}

await runSteps({ message, stream, tools, thinking, structured, image, pdf, count, errors });
