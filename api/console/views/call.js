// One call: what it is, its legs, variables, transfers and history, and what can be done with it.

import { fill, h } from "../lib/dom.js";
import { onEvents } from "../lib/events.js";
import * as format from "../lib/format.js";
import { get, path, send } from "../lib/rest.js";
import { action, ask, badge, facts, field, notice, panel, table } from "../lib/ui.js";
import { may } from "../lib/user.js";
import { endedCall } from "./call_ended.js";
import { ladderPanel } from "./call_ladder.js";
import { variablesPanel } from "./call_variables.js";

export const title = "Call";

const PACE = 150; // ms in which news is gathered

/** What can be done, by state; the server has the last word. */
function commands(guid, call, transfers, read) {
  if (!may("control")) return [];
  const command = async (operation, body) => {
    const { message } = await send("POST", path`/sim/v1/calls/${guid}/` + operation, body);
    notice(message);
    read();
  };
  const pending = transfers.find(({ state }) => state === "pending");
  const consulted = pending?.transferType === "consultation";
  const held = call.state === "on_hold";
  const settled = call.state !== "ringing" && !pending;
  return [
    consulted && action("Complete transfer", () => command("transfer/complete"), { class: "primary" }),
    pending && action("Cancel transfer", () => command("transfer/cancel")),
    settled && action("Transfer \u2026", () => transfer(guid, read)),
    settled && (held ? action("Resume", () => command("resume")) : action("Hold", () => command("hold"))),
    action("Terminate \u2026", () => terminate(guid, call), { class: "danger" }),
  ];
}

function transfer(guid, read) {
  return ask("Transfer the call", {
    fields: [
      field("To", "destination", { required: true, hint: "A number of the dial plan, an extension or a SIP URI." }),
      field("Type", "transferType", {
        options: [
          ["blind", "blind: the call goes there"],
          ["consultation", "consultation: the target is asked first"],
        ],
      }),
      field("Label", "label", { hint: "Optional, in place of the destination: the prefix rf chooses REFER." }),
    ],
    confirm: "Transfer",
    async act({ label, ...body }) {
      const { message } = await send("POST", path`/cvp/rest/call/${guid}/transfer`, label ? { ...body, label } : body);
      notice(message);
      read();
    },
  });
}

function terminate(guid, call) {
  return ask("Terminate the call?", {
    text: `The call from ${call.callingNumber} to ${call.calledNumber} ends on all its legs.`,
    fields: [
      field("Reason", "reason", {
        options: [
          ["requested", "requested (Q.850 cause 16)"],
          ["administrative", "administrative (31)"],
          ["timeout", "timeout (102)"],
          ["error", "error (41)"],
        ],
      }),
    ],
    confirm: "Terminate",
    danger: true,
    async act(body) {
      notice((await send("POST", path`/cvp/rest/call/${guid}/terminate`, body)).message);
    },
  });
}

function about(call) {
  const icm = call.icmRouteResult;
  return facts([
    ["From", call.callingNumber],
    ["To", call.calledNumber],
    ["Started", format.time(call.startTime)],
    ["Application", call.applicationName],
    ["Label", icm.routeLabel],
    ["Skill group", icm.skillGroup],
    ["Agent", icm.agentId],
    ["VXML server", call.vxmlServer],
    ["Call-ID", h("span", { class: "mono" }, call.sipCallId)],
  ]);
}

const COLUMNS = ["Leg", "Number", "State", "From, to", "Peer", ["CSeq", "number"], "Call-ID"];

function legs(found) {
  return table(
    "Legs",
    COLUMNS,
    found.map(({ leg, number, session }) => [
      format.words(leg),
      number ?? "",
      badge(session.state),
      [h("div", {}, session.fromUri), h("div", {}, session.toUri)],
      `${session.transport} ${session.remoteAddress}`,
      String(session.cseq),
      h("span", { class: "mono long" }, session.callId),
    ]),
  );
}

function step({ timestamp, leg, number, direction, message, sipCode, reason, outcome }) {
  const told = message ?? "";
  const code = sipCode && !told.startsWith(String(sipCode)) ? ` ${sipCode}` : "";
  return h(
    "li",
    { class: `is-${outcome}` },
    h("span", { class: "mono muted" }, format.exactTime(timestamp)),
    h("span", {}, `${format.words(leg)}${number ? ` ${number}` : ""}`),
    h("span", {}, h("span", { "aria-hidden": "true" }, direction === "sent" ? "\u2192 " : "\u2190 "), h("span", { class: "hidden-text" }, direction), `${told}${code}${reason ? ` ${reason}` : ""}`),
  );
}

function transfersOf(found) {
  if (!found.length) return h("p", { class: "empty" }, "None.");
  return found.map((one) =>
    h(
      "div",
      { class: "transfer" },
      h(
        "div",
        { class: "bar" },
        badge(one.state),
        h("b", {}, `to ${one.label ?? one.destination}`),
        h("span", { class: "muted" }, `${one.transferType}, by ${one.method}, of ${one.initiatedBy}, ${format.time(one.startTime)}`),
        one.sipCode ? h("span", {}, `${one.sipCode} ${one.reason ?? ""}`) : one.reason && h("span", {}, one.reason),
      ),
      h("ol", { class: "steps" }, one.steps.map(step)),
    ),
  );
}

function historyOf(entries) {
  return h(
    "ol",
    { class: "steps" },
    entries.map(({ timestamp, event, details }) =>
      h("li", {}, h("span", { class: "mono muted" }, format.exactTime(timestamp)), h("span", {}, format.words(event)), h("span", {}, details)),
    ),
  );
}

/** What the caller says that the other legs get. */
function passed(headers) {
  return panel("Header fields passed on", {}, table("Header fields passed on", ["Name", "Value"], headers.map(({ name, value }) => [h("span", { class: "mono" }, name), value])));
}

export async function show({ main, parameters: [guid = ""], signal }) {
  const state = h("span", { class: "bar" });
  const since = h("span", { class: "muted" });
  const tools = h("div", { class: "tools" });
  const content = h("div", { class: "stack" });
  fill(main, h("div", { class: "view-head" }, h("h1", {}, "Call ", h("span", { class: "mono" }, guid)), state, since, tools), content);

  const parts = { about: h("div"), legs: h("div"), transfers: h("div"), history: h("div"), passed: h("div") };
  const variables = variablesPanel(guid);
  const ladder = ladderPanel(guid, signal);
  let started = null;
  let laid = false;
  let offered = "";

  function lay() {
    if (laid) return;
    laid = true;
    fill(
      content,
      panel("Details", {}, parts.about),
      panel("Legs", {}, parts.legs),
      ladder.node,
      h("div", { class: "columns" }, h("div", { class: "stack" }, panel("Transfers", {}, parts.transfers), variables.node), h("div", { class: "stack" }, panel("History", {}, parts.history), parts.passed)),
    );
  }

  async function read() {
    const options = { signal };
    const [call, { legs: found }, { transfers }, { headers }] = await Promise.all([
      get(path`/cvp/rest/call/${guid}`, options),
      get(path`/sim/v1/calls/${guid}/legs`, options),
      get(path`/sim/v1/calls/${guid}/transfers`, options),
      get(path`/sim/v1/calls/${guid}/headers`, options),
      variables.read(options),
    ]);
    lay();
    started = Date.parse(call.startTime);
    tick();
    fill(state, badge(call.state));
    // Buttons are made anew only when there are others: the focus may be on one.
    const now = `${call.state} ${transfers.map((one) => one.state)}`;
    if (now !== offered) {
      const label = tools.contains(document.activeElement) ? document.activeElement.textContent : null;
      fill(tools, commands(guid, call, transfers, soon));
      offered = now;
      if (label) ([...tools.children].find((one) => one.textContent === label) ?? tools.firstElementChild).focus();
    }
    fill(parts.about, about(call));
    fill(parts.legs, legs(found));
    fill(parts.transfers, transfersOf(transfers));
    fill(parts.history, historyOf(call.callHistory));
    fill(parts.passed, passed(headers));
    parts.passed.hidden = !headers.length;
    await ladder.read();
  }

  async function end() {
    clearInterval(ticking);
    started = null;
    fill(since);
    fill(tools);
    fill(state, h("span", { class: "badge" }, "ended"));
    const record = await endedCall(guid, { signal });
    await ladder.read();
    ladder.stop();
    fill(content, record[0], ladder.node, record.slice(1));
  }

  let over = false;
  async function refresh() {
    if (signal.aborted || over) return;
    try {
      await read();
    } catch (error) {
      if (signal.aborted || error.status === 0) return; // the page is left, or says it above
      if (error.status !== 404) throw error;
      over = true;
      await end();
    }
  }

  let waiting = null;
  function soon() {
    waiting ??= setTimeout(() => {
      waiting = null;
      refresh().catch((error) => notice(error.message, "bad"));
    }, PACE);
  }

  function tick() {
    if (started !== null) fill(since, `for ${format.duration((Date.now() - started) / 1000)}`);
  }
  const ticking = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(ticking));

  onEvents({ events: (found) => found.some(({ callGuid }) => callGuid === guid) && soon(), resync: soon }, signal);
  await refresh();
}
