// The REST interface. Paths are those of /openapi.json; they are asked for relative to the page,
// so that a proxy may have all of it below a path of its own.

/** An answer that is an error: `status`, `code`, and a message that says what to do. */
export class RestError extends Error {
  constructor(status, code, details) {
    super(details);
    this.status = status;
    this.code = code;
  }
}

function at(path) {
  const url = new URL(path.replace(/^\//, ""), document.baseURI);
  url.username = url.password = ""; // fetch refuses them; the browser has them all the same
  return url;
}

/** The response to a request; RestError for any other than 2xx, also where there is none. */
export async function ask(method, path, { body, headers = {}, signal } = {}) {
  const options = { method, headers: { Accept: "*/*", ...headers }, signal, cache: "no-store" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(at(path), options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RestError(0, "NO_ANSWER", "The server cannot be reached.");
  }
  if (response.ok) return response;
  let told = {};
  try {
    told = await response.json();
  } catch {
    // Not ours: a proxy's page, say.
  }
  throw new RestError(response.status, told.code ?? "", told.details ?? `${response.status} ${response.statusText}`);
}

async function content(response) {
  const found = await response.text();
  return found ? JSON.parse(found) : null;
}

/** The JSON of a GET. */
export async function get(path, options) {
  return content(await ask("GET", path, options));
}

/** The JSON of the answer to a command; `body` is sent as JSON. */
export async function send(method, path, body, options) {
  return content(await ask(method, path, { body, ...options }));
}

/** One page after the other of a list, as their Link fields lead. */
export async function* pages(path, options) {
  let next = path;
  while (next) {
    const response = await ask("GET", next, options);
    next = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
    yield await response.json();
  }
}

/** A path with values in it: path`/call/${guid}` escapes what is put in. */
export function path(parts, ...values) {
  return String.raw({ raw: parts }, ...values.map(encodeURIComponent));
}
