// The list of requests, the newest first. A row is one link, so that the keyboard and a screen reader can use it.

import { el, fill } from './dom.js';
import { clock, count, endpoint, plural, program, seconds, speed } from './format.js';

export class RequestList {
  constructor(place, empty, filter) {
    this.place = place;
    this.empty = empty;
    this.filter = filter;
    this.summaries = new Map();
    this.rows = new Map();
    filter.addEventListener('input', () => this.applyFilter());
    place.addEventListener('keydown', (event) => this.move(event));
  }

  /** Show these requests, the newest first. */
  reset(summaries) {
    const known = new Set(summaries.map(({ entry }) => entry.request_id));
    for (const id of [...this.rows.keys()]) if (!known.has(id)) this.remove(id);
    for (const summary of [...summaries].reverse()) this.update(summary);
    this.applyFilter();
  }

  /** Show a request that is new or has changed. */
  update(summary) {
    const id = summary.entry.request_id;
    this.summaries.set(id, summary);
    let row = this.rows.get(id);
    if (!row) {
      row = el('li', {});
      this.rows.set(id, row);
      this.place.prepend(row);
      for (const old of [...this.rows.keys()].slice(0, -200)) this.remove(old);
    }
    showRow(row, summary);
    row.hidden = !this.matches(summary);
    this.empty.hidden = this.rows.size > 0;
  }

  remove(id) {
    this.rows.get(id).remove();
    this.rows.delete(id);
    this.summaries.delete(id);
  }

  matches({ entry, phase }) {
    const wanted = this.filter.value.trim().toLowerCase();
    const text = [entry.client, entry.key, entry.session, entry.model, entry.served, entry.ending, entry.error, entry.request_id, phase, entry.path];
    return !wanted || text.join(' ').toLowerCase().includes(wanted);
  }

  applyFilter() {
    for (const [id, row] of this.rows) row.hidden = !this.matches(this.summaries.get(id));
    this.empty.hidden = this.rows.size > 0;
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...this.place.querySelectorAll('li:not([hidden]) > a')];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0 || !links[at + step]) return;
    event.preventDefault();
    links[at + step].focus();
  }
}

function showRow(row, summary) {
  const { entry } = summary;
  if (!row.firstChild) row.append(el('a', { class: 'request', href: `#request/${entry.request_id}` }));
  row.firstChild.dataset.phase = summary.phase;
  fill(row.firstChild, who(summary), promptBar(summary), timeline(summary), output(entry), ending(summary));
}

function who({ entry, began }) {
  const name = entry.key || program(entry.client || '') || 'unknown client';
  const session = [entry.session, entry.agent].filter(Boolean).map((id) => id.slice(0, 8)).join('/');
  return el('div', { class: 'who' },
    el('div', {}, el('time', { datetime: began }, clock(began)), ' ', el('b', {}, name), session && el('span', { class: 'muted' }, ` ${session}`)),
    el('div', { class: 'muted' }, entry.model || '–', ` · ${endpoint(entry)}`, entry.stream ? ' · stream' : ''));
}

/** The tokens of the prompt: those that were cached, and new ones. */
export function promptBar({ entry, phase, prefilled }) {
  const tokens = entry.tokens;
  if (!tokens) return el('div', { class: 'measure muted' }, entry.body_bytes ? 'no prompt' : '');
  const share = tokens.prompt ? tokens.cached / tokens.prompt : 0;
  const reading = phase === 'prefill' && prefilled ? `, ${count(prefilled)} read` : '';
  return el('div', { class: 'measure' },
    bar([['cached', tokens.cached], ['new', tokens.new]], `prompt of ${plural(tokens.prompt, 'token')}: ${count(tokens.cached)} cached, ${count(tokens.new)} new`),
    el('div', {}, el('b', {}, count(tokens.prompt)), ` in, ${Math.floor(share * 100)}% cached${reading}`));
}

/** The times of a request; load is a part of prepare. */
export function phases(times) {
  const load = times.load || 0;
  return [['prepare', (times.prepare || 0) - load], ['load', load], ['queue', times.queue || 0], ['prefill', times.prefill || 0],
    ['decode', times.decode || 0]].filter(([, value]) => value > 0);
}

export function timeline({ entry }) {
  const times = entry.seconds;
  const parts = phases(times);
  return el('div', { class: 'measure' },
    bar(parts, parts.map(([name, value]) => `${name} ${seconds(value)}`).join(', ') || 'no times'),
    el('div', {}, el('b', {}, seconds(times.total)), times.first_token ? `, first token ${seconds(times.first_token)}` : ''));
}

function bar(parts, label) {
  const total = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
  const pieces = parts.filter(([, value]) => value > total * 0.003).map(([name, value]) => {
    const piece = el('i', { class: name });
    piece.style.setProperty('flex-grow', String(value / total));
    return piece;
  });
  return el('div', { class: 'bar', role: 'img', 'aria-label': label, title: label }, pieces);
}

function output(entry) {
  if (!entry.tokens) return el('div', { class: 'measure' });
  const fast = entry.tokens_per_second ? speed(entry.tokens_per_second) : '';
  return el('div', { class: 'measure output' }, el('div', {}, el('b', {}, count(entry.tokens.output)), ' out'), el('div', { class: 'muted' }, fast));
}

export function ending({ entry, phase }) {
  const notes = [];
  if (entry.calls) notes.push(el('span', { class: 'tag' }, plural(entry.calls, 'call')));
  if (entry.diverged) notes.push(el('span', { class: 'tag warn', title: entry.diverged }, 'prefix broke'));
  for (const repair of new Set(entry.repairs || [])) notes.push(el('span', { class: 'tag warn', title: repair }, repair.split(':')[0]));
  for (const broken of entry.broken || []) notes.push(el('span', { class: 'tag bad', title: broken }, 'not as required'));
  const over = phase === 'over';
  const text = over ? entry.error || entry.ending || String(entry.status) : phase;
  const kind = !over ? 'running' : entry.error ? 'failed' : entry.ending === 'client_left' || entry.ending === 'max_tokens' ? 'warn' : 'ok';
  return el('div', { class: 'ending' }, el('span', { class: `pill ${kind}`, title: entry.message || null }, text), notes);
}
