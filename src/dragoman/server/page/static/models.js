// Shows the models: what runs them, how busy they are, and what is in their caches.

import { el, fill } from './dom.js';
import { bytes, count, speed } from './format.js';

const FEW_SLOTS = 16;

export function showModels(place, { models, memory }) {
  fill(place, models.map(card), memory !== null && el('p', { class: 'muted memory' },
    `${bytes(models.filter((model) => model.state === 'loaded').reduce((sum, model) => sum + model.memory, 0))} of ${bytes(memory)} of memory are taken`));
}

function card(model) {
  const others = [...model.aliases, ...model.tiers.map((tier) => `names with ${tier}`)];
  return el('article', { class: 'card model' },
    el('div', { class: 'model-head' },
      el('h2', { title: model.id }, model.id),
      el('span', { class: `pill ${model.state}` }, model.state)),
    model.reason && el('p', { class: 'error' }, model.reason),
    others.length > 0 && el('p', { class: 'muted also' }, `also ${others.join(', ')}`),
    el('dl', { class: 'facts' },
      fact('Engine', model.engine),
      fact('Device', model.computes),
      fact('Window', model.window && `${count(model.window)} tokens`),
      model.slots && fact('Slots', slots(model)),
      model.waiting > 0 && fact('Waiting', count(model.waiting)),
      model.conversations !== null && fact('Cached conversations', count(model.conversations)),
      model.tokens_per_second && fact('Speed', speed(model.tokens_per_second)),
      model.memory > 0 && fact('Memory', bytes(model.memory))));
}

function fact(name, value) {
  return value ? el('div', {}, el('dt', {}, name), el('dd', {}, value)) : null;
}

function slots(model) {
  const text = `${model.busy} of ${model.slots} busy`;
  if (model.slots > FEW_SLOTS) return text;
  const squares = Array.from({ length: model.slots }, (_, index) => el('i', { class: index < model.busy ? 'busy' : '' }));
  return el('span', { class: 'slots' }, el('span', { class: 'squares', 'aria-hidden': 'true' }, squares), text);
}
