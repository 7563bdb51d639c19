// Figures and times as people read them.

const NUMBER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

const two = (number) => String(number).padStart(2, "0");

const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** The time of day of an RFC 3339 text, or of milliseconds: 14:03:07; with the day, if it is not today's. */
export function time(when) {
  const date = new Date(when);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return date.toDateString() === new Date().toDateString() ? clock : `${day(date)} ${clock}`;
}

/** The same to the millisecond: 14:03:07.250. */
export function exactTime(when) {
  return `${time(when)}.${String(new Date(when).getMilliseconds()).padStart(3, "0")}`;
}

/** Seconds as 0:07, 12:07 or 1:02:07. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/** A figure: 12,345.6. */
export function number(value) {
  return value === null || value === undefined ? "\u2013" : NUMBER.format(value);
}

/** One thing or several: plural(1, "call") is "1 call". */
export function plural(count, thing) {
  return `${number(count)} ${thing}${count === 1 ? "" : "s"}`;
}

/** A name of the API in words: "self_service" and "selfService" are "self service". */
export function words(name) {
  return String(name).replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_.]/g, " ").toLowerCase();
}
