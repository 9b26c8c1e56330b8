// Requests to the server, with the key. The key is kept in this tab only (sessionStorage), and never in an address.

const KEY = 'dragoman-key';

export class Unauthorized extends Error {}

export function key() {
  return sessionStorage.getItem(KEY) || '';
}

export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** Send a request. Throws `Unauthorized`, or an `Error` with the server's message. */
export async function request(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(key() ? { 'x-api-key': key() } : {}) };
  const response = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'omit' });
  if (response.status === 401) throw new Unauthorized('the key is missing or wrong');
  if (!response.ok) {
    const error = new Error(await message(response));
    error.requestId = response.headers.get('request-id');
    throw error;
  }
  return response;
}

async function message(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `the server answered with ${response.status}`;
  }
}

/** Yield the events of a stream as `[name, data]`, the data as JSON. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      held += value;
      const blocks = held.split('\n\n');
      held = blocks.pop();
      for (const block of blocks) {
        let name = 'message';
        let data = '';
        for (const line of block.split('\n')) {
          if (line.startsWith('event: ')) name = line.slice(7);
          else if (line.startsWith('data: ')) data += line.slice(6);
        }
        if (data) yield [name, JSON.parse(data)];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
