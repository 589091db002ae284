/** `adamax inspect --html`: one page that needs nothing else, with a histogram of every array. Pure. */

import type { StoredArray } from "../checkpoint/keras/arrays.js";
import { printable } from "../errors.js";
import type { Contents } from "./contents.js";
import { histogramOf, type Statistics, statisticsOf } from "./statistics.js";
import { showNumber, summaryOf } from "./summary.js";

export const pageOf = (contents: Contents): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(contents.path)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(contents.path)}</h1>
${bodyOf(contents)}
</body>
</html>
`;

/** What the page says below its title: for pages that have a style of their own. */
export const bodyOf = (contents: Contents): string => {
  const { format, optimizer, settings, note } = summaryOf(contents);
  const { rows, kinds, others } = byVariable(contents);
  return `<p>${escaped(format)}: <strong>${escaped(optimizer)}</strong>. ${escaped(note ?? "")}</p>
${definitions([...settings, ...others.map(({ name, value }) => [name, showNumber(Number(value[0]))] as const)])}
<p class="soft">Each histogram runs from the least to the greatest finite number of its array. Where there are few elements a line still stands. A red one has numbers that are not finite.</p>
<table>
<thead><tr><th>variable</th>${kinds.map((kind) => `<th>${escaped(kind)}</th>`).join("")}</tr></thead>
<tbody>
${rows.map(({ name, shape, dtype, arrays }) => tableRow(name, shape, dtype, kinds, arrays)).join("\n")}
</tbody>
</table>`;
};

interface VariableRow {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** "value", "momentum", "norm", "average", ... */
  readonly arrays: ReadonlyMap<string, StoredArray>;
}

/** Each variable with what the optimizer keeps for it; `others` belong to none: the step count. */
const byVariable = ({ arrays }: Contents): { rows: VariableRow[]; kinds: string[]; others: StoredArray[] } => {
  const rows = new Map<string, { array: StoredArray; arrays: Map<string, StoredArray> }>();
  for (const array of arrays) if (array.of === "model") rows.set(array.name, { array, arrays: new Map([["value", array]]) });
  const kinds = new Set(["value"]);
  const others: StoredArray[] = [];
  for (const array of arrays) {
    if (array.of === "model") continue;
    const [kind] = array.name.split("/", 1) as [string];
    const row = rows.get(array.name.slice(kind.length + 1));
    if (row) {
      kinds.add(kind);
      row.arrays.set(kind, array);
    } else if (array.value.length === 1) others.push(array);
    else rows.set(array.name, { array, arrays: new Map([["value", array]]) });
  }
  return {
    rows: [...rows].map(([name, { array, arrays }]) => ({ name, shape: array.shape, dtype: array.dtype, arrays })),
    kinds: [...kinds],
    others,
  };
};

const tableRow = (
  name: string,
  shape: readonly number[],
  dtype: string,
  kinds: readonly string[],
  arrays: ReadonlyMap<string, StoredArray>,
): string => {
  const cells = kinds.map((kind) => {
    const array = arrays.get(kind);
    return array ? `<td data-kind="${escaped(kind)}">${cell(array)}</td>` : '<td class="none"></td>';
  });
  return `<tr><th scope="row">${escaped(name)}<small>[${shape.join(", ")}] ${escaped(dtype)}</small></th>${cells.join("")}</tr>`;
};

const cell = ({ name, value }: StoredArray): string => {
  const statistics = statisticsOf(value);
  const { min, max, mean, zeros, nonFinite } = statistics;
  const range = min === max ? showNumber(min) : `${showNumber(min)} … ${showNumber(max)}`;
  return (
    histogram(histogramOf(value, statistics, BINS), name, statistics) +
    `<small>${range}<br>mean ${showNumber(mean)}<br>zeros ${zeros}${nonFinite > 0 ? `, <b>not finite ${nonFinite}</b>` : ""}</small>`
  );
};

const BINS = 24;
const [BAR, HEIGHT] = [6, 40];

const histogram = (counts: readonly number[], name: string, { nonFinite }: Statistics): string => {
  const most = Math.max(1, ...counts);
  const bars = counts.map((count, i) => {
    const height = count === 0 ? 0 : Math.max(1, Math.round((HEIGHT * count) / most));
    return height === 0 ? "" : `M${i * BAR} ${HEIGHT}v-${height}h${BAR - 1}v${height}z`;
  });
  return (
    `<svg viewBox="0 0 ${BINS * BAR} ${HEIGHT + 1}" role="img" aria-label="${escaped(`Histogram of ${name}`)}"${nonFinite > 0 ? ' class="bad"' : ""}>` +
    `<path d="${bars.join("")}"/><path class="ground" d="M0 ${HEIGHT + 0.5}h${BINS * BAR}"/></svg>`
  );
};

const definitions = (entries: readonly (readonly [name: string, value: string])[]): string =>
  `<dl>${entries.map(([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`).join("")}</dl>`;

/** Names come from the file, which anybody may have written. */
const escaped = (text: string): string => printable(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d6675; --line: #d8dce3; --paper: #fff; --bar: #1f5fbf; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b4; --line: #343b47; --paper: #14181f; --bar: #7ab0ff; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; line-height: 1.25; overflow-wrap: anywhere; }
.soft, small { color: var(--soft); } small { display: block; font-size: 12px; line-height: 1.35; font-weight: 400; font-variant-numeric: tabular-nums; }
dl { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; } dl div { max-width: 100%; } dt { display: inline; color: var(--soft); } dt::after { content: ": "; }
dd { display: inline; margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .5rem .8rem .5rem 0; border-bottom: 1px solid var(--line); }
th { overflow-wrap: anywhere; } svg { display: block; width: 144px; height: 41px; } svg path { fill: var(--bar); } svg .ground { fill: none; stroke: var(--soft); }
svg.bad path, b { fill: var(--bad); color: var(--bad); } svg.bad .ground { fill: none; stroke: var(--bad); }
@media (max-width: 760px) {
  table, tbody, tr, th, td { display: block; } thead, td.none { display: none; }
  tr { border-bottom: 1px solid var(--line); padding: .6rem 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .4rem 1rem; }
  tbody th { grid-column: 1 / -1; } th, td { border: 0; padding: 0; } td::before { content: attr(data-kind); font-size: 13px; font-weight: 600; }
}
`;
