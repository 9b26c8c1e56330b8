// Shows the body of a request, in any of the API formats, as a conversation of blocks.

import { el, folded } from './dom.js';
import { bytes, plural, pretty } from './format.js';

const LONG = 1500;

/** The blocks of a request's body. */
export function conversation(body) {
  if (!body || typeof body !== 'object') return el('p', { class: 'notice' }, 'The body is not JSON.');
  const found = [];
  const system = body.system ?? body.instructions;
  if (system) found.push(turn('system', blocksOf(system)));
  if (Array.isArray(body.tools) && body.tools.length) found.push(turn('tools', body.tools.map(toolBlock)));
  for (const message of messagesOf(body)) found.push(message);
  return el('div', { class: 'conversation' }, found);
}

function messagesOf(body) {
  if (Array.isArray(body.messages)) return body.messages.map(messageTurn);
  if (Array.isArray(body.input)) return body.input.map(itemTurn);
  const plain = body.input ?? body.prompt;
  return plain === undefined ? [] : [turn('user', blocksOf(plain))];
}

function messageTurn(message) {
  const blocks = blocksOf(message.content);
  if (message.reasoning_content ?? message.reasoning) blocks.unshift(block('thinking', String(message.reasoning_content ?? message.reasoning)));
  for (const call of message.tool_calls ?? []) blocks.push(callBlock(call.function?.name ?? call.type, call.function?.arguments ?? call));
  return turn(message.role ?? 'message', blocks);
}

/** A turn of an item of the Responses API. */
function itemTurn(item) {
  if (typeof item === 'string') return turn('user', blocksOf(item));
  if (item.type === 'function_call' || item.type === 'custom_tool_call') return turn('assistant', [callBlock(item.name, item.arguments ?? item.input)]);
  if (item.type === 'reasoning') return turn('assistant', [block('thinking', texts(item.summary) || texts(item.content))]);
  if (item.output !== undefined) return turn('tool', [block('tool result', texts(item.output))]);
  return turn(item.role ?? item.type, blocksOf(item.content ?? item));
}

function texts(value) {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.map((part) => part.text ?? '').join('\n') : '';
}

function blocksOf(content) {
  if (content === undefined || content === null) return [];
  if (typeof content === 'string') return [block('text', content)];
  if (!Array.isArray(content)) return [other(content)];
  return content.map((part) => (typeof part === 'string' ? block('text', part) : contentBlock(part)));
}

function contentBlock(part) {
  switch (part?.type) {
    case 'text': case 'input_text': case 'output_text':
      return block('text', String(part.text ?? ''), part);
    case 'thinking':
      return block('thinking', String(part.thinking ?? ''), part);
    case 'tool_use': case 'server_tool_use': case 'mcp_tool_use':
      return callBlock(part.name, part.input, part);
    case 'tool_result': case 'mcp_tool_result':
      return block(part.is_error ? 'tool result, an error' : 'tool result', blocksOf(part.content), part);
    case 'image': case 'image_url': case 'input_image':
      return block('image', imageOf(part), part);
    case 'document': case 'input_file': case 'file':
      return block('document', part.title ?? sourceNote(part.source) ?? pretty(part), part);
    default:
      return other(part);
  }
}

/** An image that the request contains; one by URL is only named, since the page fetches nothing from elsewhere. */
function imageOf(part) {
  const source = part.source ?? {};
  const url = part.image_url?.url ?? part.image_url ?? (source.type === 'base64' ? `data:${source.media_type};base64,${source.data}` : source.url);
  if (/^data:image\/(png|jpeg|gif|webp);base64,/i.test(url ?? '')) return el('img', { class: 'sent', src: url, alt: 'an image in the request' });
  return sourceNote(source) ?? String(url ?? '').slice(0, 200);
}

function sourceNote(source) {
  if (!source?.type) return null;
  return source.data ? `${source.media_type ?? ''}, ${bytes(source.data.length * 0.75)}` : `${source.type}: ${source.url ?? source.file_id ?? ''}`;
}

export function callBlock(name, input, part) {
  return block(`call of ${name}`, el('pre', { class: 'code' }, pretty(input ?? {})), part, 'call');
}

function toolBlock(tool) {
  const described = tool.function ?? tool;
  const name = described.name ?? described.type ?? 'tool';
  return folded([el('b', {}, name), el('span', { class: 'muted' }, ` ${String(described.description ?? '').split('\n')[0].slice(0, 120)}`)],
    () => el('pre', { class: 'code' }, pretty(tool)), { className: 'block tool' });
}

function other(part) {
  return block(String(part?.type ?? 'object'), el('pre', { class: 'code' }, pretty(part)), part);
}

function turn(role, blocks) {
  return el('section', { class: `turn ${role.replace(/\W+/g, '-')}`, 'aria-label': role },
    el('h2', { class: 'label' }, role, role === 'tools' ? ` (${blocks.length})` : ''), blocks);
}

/** A block: its kind, and its text or nodes. A long text is folded. */
export function block(kind, content, part = {}, className = kind.split(/[ ,]/)[0]) {
  const marks = [];
  if (part?.cache_control) marks.push(el('span', { class: 'tag' }, 'cache breakpoint'));
  const head = kind === 'text' && !marks.length ? null : el('div', { class: 'block-head' }, kind, marks);
  return el('div', { class: `block ${className}` }, head, typeof content === 'string' ? text(content) : content);
}

function text(content) {
  if (content.length <= LONG) return el('div', { class: 'text' }, content);
  return [
    el('div', { class: 'text' }, `${content.slice(0, 600)} …`),
    folded(`All ${plural(content.length, 'character')}`, () => el('div', { class: 'text' }, content)),
  ];
}

/** The blocks of the answers. */
export function answerBlocks(answers) {
  return answers.filter((answer) => answer.parts.length).map((answer, index) =>
    turn(answers.length > 1 ? `answer ${index + 1}` : 'answer', answer.parts.map(partBlock)));
}

export function partBlock(part) {
  if (part.kind === 'result') return block('tool result', part.text);
  if (part.kind !== 'call') return block(part.kind, part.text);
  const shown = callBlock(part.name, part.text);
  if (part.whole === false) shown.append(el('p', { class: 'error' }, 'This call was cut.'));
  return shown;
}
