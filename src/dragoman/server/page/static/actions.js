// What can be done with a request: copy it as curl, send it again, save it as a bug report.

import { request } from './api.js';
import { toast } from './dom.js';

const SENT_BY_BROWSERS = new Set(['accept', 'accept-language', 'content-encoding', 'user-agent']);

/** Headers to send a request with again; the body is no longer compressed. */
function headersOf({ headers }) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !SENT_BY_BROWSERS.has(name)));
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The request as a command for a POSIX shell; the key is a variable. */
export function curl(content) {
  const url = new URL(content.target.slice(1), document.baseURI).href;
  const fields = Object.entries(headersOf(content)).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  let end = 'BODY';
  while (content.text.split('\n').includes(end)) end += '_';
  return [`curl ${quoted(url)}`, ...fields, '-H "x-api-key: $DRAGOMAN_KEY"', `--data-binary @- <<'${end}'`].join(' \\\n  ') + `\n${content.text}\n${end}\n`;
}

/** Send a request again, and show the new one. */
export async function replay(content) {
  toast('The request is sent again …');
  try {
    const response = await request(content.target.slice(1), { method: 'POST', headers: headersOf(content), body: content.text });
    location.hash = `#request/${response.headers.get('request-id')}`;
    const reader = response.body.getReader();
    while (!(await reader.read()).done);
  } catch (error) {
    toast(error.message);
    if (error.requestId) location.hash = `#request/${error.requestId}`;
  }
}

/** Save the report of a request as a file. Secrets are removed from it by the server. */
export async function saveReport(id) {
  try {
    const response = await request(`api/requests/${encodeURIComponent(id)}/report`);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await response.blob());
    link.download = `dragoman-${id}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    toast('Saved. Secrets of known forms were removed; the conversation is in it.');
  } catch (error) {
    toast(error.message);
  }
}
