// Shows the prompt by segments, with what was reused of it, and beside the prompt before it.

import { compare } from './compare.js';
import { el, fill, folded } from './dom.js';
import { count, plural } from './format.js';

const LONG = 900;

export function promptView({ prompt, summary }) {
  if (!prompt) return el('p', { class: 'notice' }, 'There is no prompt: the request was refused before it was rendered, or it is a completion without a template.');
  const choice = el('div', { class: 'switch', role: 'group', 'aria-label': 'View' });
  const place = el('div', {});
  const views = { Segments: () => segments(prompt), 'Beside the prompt before': () => compare(textOf(prompt), prompt.before) };
  const choose = (name) => {
    for (const button of choice.children) button.setAttribute('aria-pressed', button.textContent === name);
    fill(place, views[name]());
  };
  choice.append(...Object.keys(views).map((name) => el('button', { type: 'button', onclick: () => choose(name) }, name)));
  choose(summary.entry.diverged ? 'Beside the prompt before' : 'Segments');
  return [choice, place];
}

const textOf = (prompt) => prompt.segments.map((segment) => segment.text).join('');

function segments(prompt) {
  const known = prompt.segments.every((segment) => segment.reused !== null);
  const reused = prompt.segments.reduce((sum, segment) => sum + (segment.reused ?? 0), 0);
  const rows = prompt.segments.map(row);
  const broke = prompt.segments.findIndex((segment) => segment.reused < segment.tokens);
  if (known) rows.splice(broke < 0 ? rows.length : broke, 0, el('li', { class: 'break' }, brokeAt(reused, prompt.tokens)));
  return [
    el('p', { class: 'muted' }, `${plural(prompt.tokens, 'token')}. A segment begins with a special token, or where the cache ended.`,
      !known && ' What was reused is not known yet, or the model is not loaded any more.'),
    el('ol', { class: 'segments' }, rows),
  ];
}

function brokeAt(reused, all) {
  if (reused === 0) return 'Nothing of the prompt was in the cache';
  if (reused >= all) return 'All of the prompt was reused from the cache';
  return `Reused from the cache up to here: ${count(reused)} of ${plural(all, 'token')}, ${Math.floor((reused / all) * 100)}%`;
}

function row({ text, tokens, reused }) {
  const state = reused === null ? '' : reused === tokens ? 'cached' : reused > 0 ? 'partly' : 'new';
  const label = { cached: 'reused', partly: `${count(reused ?? 0)} reused`, new: 'new', '': '' }[state];
  return el('li', { class: `segment ${state}` },
    el('div', { class: 'gutter' }, tokens === null ? '' : el('b', {}, count(tokens)), ' ', label),
    content(text));
}

function content(text) {
  const special = text.match(/^(<[|｜][^<>\n]{1,60}?[|｜]>|<\/?[a-z_]{1,30}>|\[\/?[A-Z_]{1,30}\])/);
  const head = special ? el('span', { class: 'special' }, special[0]) : null;
  const rest = special ? text.slice(special[0].length) : text;
  if (rest.length <= LONG) return el('pre', {}, head, rest);
  return el('div', {}, el('pre', {}, head, `${rest.slice(0, 400)} …`), folded(`All ${plural(rest.length, 'character')}`, () => el('pre', {}, rest)));
}
