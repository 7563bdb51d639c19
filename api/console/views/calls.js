// The active calls, as they come and go.

import { fill, h, text } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { calls, failure, known, watchCalls } from "../lib/live_calls.js";
import { compare, liveTable } from "../lib/live_table.js";
import { send } from "../lib/rest.js";
import { ask, field, notice, setBadge } from "../lib/ui.js";
import { may } from "../lib/user.js";

export const title = "Calls";

const STATES = ["ringing", "self_service", "queued", "connected", "transferring", "on_hold"];
const PACE = 200; // ms between two looks at what has changed

const seconds = (call) => (Date.now() - call.started) / 1000;

const COLUMNS = [
  { id: "calling", label: "From", value: (call) => call.calling, width: "1.75 1 0" },
  { id: "called", label: "To", value: (call) => call.called, width: "1.5 1 0" },
  {
    id: "state",
    label: "State",
    value: (call) => STATES.indexOf(call.state),
    shown: (call) => call.state,
    show(cell, state) {
      if (!cell.firstChild) cell.append(h("span"));
      setBadge(cell.firstChild, state);
    },
    width: "0 0 min(136px, 30vw)",
  },
  { id: "application", label: "Application", value: (call) => call.application, class: "wide", width: "1.1 1 0" },
  { id: "started", label: "Started", value: (call) => call.started, shown: (call) => format.time(call.started), class: "wide", width: "0 0 104px" },
  { id: "duration", label: "Duration", value: (call) => -call.started, shown: (call) => format.duration(seconds(call)), class: "wide number", width: "0 0 96px" },
  { id: "guid", label: "GUID", value: (call) => call.guid, class: "wide mono", width: "0 0 284px" },
];

// What was chosen stays as one comes back to the view.
const chosen = { search: "", state: "", sort: { by: "started", down: true }, scrolled: 0 };

function matching() {
  const wanted = chosen.search.trim().toLowerCase();
  const found = [];
  for (const call of calls.values()) {
    if (chosen.state && call.state !== chosen.state) continue;
    if (wanted && ![call.calling, call.called, call.application, call.guid].some((part) => part.toLowerCase().includes(wanted))) continue;
    found.push(call);
  }
  const { value } = COLUMNS.find(({ id }) => id === chosen.sort.by);
  const sign = chosen.sort.down ? -1 : 1;
  return found.sort((one, other) => sign * compare(value(one), value(other)) || (one.guid < other.guid ? -1 : 1));
}

async function place() {
  let guid;
  const made = await ask("Place a test call", {
    text: "The first party is called; once it has answered, it is connected as if it had dialed the destination.",
    fields: [
      field("First party", "callingNumber", { value: "1002", required: true, hint: "A number with a route, an extension or a SIP URI." }),
      field("Destination", "destination", { value: "7001", required: true, hint: "A number of the dial plan, an extension or a SIP URI." }),
    ],
    confirm: "Call",
    async act(body) {
      guid = (await send("POST", "/sim/v1/calls", body)).callGuid;
    },
  });
  if (made) {
    notice("The first party is being called.");
    location.hash = `#/call/${guid}`;
  }
}

export function show({ main, query, signal }) {
  if (query.has("state")) chosen.state = query.get("state");
  if (query.has("search")) chosen.search = query.get("search");
  main.classList.add("fills");

  const count = h("span", { class: "muted", "aria-live": "off" });
  const failed = h("span", { class: "error", role: "alert" });
  const search = h("input", { type: "search", id: "search", placeholder: "number, application, GUID", value: chosen.search });
  const chips = new Map();
  const choices = h("fieldset", { class: "chips" }, h("legend", { class: "hidden-text" }, "State"), ["", ...STATES].map(chip));
  const table = liveTable({
    label: "Active calls",
    columns: COLUMNS,
    key: (call) => call.guid,
    href: (call) => `#/call/${call.guid}`,
    describe: (call) => `Call from ${call.calling} to ${call.called}`,
    sort: chosen.sort,
    sorted: look,
    signal,
  });

  function chip(state) {
    const figure = h("b", {}, "0");
    chips.set(state, figure);
    return h(
      "label",
      { class: "chip" },
      h("input", { type: "radio", name: "state", value: state, checked: state === chosen.state }),
      h("span", { class: `is-${state}` }, state ? format.words(state) : "all", figure),
    );
  }

  function look() {
    const counts = new Map(STATES.map((state) => [state, 0]));
    for (const call of calls.values()) counts.set(call.state, counts.get(call.state) + 1);
    chips.forEach((figure, state) => text(figure, format.number(state ? counts.get(state) : calls.size)));
    const found = matching();
    table.rows(found);
    text(failed, failure && `${failure} The calls are read again in a moment.`);
    text(count, !known ? "reading \u2026" : found.length === calls.size ? format.plural(calls.size, "call") : `${format.number(found.length)} of ${format.plural(calls.size, "call")}`);
  }

  // News is gathered, and looked at before a frame, now and then.
  let last = 0;
  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    setTimeout(
      () =>
        requestAnimationFrame(() => {
          waiting = false;
          last = performance.now();
          if (!signal.aborted) look();
        }),
      Math.max(0, last + PACE - performance.now()),
    );
  }

  search.addEventListener("input", () => {
    chosen.search = search.value;
    look();
  });
  choices.addEventListener("change", (event) => {
    chosen.state = event.target.value;
    look();
  });
  table.node.addEventListener("scroll", () => (chosen.scrolled = table.node.scrollTop), { passive: true });

  fill(
    main,
    h(
      "div",
      { class: "view-head" },
      h("h1", {}, "Calls"),
      count,
      failed,
      h("div", { class: "tools" }, h("label", { for: "search", class: "hidden-text" }, "Search"), search, may("control") && h("button", { type: "button", class: "primary", onclick: place }, "Place a test call \u2026")),
    ),
    choices,
    table.node,
  );
  const ticking = setInterval(table.redraw, 1000);
  signal.addEventListener("abort", () => clearInterval(ticking));
  const { scrolled } = chosen;
  watchCalls(soon, signal);
  look();
  table.node.scrollTop = scrolled;
}
