import type { Image } from "./images.ts";

/** Drawings as SVG text. Colours come from the page's classes, so that it can be light or dark. */

export interface Axis {
  readonly label: string;
  readonly from: number;
  readonly to: number;
}

export interface Line {
  readonly label: string;
  readonly className: string;
  /** x and y; a NaN breaks the line. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A stretch of the x axis in which something held. */
export interface Band {
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly className: string;
}

interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const width = 860;
const round = (value: number): string => String(Math.round(value * 10) / 10);
const number = (value: number): string => String(Math.round(value * 1e6) / 1e6).replace("-", "−");
export const escaped = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");

const svg = (height: number, title: string, body: string): string =>
  `<div class="scroll"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">${body}</svg></div>`;

/** Round numbers that lie on the axis, about `count` of them. */
function ticks({ from, to }: Axis, count: number): number[] {
  const rough = (to - from) / count;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = decade * [1, 2, 5, 10].find((factor) => factor * decade >= rough)!;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

const placed = ({ from, to }: Axis, begin: number, end: number) => {
  return (value: number): number => begin + ((value - from) / (to - from)) * (end - begin);
};

function yAxis(y: Axis, frame: Frame): string {
  const atY = placed(y, frame.bottom, frame.top);
  const lines = ticks(y, 5).map(
    (tick) =>
      `<line class="grid" x1="${frame.left}" x2="${frame.right}" y1="${round(atY(tick))}" y2="${round(atY(tick))}"/>` +
      `<text class="tick" x="${frame.left - 8}" y="${round(atY(tick) + 4)}" text-anchor="end">${number(tick)}</text>`,
  );
  return `${lines.join("")}<text class="label" x="${frame.left - 40}" y="${frame.top - 12}">${escaped(y.label)}</text>`;
}

function xAxis(x: Axis, frame: Frame): string {
  const atX = placed(x, frame.left, frame.right);
  const names = ticks(x, 10).map(
    (tick) => `<text class="tick" x="${round(atX(tick))}" y="${frame.bottom + 18}" text-anchor="middle">${number(tick)}</text>`,
  );
  return (
    `${names.join("")}<line class="axis" x1="${frame.left}" x2="${frame.right}" y1="${frame.bottom}" y2="${frame.bottom}"/>` +
    `<text class="label" x="${frame.right}" y="${frame.top - 12}" text-anchor="end">${escaped(x.label)}</text>`
  );
}

function path(points: Line["points"], atX: (x: number) => number, atY: (y: number) => number): string {
  let pen = "M";
  return points
    .map(([x, y]) => {
      if (Number.isNaN(y)) {
        pen = "M";
        return "";
      }
      const step = `${pen}${round(atX(x))} ${round(atY(y))}`;
      pen = "L";
      return step;
    })
    .join("");
}

/** Lines over a common x, with what held when as a strip below and a tint behind. */
export function lineChart(title: string, x: Axis, y: Axis, lines: readonly Line[], bands: readonly Band[] = []): string {
  const height = 320;
  const frame: Frame = { left: 48, right: width - 18, top: 30, bottom: height - (bands.length > 0 ? 50 : 26) };
  const [atX, atY] = [placed(x, frame.left, frame.right), placed(y, frame.bottom, frame.top)];
  const inside = (value: number) => Math.min(Math.max(value, y.from), y.to); // NaN stays NaN
  const strip = bands
    .filter((band) => band.to > x.from && band.from < x.to)
    .map((band) => {
      const [left, right] = [atX(Math.max(band.from, x.from)), atX(Math.min(band.to, x.to))];
      const at = `x="${round(left)}" width="${round(right - left)}"`;
      const name =
        right - left > 6.5 * band.label.length
          ? `<text class="band-name" x="${round((left + right) / 2)}" y="${height - 10}" text-anchor="middle">${escaped(band.label)}</text>`
          : "";
      return (
        `<rect class="tint ${band.className}" ${at} y="${frame.top}" height="${frame.bottom - frame.top}"/>` +
        `<rect class="${band.className}" ${at} y="${height - 22}" height="17"><title>${escaped(band.label)}</title></rect>${name}`
      );
    });
  const curves = [...lines].reverse().map(({ label, className, points }) => {
    const limited = points.filter(([at]) => at >= x.from && at <= x.to).map(([at, value]) => [at, inside(value)] as const);
    return `<path class="line ${className}" d="${path(limited, atX, atY)}"><title>${escaped(label)}</title></path>`;
  });
  return svg(height, title, strip.join("") + yAxis(y, frame) + xAxis(x, frame) + curves.join(""));
}

/** One group of bars per row label, one bar per series, each with its value on it. */
export function barChart(
  title: string,
  y: Axis,
  groups: readonly string[],
  series: readonly { readonly label: string; readonly className: string; readonly values: readonly number[] }[],
): string {
  const height = 300;
  const frame: Frame = { left: 48, right: width - 18, top: 30, bottom: height - 30 };
  const atY = placed(y, frame.bottom, frame.top);
  const groupWidth = (frame.right - frame.left) / groups.length;
  const barWidth = Math.min(46, (0.7 * groupWidth) / series.length);
  const marks = groups.map((group, g) => {
    const middle = frame.left + (g + 0.5) * groupWidth;
    const bars = series.map(({ label, className, values }, s) => {
      const left = middle + (s - series.length / 2) * barWidth + 1;
      const value = values[g]!;
      const [top, bottom] = [atY(Math.max(0, value)), atY(Math.min(0, value))];
      return (
        `<rect class="bar ${className}" x="${round(left)}" y="${round(top)}" width="${round(barWidth - 2)}" height="${round(bottom - top)}" rx="2">` +
        `<title>${escaped(`${label}, ${group}: ${value.toFixed(2)}`)}</title></rect>` +
        `<text class="value" x="${round(left + barWidth / 2 - 1)}" y="${round(top - 5)}" text-anchor="middle">${value.toFixed(1)}</text>`
      );
    });
    return `${bars.join("")}<text class="group" x="${round(middle)}" y="${frame.bottom + 20}" text-anchor="middle">${escaped(group)}</text>`;
  });
  return svg(height, title, yAxis(y, frame) + marks.join(""));
}

/** A picture with time below and frequency beside it. */
export function spectrogram(title: string, image: Image, seconds: number): string {
  const [wide, high] = [236, 160];
  const frame: Frame = { left: 34, right: wide - 2, top: 26, bottom: high - 24 };
  const atX = placed({ label: "", from: 0, to: seconds }, frame.left, frame.right);
  const atY = placed({ label: "", from: 0, to: 4 }, frame.bottom, frame.top);
  const times = ticks({ label: "", from: 0, to: seconds }, 3);
  return (
    `<svg viewBox="0 0 ${wide} ${high}" role="img" aria-label="Spectrogram: ${escaped(title)}">` +
    `<text class="group" x="${frame.left}" y="${frame.top - 8}">${escaped(title)}</text>` +
    `<image x="${frame.left}" y="${frame.top}" width="${frame.right - frame.left}" height="${frame.bottom - frame.top}" preserveAspectRatio="none" href="${image.address}"/>` +
    [0, 2, 4]
      .map(
        (kilohertz) =>
          `<text class="tick" x="${frame.left - 5}" y="${round(atY(kilohertz) + (kilohertz === 4 ? 9 : 3))}" text-anchor="end">${kilohertz}</text>`,
      )
      .join("") +
    times
      .map((time) => `<text class="tick" x="${round(atX(time))}" y="${frame.bottom + 14}" text-anchor="middle">${time}</text>`)
      .join("") +
    `<text class="tick" x="${frame.right}" y="${frame.bottom + 14}" text-anchor="end">s</text>` +
    `<text class="tick" x="${frame.left - 5}" y="${frame.top - 8}" text-anchor="end">kHz</text></svg>`
  );
}
