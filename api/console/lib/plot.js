// Small plots of figures over time, as SVG.

import { fill, h, svg, text } from "./dom.js";
import * as format from "./format.js";

const WIDTH = 480;
const HEIGHT = 130;
const LEFT = 44;
const BOTTOM = 18;
const TOP = 8;

/** The next of 1, 2, 5, 10, 20 ... that is not below `most`. */
function ceiling(most) {
  if (most <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((one) => one >= most);
}

/**
 * A plot with a heading and the present values. `lines`: [{name, color (CSS), value(sample)}];
 * `span` in ms is the most that is shown;
 * `unit` stands behind figures. Gives {node, draw(samples)}, where each sample has a
 * time `at` (ms); a value that is undefined leaves a gap.
 */
export function plot(title, { lines, span, unit = "" }) {
  const top = svg("text", { x: LEFT - 6, y: TOP + 5, class: "axis end" });
  const from = svg("text", { x: LEFT, y: HEIGHT - 4, class: "axis" });
  const paths = lines.map(({ color }) => {
    const path = svg("path", { class: "line" });
    path.style.stroke = color;
    return path;
  });
  const floor = HEIGHT - BOTTOM;
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, class: "plot" },
    [0, 0.5, 1].map((share) => svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: floor - share * (floor - TOP), y2: floor - share * (floor - TOP) })),
    top,
    svg("text", { x: LEFT - 6, y: floor + 4, class: "axis end" }, "0"),
    from,
    svg("text", { x: WIDTH, y: HEIGHT - 4, class: "axis end" }, "now"),
    paths,
  );
  const figures = lines.map(() => h("b", {}));
  const legend = h(
    "div",
    { class: "legend" },
    lines.map(({ name, color }, index) => {
      const mark = h("i", { "aria-hidden": "true" });
      mark.style.background = color;
      return h("span", {}, mark, name, " ", figures[index]);
    }),
  );
  const shown = (value) => (value === undefined ? "\u2013" : format.number(value) + unit);

  function draw(samples) {
    const now = samples.at(-1)?.at ?? Date.now();
    const minutes = Math.min(span / 60_000, Math.max(1, Math.ceil((now - (samples[0]?.at ?? now)) / 60_000)));
    const shownSpan = minutes * 60_000;
    const seen = samples.filter(({ at }) => at >= now - shownSpan);
    const values = lines.map(({ value }) => seen.map(value));
    const most = ceiling(Math.max(0, ...values.flat().filter((one) => one !== undefined)));
    text(top, format.number(most) + unit);
    text(from, `${minutes} min ago`);
    paths.forEach((path, index) => {
      let pen = "M";
      let drawn = "";
      values[index].forEach((value, place) => {
        if (value === undefined) {
          pen = "M";
          return;
        }
        const x = WIDTH - ((now - seen[place].at) / shownSpan) * (WIDTH - LEFT);
        const y = floor - (value / most) * (floor - TOP);
        drawn += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
        pen = "L";
      });
      path.setAttribute("d", drawn);
      text(figures[index], shown(values[index].at(-1)));
    });
    picture.setAttribute("aria-label", `${title}: ${lines.map(({ name }, index) => `${name} ${shown(values[index].at(-1))}`).join(", ")}`);
  }

  return { node: fill(h("div", { class: "panel-body" }), legend, picture), draw };
}
