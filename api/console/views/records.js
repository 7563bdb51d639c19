// Records of calls that have ended: searched, page by page, and downloaded.

import { fill, h } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { ask as request, pages, path } from "../lib/rest.js";
import { action, badge, field, panel, table } from "../lib/ui.js";
import { endedCall } from "./call_ended.js";

export const title = "Records";

const PAGE = 50;
const RESULTS = [["", "any"], ["completed", "completed"], ["transferred", "transferred"], ["abandoned", "abandoned"], ["error", "error"]];
const FIELDS = ["callingNumber", "calledNumber", "callGuid", "callResult", "startTime", "endTime"];

/** A time in the reader's zone, as an input has it, as the server wants it. */
const utc = (local) => new Date(local).toISOString();

/** The filters of an address as the query of the API. */
function wanted(query) {
  const found = new URLSearchParams();
  for (const name of FIELDS) {
    const value = query.get(name);
    if (value) found.set(name, name.endsWith("Time") ? utc(value) : value);
  }
  return found;
}

function form(query) {
  const put = (label, name, attributes = {}) => field(label, name, { value: query.get(name) ?? "", ...attributes });
  const node = h(
    "form",
    { class: "panel-body filters", role: "search", "aria-label": "Records" },
    put("From", "callingNumber"),
    put("To", "calledNumber"),
    put("Result", "callResult", { options: RESULTS }),
    put("Started from", "startTime", { type: "datetime-local", step: 1 }),
    put("Started before", "endTime", { type: "datetime-local", step: 1 }),
    put("GUID", "callGuid", { maxlength: 64 }),
    h("div", { class: "bar" }, h("button", { type: "submit", class: "primary" }, "Search"), h("a", { href: "#/records" }, "All")),
  );
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = new URLSearchParams([...new FormData(node)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
    const before = location.hash;
    location.hash = `#/records?${given}`;
    if (location.hash === before) dispatchEvent(new HashChangeEvent("hashchange")); // the same, anew
  });
  return node;
}

const row = (one) => [
  h("a", { href: path`#/records/${one.callGuid}`, "aria-label": `Record of the call from ${one.callingNumber} to ${one.calledNumber}` }, format.time(one.callStartTime)),
  one.callingNumber,
  one.calledNumber,
  badge(one.callResult),
  format.duration(one.callDuration),
  one.applicationName ?? "\u2013",
  one.transferDestination ?? "\u2013",
  one.cause,
];

async function one(main, guid, options) {
  fill(
    main,
    h("div", { class: "view-head" }, h("h1", {}, "Record ", h("span", { class: "mono" }, guid)), h("div", { class: "tools" }, h("a", { href: "#/records" }, "All records"))),
    await endedCall(guid, options),
  );
}

export async function show({ main, parameters, query, signal }) {
  if (parameters[0]) return one(main, parameters[0], { signal });
  const filters = wanted(query);
  const found = pages(`/cvp-reporting/rest/cdr?${new URLSearchParams([...filters, ["limit", PAGE]])}`, { signal });
  const records = [];
  const list = h("div");
  const count = h("span", { class: "muted", role: "status" });
  const further = h("div", { class: "panel-body", hidden: true }, action("More", more));

  async function more() {
    const { value: page, done } = await found.next();
    const from = records.length;
    if (!done) records.push(...page.records);
    const total = done ? records.length : page.totalRecords;
    fill(list, table("Records", ["Started", "From", "To", "Result", "Duration", "Application", "Transferred to", "Cause"], records.map(row), "No record matches."));
    fill(count, `${format.number(records.length)} of ${page?.totalIsMinimum ? "at least " : ""}${format.plural(total, "record")}`);
    further.hidden = done || records.length >= total;
    if (from) list.querySelectorAll("tbody a")[from]?.focus();
  }

  async function download() {
    const response = await request("GET", `/cvp-reporting/rest/cdr.csv?${filters}`, { signal });
    const url = URL.createObjectURL(await response.blob());
    h("a", { href: url, download: "records.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  fill(
    main,
    h("div", { class: "view-head" }, h("h1", {}, "Records"), count, h("div", { class: "tools" }, action("Download as CSV", download))),
    panel("Search", {}, form(query)),
    panel("Found", {}, list, further),
  );
  await more();
}
