// The server's figures: plots of the last minutes, and what the services have counted.

import { fill, h } from "../lib/dom.js";
import { onConnection } from "../lib/events.js";
import * as format from "../lib/format.js";
import { plot } from "../lib/plot.js";
import { get } from "../lib/rest.js";
import { complain, panel, table } from "../lib/ui.js";

export const title = "Figures";

const PACE = 2000; // ms between two samples
const SPAN = 10 * 60_000; // of a plot

// What was seen stays while one is at other views, and goes on.
const samples = [];
const watchers = new Set();
let sampling = null;
let connection = "connecting";

async function sample() {
  if (connection === "lost" || document.hidden) return;
  const [now, services] = await Promise.all([get("/cvp-reporting/rest/statistics/realtime"), get("/sim/v1/statistics")]);
  const last = samples.at(-1);
  const at = Date.now();
  if (last && at - last.at > 3 * PACE) samples.push({ at: at - 1 }); // nothing is known of between: a gap
  samples.push({ at, now, services, before: last?.services });
  while (samples[0].at < at - SPAN) samples.shift();
  for (const tell of watchers) tell();
}

/** How many a second, of what is counted since the start. */
function rate({ now, services, before }, count) {
  if (!now || !before) return undefined;
  const seconds = (Date.parse(services.timestamp) - Date.parse(before.timestamp)) / 1000;
  const counted = count(services.sinceStart) - count(before.sinceStart);
  return counted < 0 || seconds <= 0 ? undefined : counted / seconds; // below 0: started anew
}

const state = (name) => (one) => one.now?.callsInProgress[name];
const metric = (name) => (one) => one.now?.serverMetrics[0]?.[name];

const PLOTS = [
  [
    "Active calls",
    {
      lines: [
        { name: "all", color: "var(--text)", value: (one) => one.now?.activeCalls },
        { name: "ringing", color: "var(--ringing)", value: state("ringing") },
        { name: "self service", color: "var(--self-service)", value: state("selfService") },
        { name: "queued", color: "var(--queued)", value: state("queued") },
        { name: "connected", color: "var(--connected)", value: state("connected") },
        { name: "transferring", color: "var(--transferring)", value: state("transferring") },
        { name: "on hold", color: "var(--on-hold)", value: state("onHold") },
      ],
    },
  ],
  [
    "Calls a second",
    {
      lines: [
        { name: "new", color: "var(--accent)", value: (one) => rate(one, (sip) => sip.newCalls) },
        { name: "refused", color: "var(--bad)", value: (one) => rate(one, (sip) => sip.rejectedCalls) },
      ],
    },
  ],
  [
    "Connects and transfers a second",
    {
      lines: [
        { name: "connects of ICM", color: "var(--connected)", value: (one) => rate(one, (sip) => sip.connectsReceived) },
        { name: "failed", color: "var(--bad)", value: (one) => rate(one, (sip) => sip.failedTransfersPreDialog + sip.failedTransfersPostDialog) },
      ],
    },
  ],
  [
    "Load",
    {
      unit: " %",
      lines: [
        { name: "CPU", color: "var(--queued)", value: metric("cpuUsage") },
        { name: "memory", color: "var(--self-service)", value: metric("memoryUsage") },
      ],
    },
  ],
];

const COUNTED = [
  ["New calls", "newCalls"],
  ["Refused", "rejectedCalls"],
  ["Connects of ICM", "connectsReceived"],
  ["Seconds to an answer", "averageLatency"],
  ["Transfers failed before the dialog", "failedTransfersPreDialog"],
  ["Transfers failed in the dialog", "failedTransfersPostDialog"],
  ["Legs", "callLegs"],
  ["Legs to the VXML gateway", "vruLegs"],
  ["Decisions asked of ICM", "icmLookups"],
  ["Whispers played", "whispersPlayed"],
  ["Greetings played", "greetingsPlayed"],
  ["Post-call surveys", "postCallSurveys"],
];

function counted({ current, previous, sinceStart }) {
  return table(
    "Counted",
    ["What", ["This interval", "number"], ["The one before", "number"], ["Since the start", "number"]],
    COUNTED.map(([name, key]) => [name, ...[current, previous, sinceStart].map((figures) => format.number(figures[key]))]),
  );
}

function present({ activeCallLegs, activeIcmCalls, activeVruCalls, licencePorts, admission, logins }) {
  const { refused } = admission;
  return table(
    "At present",
    ["What", ["Figure", "number"]],
    [
      ["Legs that are up", format.number(activeCallLegs)],
      ["Calls with ICM", format.number(activeIcmCalls)],
      ["Calls with a VXML application", format.number(activeVruCalls)],
      ...(licencePorts ? [["Licence ports", `${format.number(licencePorts.inUse)} of ${format.number(licencePorts.licensed)}, ${licencePorts.level}; ${format.number(licencePorts.denied)} denied`]] : []),
      ["Overload", admission.overload ?? "none"],
      ["Refused: too many calls, rate, delay", `${format.number(refused.calls)}, ${format.number(refused.rate)}, ${format.number(refused.delay)}`],
      ["Failed logins over REST", format.number(logins.failed)],
    ],
  );
}

export async function show({ main, signal }) {
  const plots = PLOTS.map(([name, options]) => [name, plot(name, { span: SPAN, ...options })]);
  const tables = { present: h("div"), counted: h("div") };

  function draw() {
    for (const [, one] of plots) one.draw(samples);
    const { services } = samples.at(-1) ?? {};
    if (!services) return;
    fill(tables.present, present(services));
    fill(tables.counted, counted(services));
  }

  fill(
    main,
    h("div", { class: "view-head" }, h("h1", {}, "Figures")),
    h("div", { class: "columns even" }, plots.map(([name, { node }]) => panel(name, {}, node))),
    h("div", { class: "columns" }, panel("At present", {}, tables.present), panel("Counted by the SIP and ICM services", {}, tables.counted)),
  );
  watchers.add(draw);
  signal.addEventListener("abort", () => watchers.delete(draw));
  if (sampling === null) {
    onConnection((now) => (connection = now));
    sampling = setInterval(() => sample().catch((error) => error.status && complain(error)), PACE);
    await sample();
  }
  draw();
}
