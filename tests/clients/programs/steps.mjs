// The steps of every Node client, as in steps.py. Packages are loaded from the current folder.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

export const load = createRequire(join(process.cwd(), "any.js"));
export const [URL] = process.argv.slice(2);
export const MODEL = "scripted";
export const KEY = "secret";
export const MAX_TOKENS = 3000;

export const [HELLO, HELLO_THERE] = ["Hello.", "Hello there."];
export const [ASK_WEATHER, WEATHER, IT_RAINS] = ["Weather in Ulm?", "rain, 12 degrees", "It rains in Ulm."];
export const [ASK_THOUGHT, THOUGHT] = ["Think of rain.", "It may rain."];
export const [ASK_ON, AND_SUN] = ["And then?", "Then the sun."];
export const [ASK_PICTURE, A_DOT] = ["What is on the picture?", "A red dot."];
export const [ASK_PAGES, PAGES_SAY] = ["What do the pages say?", "They say that it rains."];
export const [PNG, PDF] = ["dot.png", "rain.pdf"].map((name) => readFileSync(join(homedir(), name)));
export const [ASK_CITY, CITY] = ["Name a city.", "Ulm"];

export const same = assert.deepEqual;

export async function refused(status, attempt) {
  const failure = await attempt().then(
    () => assert.fail(`nothing was raised, and not a ${status}`),
    (error) => error,
  );
  same(failure.status ?? failure.statusCode, status);
}

export async function runSteps(steps) {
  for (const [step, run] of Object.entries(steps)) {
    let error = null;
    try {
      await run();
    } catch (failure) {
      error = `${failure.name}: ${failure.message}`;
    }
    console.log(JSON.stringify({ step, error }));
  }
}
