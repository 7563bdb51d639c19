// What is left of a call that is over: its record.

import { h } from "../lib/dom.js";
import * as format from "../lib/format.js";
import { get, path } from "../lib/rest.js";
import { badge, facts, panel, table } from "../lib/ui.js";

/** Panels with the record of a call; RestError where there is none. */
export async function endedCall(guid, options) {
  const found = await get(path`/cvp-reporting/rest/cdr/${guid}`, options);
  const { legs = [], callEvents = [], eccVariables } = found;
  return [
    panel(
      "Call detail record",
      {},
      facts([
        ["Result", badge(found.callResult)],
        ["From", found.callingNumber],
        ["To", found.calledNumber],
        ["Started", format.time(found.callStartTime)],
        ["Ended", format.time(found.callEndTime)],
        ["Duration", format.duration(found.callDuration)],
        ["Self service", format.duration(found.selfServiceDuration)],
        ["In queue", format.duration(found.queueDuration)],
        ["Application", found.applicationName],
        ["Transferred to", found.transferDestination],
        ["Error", found.errorCode],
        ["Cause", found.cause],
        ["UUI", found.uui],
        ["Call-ID", h("span", { class: "mono" }, found.sipCallId)],
      ]),
    ),
    panel(
      "Legs",
      {},
      table(
        "Legs",
        ["Leg", "From", "To", "Answered", "Ended", ["Duration", "number"], ["SIP code", "number"]],
        legs.map((leg) => [
          format.words(leg.legType),
          leg.fromUri,
          leg.toUri,
          leg.answerTime ? format.exactTime(leg.answerTime) : "\u2013",
          format.exactTime(leg.endTime),
          format.duration(leg.duration),
          String(leg.sipResponseCode ?? ""),
        ]),
      ),
    ),
    panel(
      "Events",
      {},
      table(
        "Events",
        ["Time", "Event", "Cause", "Label"],
        callEvents.map((event) => [format.exactTime(event.eventDateTime), event.eventType, event.cause, event.transferLabel ?? ""]),
      ),
    ),
    panel("ECC variables", {}, table("ECC variables", ["Name", "Value"], Object.entries(eccVariables ?? {}))),
  ];
}
