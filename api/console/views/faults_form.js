// The form for a new fault: conditions and actions that are common; JSON has the rest.

import { h } from "../lib/dom.js";
import { ask, field, newId } from "../lib/ui.js";

const ANY = ["", "any"];
const same = (...names) => names.map((name) => [name, name]);
const whole = (text) => Number(text);

// Actions: what the select shows, and the value of a rule from the field beside it.
const ACTIONS = {
  drop: ["is lost", () => true],
  delay: ["comes later, by seconds", (text) => ({ seconds: whole(text || "1") })],
  duplicate: ["is doubled, so many times", (text) => whole(text || "1")],
  reorder: ["goes after the next one, or after seconds", (text) => whole(text || "1")],
  answer: ["is answered, with SIP code", (text) => ({ status: whole(text || "503") })],
  corrupt: ["has a wrong from-tag, to-tag, branch, cseq or content-length", (text) => text || "branch"],
  silence: ["is the last of its dialog (or: peer)", (text) => text || "dialog"],
  close: ["has its TCP or TLS connection closed", () => true],
  sdp: ["has another media direction", (text) => ({ direction: text || "inactive" })],
};

/** The rule that the form describes; throws an Error in words. */
function ruleOf({ action, value, more, ...given }) {
  const rule = {};
  for (const [name, text] of Object.entries(given)) if (text !== "") rule[name] = text;
  for (const name of ["nth", "count"]) if (rule[name] !== undefined) rule[name] = whole(rule[name]);
  if (rule.percent !== undefined) rule.probability = whole(rule.percent) / 100;
  delete rule.percent;
  if (action) rule[action] = ACTIONS[action][1](value.trim());
  if (!more.trim()) return rule;
  let further;
  try {
    further = JSON.parse(more);
  } catch (error) {
    throw new Error(`Further fields: no JSON (${error.message}); write {"every": 3}.`);
  }
  if (further === null || typeof further !== "object" || Array.isArray(further)) throw new Error('Further fields: must be an object, such as {"every": 3}.');
  return { ...rule, ...further };
}

/** Ask for a rule and hand it to `add` (async); what that throws stands in the dialog. */
export function newFault(add) {
  const more = newId();
  return ask("New fault", {
    fields: [
      h(
        "div",
        { class: "pair" },
        field("Direction", "direction", { options: [ANY, ["in", "in: what the server receives"], ["out", "out: what it sends"]] }),
        field("Method", "method", { options: [ANY, ...same("INVITE", "re-INVITE", "ACK", "BYE", "CANCEL", "REFER", "NOTIFY", "OPTIONS", "UPDATE", "PRACK", "INFO", "REGISTER")] }),
        field("Response code", "status", { placeholder: "200, 5xx; empty: requests" }),
        field("Leg", "leg", { options: [ANY, ...same("inbound", "outbound", "caller", "callee", "vxml", "agent", "transfer")] }),
        field("Called number", "number", { placeholder: "6> or 7001" }),
        field("Peer", "peer", { placeholder: "10.0.0.0/8, 10.1.1.1:5060" }),
      ),
      field("A message that matches", "action", { options: [["", "as further fields say"], ...Object.entries(ACTIONS).map(([name, [label]]) => [name, label])], value: "drop" }),
      field("With", "value", { hint: "Seconds, a number, a SIP code or a word, as the line above says." }),
      h(
        "div",
        { class: "pair" },
        field("Only the nth in its dialog", "nth", { type: "number", min: 1 }),
        field("At most so many times", "count", { type: "number", min: 1 }),
        field("In so many percent", "percent", { type: "number", min: 0.1, max: 100, step: "any" }),
        field("Name", "name", { maxlength: 64, placeholder: "fault-1" }),
      ),
      h(
        "div",
        { class: "field" },
        h("label", { for: more }, "Further fields, as JSON"),
        h("textarea", { id: more, name: "more", rows: 2, class: "mono", spellcheck: "false", placeholder: '{"every": 3, "sdp": {"port": 0}}' }),
      ),
    ],
    confirm: "Add",
    act: (given) => add(ruleOf(given)),
  });
}
