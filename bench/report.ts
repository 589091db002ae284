/** What a question answers, and how it is shown: a table in the terminal, JSON, and one page with plots. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Quartiles } from "./measure.js";

/** One ratio, and what was asked of it. */
export interface Row {
  readonly of: string;
  /** What is measured against what, in words: "C over ours". */
  readonly ratio: string;
  readonly value: Quartiles;
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
  /** "" for a ratio, else a unit: a few questions ask for a time or an amount. */
  readonly unit?: string;
  readonly note?: string;
}

/** Times of one side over sizes, for the plots. */
export interface Line {
  readonly name: string;
  /** Parameters in the model, and nanoseconds per parameter and step. */
  readonly points: readonly { readonly parameters: number; readonly time: Quartiles }[];
}

export interface Answer {
  readonly question: string;
  readonly title: string;
  readonly rows: readonly Row[];
  readonly lines: readonly Line[];
  /** How it was measured: versions, threads, what was left out. */
  readonly notes: readonly string[];
}

export const isMet = ({ value, target }: Row): boolean | null =>
  target === undefined ? null : "atLeast" in target ? value.median >= target.atLeast : value.median <= target.atMost;
const targetText = ({ target }: Row): string =>
  target === undefined ? "" : "atLeast" in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
const verdict = (row: Row): string => ({ true: "met", false: "MISSED", null: "" })[`${isMet(row)}`];

const number = (value: number): string => {
  if (!Number.isFinite(value)) return `${value}`;
  const magnitude = Math.abs(value);
  return magnitude >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(magnitude >= 100 ? 4 : 3);
};
const spread = ({ low, high }: Quartiles): string => (low === high ? "" : `${number(low)} .. ${number(high)}`);

const COLUMNS = ["model", "", "median", "quartiles", "target", "", ""] as const;
const cells = (row: Row): string[] => [
  row.of,
  row.ratio,
  `${number(row.value.median)}${row.unit ? ` ${row.unit}` : ""}`,
  spread(row.value),
  targetText(row),
  verdict(row),
  row.note ?? "",
];

/** The numbers of the columns that these rows fill: those of targets only where there are some. */
const filled = (rows: readonly Row[]): number[] =>
  COLUMNS.flatMap((_, i) => ((i === 4 || i === 5) && rows.every(({ target }) => target === undefined) ? [] : [i]));

export const printTable = ({ title, rows, notes }: Answer): void => {
  const table = [[...COLUMNS], ...rows.map(cells)];
  const shown = filled(rows);
  const widths = COLUMNS.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
  console.log(`\n${title}`);
  for (const line of table)
    console.log(
      `  ${shown.map((i) => (i === 2 || i === 4 ? line[i]!.padStart(widths[i]!) : line[i]!.padEnd(widths[i]!))).join("  ")}`.trimEnd(),
    );
  for (const note of notes) console.log(`  ${note}`);
};

/** Writes the answer to the folder `out` as JSON, and the page anew from every answer there is. Returns the page's path. */
export const save = (answer: Answer, machine: Readonly<Record<string, unknown>>, out: string): string => {
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, `${answer.question}.json`), `${JSON.stringify({ ...answer, machine }, null, 2)}\n`);
  const answers = readdirSync(out)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(out, name), "utf8")) as Answer & { machine: Record<string, unknown> });
  answers.sort((a, b) => b.lines.length - a.lines.length || a.question.localeCompare(b.question)); // those with a plot first
  const path = join(out, "index.html");
  writeFileSync(path, page(answers));
  return path;
};

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

const page = (answers: readonly (Answer & { machine: Record<string, unknown> })[]): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>adamax: benchmark</title>
<style>
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d6675; --line: #d8dce3; --paper: #fff; --good: #17703a; --bad: #b3261e;
  --c0: #1f5fbf; --c1: #c2571a; --c2: #6b7280; --c3: #2f855a; --c4: #a8329e; --c5: #8a6d00; --c6: #00808a; --c7: #c0392b; --c8: #5b4bb7; --c9: #7a5230; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b4; --line: #343b47; --paper: #14181f; --good: #63c98a; --bad: #ff8a80;
  --c0: #7ab0ff; --c1: #ff9d5c; --c2: #a3acba; --c3: #6fd39b; --c4: #ea8be2; --c5: #e0c04c; --c6: #4fd0da; --c7: #ff8f80; --c8: #b3a7ff; --c9: #cfa27a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; } td.n { text-align: right; }
.met { color: var(--good); } .MISSED { color: var(--bad); font-weight: 600; } .soft { color: var(--soft); font-size: 13px; }
svg { width: 100%; height: auto; margin: 1rem 0; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
</style>
<h1>adamax: benchmark</h1>
<p class="soft">Sides are interleaved in one run, and a ratio is taken in each round; shown are medians and quartiles of the rounds. Reproduce: npm run bench, or npx adamax bench</p>
${answers.map(section).join("\n")}
</html>
`;

const section = (answer: Answer & { machine: Record<string, unknown> }): string => `<section>
<h2>${escapeHtml(answer.title)}</h2>
${answer.lines.length > 0 ? plot(answer.lines) : ""}
<div class="scroll"><table><tr>${filled(answer.rows)
  .map((i) => `<th>${COLUMNS[i]}</th>`)
  .join("")}</tr>
${answer.rows
  .map(
    (row) =>
      `<tr>${filled(answer.rows)
        .map((i) => `<td class="${i === 2 || i === 4 ? "n" : i === 5 ? cells(row)[i] : ""}">${escapeHtml(cells(row)[i]!)}</td>`)
        .join("")}</tr>`,
  )
  .join("\n")}
</table></div>
<p class="soft">${answer.notes.map(escapeHtml).join("<br>")}<br>${escapeHtml(
  Object.entries(answer.machine)
    .map(([key, value]) => `${key}: ${value}`)
    .join("; "),
)}</p>
</section>`;

const WIDTH = 900;
const HEIGHT = 420;
const MARGIN = { left: 60, right: 215, top: 14, bottom: 40 };

/** Time per parameter over size, both logarithmic; whiskers are quartiles. */
const plot = (lines: readonly Line[]): string => {
  const sizes = lines.flatMap(({ points }) => points.map(({ parameters }) => parameters));
  const times = lines.flatMap(({ points }) => points.flatMap(({ time }) => [time.low, time.high]));
  const [left, right] = [Math.log10(Math.min(...sizes)), Math.log10(Math.max(...sizes))];
  const [bottom, top] = [Math.floor(Math.log10(Math.min(...times))), Math.ceil(Math.log10(Math.max(...times)))];
  const x = (size: number) =>
    MARGIN.left + ((Math.log10(size) - left) / (right - left || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (time: number) =>
    HEIGHT - MARGIN.bottom - ((Math.log10(time) - bottom) / (top - bottom || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const grid: string[] = [];
  for (let power = bottom; power <= top; power++)
    grid.push(
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(10 ** power)}" y2="${y(10 ** power)}" stroke="var(--line)"/>`,
      `<text x="${MARGIN.left - 8}" y="${y(10 ** power) + 4}" text-anchor="end">${10 ** power} ns</text>`,
    );
  for (let power = Math.ceil(left); power <= right; power++)
    grid.push(`<text x="${x(10 ** power)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">1e${power}</text>`);
  grid.push(
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">parameters; time per parameter and step</text>`,
  );

  // Names stand at the end of their lines, moved apart.
  const labels = lines.map(({ points }, i) => ({ i, at: y(points.at(-1)!.time.median) })).sort((a, b) => a.at - b.at);
  labels.forEach((label, k) => {
    if (k > 0) label.at = Math.max(label.at, labels[k - 1]!.at + 15);
  });
  const overflow = Math.max(0, labels.at(-1)!.at - (HEIGHT - MARGIN.bottom));
  for (const label of labels) label.at -= overflow;
  const drawn = lines.map(({ name, points }, i) => {
    const color = `var(--c${i % 10})`;
    const dash = /stream|C,/.test(name) ? ' stroke-dasharray="5 4"' : "";
    const path = points
      .map(({ parameters, time }, k) => `${k ? "L" : "M"}${x(parameters).toFixed(1)} ${y(time.median).toFixed(1)}`)
      .join("");
    const marks = points.map(
      ({ parameters, time }) =>
        `<line x1="${x(parameters)}" x2="${x(parameters)}" y1="${y(time.low)}" y2="${y(time.high)}" stroke="${color}"/>` +
        `<circle cx="${x(parameters)}" cy="${y(time.median)}" r="3" fill="${color}"><title>${escapeHtml(name)}, ${parameters}: ${number(time.median)} ns</title></circle>`,
    );
    const last = points.at(-1)!;
    const label = labels.find((label) => label.i === i)!.at;
    return (
      `<path d="${path}" fill="none" stroke="${color}" stroke-width="2"${dash}/>${marks.join("")}` +
      `<path d="M${x(last.parameters) + 5} ${y(last.time.median)}L${WIDTH - MARGIN.right + 22} ${label}" stroke="${color}" opacity=".35" fill="none"/>` +
      `<text x="${WIDTH - MARGIN.right + 26}" y="${label + 4}" style="fill:${color}">${escapeHtml(name)}</text>`
    );
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Time per parameter over size">${grid.join("")}${drawn.join("")}</svg>`;
};
