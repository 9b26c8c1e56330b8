// The steps of the AI SDK with its Anthropic provider.

import { AND_SUN, ASK_CITY, ASK_ON, ASK_THOUGHT, ASK_WEATHER, CITY, HELLO, HELLO_THERE } from "./steps.mjs";
import { ASK_PAGES, ASK_PICTURE, A_DOT, PAGES_SAY, PDF, PNG } from "./steps.mjs";
import { IT_RAINS, KEY, MAX_TOKENS, MODEL, THOUGHT, URL, WEATHER, load, refused, same, runSteps } from "./steps.mjs";

const { createAnthropic } = load("@ai-sdk/anthropic");
const { Output, generateText, stepCountIs, streamText, tool } = load("ai");
const { z } = load("zod");

const ask = (prompt, fields = {}, { apiKey = KEY, model = MODEL } = {}) => ({
  model: createAnthropic({ baseURL: `${URL}/v1`, apiKey })(model),
  maxOutputTokens: MAX_TOKENS,
  maxRetries: 0,
  prompt,
  ...fields,
});

async function message() {
  const answer = await generateText(ask(HELLO));
  same([answer.text, answer.finishReason], [HELLO_THERE, "stop"]);
}

async function stream() {
  let text = "";
  for await (const delta of streamText(ask(HELLO)).textStream) text += delta;
  same(text, HELLO_THERE);
}

async function tools() {
  const get_weather = tool({
    description: "Weather of a place.",
    inputSchema: z.object({ place: z.string() }),
    execute: async ({ place }) => (same(place, "Ulm"), WEATHER),
  });
  const loop = { tools: { get_weather }, stopWhen: stepCountIs(3) };
  same((await generateText(ask(ASK_WEATHER, loop))).text, IT_RAINS);
  let text = "";
  for await (const delta of streamText(ask(ASK_WEATHER, loop)).textStream) text += delta;
  same(text, IT_RAINS);
}

async function thinking() {
  const providerOptions = { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } };
  const answer = await generateText(ask(ASK_THOUGHT, { providerOptions }));
  same(answer.reasoningText, THOUGHT);
  const messages = [{ role: "user", content: ASK_THOUGHT }, ...answer.response.messages, { role: "user", content: ASK_ON }];
  same((await generateText(ask(undefined, { providerOptions, messages }))).text, AND_SUN);
}

async function structured() {
  const output = Output.object({ schema: z.object({ city: z.string() }) });
  same((await generateText(ask(ASK_CITY, { output }))).output, { city: CITY });
}

const about = (part, question) => ask(undefined, { messages: [{ role: "user", content: [part, { type: "text", text: question }] }] });

async function image() {
  same((await generateText(about({ type: "image", image: PNG }, ASK_PICTURE))).text, A_DOT);
}

async function pdf() {
  same((await generateText(about({ type: "file", mediaType: "application/pdf", data: PDF }, ASK_PAGES))).text, PAGES_SAY);
}

async function errors() {
  await refused(401, () => generateText(ask(HELLO, {}, { apiKey: "wrong" })));
  await refused(404, () => generateText(ask(HELLO, {}, { model: "gpt-9" })));
  await refused(400, () => generateText(ask(HELLO, { stopSequences: [" "] })));
}

await runSteps({ message, stream, tools, thinking, structured, image, pdf, errors });
