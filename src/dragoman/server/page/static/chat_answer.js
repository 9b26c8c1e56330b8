// An answer in the chat while it streams: its blocks, and a card for each call of a tool.

import { el } from './dom.js';
import { pretty } from './format.js';

export class AnswerView {
  constructor() {
    this.content = [];
    this.usage = {};
    this.stop = '';
    this.failed = '';
    this.shown = [];
    this.json = [];
    this.waiting = el('p', { class: 'waiting' }, el('i', {}), el('i', {}), el('i', {}), el('span', { class: 'visually-hidden' }, 'waiting'));
    this.element = el('div', { class: 'bubble answer', 'aria-busy': 'true' }, this.waiting);
  }

  /** Take in an event of the stream. */
  add(event) {
    switch (event.type) {
      case 'message_start':
        Object.assign(this.usage, event.message.usage);
        break;
      case 'content_block_start':
        this.begin(event.index, event.content_block);
        break;
      case 'content_block_delta':
        this.extend(event.index, event.delta);
        break;
      case 'content_block_stop':
        this.end(event.index);
        break;
      case 'message_delta':
        Object.assign(this.usage, event.usage);
        this.stop = event.delta.stop_reason;
        this.element.setAttribute('aria-busy', 'false');
        break;
      case 'error':
        this.fail(event.error.message);
        break;
      default:
    }
  }

  begin(index, block) {
    this.waiting.remove();
    this.content[index] = { ...block };
    this.json[index] = '';
    const text = el('div', { class: 'text' });
    const make = {
      thinking: () => el('details', { class: 'block thinking', open: true }, el('summary', {}, 'Thinking'), text),
      tool_use: () => el('div', { class: 'block call tool-card' }, el('div', { class: 'block-head' }, 'Call of ', el('b', {}, block.name)), el('pre', { class: 'code' }, text)),
    }[block.type] ?? (() => el('div', { class: 'answer-text' }, text));
    this.shown[index] = { text, element: make() };
    if (!['text', 'thinking', 'tool_use'].includes(block.type)) text.textContent = pretty(block);
    this.element.append(this.shown[index].element);
  }

  extend(index, delta) {
    const block = this.content[index];
    const field = { text_delta: 'text', thinking_delta: 'thinking', signature_delta: 'signature' }[delta.type];
    if (field) block[field] = (block[field] ?? '') + delta[field];
    if (delta.type === 'input_json_delta') this.json[index] += delta.partial_json;
    const more = delta.text ?? delta.thinking ?? delta.partial_json;
    if (more) this.shown[index].text.append(more);
  }

  end(index) {
    const block = this.content[index];
    if (block.type === 'thinking') this.shown[index].element.open = false;
    if (block.type !== 'tool_use') return;
    try {
      block.input = JSON.parse(this.json[index] || '{}');
      this.shown[index].text.textContent = pretty(block.input);
    } catch {
      this.fail('the call was cut');
    }
  }

  fail(reason) {
    this.waiting.remove();
    this.failed = reason;
    this.element.setAttribute('aria-busy', 'false');
    this.element.append(el('p', { class: 'error' }, reason));
  }

  /** The text of the answer, for a screen reader. */
  plain() {
    return this.content.map((block) => block.text ?? (block.name ? `call of ${block.name}` : '')).filter(Boolean).join(' ');
  }

  /** Add a form for the result to each call, and return them; `send` is called when one is filled in. */
  cards(send) {
    if (this.failed || this.stop !== 'tool_use') return [];
    return this.content.flatMap((block, index) => (block.type === 'tool_use' ? [card(block, this.shown[index].element, send)] : []));
  }
}

function card(block, element, send) {
  const made = { id: block.id, done: false, result: '', isError: false };
  const result = el('textarea', { rows: 2, id: `result-${block.id}`, placeholder: 'What the tool returns' });
  const isError = el('input', { type: 'checkbox', id: `error-${block.id}` });
  const form = el('form', { class: 'result', onsubmit: (event) => {
    event.preventDefault();
    Object.assign(made, { done: true, result: result.value, isError: isError.checked });
    form.replaceWith(el('div', { class: 'block tool' }, el('div', { class: 'block-head' }, made.isError ? 'Result, an error' : 'Result'), el('div', { class: 'text' }, made.result)));
    send();
  } },
  el('label', { for: result.id }, 'Result'), result,
  el('div', { class: 'row' }, isError, el('label', { for: isError.id }, 'it is an error'), el('span', { class: 'grow' }), el('button', { class: 'primary' }, 'Send result')));
  element.append(form);
  return made;
}
