// Shows two texts side by side from where they differ, line by line.

import { el } from './dom.js';
import { count, plural } from './format.js';

const CONTEXT = 300;
const SAME_LINES = 3;
const MOST_LINES = 1200;
const MOST_CELLS = 1_000_000;

/** The prompt beside the one before it. */
export function compare(now, before) {
  if (before === null) return el('p', { class: 'notice' }, 'No earlier prompt of this conversation is known.');
  const shared = commonPrefix(now, before);
  const note = shared === before.length
    ? `This prompt begins with the whole prompt before it (${plural(shared, 'character')}), so that all of it can be reused. Added: ${plural(now.length - shared, 'character')}.`
    : `The first ${plural(shared, 'character')} are the same. The prompt before has ${count(before.length - shared)} more, this one ${count(now.length - shared)}.`;
  const start = contextStart(now, shared);
  const rows = aligned(before.slice(start, start + 200_000).split('\n'), now.slice(start, start + 200_000).split('\n'));
  return [
    el('p', { class: shared === before.length ? 'notice' : 'notice warn' }, note),
    el('table', { class: 'compare' },
      el('caption', { class: 'visually-hidden' }, 'The prompt before and this prompt, line by line'),
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Prompt before'), el('th', { scope: 'col' }, 'This prompt'))),
      el('tbody', {}, start > 0 && skippedRow(plural(start, 'character') + ' in common'),
        shownLines(rows).map(([left, right, skipped]) => (skipped ? skippedRow(plural(skipped, 'line') + ' in common') : line(left, right))),
        rows.length > MOST_LINES && skippedRow(plural(rows.length - MOST_LINES, 'more line')))),
  ];
}

function skippedRow(text) {
  return el('tr', { class: 'skipped' }, el('td', { colspan: 2 }, text));
}

/** The lines to show; of a long run of equal ones only its ends. */
function shownLines(rows) {
  const shown = [];
  let run = [];
  const flush = (after) => {
    const ends = after ? SAME_LINES : 0;
    const hidden = run.length - SAME_LINES - ends;
    if (hidden <= 1) shown.push(...run);
    else shown.push(...run.slice(0, SAME_LINES), [null, null, hidden], ...(ends ? run.slice(-ends) : []));
    run = [];
  };
  for (const row of rows.slice(0, MOST_LINES)) {
    if (row[0] === row[1]) run.push(row);
    else {
      flush(true);
      shown.push(row);
    }
  }
  flush(false);
  return shown;
}

function line(left, right) {
  if (left === right) return el('tr', { class: 'same' }, el('td', {}, left), el('td', {}, right));
  const shared = left !== null && right !== null ? commonPrefix(left, right) : 0;
  const cell = (text, kind) => text === null ? el('td', { class: 'none' }) : el('td', { class: kind }, text.slice(0, shared), el('mark', {}, text.slice(shared) || '⏎'));
  return el('tr', { class: 'differs' }, cell(left, 'gone'), cell(right, 'come'));
}

export function commonPrefix(one, other) {
  const most = Math.min(one.length, other.length);
  let at = 0;
  while (at < most && one[at] === other[at]) at += 1;
  return at;
}

/** The start of a line, some lines before a position; in a long line, some characters before it. */
function contextStart(text, position) {
  let start = position;
  for (let line = 0; line <= SAME_LINES && start > 0; line += 1) start = text.lastIndexOf('\n', start - 1);
  return Math.max(start + 1, position - CONTEXT, 0);
}

/** Pairs of lines by their longest common subsequence; where that would take too long, from both ends. */
export function aligned(left, right) {
  let top = 0;
  while (top < left.length && top < right.length && left[top] === right[top]) top += 1;
  let bottom = 0;
  while (bottom < left.length - top && bottom < right.length - top && left[left.length - 1 - bottom] === right[right.length - 1 - bottom]) bottom += 1;
  const ours = left.slice(top, left.length - bottom);
  const theirs = right.slice(top, right.length - bottom);
  const same = (lines) => lines.map((text) => [text, text]);
  const middle = ours.length * theirs.length <= MOST_CELLS ? bySubsequence(ours, theirs) : paired(ours, theirs);
  return [...same(left.slice(0, top)), ...middle, ...same(left.slice(left.length - bottom))];
}

function bySubsequence(left, right) {
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = left[i] === right[j] ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const rows = [];
  let gone = [];
  let come = [];
  const flush = () => {
    rows.push(...paired(gone, come));
    gone = [];
    come = [];
  };
  let i = 0;
  let j = 0;
  while (i < left.length && j < right.length) {
    if (left[i] === right[j]) {
      flush();
      rows.push([left[i], right[j]]);
      i += 1;
      j += 1;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) gone.push(left[i++]);
    else come.push(right[j++]);
  }
  gone.push(...left.slice(i));
  come.push(...right.slice(j));
  flush();
  return rows;
}

function paired(left, right) {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => [left[index] ?? null, right[index] ?? null]);
}
