// The page around the views: navigation, the connection, the theme.

import { fill, h } from "./lib/dom.js";
import { begin, onConnection, onEvents } from "./lib/events.js";
import { get } from "./lib/rest.js";
import { readUser, role } from "./lib/user.js";
import { VIEWS } from "./registry.js";

const main = document.getElementById("main");
const start = VIEWS[0].name;
let leave = new AbortController();

/** #/call/GUID?tab=x: the view, what follows it, the query. */
function place() {
  const [steps, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parameters] = steps.split("/").map(decodeURIComponent);
  return { name: name || start, parameters, query: new URLSearchParams(query) };
}

async function show() {
  leave.abort();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const mine = (leave = new AbortController());
  const { name, parameters, query } = place();
  const view = VIEWS.find((one) => one.name === name);
  for (const link of document.querySelectorAll("#views a")) {
    if (link.dataset.view === (view?.below ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const shown = h("div", { class: "view" });
  try {
    if (!view) throw new Error(`There is no view \u201c${name}\u201d.`);
    const module = await view.load();
    if (mine.signal.aborted) return;
    document.title = `${module.title} \u2013 Callsim`;
    fill(main, shown);
    await module.show({ main: shown, parameters, query, signal: mine.signal });
  } catch (error) {
    if (mine.signal.aborted) return;
    fill(main, h("h1", {}, view?.label ?? "Callsim"), h("p", { class: "error", role: "alert" }, error.message));
  }
  if (mine.signal.aborted) return;
  main.querySelector("h1")?.setAttribute("tabindex", "-1");
  if (moved) main.querySelector("h1")?.focus({ preventScroll: true });
  moved = true;
}

let moved = false; // the first view takes the focus from nobody

fill(
  document.getElementById("views"),
  h("ul", {}, VIEWS.filter(({ label }) => label).map(({ name, label }) => h("li", {}, h("a", { href: `#/${name}`, "data-view": name }, label)))),
);

// The address is the view's: the link that skips the navigation must not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

const theme = document.getElementById("theme");
theme.value = localStorage.getItem("theme") ?? "";
const paint = () => (document.documentElement.dataset.theme = theme.value);
theme.addEventListener("change", () => {
  localStorage.setItem("theme", theme.value);
  paint();
});
paint();

const link = document.getElementById("link");
let settling;
onConnection((state) => {
  clearTimeout(settling);
  // A connection that is back at once is nothing to tell.
  settling = setTimeout(
    () => {
      link.className = `link-state ${state}`;
      fill(link, { connecting: "connecting \u2026", live: "live", lost: "connection lost, trying again \u2026" }[state]);
      document.body.classList.toggle("is-lost", state === "lost");
    },
    state === "lost" ? 700 : 0,
  );
});

/** Which server this is, and who looks: views are of what that user may do. */
async function greet() {
  try {
    const [{ serverName, version }, name] = await Promise.all([get("/cvp/rest/health"), readUser()]);
    fill(document.getElementById("server"), `${serverName} ${version}, ${name} (${role})`);
  } catch {
    // The connection says it.
  }
}

await greet();
addEventListener("hashchange", show);
show();
onEvents({
  async resync() {
    const before = role;
    await greet();
    if (role !== before) show();
  },
});
begin();
