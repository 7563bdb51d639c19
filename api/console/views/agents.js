// Agents, what they do, and who waits for them.

import { fill, h, text } from "../lib/dom.js";
import { onEvents } from "../lib/events.js";
import * as format from "../lib/format.js";
import { get, path, send } from "../lib/rest.js";
import { action, badge, complain, panel, table } from "../lib/ui.js";

export const title = "Agents";

const PACE = 2000; // ms between two looks: states may also change with no call
const SOON = 150; // ms in which news of calls is gathered

// What can be made of each state: [button, state].
const CHANGES = {
  available: [["Not ready", "not_ready"], ["Log out", "logged_out"]],
  busy: [["Not ready", "not_ready"], ["Log out", "logged_out"]],
  not_ready: [["Ready", "available"], ["Log out", "logged_out"]],
  logged_out: [["Log in", "available"]],
};

// What tells GUIDs of one server and time apart.
const toCall = (guid) => h("a", { href: path`#/call/${guid}`, class: "mono", "aria-label": `Call ${guid}` }, `\u2026 ${guid.slice(8, 16)} \u2026`);

/** Seconds that go on: `since` is when they began, in milliseconds of this browser. */
function clock(since) {
  const node = h("span", { class: "clock" }, format.duration((Date.now() - since) / 1000));
  node.since = since;
  return node;
}

function agents(found, change) {
  return table(
    "Agents",
    ["Agent", "State", "", "Call", "Idle for", "Skill groups"],
    found.map((one) => [
      h("span", {}, h("b", {}, one.extension), one.name && ` ${one.name}`, one.agentId !== one.extension && ` (${one.agentId})`),
      badge(one.state),
      h(
        "div",
        { class: "bar" },
        CHANGES[one.state].map(([label, state]) => action(label, () => change(one, state), { "aria-label": `${label}: ${one.extension}`, "data-of": `${one.extension} ${state}` })),
      ),
      one.callGuid ? toCall(one.callGuid) : one.activeCalls ? format.plural(one.activeCalls, "call") : "\u2013",
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

export async function show({ main, signal }) {
  const parts = { agents: h("div"), queues: h("div", { class: "stack" }) };
  let before = "";

  /** Show it, unless it is as before: who reads or presses a button is not disturbed. */
  function draw(listed, groups, read) {
    const waits = (one) => ({ ...one, waited: undefined, estimatedWaitTime: undefined });
    const now = JSON.stringify([listed, groups.map((one) => ({ ...one, calls: one.calls.map(waits) }))]);
    if (now === before) return;
    before = now;
    const focused = document.activeElement?.dataset?.of;
    fill(parts.agents, agents(listed, change));
    fill(parts.queues, groups.length ? groups.map((one) => queue(one, read)) : h("p", { class: "empty" }, "No skill group is configured."));
    // What was pressed is gone with the state that it changed; its neighbour takes the focus.
    if (focused && document.activeElement === document.body) {
      const extension = focused.split(" ")[0];
      const buttons = [...parts.agents.querySelectorAll("button")].filter(({ dataset }) => dataset.of.startsWith(`${extension} `));
      (buttons.find(({ dataset }) => dataset.of === focused) ?? buttons[0])?.focus();
    }
  }

  async function read() {
    const options = { signal };
    const [{ agents: listed }, { skillGroups }] = await Promise.all([get("/sim/v1/agents", options), get("/sim/v1/skill-groups", options)]);
    draw(listed, skillGroups, Date.now());
  }

  async function change(agent, state) {
    await send("PUT", path`/sim/v1/agents/${agent.extension}`, { state });
    await read();
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
  onEvents({ events: (found) => found.some(({ callGuid }) => callGuid !== undefined) && soon(), resync: look }, signal);
  await read();
}
