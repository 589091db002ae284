/** Draws the picture of the home page: the valley, and who ran through it. Written to site/public/hero.svg, which is committed. */

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CONTENDERS } from "../playground/race/contenders.ts";
import { contourPaths, HEIGHT, toPicture, WIDTH } from "../playground/race/contours.ts";
import { RULES } from "../playground/race/engine.ts";
import { run } from "../playground/race/run.ts";
import { MARKS } from "../playground/race/runners.ts";
import { surfaceOf } from "../playground/race/surfaces.ts";

/** Between those of the light page and of the dark one. */
const COLORS: Readonly<Record<string, string>> = { adamax: "#e0601f", adam: "#3f93d6", sgd: "#1fa37d", lion: "#a96bc8" };

const surface = surfaceOf("ravine");
const course = { surface: surface.id, start: surface.start, seed: 1, noise: 1 };
const paths = [...CONTENDERS].reverse().map(({ id }) => {
  const { path, steps } = run(RULES[id]!, surface.rates[id]!, {}, course);
  const points = Array.from({ length: Math.min(steps, 120) }, (_, step) =>
    toPicture({ x: path[2 * step]!, y: path[2 * step + 1]! }),
  ).map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return `<g fill="none" stroke="${COLORS[id]}" stroke-width="3.500" stroke-linejoin="round"><polyline points="${points.join(" ")}"/><path fill="${COLORS[id]}" stroke="#fff" stroke-width="1" transform="translate(${points.at(-1)}) scale(1.6)" d="${MARKS[id]}"/></g>`;
});
const hills = contourPaths(surface).map((d) => `<path d="${d.replace(/\.\d/g, "")}"/>`);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"><title>Optimizers in a ravine</title><clipPath id="c"><rect width="${WIDTH}" height="${HEIGHT}" rx="18"/></clipPath><g clip-path="url(#c)"><g fill="#8a6a40" fill-opacity=".06" stroke="#8a6a40" stroke-opacity=".3">${hills.join("")}</g>${paths.join("")}</g></svg>\n`;
writeFileSync(fileURLToPath(new URL("../public/hero.svg", import.meta.url)), svg);
