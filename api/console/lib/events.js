// What happens on the server, as it happens: one stream for the page.
//
// A stream that ends is taken up where it was, by the cursor. Where that is not possible (the
// server was started anew, or too much has happened meanwhile), those who listen read again.

import { ask } from "./rest.js";

const SILENCE = 40_000; // ms without the heartbeat that comes every 15 s
const HIDDEN = 60_000; // ms until a page that nobody sees lets go of its connection
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;

const listeners = new Set();
const watchers = new Set();
let cursor = null;
let state = "connecting";
let stop = null; // of the connection that there is
let released = false; // nobody sees the page
let wake = () => {};
let pause = FIRST_PAUSE;

function become(next) {
  if (state === next) return;
  state = next;
  for (const tell of watchers) tell(state);
}

/** Hear of the connection: "connecting", "live" or "lost". */
export function onConnection(tell, signal) {
  watchers.add(tell);
  signal?.addEventListener("abort", () => watchers.delete(tell));
  tell(state);
}

/**
 * Hear of events, until `signal` is aborted: `events` gets arrays of them as the API has them,
 * `resync` is called when some may have been missed, so that all is to be read again.
 */
export function onEvents({ events, resync }, signal) {
  const listener = { events, resync };
  listeners.add(listener);
  signal?.addEventListener("abort", () => listeners.delete(listener));
}

function take(frames) {
  const found = [];
  for (const frame of frames) {
    let data = "";
    for (const line of frame.split("\n")) {
      if (line.startsWith("id: ")) cursor = line.slice(4);
      else if (line.startsWith("data: ")) data = line.slice(6);
    }
    if (data) found.push(JSON.parse(data));
  }
  if (found.length) for (const { events } of listeners) events?.(found);
}

async function read() {
  const closing = new AbortController();
  stop = closing;
  const afresh = cursor === null;
  const response = await ask("GET", `/sim/v1/events${afresh ? "" : `?cursor=${cursor}`}`, { signal: closing.signal });
  let watchdog;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => closing.abort(), SILENCE);
  };
  try {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    alive();
    let { value, done } = await reader.read();
    become("live");
    pause = FIRST_PAUSE;
    if (afresh) for (const { resync } of listeners) resync?.();
    while (!done) {
      alive();
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      take(frames);
      ({ value, done } = await reader.read());
    }
  } finally {
    clearTimeout(watchdog);
  }
}

async function follow() {
  for (;;) {
    if (released) await new Promise((done) => (wake = done));
    try {
      await read();
    } catch (error) {
      if (cursor !== null && (error.status === 410 || error.status === 400)) {
        cursor = null;
        continue;
      }
    }
    if (released) continue;
    become("lost");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(LONGEST_PAUSE, pause * 2);
  }
}

/** Begin to listen; once for a page. */
export function begin() {
  let leaving;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) {
      leaving = setTimeout(() => {
        released = true;
        stop?.abort();
      }, HIDDEN);
    } else {
      released = false;
      wake();
    }
  });
  follow();
}
