// Makes elements. All content is inserted as text: a string is a text node, and no function here reads HTML.

/**
 * Make an element. `props`: `on…` functions are listeners, a value of `false`, `null` or `undefined` is left out,
 * and everything else becomes an attribute. Children are nodes, strings and numbers; lists are flattened.
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  fill(element, children);
  return element;
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  const nodes = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');
  element.replaceChildren(...nodes.map((child) => (child instanceof Node ? child : document.createTextNode(String(child)))));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A block that opens; what is in it is made when it is opened for the first time. */
export function folded(summary, make, { open = false, className = '' } = {}) {
  const details = el('details', { class: className || null }, el('summary', {}, summary));
  let made = false;
  const show = () => {
    if (details.open && !made) {
      made = true;
      details.append(...[make()].flat(Infinity).filter(Boolean));
    }
  };
  details.addEventListener('toggle', show);
  if (open) {
    details.open = true;
    show();
  }
  return details;
}

/** Tabs, with arrow keys. `views` are `[name, make]`; a view is made each time its tab is chosen. */
export function tabs(label, views, chosen, onchoose) {
  const panel = el('div', { role: 'tabpanel', class: 'panel', tabindex: '0', id: 'panel' });
  const buttons = views.map(([name]) =>
    el('button', { role: 'tab', type: 'button', 'aria-controls': 'panel', id: `tab-${slug(name)}`, onclick: () => choose(name) }, name));
  const choose = (name) => {
    views.forEach(([other], index) => {
      const is = other === name;
      buttons[index].setAttribute('aria-selected', is);
      buttons[index].tabIndex = is ? 0 : -1;
    });
    panel.setAttribute('aria-labelledby', `tab-${slug(name)}`);
    fill(panel, views.find(([other]) => other === name)[1]());
    onchoose(name);
  };
  const list = el('div', { role: 'tablist', 'aria-label': label, class: 'tabs', onkeydown: (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const button = buttons[(to + buttons.length) % buttons.length];
    button.focus();
    button.click();
  } }, buttons);
  choose(views.some(([name]) => name === chosen) ? chosen : views[0][0]);
  return [list, panel];
}

const slug = (name) => name.toLowerCase().replace(/\W+/g, '-');

let hiding = 0;

/** Show a short message for a moment; a screen reader reads it. */
export function toast(text) {
  const box = byId('toast');
  box.textContent = text;
  box.classList.add('shown');
  clearTimeout(hiding);
  hiding = setTimeout(() => box.classList.remove('shown'), 3500);
}

/** Copy text; where the browser does not allow that, show it to be copied by hand. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what}: copied`);
  } catch {
    byId('text-title').textContent = what;
    byId('text-content').value = text;
    byId('text-dialog').showModal();
    byId('text-content').select();
  }
}
