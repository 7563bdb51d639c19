// Elements, made of values. Text becomes text nodes, never markup: peers write some of it.

// What a peer could hide or turn text around with: controls and the marks for direction.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** `value` as text in which nothing is hidden: such characters are shown as U+FFFD. */
export function visible(value) {
  return String(value).replace(HIDDEN, "\ufffd");
}

function add(node, child) {
  if (child === null || child === undefined || child === false) return;
  if (Array.isArray(child)) for (const one of child) add(node, one);
  else node.append(child instanceof Node ? child : visible(child));
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : visible(value));
  }
  add(node, children);
  return node;
}

/** An element: h("a", {href: "#/calls", onclick: f}, "text", node, [more], null). */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function svg(tag, attributes, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Give `node` these children in place of those that it has. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

/** Change the text of `node` where it is another. */
export function text(node, value) {
  const shown = visible(value);
  if (node.textContent !== shown) node.textContent = shown;
}
