// Shows one request: its facts, and its content in tabs. While it runs, the content is fetched again from time to time.

import { curl, replay, saveReport } from './actions.js';
import { answerView, eventsView } from './answer.js';
import { request } from './api.js';
import { answerBlocks, conversation } from './conversation.js';
import { copy, el, fill, folded, tabs } from './dom.js';
import { bytes, clock, plural, pretty, seconds, speed } from './format.js';
import { ending, promptBar, timeline } from './list.js';
import { promptView } from './prompt.js';

const FRESH_MS = 1500;

export class Detail {
  constructor(place, list) {
    this.place = place;
    this.list = list;
    this.id = null;
    this.tab = 'Conversation';
  }

  close() {
    this.id = null;
    clearTimeout(this.timer);
  }

  open(id) {
    if (id === this.id) return;
    clearTimeout(this.timer);
    this.id = id;
    this.content = null;
    this.head = el('div', { class: 'detail-head' });
    this.body = el('div', { class: 'detail-body' });
    fill(this.place, el('p', {}, el('a', { href: '#requests', class: 'back' }, '← All requests')), this.head, this.body);
    const summary = this.list.summaries.get(id);
    if (summary) this.showHead(summary);
    this.load();
    document.getElementById('main').focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  /** Take note of a change of a request. */
  update(summary) {
    if (summary.entry.request_id !== this.id) return;
    this.showHead(summary);
    if (summary.phase === 'over') {
      clearTimeout(this.timer);
      this.load();
    }
  }

  async load() {
    const id = this.id;
    try {
      const summary = this.list.summaries.get(id);
      if (summary && !summary.has_content) throw new Error('The content of this request is not kept: --inspect full keeps that of the newest ones.');
      const [content, body] = await Promise.all([
        request(`api/requests/${encodeURIComponent(id)}`).then((response) => response.json()),
        request(`api/requests/${encodeURIComponent(id)}/body`).then((response) => response.text()),
      ]);
      if (id !== this.id) return;
      this.show({ ...content, text: body, body: parsed(body) });
    } catch (error) {
      if (id === this.id && !this.content) fill(this.body, el('p', { class: 'notice' }, error.message));
    }
  }

  show(content) {
    this.content = content;
    this.showHead(content.summary);
    const reading = window.scrollY;
    const shown = new Set([...this.body.querySelectorAll('details[open] > summary')].map((summary) => summary.textContent));
    fill(this.body, tabs('Parts of the request', [
      ['Conversation', () => [conversation(content.body, content.target), answerBlocks(content.answers)]],
      ['Prompt', () => promptView(content)],
      ['Answer', () => answerView(content)],
      ['Events', () => eventsView(content)],
      ['Request', () => requestView(content)],
    ], this.tab, (name) => { this.tab = name; }));
    if (content.summary.phase === 'over') return;
    for (const summary of this.body.querySelectorAll('details > summary')) if (shown.has(summary.textContent)) summary.parentElement.open = true;
    window.scrollTo(0, reading);
    this.timer = setTimeout(() => this.load(), FRESH_MS);
  }

  showHead(summary) {
    const { entry } = summary;
    const content = () => this.content;
    const actions = summary.has_content && el('div', { class: 'actions', role: 'group', 'aria-label': 'Actions' },
      el('button', { type: 'button', onclick: () => content() && copy(curl(content()), 'The request as curl') }, 'Copy as curl'),
      el('button', { type: 'button', onclick: () => content() && replay(content()) }, 'Replay'),
      el('button', { type: 'button', onclick: () => saveReport(entry.request_id) }, 'Save bug report'));
    if (this.head.firstChild && this.shownPhase === summary.phase && summary.phase === 'over' && this.shownId === entry.request_id) return;
    const focused = [...this.head.querySelectorAll('button')].indexOf(document.activeElement);
    this.shownPhase = summary.phase;
    this.shownId = entry.request_id;
    fill(this.head,
      el('div', { class: 'title-row' }, el('h1', {}, entry.model || entry.path), ending(summary), actions),
      el('p', { class: 'muted' }, [
        clock(summary.began), entry.client, entry.key && `key ${entry.key}`, entry.session && `session ${entry.session}`,
        entry.served && `answered by ${entry.served}`, entry.request_id,
      ].filter(Boolean).join(' · ')),
      entry.message && el('p', { class: 'error' }, `${entry.error}: ${entry.message}`),
      el('div', { class: 'card measures' }, promptBar(summary), timeline(summary), el('div', { class: 'measure' }, numbers(entry))),
      entry.diverged && el('p', { class: 'notice warn' }, el('b', {}, 'The prompt does not begin with the one before it: '), entry.diverged),
      lists(entry));
    if (focused >= 0) this.head.querySelectorAll('button')[focused]?.focus();
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function numbers({ tokens, seconds: times, tokens_per_second: fast }) {
  if (!tokens) return seconds(times.total);
  return [
    el('b', {}, plural(tokens.output, 'token')), ' out',
    tokens.thinking > 0 && `, ${plural(tokens.thinking, 'token')} of thinking`,
    tokens.drafted > 0 && `, ${tokens.accepted} of ${tokens.drafted} drafted`,
    fast && `, ${speed(fast)}`,
    times.stop !== undefined && `, stopped ${seconds(times.stop)} after the client left`,
  ];
}

function lists(entry) {
  const groups = [['Repairs', entry.repairs], ['Not as required', entry.broken], ['Notes', entry.notes], ['Ignored', entry.unknown]];
  const shown = groups.filter(([, values]) => values && values.length);
  return shown.length > 0 && el('dl', { class: 'notes' }, shown.map(([name, values]) =>
    el('div', {}, el('dt', {}, name), values.map((value) => el('dd', {}, value)))));
}

function requestView({ method, target, headers, removed, text, body, summary }) {
  const rows = Object.entries(headers).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)));
  return [
    el('h2', {}, `${method} ${target}`),
    el('dl', { class: 'facts headers' }, rows),
    removed.length > 0 && el('p', { class: 'muted' }, `Not kept: ${removed.join(', ')}`),
    el('h2', {}, `Body, ${bytes(summary.entry.body_bytes || text.length)}`),
    folded('JSON', () => el('pre', { class: 'code' }, body ? pretty(body) : text), { open: text.length < 50_000 }),
  ];
}
