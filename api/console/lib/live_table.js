// A table of thousands of rows, of which only those in sight are in the page.
//
// A row keeps its elements as long as it is in sight, so that the focus stays with it while others
// come and go; then they serve another. Rows have their places by themselves, and each is laid out
// by itself: what one shows moves no other. Up, Down, Home, End and Page keys move the focus; Enter
// follows the link.

import { h, visible } from "./dom.js";

const MARGIN = 6; // rows beyond the edge

const byText = new Intl.Collator(undefined, { numeric: true });

/** Compare two values of a column: numbers as such, texts with their numbers in order. */
export function compare(one, other) {
  return typeof one === "number" ? one - other : byText.compare(one, other);
}

/**
 * `columns`: {id, label, value(row) (to sort by), shown(row) (text, if it is another), show(cell,
 * text) (if it is more than text), class, width (CSS flex)}. The first one has the
 * link. `key(row)` names a row, `href(row)` is where it leads, `describe(row)` the name of that
 * link: these two never change. `sort`: {by: id, down: boolean}, which the headings change;
 * `sorted` hears of it.
 * Gives {node, rows(array): show these, in this order; redraw(): the same rows have changed}.
 */
export function liveTable({ label, columns, key, href, describe, sort, sorted, signal }) {
  const body = h("tbody", { role: "rowgroup" });
  const headings = new Map();
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row", "aria-rowindex": "1" }, columns.map(heading)));
  const table = h("table", { role: "table", "aria-label": label }, head, body);
  const node = h("div", { class: "live-table", role: "region", "aria-label": label, tabindex: "0" }, table);

  let all = [];
  let shown = new Map(); // by key: {tr, cells, link, texts, index, top}
  let active = null; // the key of the row that Tab reaches
  let reached = null; // its link
  // What is measured is known here: to ask the page amid changes would lay it out once more.
  let height = 30;
  let space = 0;
  let scrolled = 0;

  function heading(column) {
    const cell = h("th", { scope: "col", role: "columnheader", class: column.class }, h("button", { type: "button", onclick: () => turn(column.id) }, column.label));
    cell.style.flex = column.width;
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

  function make() {
    const link = h("a", { tabindex: "-1" });
    const cells = columns.map((column, index) => {
      const cell = h("td", { role: "cell", class: column.class }, index === 0 && link);
      cell.style.flex = column.width;
      return cell;
    });
    return { tr: h("tr", { class: "row", role: "row" }, cells), cells: [link, ...cells.slice(1)], link, texts: [], index: -1, top: -1 };
  }

  function write(one, row, index) {
    const { cells, texts } = one;
    for (let place = 0; place < columns.length; place++) {
      const column = columns[place];
      const text = column.shown ? column.shown(row) : column.value(row);
      if (texts[place] === text) continue;
      texts[place] = text;
      const cell = cells[place];
      if (column.show) column.show(cell, text);
      else if (cell.firstChild) cell.firstChild.data = visible(text);
      else cell.append(visible(text));
    }
    if (one.index !== index) {
      one.index = index;
      one.tr.setAttribute("aria-rowindex", index + 2);
    }
    const top = index * height;
    if (one.top !== top) {
      one.top = top;
      one.tr.style.transform = `translateY(${top}px)`;
    }
  }

  function draw() {
    const first = Math.max(0, Math.min(Math.floor(scrolled / height) - MARGIN, all.length - 1));
    const last = Math.min(all.length, Math.ceil((scrolled + space) / height) + MARGIN);
    const had = body.contains(document.activeElement) ? active : null;
    const rows = all.slice(first, last);
    const next = new Map(rows.map((row) => [key(row), null]));
    const spare = [];
    for (const [name, one] of shown) {
      if (next.has(name)) next.set(name, one);
      else spare.push(one);
    }
    // Where no row stays, those that there are serve in their order; else they are put where they belong.
    if (spare.length < shown.size) for (const { tr } of spare) tr.remove();
    let before = null;
    rows.forEach((row, after) => {
      const name = key(row);
      let one = next.get(name);
      if (one === null) {
        next.set(name, (one = spare.shift() ?? make()));
        one.link.setAttribute("href", href(row));
        one.link.setAttribute("aria-label", visible(describe(row)));
      }
      write(one, row, first + after);
      const place = before ? before.nextSibling : body.firstChild;
      if (place !== one.tr) body.insertBefore(one.tr, place);
      before = one.tr;
    });
    for (const { tr } of spare) tr.remove();
    shown = next;
    if (!shown.has(active)) active = shown.size ? [...shown.keys()][Math.min(MARGIN, first, shown.size - 1)] : null;
    const link = shown.get(active)?.link ?? null;
    if (link !== reached) {
      if (reached) reached.tabIndex = -1;
      if (link) link.tabIndex = 0;
      reached = link;
    }
    if (had !== null && document.activeElement !== link) (link ?? node).focus({ preventScroll: true });
  }

  function move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[event.key];
    if (steps === undefined || event.target.closest("th") || !all.length) return;
    event.preventDefault();
    const now = body.contains(document.activeElement) ? all.findIndex((row) => key(row) === active) : -1;
    const index = Math.max(0, Math.min(all.length - 1, now + steps));
    active = key(all[index]);
    const top = index * height;
    const free = space - head.offsetHeight;
    if (top < scrolled) node.scrollTop = top;
    else if (top + height > scrolled + free) node.scrollTop = top + height - free;
    scrolled = node.scrollTop;
    draw();
    shown.get(active)?.link.focus({ preventScroll: true });
  }

  function measure() {
    height = parseFloat(getComputedStyle(node).getPropertyValue("--row")) || 30;
    space = node.clientHeight;
    scrolled = node.scrollTop;
    stretch();
    draw();
  }

  function stretch() {
    body.style.height = `${all.length * height}px`;
    table.setAttribute("aria-rowcount", all.length + 1);
  }

  node.addEventListener(
    "scroll",
    () => {
      scrolled = node.scrollTop;
      draw();
    },
    { passive: true },
  );
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
      const before = all.length;
      all = next;
      if (all.length !== before) stretch();
      draw();
    },
    redraw: draw,
  };
}
