// Formats numbers, times and names.

const number = new Intl.NumberFormat('en-US');

export const count = (value) => number.format(value);

export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

export function seconds(value) {
  if (value === null || value === undefined) return '';
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 120) return `${value.toFixed(1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

export function bytes(value) {
  for (const [unit, size] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(value / size < 10 ? 1 : 0)} ${unit}`;
  }
  return `${value} B`;
}

/** A speed in tokens per second. */
export function speed(value) {
  return `${value < 1000 ? value.toFixed(1) : count(Math.round(value))} tokens/s`;
}

/** The time of day of an ISO date, in the time zone of the browser. */
export function clock(iso) {
  return new Date(iso).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

/** The program in a `user-agent`, without the rest. */
export function program(agent) {
  return agent.startsWith('Mozilla/') ? 'Browser' : agent.split(' ')[0];
}

/** The end of the path, which names the API: `messages`, `chat/completions`. */
export function endpoint(entry) {
  return (entry.endpoint || entry.path).replace(/^.*\/v1\//, '');
}

/** JSON with indentation, or the text as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(typeof text === 'string' ? JSON.parse(text) : text, null, 2);
  } catch {
    return String(text);
  }
}
