// A table of thousands of rows, of which only those in sight are in the page.
//
// Rows keep their elements as long as they are in sight, so that the focus stays with a row
// while others come and go. Up, Down, Home, End and Page keys move it; Enter follows its link.

import { fill, h, text } from "./dom.js";

const MARGIN = 6; // rows beyond the edge

const byText = new Intl.Collator(undefined, { numeric: true });

/** Compare two values of a column: numbers as such, texts with their numbers in order. */
export function compare(one, other) {
  return typeof one === "number" ? one - other : byText.compare(one, other);
}

/**
 * `columns`: {id, label, value(row) (to sort by, and shown), show(cell, row) (if it is shown
 * otherwise), class, width (CSS)}. The first one has the link. `key(row)` names a row, `href(row)`
 * is where it leads, `describe(row)` the name of that link. `sort`: {by: id, down: boolean},
 * which the headings change; `sorted` hears of it.
 * Gives {node, rows(array): show these, in this order; redraw(): the same rows have changed}.
 */
export function liveTable({ label, columns, key, href, describe, sort, sorted, signal }) {
  const above = h("tr", { class: "gap", "aria-hidden": "true" }, h("td"));
  const below = above.cloneNode(true);
  const body = h("tbody", {}, above, below);
  const headings = new Map();
  const table = h(
    "table",
    {},
    h("colgroup", {}, columns.map((column) => h("col", { class: column.class, "data-of": column.id }))),
    h("thead", {}, h("tr", { "aria-rowindex": "1" }, columns.map(heading))),
    body,
  );
  const node = h("div", { class: "live-table", role: "region", "aria-label": label, tabindex: "0" }, table);
  for (const column of columns) if (column.width) table.querySelector(`col[data-of="${column.id}"]`).style.width = column.width;

  let all = [];
  let shown = new Map(); // by key: {tr, cells}
  let active = null; // the key of the row that Tab reaches
  let height = 30;

  function heading(column) {
    const cell = h("th", { scope: "col", class: column.class }, h("button", { type: "button", onclick: () => turn(column.id) }, column.label));
    headings.set(column.id, cell);
    return cell;
  }

  function turn(by) {
    sort.down = sort.by === by ? !sort.down : false;
    sort.by = by;
    mark();
    sorted();
  }

  function mark() {
    for (const [id, cell] of headings) {
      if (id === sort.by) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  function make(row) {
    const link = h("a", { href: href(row), tabindex: "-1" });
    const cells = columns.map((column, index) => h("td", { class: column.class }, index === 0 && link));
    return { tr: h("tr", { class: "row" }, cells), cells, link };
  }

  function write({ cells, link }, row) {
    columns.forEach((column, index) => {
      const cell = index === 0 ? link : cells[index];
      if (column.show) column.show(cell, row);
      else text(cell, column.value(row));
    });
    link.setAttribute("aria-label", describe(row));
  }

  function draw() {
    const first = Math.max(0, Math.floor(node.scrollTop / height) - MARGIN);
    const last = Math.min(all.length, Math.ceil((node.scrollTop + node.clientHeight) / height) + MARGIN);
    const focused = document.activeElement;
    const had = body.contains(focused) ? active : null;
    const next = new Map();
    let before = above;
    for (let index = first; index < last; index++) {
      const row = all[index];
      const name = key(row);
      const one = shown.get(name) ?? make(row);
      next.set(name, one);
      shown.delete(name);
      write(one, row);
      one.tr.setAttribute("aria-rowindex", index + 2);
      if (before.nextSibling !== one.tr) before.after(one.tr);
      before = one.tr;
    }
    for (const { tr } of shown.values()) tr.remove();
    shown = next;
    above.firstChild.style.height = `${first * height}px`;
    below.firstChild.style.height = `${(all.length - last) * height}px`;
    above.hidden = first === 0;
    below.hidden = last === all.length;
    if (!shown.has(active)) active = shown.size ? [...shown.keys()][Math.min(MARGIN, first, shown.size - 1)] : null;
    for (const [name, { link }] of shown) link.tabIndex = name === active ? 0 : -1;
    if (had !== null && !body.contains(document.activeElement)) {
      if (active === null) node.focus();
      else shown.get(active).link.focus({ preventScroll: true });
    }
  }

  function move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[event.key];
    if (steps === undefined || event.target.closest("th") || !all.length) return;
    event.preventDefault();
    const now = body.contains(document.activeElement) ? all.findIndex((row) => key(row) === active) : -1;
    const index = Math.max(0, Math.min(all.length - 1, now + steps));
    active = key(all[index]);
    const top = index * height;
    const head = table.tHead.offsetHeight;
    if (top < node.scrollTop) node.scrollTop = top;
    else if (top + height > node.scrollTop + node.clientHeight - head) node.scrollTop = top + height - node.clientHeight + head;
    draw();
    shown.get(active)?.link.focus({ preventScroll: true });
  }

  function measure() {
    height = parseFloat(getComputedStyle(node).getPropertyValue("--row")) || 30;
    draw();
  }

  node.addEventListener("scroll", draw, { passive: true });
  node.addEventListener("keydown", move);
  node.addEventListener("click", (event) => {
    const tr = event.target.closest("tr.row");
    if (tr && !event.target.closest("a") && !getSelection().toString()) tr.querySelector("a").click();
  });
  node.addEventListener("focusin", (event) => {
    for (const [name, { link }] of shown) if (link === event.target) active = name;
  });
  const size = new ResizeObserver(measure);
  size.observe(node);
  signal.addEventListener("abort", () => size.disconnect());
  mark();

  return {
    node,
    rows(next) {
      all = next;
      table.setAttribute("aria-rowcount", all.length + 1);
      draw();
    },
    redraw: draw,
  };
}
