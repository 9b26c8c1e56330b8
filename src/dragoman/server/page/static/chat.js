// A chat to try a model: it streams, shows thinking, tools as cards, and sends images.

import { events, request } from './api.js';
import { AnswerView } from './chat_answer.js';
import { byId, el, fill, toast } from './dom.js';
import { count, plural, seconds } from './format.js';

const EXAMPLE_TOOL = [{
  name: 'get_weather',
  description: 'Get the current weather in a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}];
const IMAGES = 'image/png,image/jpeg,image/gif,image/webp';

export class Chat {
  constructor(place) {
    this.place = place;
    this.messages = [];
    this.images = [];
    this.models = [];
    this.running = null;
  }

  /** Make the view when it is first needed, and keep what is in it. */
  show() {
    if (!this.log) this.build();
    const chosen = this.model.value;
    fill(this.model, this.models.map((model) => el('option', { value: model.id }, model.id)));
    if (chosen) this.model.value = chosen;
    this.input.focus({ preventScroll: true });
  }

  build() {
    this.model = el('select', { id: 'chat-model' });
    this.system = el('textarea', { id: 'chat-system', rows: 3 });
    this.most = el('input', { id: 'chat-most', type: 'number', min: 1, value: 1024 });
    this.thinking = el('input', { id: 'chat-thinking', type: 'checkbox' });
    this.tools = el('textarea', { id: 'chat-tools', rows: 5, spellcheck: 'false', placeholder: '[{"name": …, "input_schema": …}]' });
    this.log = el('div', { class: 'chat-log', role: 'log', 'aria-label': 'Conversation', 'aria-live': 'off' },
      el('p', { class: 'empty' }, 'Ask the model something. The request appears in the list, where it can be opened.'));
    this.input = el('textarea', { id: 'chat-input', rows: 2, placeholder: 'Message', 'aria-label': 'Message',
      onkeydown: (event) => {
        if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
          event.preventDefault();
          this.submit();
        }
      },
      onpaste: (event) => this.attach(event.clipboardData.files) });
    this.files = el('input', { id: 'chat-files', type: 'file', tabindex: '-1', 'aria-label': 'Images', accept: IMAGES, multiple: true, class: 'visually-hidden', onchange: () => {
      this.attach(this.files.files);
      this.files.value = '';
    } });
    this.attached = el('div', { class: 'attached' });
    this.send = el('button', { class: 'primary', type: 'submit' }, 'Send');
    this.status = el('p', { class: 'visually-hidden', role: 'status' });
    const field = (label, input, more) => el('div', { class: 'field' }, el('label', { for: input.id }, label), input, more);
    fill(this.place,
      el('div', { class: 'chat' },
        el('div', { class: 'chat-main' }, el('h1', { class: 'visually-hidden' }, 'Chat'), this.log, this.status,
          el('form', { class: 'card composer', onsubmit: (event) => {
            event.preventDefault();
            if (this.running) this.running.abort();
            else this.submit();
          } }, this.attached, this.input,
          el('div', { class: 'row' }, el('button', { type: 'button', onclick: () => this.files.click() }, 'Images'), this.files,
          el('button', { type: 'button', onclick: () => this.clear() }, 'New chat'), el('span', { class: 'grow' }), this.send))),
        el('details', { class: 'card chat-settings', open: matchMedia('(min-width: 60rem)').matches },
          el('summary', {}, 'Settings'),
          field('Model', this.model), field('System prompt', this.system), field('Most tokens', this.most),
          el('div', { class: 'field check' }, this.thinking, el('label', { for: 'chat-thinking' }, 'Thinking')),
          field('Tools (JSON)', this.tools, el('button', { type: 'button', onclick: () => { this.tools.value = JSON.stringify(EXAMPLE_TOOL, null, 2); } }, 'Example')))));
  }

  clear() {
    this.running?.abort();
    this.messages = [];
    this.images = [];
    fill(this.attached);
    fill(this.log);
    this.input.focus();
  }

  async attach(files) {
    for (const file of [...files]) { // the input empties its list meanwhile
      if (!IMAGES.includes(file.type)) continue;
      const url = await new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(file);
      });
      const image = { name: file.name, url, source: { type: 'base64', media_type: file.type, data: url.slice(url.indexOf(',') + 1) } };
      this.images.push(image);
      const shown = el('span', { class: 'attachment' }, el('img', { src: url, alt: file.name }),
        el('button', { type: 'button', 'aria-label': `Remove ${file.name}`, onclick: () => {
          this.images.splice(this.images.indexOf(image), 1);
          shown.remove();
        } }, '×'));
      this.attached.append(shown);
    }
  }

  submit() {
    const text = this.input.value.trim();
    if (this.running || (!text && !this.images.length)) return;
    if (this.cards?.some((card) => !card.done)) {
      toast('Answer the tool calls first.');
      return;
    }
    const content = [...this.images.map(({ source }) => ({ type: 'image', source })), ...(text ? [{ type: 'text', text }] : [])];
    if (!this.messages.length) fill(this.log);
    this.log.append(el('div', { class: 'bubble user' }, this.images.map(({ url, name }) => el('img', { class: 'sent', src: url, alt: name })), text));
    this.input.value = '';
    this.images = [];
    fill(this.attached);
    this.ask({ role: 'user', content });
  }

  body() {
    const tools = this.tools.value.trim();
    const most = Math.max(1, Number(this.most.value) || 1024);
    return {
      model: this.model.value,
      max_tokens: most,
      stream: true,
      ...(this.system.value.trim() ? { system: this.system.value } : {}),
      ...(this.thinking.checked ? { thinking: { type: 'adaptive' } } : {}),
      ...(tools ? { tools: JSON.parse(tools) } : {}),
      messages: this.messages,
    };
  }

  /** Send a message, and show the answer while it arrives. */
  async ask(message) {
    this.messages.push(message);
    const view = new AnswerView();
    this.log.append(view.element);
    this.running = new AbortController();
    this.send.textContent = 'Stop';
    const began = performance.now();
    let id = null;
    try {
      const response = await request('v1/messages', {
        method: 'POST', body: JSON.stringify(this.body()), signal: this.running.signal,
        headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
      });
      id = response.headers.get('request-id');
      for await (const [, event] of events(response)) {
        const below = window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
        view.add(event);
        if (below) window.scrollTo(0, document.body.scrollHeight);
      }
    } catch (error) {
      id = error.requestId ?? id;
      view.fail(error.name === 'AbortError' ? 'stopped' : error.message);
    }
    this.finish(view, id, (performance.now() - began) / 1000);
  }

  finish(view, id, took) {
    this.running = null;
    this.send.textContent = 'Send';
    const { usage, stop, content } = view;
    if (content.length && !view.failed) this.messages.push({ role: 'assistant', content });
    else this.messages.pop(); // a conversation does not continue after a failure: the message can be sent again
    const cached = usage.cache_read_input_tokens ?? 0;
    const prompt = (usage.input_tokens ?? 0) + cached + (usage.cache_creation_input_tokens ?? 0);
    view.element.append(el('p', { class: 'muted facts-line' },
      [prompt && `${count(prompt)} in, ${count(cached)} cached`, usage.output_tokens && `${count(usage.output_tokens)} out`, seconds(took), stop].filter(Boolean).join(' · '),
      id && [' · ', el('a', { href: `#request/${id}` }, 'look at the request')]));
    this.status.textContent = view.failed ? `The answer failed: ${view.failed}` : `Answer: ${view.plain()}`;
    this.cards = view.cards(() => this.sendResults());
  }

  /** Send the results of the calls, once each has one. */
  sendResults() {
    if (!this.cards.every((card) => card.done)) return;
    const results = this.cards.map(({ id, result, isError }) => ({ type: 'tool_result', tool_use_id: id, content: result, ...(isError ? { is_error: true } : {}) }));
    this.cards = [];
    this.ask({ role: 'user', content: results });
    this.status.textContent = plural(results.length, 'result') + ' sent';
    byId('chat-input').focus({ preventScroll: true });
  }
}
