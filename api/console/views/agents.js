// Agents, what they do, and who waits for them.

import { fill, h, text } from "../lib/dom.js";
import { onEvents } from "../lib/events.js";
import * as format from "../lib/format.js";
import { calls, watchCalls } from "../lib/live_calls.js";
import { get, path, send } from "../lib/rest.js";
import { action, ask, badge, complain, field, panel, table } from "../lib/ui.js";
import { may } from "../lib/user.js";

export const title = "Agents";

const PACE = 2000; // ms between two looks: states may also change with no call
const SOON = 300; // ms in which news of calls is gathered

// What can be made of each state: [button, state].
const CHANGES = {
  available: [["Not ready", "not_ready"], ["Log out", "logged_out"]],
  busy: [["Not ready", "not_ready"], ["Log out", "logged_out"]],
  not_ready: [["Ready", "available"], ["Log out", "logged_out"]],
  logged_out: [["Log in", "available"]],
};

/** A call by its numbers, or by what tells GUIDs of one server and time apart. */
function named(guid) {
  const call = calls.get(guid);
  return call ? `${call.calling} to ${call.called}` : `\u2026 ${guid.slice(8, 16)} \u2026`;
}

const toCall = (guid) => h("a", { href: path`#/call/${guid}` }, named(guid));

/** What an agent talks to: the last call, and how many there are. */
function callsOf({ callGuid, activeCalls }) {
  if (!activeCalls) return "\u2013";
  if (!callGuid) return format.plural(activeCalls, "call");
  return h("span", {}, toCall(callGuid), activeCalls > 1 && ` and ${format.number(activeCalls - 1)} more`);
}

/** Seconds that go on: `since` is when they began, in milliseconds of this browser. */
function clock(since) {
  const node = h("span", { class: "clock" }, format.duration((Date.now() - since) / 1000));
  node.since = since;
  return node;
}

const change = (extension, wanted) => send("PUT", path`/sim/v1/agents/${extension}`, wanted);

/** How long an agent's phone rings, to be changed; only simulated phones have that. */
function ringing({ extension, answerAfter }, read) {
  if (answerAfter === undefined) return "\u2013";
  const shown = `${format.number(answerAfter)} s`;
  if (!may("control")) return shown;
  return action(
    `${shown} \u2026`,
    async () => {
      const done = await ask(`Agent ${extension} answers after`, {
        fields: [
          field("Seconds", "seconds", { type: "number", min: 0, max: 3600, step: "any", value: answerAfter, required: true, hint: "How long the phone rings, from the INVITE to the 200, for calls to come." }),
        ],
        confirm: "Set",
        act: ({ seconds }) => change(extension, { answerAfter: Number(seconds) }),
      });
      if (done) await read();
    },
    { "aria-label": `Answer after ${shown}: ${extension}`, "data-of": `${extension} answerAfter` },
  );
}

function agents(found, read) {
  const steered = may("control");
  return table(
    "Agents",
    ["Agent", "State", ...(steered ? ["Change to"] : []), "Answers after", "Call", "Idle for", "Skill groups"],
    found.map((one) => [
      h("span", {}, h("b", {}, one.extension), one.name && ` ${one.name}`, one.agentId !== one.extension && ` (${one.agentId})`),
      badge(one.state),
      ...(steered ? [h(
        "div",
        { class: "bar" },
        CHANGES[one.state].map(([label, state]) => action(label, () => change(one.extension, { state }).then(read), { "aria-label": `${label}: ${one.extension}`, "data-of": `${one.extension} ${state}` })),
      )] : []),
      ringing(one, read),
      callsOf(one),
      one.idleSince ? clock(Date.parse(one.idleSince)) : "\u2013",
      one.skillGroups.join(", ") || "\u2013",
    ]),
    "No agent is configured: icm.agents of the configuration names them.",
  );
}

function queue(group, read) {
  const { name, loggedIn, available, handlingTime, waiting, calls } = group;
  return panel(
    name,
    { level: "h3" },
    h("p", { class: "panel-body muted" }, `${format.plural(waiting, "call")} waiting; ${available} of ${format.plural(loggedIn, "agent")} available; a call takes ${format.duration(handlingTime)}`),
    waiting > 0 && table(
      `Calls that wait for ${name}`,
      ["Place", "Call", "Waits for", "Expected", "Callback"],
      calls.map((one) => [
        String(one.queuePosition),
        toCall(one.callGuid),
        clock(read - one.waited * 1000),
        one.estimatedWaitTime === undefined ? "nobody is there" : format.duration(one.estimatedWaitTime),
        one.callback ?? "\u2013",
      ]),
    ),
  );
}

const nameOf = (node) => node.dataset.of ?? node.getAttribute("href");

export async function show({ main, signal }) {
  const parts = { agents: h("div"), queues: h("div", { class: "stack" }) };
  const before = new Map();

  /** Show `part` anew where `state` is another: who reads it or presses a button is not disturbed. */
  function put(part, state, make) {
    const now = JSON.stringify(state);
    if (now === before.get(part)) return;
    before.set(part, now);
    const focused = part.contains(document.activeElement) ? nameOf(document.activeElement) : null;
    fill(part, make());
    if (focused === null) return;
    // What was pressed may be gone with the state that it changed; its neighbour takes the focus.
    const others = [...part.querySelectorAll("a, button")];
    const beside = (one) => one.dataset.of?.split(" ")[0] === focused.split(" ")[0];
    (others.find((one) => nameOf(one) === focused) ?? others.find(beside))?.focus();
  }

  function draw(listed, groups, read) {
    put(parts.agents, listed.map((one) => [one, one.callGuid && named(one.callGuid)]), () => agents(listed, read));
    const waits = ({ callGuid, queuePosition, estimatedWaitTime, callback }) => [callGuid, named(callGuid), queuePosition, Math.round(estimatedWaitTime), callback];
    put(parts.queues, groups.map((one) => ({ ...one, calls: one.calls.map(waits) })), () => (groups.length ? groups.map((one) => queue(one, read)) : h("p", { class: "empty" }, "No skill group is configured.")));
  }

  async function read() {
    const options = { signal };
    const [{ agents: listed }, { skillGroups }] = await Promise.all([get("/sim/v1/agents", options), get("/sim/v1/skill-groups", options)]);
    draw(listed, skillGroups, Date.now());
  }

  const look = () => read().catch((error) => signal.aborted || error.status === 0 || complain(error));
  let waiting = null;
  const soon = () => (waiting ??= setTimeout(() => {
    waiting = null;
    if (!signal.aborted) look();
  }, SOON));
  const looking = setInterval(() => document.hidden || look(), PACE);
  const ticking = setInterval(() => {
    for (const node of main.querySelectorAll(".clock")) text(node, format.duration((Date.now() - node.since) / 1000));
  }, 1000);
  signal.addEventListener("abort", () => {
    clearInterval(looking);
    clearInterval(ticking);
  });

  fill(
    main,
    h("div", { class: "view-head" }, h("h1", {}, "Agents")),
    panel("Agents", {}, parts.agents),
    panel("Queues", {}, h("div", { class: "panel-body" }, parts.queues)),
  );
  onEvents({ resync: look }, signal);
  watchCalls(soon, signal);
  await read();
}
