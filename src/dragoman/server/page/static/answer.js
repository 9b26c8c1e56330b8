// Shows the raw output beside the parts that were read from it, the constraint, and the events with their times.

import { partBlock } from './conversation.js';
import { el, folded } from './dom.js';
import { count, plural, seconds } from './format.js';
import { phases } from './list.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 1000;
const HEIGHT = 90;
const MOST_ROWS = 2000;

export function answerView({ answers }) {
  if (!answers.length) return el('p', { class: 'notice' }, 'There is no answer: the request was refused before it ran.');
  return answers.map((answer, index) => el('section', {},
    answers.length > 1 && el('h2', {}, `Choice ${index + 1}`),
    el('div', { class: 'columns' },
      el('div', {}, el('h2', { class: 'label' }, 'What the model wrote'), raw(answer)),
      el('div', {}, el('h2', { class: 'label' }, 'What was read from it'), answer.parts.length ? answer.parts.map(partBlock) : el('p', { class: 'muted' }, 'Nothing yet.'))),
    answer.constraint
      ? folded('What the engine enforces', () => el('pre', { class: 'code' }, answer.constraint), { className: 'card' })
      : el('p', { class: 'muted' }, 'The engine enforces nothing of this answer.')));
}

/** The raw output, with the parts where they are found in it; the rest is markup. */
function raw({ written, parts }) {
  const pieces = [];
  let at = 0;
  for (const part of parts) {
    const text = part.text.trim();
    const found = text ? written.indexOf(text, at) : -1;
    if (found < 0) continue;
    pieces.push(markup(written.slice(at, found)), el('span', { class: `raw ${part.kind}` }, text));
    at = found + text.length;
  }
  pieces.push(markup(written.slice(at)));
  return el('pre', { class: 'written' }, pieces);
}

function markup(text) {
  return text && el('span', { class: text.trim() ? 'raw markup' : 'raw' }, text);
}

export function eventsView({ answers, summary }) {
  return [
    el('h2', { class: 'label' }, 'Times'),
    el('dl', { class: 'facts' }, phases(summary.entry.seconds).map(([name, value]) =>
      el('div', {}, el('dt', {}, el('i', { class: `dot ${name}` }), name), el('dd', {}, seconds(value))))),
    answers.map((answer, index) => [
      el('h2', { class: 'label' }, answers.length > 1 ? `Choice ${index + 1}` : 'Parts, as they were read'),
      chart(answer.events), table(answer.events),
    ]),
  ];
}

/** Characters over time, one line per part, so that pauses are seen. */
function chart(events) {
  const shown = events.filter(([, , size]) => size > 0);
  if (shown.length < 2) return null;
  const start = shown[0][0];
  const length = Math.max(shown[shown.length - 1][0] - start, 1e-6);
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'chart');
  svg.setAttribute('role', 'img');
  const longest = longestPause(shown);
  svg.setAttribute('aria-label', `${plural(shown.length, 'part')} in ${seconds(length)}; the longest pause is ${seconds(longest)}`);
  const most = Math.max(...shown.filter(([, kind]) => kind !== 'prefill').map(([, , size]) => size), 1);
  for (const [time, kind, size] of shown) {
    const mark = document.createElementNS(SVG, 'rect');
    const height = kind === 'prefill' ? HEIGHT : 12 + (HEIGHT - 12) * Math.min(size / most, 1);
    mark.setAttribute('x', String(((time - start) / length) * (WIDTH - 2)));
    mark.setAttribute('y', String(HEIGHT - height));
    mark.setAttribute('width', '2');
    mark.setAttribute('height', String(height));
    mark.setAttribute('class', kind);
    svg.append(mark);
  }
  return el('figure', {}, svg, el('figcaption', { class: 'muted' }, `${seconds(start)} to ${seconds(start + length)}; the longest pause is ${seconds(longest)}`));
}

function longestPause(events) {
  return events.slice(1).reduce((most, [time], index) => Math.max(most, time - events[index][0]), 0);
}

const NAMES = { prefill: 'prompt read', thinking: 'thinking', thinking_end: 'thinking ends', text: 'text', call: 'call begins', arguments: 'arguments', call_end: 'call ends', result: 'tool result', end: 'end' };

function table(events) {
  const rows = events.slice(0, MOST_ROWS).map(([time, kind, size], index) => el('tr', {},
    el('td', {}, time.toFixed(3)), el('td', {}, index ? `+${seconds(time - events[index - 1][0])}` : ''),
    el('td', {}, el('i', { class: `dot ${kind}` }), NAMES[kind] ?? kind),
    el('td', {}, size ? `${count(size)} ${kind === 'prefill' ? 'tokens' : 'characters'}` : '')));
  return folded(plural(events.length, 'event'), () => [
    el('table', { class: 'events' },
      el('thead', {}, el('tr', {}, ['Second', 'After', 'What', 'Size'].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, rows)),
    events.length > MOST_ROWS && el('p', { class: 'muted' }, `${plural(events.length - MOST_ROWS, 'more event')}`),
  ], { open: events.length <= 60 });
}
