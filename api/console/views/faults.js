// Faults: rules that do harm to SIP messages, each with a switch.

import { fill, h } from "../lib/dom.js";
import { onEvents } from "../lib/events.js";
import * as format from "../lib/format.js";
import { get, path, send } from "../lib/rest.js";
import { action, ask, complain, notice, panel, table } from "../lib/ui.js";
import { may } from "../lib/user.js";
import { newFault } from "./faults_form.js";

export const title = "Faults";

const PACE = 2000; // ms between two looks at the counters
const OWN = new Set(["set", "name", "enabled", "matched", "fired", "origin"]);
const USUAL = { probability: 1, seed: 0 };

const said = (one) => Boolean(typeof one === "object" ? one && Object.keys(one).length : one); // "", 0, [] and {} say nothing
const value = (one) => (typeof one === "object" ? Object.entries(one).filter(([, inner]) => said(inner)).map(([key, inner]) => `${key} ${value(inner)}`).join(", ") : one === true ? "" : String(one));

/** A rule in words: "direction in, method INVITE, answer status 503". */
function described(rule) {
  return Object.entries(rule)
    .filter(([key, one]) => !OWN.has(key) && one !== USUAL[key])
    .map(([key, one]) => `${format.words(key)} ${value(one)}`.trim())
    .join("; ");
}

export async function show({ main, signal }) {
  const parts = { rules: h("div"), sets: h("div") };
  const removeAll = action("Delete all \u2026", clear, { class: "danger" });
  let shown = "";
  let counters = new Map();

  function rule(one) {
    const fired = h("span", { class: "number" });
    const matched = h("span", { class: "number" });
    counters.set(one.name, { fired, matched });
    const toggle = h("input", { type: "checkbox", role: "switch", checked: one.enabled, disabled: !may("admin"), "aria-label": `${one.name} is on`, "data-of": one.name });
    toggle.addEventListener("change", () => flip(one.name, toggle));
    return [
      h("label", { class: "switch" }, toggle),
      h("b", {}, one.name),
      h("span", {}, described(one), one.origin === "configuration" && h("span", { class: "muted" }, " (of the configuration)")),
      matched,
      fired,
      may("admin") && action("Delete", () => remove(one.name), { "aria-label": `Delete ${one.name}` }),
    ];
  }

  /** Show the rules; where only counters have changed, only those. */
  function draw(faults) {
    const now = JSON.stringify(faults.map((one) => ({ ...one, matched: 0, fired: 0 })));
    if (now !== shown) {
      shown = now;
      counters = new Map();
      const focused = document.activeElement?.dataset?.of;
      fill(parts.rules, table("Rules in force", ["On", "Name", "What it does", "Matched", "Fired", ""], faults.map(rule), "No rule is in force: every message passes as it is."));
      if (focused) [...parts.rules.querySelectorAll("input")].find(({ dataset }) => dataset.of === focused)?.focus();
      removeAll.hidden = faults.length === 0;
    }
    for (const { name, matched, fired } of faults) {
      fill(counters.get(name).matched, format.number(matched));
      fill(counters.get(name).fired, format.number(fired));
    }
  }

  async function read() {
    draw((await get("/sim/v1/faults", { signal })).faults);
  }

  async function flip(name, toggle) {
    try {
      await send("PATCH", path`/sim/v1/faults/${name}`, { enabled: toggle.checked });
    } catch (error) {
      toggle.checked = !toggle.checked;
      complain(error);
    }
    await look();
  }

  async function remove(name) {
    await send("DELETE", path`/sim/v1/faults/${name}`);
    notice(`The fault ${name} is deleted.`);
    await read();
  }

  async function clear() {
    const done = await ask("Delete all faults", {
      text: "All rules go, those of the configuration too, until the server is started or reset. Messages that are held back are lost.",
      confirm: "Delete all",
      danger: true,
      act: () => send("DELETE", "/sim/v1/faults"),
    });
    if (done) await read();
  }

  async function add(rule) {
    const { name } = await send("POST", "/sim/v1/faults", rule);
    notice(`The fault ${name} is in force.`);
    await read();
  }

  const look = () => read().catch((error) => signal.aborted || error.status === 0 || complain(error));
  const looking = setInterval(() => document.hidden || look(), PACE);
  signal.addEventListener("abort", () => clearInterval(looking));

  fill(
    main,
    h(
      "div",
      { class: "view-head" },
      h("h1", {}, "Faults"),
      may("admin") && h("div", { class: "tools" }, removeAll, h("button", { type: "button", class: "primary", onclick: () => newFault(add) }, "New fault \u2026")),
    ),
    panel("In force", {}, parts.rules),
    panel("Ready-made", {}, parts.sets),
  );
  onEvents({ resync: look }, signal);
  const { sets } = await get("/sim/v1/fault-sets", { signal });
  fill(parts.sets, table(
    "Ready-made faults",
    ["Name", "What goes wrong", ""],
    sets.map(({ set, description }) => [h("b", {}, set), description, may("admin") && action("Add", () => add({ set }), { "aria-label": `Add ${set}` })]),
  ));
  await read();
}
