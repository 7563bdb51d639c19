// The variables of a call, to be edited. What somebody else has changed meanwhile is not
// overwritten: If-Match has the ETag that was read.

import { fill, h } from "../lib/dom.js";
import { ask as request, path, send } from "../lib/rest.js";
import { action, ask, field, notice, panel } from "../lib/ui.js";
import { may } from "../lib/user.js";

const KINDS = [
  [/^callVariable\d+$/, "callVariables", 40],
  [/^peripheral\d+$/, "peripheralVariables", 40],
  [/./, "eccVariables", 210],
];
const kindOf = (name) => KINDS.findIndex(([pattern]) => pattern.test(name));
const inOrder = (one, other) => kindOf(one) - kindOf(other) || one.localeCompare(other, undefined, { numeric: true });

/** All of them by name; peripherals only where they are others than the call variables. */
function named({ callVariables, peripheralVariables, eccVariables }) {
  const apart = Object.entries(peripheralVariables).filter(([name, value]) => callVariables[name.replace("peripheral", "callVariable")] !== value);
  return { ...callVariables, ...Object.fromEntries(apart), ...eccVariables };
}

/** The body that sets these: {name: value}. */
function update(values) {
  const body = {};
  for (const [name, value] of Object.entries(values)) (body[KINDS[kindOf(name)][1]] ??= {})[name] = value;
  return body;
}

/** {node, read(options)}: a panel, and to read them again; rows that are being edited stay. */
export function variablesPanel(guid) {
  const at = path`/cvp/rest/call/${guid}/variables`;
  const rows = new Map(); // by name: {tr, input, known}
  const body = h("tbody");
  const changed = h("p", { class: "error panel-body", role: "alert", hidden: true });
  const save = action("Save", write, { class: "primary", hidden: true });
  const undo = h("button", { type: "button", hidden: true, onclick: revert }, "Undo");
  const none = h("p", { class: "empty" }, "None is set.");
  const grid = h("table", { hidden: true }, h("thead", { class: "hidden-text" }, h("tr", {}, h("th", { scope: "col" }, "Name"), h("th", { scope: "col" }, "Value"))), body);
  const node = panel("Variables", { tools: [undo, save, may("control") && action("Add \u2026", add)] }, changed, none, grid);
  let etag = "";

  const dirty = () => [...rows].filter(([, { input, known }]) => input.value !== known);

  function mark() {
    const some = dirty().length > 0;
    save.hidden = undo.hidden = !some;
    if (!some) changed.hidden = true;
  }

  function row(name) {
    const input = h("input", { "aria-label": name, maxlength: KINDS[kindOf(name)][2], autocomplete: "off", spellcheck: "false", readonly: !may("control"), oninput: mark });
    input.addEventListener("keydown", ({ key }) => key === "Enter" && dirty().length && save.click());
    const made = { input, known: "", tr: h("tr", {}, h("th", { scope: "row", class: "mono" }, name), h("td", {}, input)) };
    rows.set(name, made);
    return made;
  }

  function show(found) {
    for (const [name, value] of Object.entries(named(found))) {
      const one = rows.get(name) ?? row(name);
      if (one.input.value === one.known) one.input.value = value;
      one.known = value;
    }
    [...rows.keys()].sort(inOrder).forEach((name, index) => {
      const { tr } = rows.get(name);
      if (body.children[index] !== tr) body.insertBefore(tr, body.children[index] ?? null);
    });
    none.hidden = rows.size > 0;
    grid.hidden = rows.size === 0;
    mark();
  }

  async function read(options) {
    if (dirty().length) return; // what is being edited was read before: its ETag stays
    await reread(options);
  }

  async function reread(options) {
    const response = await request("GET", at, options);
    etag = response.headers.get("ETag");
    show(await response.json());
  }

  async function put(values) {
    await send("PUT", at, update(values), { headers: { "If-Match": etag } });
    for (const name of Object.keys(values)) if (rows.has(name)) rows.get(name).known = rows.get(name).input.value;
    await reread();
    notice("The variables are set.");
  }

  async function write() {
    const mine = Object.fromEntries(dirty().map(([name, { input }]) => [name, input.value]));
    try {
      await put(mine);
    } catch (error) {
      if (error.status !== 412) throw error;
      await reread();
      fill(changed, `Somebody else has changed the variables meanwhile. What you wrote (${Object.keys(mine).join(", ")}) is not saved yet: look, then save again, or undo.`);
      changed.hidden = false;
    }
  }

  function revert() {
    for (const one of rows.values()) one.input.value = one.known;
    mark();
    read();
  }

  function add() {
    return ask("Set a variable", {
      fields: [
        field("Name", "name", { required: true, maxlength: 64, placeholder: "user.tier", hint: "callVariable1 to callVariable10, or the name of an ECC variable." }),
        field("Value", "value", { maxlength: 210 }),
      ],
      confirm: "Set",
      async act({ name, value }) {
        try {
          await put({ [name]: value });
        } catch (error) {
          if (error.status === 412) await reread(); // once more, knowing what there is, it is taken
          throw error;
        }
      },
    });
  }

  return { node, read };
}
