// The SIP messages of a call as a ladder, which grows as they come. Each row opens to its message.

import { fill, h, text } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { get, path, send } from "../lib/rest.js";
import { action, complain, panel } from "../lib/ui.js";
import { may } from "../lib/user.js";

const PACE = 1000; // ms between two looks for new messages

/** {node, read(options), stop()}: a panel that reads what is new each second until it is stopped. */
export function ladderPanel(guid, signal) {
  const at = path`/sim/v1/calls/${guid}/trace`;
  const heads = h("div", { class: "lanes heads" });
  const lines = h("div", { class: "lanes lines", "aria-hidden": "true" });
  const rows = h("ol", { class: "rows" });
  const ladder = h("div", { class: "scroll ladder", role: "region", "aria-label": "Ladder", tabindex: "0", hidden: true }, heads, h("div", { class: "run" }, lines, rows));
  const none = h("p", { class: "empty" });
  const files = ["pcap", "txt", "svg"].map((kind) => h("a", { href: `.${at}.${kind}`, download: `${guid}.${kind}` }, kind));
  const tools = h("span", { class: "bar", hidden: true }, files);
  const node = panel("Ladder", { tools }, none, ladder);

  const lanes = new Map(); // by Call-ID: {place, head}
  let last = 0;
  let first = null; // the time of the first message
  let reading = null;
  let asleep = false; // nothing is kept: it is looked again when something happens

  /** The caller stands left of the call server, who else comes right of it. */
  function lane({ callId, leg, peer }) {
    if (!lanes.has(callId)) {
      const place = lanes.size === 0 ? 0 : lanes.size + 1;
      const address = h("small", { class: "mono" });
      lanes.set(callId, { place, address, head: h("span", {}, h("b", {}, leg ? format.words(leg) : "leg"), address) });
      const server = h("span", {}, h("b", {}, "call server"));
      const ordered = [...lanes.values()].map((one) => one.head);
      ordered.splice(1, 0, server);
      fill(heads, ordered);
      fill(lines, ordered.map(() => h("i")));
      ladder.style.setProperty("--lanes", ordered.length);
    }
    const found = lanes.get(callId);
    if (peer) text(found.address, peer); // what a fault holds back has none yet
    return found.place;
  }

  function row(message) {
    const when = Date.parse(message.timestamp);
    first ??= when;
    const time = h("span", { class: "mono muted", title: format.exactTime(when) }, `+${((when - first) / 1000).toFixed(3)}`);
    const place = lane(message);
    if (!message.direction) return h("li", { class: "note" }, time, h("span", { class: "lanes" }, h("em", {}, message.note)));
    const toServer = message.direction === "in";
    const leftward = place === 0 ? !toServer : toServer;
    const [from, to] = place === 0 ? [0, 1] : [1, place];
    const arrow = h(
      "span",
      { class: `arrow ${leftward ? "left" : "right"}` },
      h("span", {}, message.summary ?? "", message.note && h("em", {}, ` ${message.note}`)),
    );
    arrow.style.gridColumn = `${from + 1} / ${to + 2}`;
    arrow.style.marginInline = `calc(50% / ${to - from + 1})`;
    const code = Number.parseInt(message.summary, 10);
    const whole = h("pre", { hidden: true }, message.message);
    const said = `${toServer ? "from" : "to"} ${message.leg ? format.words(message.leg) : "leg"}`;
    const button = h("button", { type: "button", class: "lanes", "aria-expanded": "false" }, h("span", { class: "hidden-text" }, said), arrow);
    button.addEventListener("click", () => {
      whole.hidden = !whole.hidden;
      button.setAttribute("aria-expanded", String(!whole.hidden));
    });
    return h("li", { class: code >= 300 ? "is-failure" : null }, time, button, whole);
  }

  async function read() {
    let found;
    try {
      found = await get(`${at}?after=${last}`, { signal });
    } catch (error) {
      if (error.status === 0 || signal.aborted) return;
      if (error.status !== 404) throw error;
      asleep = true;
      if (last === 0) await explain();
      return;
    }
    if (!found.messages.length) return;
    last = found.messages.at(-1).number;
    rows.append(...found.messages.map(row));
    none.hidden = true;
    ladder.hidden = tools.hidden = false;
    if (found.omitted) {
      fill(none, `${format.plural(found.omitted, "message")} of this call are not kept any more.`);
      none.hidden = false;
    }
  }

  /** Nothing is kept: because the trace is off, or of this call. */
  async function explain() {
    const { enabled } = await get("/sim/v1/trace", { signal });
    const on = may("admin") && action("Turn the trace on", async () => {
      await send("PUT", "/sim/v1/trace", { enabled: true });
      asleep = false;
      await explain();
    });
    fill(none, enabled ? "No message of this call is kept." : ["The trace is off: no messages are kept. ", on]);
  }

  function look() {
    asleep = false;
    return (reading ??= read().catch((error) => signal.aborted || complain(error)).finally(() => (reading = null)));
  }
  const looking = setInterval(() => asleep || look(), PACE);
  const stop = () => clearInterval(looking);
  signal.addEventListener("abort", stop);
  return { node, read: look, stop };
}
