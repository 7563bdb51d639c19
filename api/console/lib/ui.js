// What views are put together of: panels, badges, buttons that act, dialogs, notices.

import { fill, h } from "./dom.js";
import { words } from "./format.js";

let names = 0;
/** An id that nothing else has: for labels and what they are of. */
export const newId = () => `n${++names}`;

/** Tell something at the edge of the page; `kind` is "good" or "bad". Errors stay until closed. */
export function notice(message, kind = "good") {
  const node = h(
    "div",
    { class: `notice ${kind}` },
    h("span", {}, message),
    h("button", { type: "button", class: "plain", "aria-label": "Close this notice", onclick: () => node.remove() }, "\u00d7"),
  );
  const list = document.getElementById("notices");
  list.append(node);
  while (list.childElementCount > 4) list.firstChild.remove();
  if (kind === "good") setTimeout(() => node.remove(), 6000);
}

/** An error, as a notice in words. */
export const complain = (error) => notice(error.message, "bad");

/** A state as a badge: a dot of its colour, and its name. */
export function badge(state) {
  return h("span", { class: `badge is-${state}` }, words(state));
}

/** Change what `badge` made. */
export function setBadge(node, state) {
  node.className = `badge is-${state}`;
  node.textContent = words(state);
}

/** A button. While `act` (async) runs it is off; what `act` throws becomes a notice. */
export function action(label, act, attributes = {}) {
  const node = h("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", async () => {
    node.setAttribute("aria-disabled", "true");
    try {
      await act();
    } catch (error) {
      complain(error);
    } finally {
      node.removeAttribute("aria-disabled");
    }
  });
  node.addEventListener("click", (event) => {
    if (node.getAttribute("aria-disabled") === "true") event.stopImmediatePropagation();
  }, true);
  return node;
}

/** A part of a page with a heading: panel("Legs", node, ...). `tools` go beside the heading. */
export function panel(title, { tools = null, level = "h2" } = {}, ...children) {
  const id = newId();
  return h(
    "section",
    { class: "panel", "aria-labelledby": id },
    h("div", { class: "panel-head" }, h(level, { id }, title), tools && h("div", { class: "tools" }, tools)),
    children,
  );
}

/** Names and values: facts([["From", "1002"], ...]); those without a value are left out. */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return h("dl", { class: "facts" }, given.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

const kindOf = (column) => (Array.isArray(column) ? column[1] : null);

/**
 * A plain table for some dozens of rows: `columns` are headings, or pairs of a heading and a class for
 * its cells, such as ["Calls", "number"]; `rows` are arrays of cells.
 */
export function table(label, columns, rows, empty = "None.") {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: kindOf(column) }, [column].flat()[0])))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, index) => h("td", { class: kindOf(columns[index]) }, cell))))),
    ),
  );
}

/**
 * A field with its label, for forms. `options` makes it a select of [value, label] pairs;
 * everything else are attributes of the input; `hint` stands below.
 */
export function field(label, name, { options = null, hint = "", value = "", ...attributes } = {}) {
  const id = newId();
  const described = hint ? { "aria-describedby": `${id}-hint` } : {};
  const control = options
    ? h("select", { id, name, ...described, ...attributes }, options.map(([key, shown]) => h("option", { value: key, selected: key === value }, shown)))
    : h("input", { id, name, value, autocomplete: "off", spellcheck: "false", ...described, ...attributes });
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    control,
    hint && h("small", { id: `${id}-hint` }, hint),
  );
}

/** What a button is for, also where it was made anew. */
const purpose = (button) => button.dataset.of ?? button.getAttribute("aria-label") ?? button.textContent;

/**
 * Ask in a dialog. `act` gets what the fields hold as an object, and may throw: the error is
 * shown in the dialog, which stays. Gives whether it was done; Escape and "Cancel" give false.
 */
export function ask(title, { fields = [], text: words = "", confirm = "OK", danger = false, act }) {
  const heading = newId();
  const opener = document.activeElement;
  const failed = h("p", { class: "error", role: "alert", hidden: true });
  const good = h("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: heading }, title),
    words && h("p", {}, words),
    fields,
    failed,
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), good),
  );
  const dialog = h("dialog", { "aria-labelledby": heading }, form);
  return new Promise((done) => {
    let acted = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (good.disabled) return;
      good.disabled = true;
      failed.hidden = true;
      try {
        await act(Object.fromEntries(new FormData(form)));
        acted = true;
        dialog.close();
      } catch (error) {
        fill(failed, error.message);
        failed.hidden = false;
      } finally {
        good.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      // The browser gives the focus back; where it came from may have been drawn anew meanwhile.
      if (!opener.isConnected) [...document.querySelectorAll("main button")].find((one) => purpose(one) === purpose(opener))?.focus();
      done(acted);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (!fields.length) good.focus();
  });
}
