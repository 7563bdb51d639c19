// Who looks at the console, and what that user may do.
//
// Views leave out, or turn off, what the user may not; the server refuses it all the same.

import { get } from "./rest.js";

const ROLES = ["read", "control", "admin"]; // each may do what those before it may

/** Of the user. Until it is known, and where the server cannot be asked, nothing is left out. */
export let role = "admin";

/** Read the role anew; gives the name of the user. */
export async function readUser() {
  const user = await get("/sim/v1/user");
  role = user.role;
  return user.name;
}

/** Whether the user may do what takes this role, as x-role in /openapi.json has it. */
export const may = (wanted) => ROLES.indexOf(role) >= ROLES.indexOf(wanted);
