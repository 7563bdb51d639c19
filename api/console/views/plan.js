// The dial plan: what would become of a number, the patterns, and the groups of servers.

import { fill, h } from "../lib/dom.js";
import { onEvents } from "../lib/events.js";
import * as format from "../lib/format.js";
import { get, path, send } from "../lib/rest.js";
import { action, ask, badge, complain, facts, field, notice, panel, table } from "../lib/ui.js";
import { may } from "../lib/user.js";
import { editGroup, editPattern } from "./plan_forms.js";

export const title = "Dial plan";

const PACE = 5000; // ms between two looks at the servers

/** A panel that says where a number would lead; nothing is dialed. */
function tester(signal) {
  const answer = h("div", { "aria-live": "polite" });
  const form = h(
    "form",
    { class: "bar panel-body" },
    field("Number", "dialedNumber", { required: true, placeholder: "7001" }),
    field("From", "callingNumber", { placeholder: "any" }),
    h("button", { type: "submit", class: "primary" }, "Look up"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const found = await send("POST", "/cvp/rest/routing/lookup", Object.fromEntries([...new FormData(form)].filter(([, value]) => value)), { signal });
      if (!found.matched) return fill(answer, h("p", { class: "panel-body error" }, `No pattern matches ${found.dialedNumber}: a call there is refused with 404.`));
      fill(answer, facts([
        ["Number", found.dialedNumber],
        ["Pattern", h("code", {}, found.matchedPattern)],
        ["Call type", found.callType && format.words(found.callType)],
        ["Application", found.applicationName],
        ["Leads to", found.routeDestination && h("code", {}, found.routeDestination)],
      ]));
    } catch (error) {
      if (!signal.aborted) fill(answer, h("p", { class: "panel-body error" }, error.message));
    }
  });
  return panel("Where would a number lead?", {}, form, answer);
}

export async function show({ main, signal }) {
  const parts = { patterns: h("div"), groups: h("div") };
  const options = { signal };
  let groups = [];
  let shown = "";

  async function readPatterns() {
    fill(parts.patterns, patterns(await get("/oamp/rest/dialedNumberPattern", options)));
  }

  async function readGroups() {
    groups = await get("/oamp/rest/sipserver", options);
    const told = JSON.stringify(groups);
    if (told === shown) return;
    const focused = parts.groups.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    shown = told;
    fill(parts.groups, groups.length ? groups.map(group) : h("p", { class: "empty" }, "No server group is there."));
    if (focused) [...parts.groups.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  }

  function patterns(found) {
    return table(
      "Patterns",
      ["Pattern", "Description", "Call type", "Application", "Server group", "Priority", "State", ""],
      found.map((one) => [
        h("code", {}, one.pattern),
        one.description ?? "",
        format.words(one.callType),
        h("span", {}, one.applicationName ?? "\u2013", one.survivalApplication && h("span", { class: "muted" }, `; ${one.survivalApplication} in survival`)),
        one.sipServerGroup ?? "\u2013",
        String(one.priority),
        badge(one.enabled ? "enabled" : "disabled"),
        may("admin") && h(
          "div",
          { class: "bar" },
          action("Edit \u2026", () => edit(one), { "aria-label": `Edit the pattern ${one.pattern}` }),
          action("Delete \u2026", () => remove(`the pattern ${one.pattern}`, "Calls to its numbers meet the pattern that matches next, or none.", path`/oamp/rest/dialedNumberPattern/${one.patternId}`, readPatterns), { "aria-label": `Delete the pattern ${one.pattern}` }),
        ),
      ]),
      "No pattern is there: every call is refused.",
    );
  }

  function group(one) {
    return panel(
      one.groupName,
      {
        level: "h3",
        tools: [
          badge(one.status),
          may("admin") && action("Edit \u2026", async () => (await editGroup(one)) && readGroups(), { "aria-label": `Edit the server group ${one.groupName}` }),
          may("admin") && action("Delete \u2026", () => remove(`the server group ${one.groupName}`, "It must be one that nothing leads to.", path`/oamp/rest/sipserver/${one.groupId}`, readGroups), { "aria-label": `Delete the server group ${one.groupName}` }),
        ],
      },
      h("p", { class: "panel-body muted" }, [one.description, format.words(one.loadBalancing), one.heartbeat ? "pinged" : "not pinged"].filter(Boolean).join("; ")),
      table(
        `Servers of ${one.groupName}`,
        ["Server", "State", "Since", "Reason", "Priority", "Weight", "Latency"],
        one.servers.map((server) => [
          h("span", {}, h("code", {}, `${server.ipAddress.includes(":") ? `[${server.ipAddress}]` : server.ipAddress}:${server.port}`), server.transport && ` ${server.transport.toUpperCase()}`, server.hostname && ` ${server.hostname}`),
          badge(server.status),
          format.time(server.since),
          server.reason,
          String(server.priority),
          String(server.weight),
          server.latency === undefined ? "\u2013" : `${server.latency} ms`,
        ]),
      ),
    );
  }

  async function edit(present = null) {
    if (await editPattern(groups, present)) await readPatterns();
  }

  async function remove(what, follows, at, read) {
    const done = await ask(`Delete ${what}`, { text: follows, confirm: "Delete", danger: true, act: () => send("DELETE", at) });
    if (!done) return;
    notice(`Deleted ${what}.`);
    await read();
  }

  fill(
    main,
    h("div", { class: "view-head" }, h("h1", {}, "Dial plan")),
    tester(signal),
    panel("Patterns", { tools: may("admin") && action("New pattern \u2026", () => edit()) }, parts.patterns),
    panel("Server groups", { tools: may("admin") && action("New server group \u2026", async () => (await editGroup()) && readGroups()) }, h("div", { class: "panel-body stack" }, parts.groups)),
  );
  parts.groups.className = "stack";
  const failed = (error) => signal.aborted || error.status === 0 || complain(error);
  const all = () => Promise.all([readPatterns(), readGroups()]).catch(failed);
  const looking = setInterval(() => document.hidden || readGroups().catch(failed), PACE);
  signal.addEventListener("abort", () => clearInterval(looking));
  onEvents({ events: (found) => found.some(({ eventType }) => eventType === "system.device_status_changed") && readGroups().catch(failed), resync: all }, signal);
  await readGroups();
  await readPatterns();
}
