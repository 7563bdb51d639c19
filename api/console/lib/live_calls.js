// The active calls, kept up to date by events. They are read once, and again where events may
// have been missed; what happens meanwhile is applied to both the old and the new picture.

import { onEvents } from "./events.js";
import { pages } from "./rest.js";

const PAGE = 1000;
const PAUSE = 2_000; // ms until a reading that failed is begun again

/** By GUID: {guid, state, calling, called, application, skillGroup, started (ms)}. */
export let calls = new Map();

/** Whether they have been read; until then `calls` is empty. */
export let known = false;

/** Why the last reading failed, in words; "" once one has succeeded. */
export let failure = "";

const watchers = new Set();
let meanwhile = null; // events since the reading began
let begun = false;

function put(into, event, changes) {
  const old = into.get(event.callGuid);
  into.set(event.callGuid, {
    guid: event.callGuid,
    state: "ringing",
    calling: event.callingNumber,
    called: event.calledNumber,
    application: "",
    skillGroup: "",
    started: old ? old.started : Date.parse(event.timestamp),
    ...old,
    ...changes,
  });
}

function apply(into, event) {
  switch (event.eventType) {
    case "call.started":
      if (!into.has(event.callGuid)) put(into, event, {});
      break;
    case "call.state_changed":
      put(into, event, { state: event.state });
      break;
    case "call.application_invoked":
      put(into, event, { application: event.applicationName });
      break;
    case "call.queued":
      put(into, event, { skillGroup: event.skillGroup });
      break;
    case "call.ended":
      into.delete(event.callGuid);
      break;
  }
}

async function read() {
  const mine = (meanwhile = []);
  const fresh = new Map();
  try {
    for await (const page of pages(`/cvp/rest/call?limit=${PAGE}`)) {
      for (const call of page.calls) {
        fresh.set(call.callGuid, {
          guid: call.callGuid,
          state: call.state,
          calling: call.callingNumber,
          called: call.calledNumber,
          application: call.applicationName,
          skillGroup: "",
          started: Date.parse(call.startTime),
        });
      }
      if (mine !== meanwhile) return; // another reading has begun
    }
  } catch (error) {
    if (mine !== meanwhile) return;
    // The stream may well be up, and then nobody else asks for a reading.
    failure = error.message;
    setTimeout(() => mine === meanwhile && read(), PAUSE);
    for (const tell of watchers) tell();
    return;
  }
  for (const event of mine) apply(fresh, event);
  meanwhile = null;
  calls = fresh;
  known = true;
  failure = "";
  for (const tell of watchers) tell();
}

/** Hear that the calls have changed, until `signal` is aborted. */
export function watchCalls(tell, signal) {
  watchers.add(tell);
  signal.addEventListener("abort", () => watchers.delete(tell));
  if (begun) return;
  begun = true;
  onEvents({
    events(found) {
      for (const event of found) {
        if (event.callGuid === undefined) continue;
        apply(calls, event);
        meanwhile?.push(event);
      }
      for (const changed of watchers) changed();
    },
    resync: read,
  });
  read();
}
