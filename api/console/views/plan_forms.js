// The forms of the dial plan: a pattern, and a server group with its servers.

import { h } from "../lib/dom.js";
import { path, send } from "../lib/rest.js";
import { ask, field } from "../lib/ui.js";

const TYPES = [["preroute", "preroute"], ["translation_route", "translation route"], ["post_route", "post route"]];
const BALANCING = [["round_robin", "round robin"], ["top_down", "top down"], ["weight_based", "by weight"]];
const PATTERNS = "/oamp/rest/dialedNumberPattern";
const GROUPS = "/oamp/rest/sipserver";

/** What is given: what was left empty is left out. */
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));

/** Ask for a pattern, new or `present`, and send it; whether that was done. */
export function editPattern(groups, present = null) {
  const known = present ?? { pattern: "", callType: "preroute", priority: 1, enabled: true };
  return ask(present ? `Edit ${present.pattern}` : "New pattern", {
    fields: [
      h(
        "div",
        { class: "pair" },
        field("Pattern", "pattern", { value: known.pattern, required: true, maxlength: 24, hint: "X is a digit, > the rest, such as 47>." }),
        field("Call type", "callType", { options: TYPES, value: known.callType }),
        field("Application", "applicationName", { value: known.applicationName, maxlength: 200, hint: "A script of ICM, or a VXML application." }),
        field("Server group", "sipServerGroup", { options: [["", "none"], ...groups.map(({ groupId }) => [groupId, groupId])], value: known.sipServerGroup ?? "", hint: "Where calls go." }),
        field("Survival application", "survivalApplication", { value: known.survivalApplication, maxlength: 200, hint: "While ICM cannot be asked." }),
        field("Priority", "priority", { type: "number", min: 1, max: 65535, value: known.priority, required: true }),
      ),
      field("Description", "description", { value: known.description, maxlength: 200 }),
      h("label", { class: "bar" }, h("input", { type: "checkbox", name: "enabled", checked: known.enabled }), "Enabled"),
    ],
    confirm: present ? "Save" : "Add",
    act({ enabled, priority, ...fields }) {
      const body = { ...given(fields), enabled: enabled === "on", priority: Number(priority) };
      return present ? send("PUT", path`/oamp/rest/dialedNumberPattern/${present.patternId}`, body) : send("POST", PATTERNS, body);
    },
  });
}

/** Ask for a server group, new or `present`, and send it; whether that was done. */
export function editGroup(present = null) {
  const list = h("div", { class: "stack" });

  function server(one) {
    const put = (label, name, attributes) => field(label, name, { required: true, value: one[name], ...attributes });
    const node = h(
      "fieldset",
      { class: "server" },
      h("legend", { class: "hidden-text" }, "Server"),
      put("Address", "ipAddress", { placeholder: "10.0.0.1" }),
      put("Port", "port", { type: "number", min: 1, max: 65535 }),
      put("Priority", "priority", { type: "number", min: 1, max: 65535 }),
      put("Weight", "weight", { type: "number", min: 0, max: 65535 }),
      put("Host name", "hostname", { required: false, placeholder: "for people" }),
      h("button", { type: "button", class: "remove", onclick: () => list.childElementCount > 1 && node.remove() }, "Remove this server"),
    );
    return node;
  }

  const servers = () => [...list.children].map((node) => {
    const [ipAddress, port, priority, weight, hostname] = [...node.querySelectorAll("input")].map(({ value }) => value.trim());
    return { ipAddress, port: Number(port), priority: Number(priority), weight: Number(weight), hostname };
  });
  const blank = { ipAddress: "", port: 5060, priority: 1, weight: 100, hostname: "" };
  list.append(...(present?.servers ?? [blank]).map(server));
  return ask(present ? `Edit ${present.groupName}` : "New server group", {
    fields: [
      field("Name", "groupName", { value: present?.groupName, required: true, readonly: present !== null, hint: "The host in routes, such as agents.lab." }),
      field("Load balancing", "loadBalancing", { options: BALANCING, value: present?.loadBalancing ?? "round_robin" }),
      field("Description", "description", { value: present?.description, maxlength: 200 }),
      h("h3", {}, "Servers"),
      list,
      h("div", {}, h("button", { type: "button", onclick: () => list.append(server(blank)) }, "Another server")),
    ],
    confirm: present ? "Save" : "Add",
    act({ groupName, loadBalancing, description }) {
      const body = { groupName, loadBalancing, description, servers: servers() };
      return present ? send("PUT", path`/oamp/rest/sipserver/${present.groupId}`, body) : send("POST", GROUPS, body);
    },
  });
}
