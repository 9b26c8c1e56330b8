// Starts the page: the connection to the server, the key, and which view is shown.

import { Unauthorized, events, request, setKey } from './api.js';
import { Chat } from './chat.js';
import { Detail } from './detail.js';
import { byId } from './dom.js';
import { RequestList } from './list.js';
import { showModels } from './models.js';

const RETRY_MS = 1500;

const list = new RequestList(byId('list'), byId('empty'), byId('filter'));
const detail = new Detail(byId('detail-view'), list);
const chat = new Chat(byId('chat-view'));

function connection(text, state) {
  const shown = byId('connection');
  if (shown.textContent !== text) shown.textContent = text;
  shown.dataset.state = state;
}

/** Show what the address after `#` names. */
function route() {
  const [view, id] = location.hash.slice(1).split('/');
  const name = view === 'request' && id ? 'detail' : view === 'chat' ? 'chat' : 'requests';
  if (!byId('key-form').hidden) return;
  for (const other of ['requests', 'detail', 'chat']) byId(`${other}-view`).hidden = other !== name;
  for (const link of document.querySelectorAll('[data-view]')) {
    const is = link.dataset.view === (name === 'detail' ? 'requests' : name);
    if (is) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  if (name === 'detail') detail.open(decodeURIComponent(id));
  else detail.close();
  if (name === 'chat') chat.show();
  document.title = { detail: 'Request', chat: 'Chat', requests: 'Requests' }[name] + ' – Dragoman';
}

function askForKey(error) {
  byId('key-form').hidden = false;
  byId('key-error').textContent = error;
  for (const view of ['requests', 'detail', 'chat']) byId(`${view}-view`).hidden = true;
  connection('needs a key', 'bad');
  byId('key').focus();
}

function receive(name, data) {
  if (name === 'overview') {
    byId('key-form').hidden = true;
    list.reset(data.requests);
    models(data.models);
    inspectNote(data.inspect);
    route();
  } else if (name === 'request') {
    list.update(data);
    detail.update(data);
  } else if (name === 'models') models(data);
}

function models(statuses) {
  showModels(byId('models'), statuses);
  chat.models = statuses.models;
}

function inspectNote(mode) {
  const notes = {
    off: 'This server keeps nothing of its requests (--inspect off).',
    metadata: 'Only the fields of the log line are kept. With --inspect full, requests can be opened.',
  };
  const note = byId('inspect-note');
  note.hidden = !(mode in notes);
  note.textContent = notes[mode] || '';
}

let running = 0;

/** Follow the stream of the server, and connect again after it ends. */
async function follow(wasEntered = false) {
  const mine = ++running;
  while (mine === running) {
    const began = Date.now();
    try {
      const response = await request('api/requests/stream');
      connection('live', 'good');
      for await (const [name, data] of events(response)) {
        if (mine !== running) return;
        receive(name, data);
        wasEntered = false;
      }
      if (Date.now() - began > RETRY_MS) continue; // a stream ends after a while; the next one begins at once
      connection('disconnected, trying again', 'bad');
    } catch (error) {
      if (error instanceof Unauthorized) {
        setKey('');
        askForKey(wasEntered ? 'The server does not accept this key.' : '');
        return;
      }
      connection('disconnected, trying again', 'bad');
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

byId('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  setKey(byId('key').value.trim());
  byId('key').value = '';
  follow(true);
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !byId('detail-view').hidden && !document.querySelector('dialog[open]')) location.hash = '#requests';
});
window.addEventListener('hashchange', route);
follow();
