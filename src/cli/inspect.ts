/** `adamax inspect`: what a file holds, as text, as JSON, or as a page. */

import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { atomicWrite } from "../checkpoint/storage/atomic-write.js";
import { printable } from "../errors.js";
import { type Contents, readContents } from "./contents.js";
import { refuseExisting, refusePage } from "./files.js";
import { pageOf } from "./page.js";
import { statisticsOf } from "./statistics.js";
import { showNumber, summaryOf } from "./summary.js";
import type { Colours, Print } from "./terminal.js";
import { UsageError } from "./usage.js";

interface InspectOptions {
  readonly json?: boolean;
  /** Where the page goes. */
  readonly html?: string;
  readonly force?: boolean;
  readonly optimizer?: string;
}

export const inspect = async (
  path: string,
  { json = false, html, force = false, optimizer }: InspectOptions,
  print: Print,
  colours: Colours,
): Promise<number> => {
  if (json && html !== undefined) throw new UsageError("--json and --html cannot be given together.");
  if (html !== undefined) {
    await refusePage(html, path);
    await refuseExisting(html, force);
  }
  const contents = await readContents(path, optimizer === undefined ? {} : { optimizer });
  if (html !== undefined) {
    const page = new TextEncoder().encode(pageOf(contents));
    await mkdir(dirname(html), { recursive: true });
    await atomicWrite(
      html,
      (async function* () {
        yield page;
      })(),
    );
  }
  if (json) for (const line of JSON.stringify(asJson(contents), null, 2).split("\n")) print(line);
  else if (html === undefined) for (const line of textOf(contents, colours)) print(...line);
  return 0;
};

const asJson = ({ arrays, ...contents }: Contents) => ({
  ...contents,
  arrays: arrays.map(({ name, of, shape, dtype, value }) => ({ name, of, shape, dtype, ...statisticsOf(value) })),
});

const textOf = (contents: Contents, { bold, red }: Colours): Parameters<Print>[] => {
  const { format, optimizer, settings, note } = summaryOf(contents);
  const rows = contents.arrays.map(({ name, shape, dtype, value }) => {
    const { min, max, zeros, nonFinite } = statisticsOf(value);
    return [printable(name), `[${shape.join(", ")}]`, dtype, showNumber(min), showNumber(max), `${zeros}`, `${nonFinite}`];
  });
  const [head, ...lines] = aligned([["array", "shape", "dtype", "min", "max", "zeros", "non-finite"], ...rows]);
  return [
    [`${contents.path}: ${format}`],
    [optimizer, bold],
    ...settings.map(([key, value]): [string] => [`  ${key}: ${value}`]),
    ...(note ? [[note] as [string]] : []),
    [""],
    [head!, bold],
    ...lines.map((line, i): Parameters<Print> => (rows[i]!.at(-1) === "0" ? [line] : [line, red])),
  ];
};

/** In columns: text to the left, numbers to the right. */
const aligned = (rows: readonly (readonly string[])[]): string[] => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
};
