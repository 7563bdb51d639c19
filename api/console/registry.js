// The views, in the order of the navigation. `name` is in the address (#/calls), `load` gives
// the module. Without a `label` a view has no entry; `below` is the one that is marked instead.

export const VIEWS = [
  { name: "calls", label: "Calls", load: () => import("./views/calls.js") },
  { name: "call", below: "calls", load: () => import("./views/call.js") },
  { name: "agents", label: "Agents", load: () => import("./views/agents.js") },
  { name: "faults", label: "Faults", load: () => import("./views/faults.js") },
  { name: "plan", label: "Dial plan", load: () => import("./views/plan.js") },
  { name: "records", label: "Records", load: () => import("./views/records.js") },
  { name: "health", label: "Health", load: () => import("./views/health.js") },
  { name: "figures", label: "Figures", load: () => import("./views/figures.js") },
];
