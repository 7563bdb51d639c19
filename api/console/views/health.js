// The server as a whole, its neighbours (each probed now), trunks, and what the log tells.

import { fill, h } from "../lib/dom.js";
import { onEvents } from "../lib/events.js";
import * as format from "../lib/format.js";
import { get, send } from "../lib/rest.js";
import { action, badge, complain, facts, panel, table } from "../lib/ui.js";
import { may } from "../lib/user.js";

export const title = "Health";

const PACE = 5000; // ms between two looks at the server

/** "P1DT2H3M4S" is 1 d 2 h 3 min. */
function uptime(text) {
  const [, days, hours, minutes, seconds] = /P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?/.exec(text) ?? [];
  const parts = [[days, "d"], [hours, "h"], [minutes, "min"], [seconds, "s"]];
  return parts.filter(([value]) => value).slice(0, 3).map(([value, unit]) => `${value} ${unit}`).join(" ");
}

const percent = (value) => (value === undefined ? "" : `${format.number(value)} %`);

function about(health) {
  return facts([
    ["Status", badge(health.status)],
    ["SIP", badge(health.sipStackStatus)],
    ["Name", health.serverName],
    ["Version", health.version],
    ["Up for", uptime(health.uptime)],
    ["Calls", health.maxCalls < 0 ? format.number(health.activeCalls) : `${format.number(health.activeCalls)} of ${format.number(health.maxCalls)}`],
    ["CPU", percent(health.cpuUsage)],
    ["Memory", percent(health.memoryUsage)],
  ]);
}

function neighbours(connections) {
  return table(
    "Neighbours",
    ["Component", "Host", "Address", "Status", ["Latency", "number"], ["Last contact", "number"]],
    connections.map((one) => [
      one.component,
      one.hostname,
      h("span", { class: "mono" }, `${one.ipAddress}:${one.port}`),
      badge(one.status),
      one.latency === undefined ? "\u2013" : `${one.latency} ms`,
      one.lastSuccessfulContact ? format.time(one.lastSuccessfulContact) : "never",
    ]),
    "No neighbour is configured.",
  );
}

function trunks(found) {
  return table(
    "Trunks",
    ["Registrar", "Address of record", "State", "SIP code"],
    found.map((one) => [one.registrar, one.aor, badge(one.state), String(one.sipResponseCode ?? "")]),
    "No trunk is configured.",
  );
}

const LEVELS = ["debug", "info", "warning", "error"];

/** The levels of the loggers: of the rooms, and of those below that have one of their own. */
function loggers(found, changed) {
  const rooms = found.filter(({ name, changed: own }) => own || !name.includes("."));
  return table(
    "Log levels",
    ["Logger", "Level"],
    rooms.map(({ name, level, changed: own }) => {
      const choose = h(
        "select",
        { "aria-label": `Level of ${name}`, disabled: !may("admin") },
        LEVELS.map((one) => h("option", { value: one, selected: one === level }, one)),
        own && h("option", { value: "default" }, "as at the start"),
      );
      choose.addEventListener("change", () => changed(name, choose.value));
      return [h("span", { class: "mono" }, name), choose];
    }),
  );
}

export async function show({ main, signal }) {
  const parts = { about: h("div"), neighbours: h("div"), trunks: h("div"), log: h("div") };
  const options = { signal };

  async function server() {
    fill(parts.about, about(await get("/cvp/rest/health", options)));
  }

  async function probe() {
    fill(parts.neighbours, neighbours((await get("/cvp/rest/health/connectivity", options)).connections));
  }

  async function registered() {
    fill(parts.trunks, trunks(await get("/oamp/rest/siptrunk", options)));
  }

  async function log() {
    fill(parts.log, loggers((await get("/sim/v1/log", options)).loggers, level));
  }

  async function level(name, wanted) {
    try {
      fill(parts.log, loggers((await send("PUT", "/sim/v1/log", { levels: { [name]: wanted } })).loggers, level));
    } catch (error) {
      complain(error);
      await log();
    }
  }

  fill(
    main,
    h("div", { class: "view-head" }, h("h1", {}, "Health")),
    panel("Server", {}, parts.about),
    panel("Neighbours", { tools: action("Probe again", probe) }, parts.neighbours),
    h("div", { class: "columns" }, panel("Trunks", {}, parts.trunks), panel("Log levels", {}, parts.log)),
  );
  const failed = (error) => signal.aborted || error.status === 0 || complain(error);
  const all = () => Promise.all([server(), probe(), registered(), log()]).catch(failed);
  const looking = setInterval(() => server().catch(failed), PACE);
  signal.addEventListener("abort", () => clearInterval(looking));
  onEvents({
    events: (found) => found.some(({ eventType }) => eventType.startsWith("system.")) && all(),
    resync: all,
  }, signal);
  await all();
}
