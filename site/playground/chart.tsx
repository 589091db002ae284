/** A chart by uPlot: small, quick enough for a curve that grows while one looks, with logarithmic axes. Its colors are the page's. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useData } from "vitepress";
import { defineComponent, onBeforeUnmount, onMounted, ref, watch } from "vue";

export interface Curve {
  readonly label: string;
  /** The name of a custom property of CSS. */
  readonly color: string;
  /** null: no value there. */
  readonly values: readonly (number | null)[];
  readonly dash?: readonly number[];
  /** A dot at each value. */
  readonly dots?: true;
  /** A band from `low` to `high` around the values. */
  readonly band?: { readonly low: readonly (number | null)[]; readonly high: readonly (number | null)[] };
}

interface Props {
  /** What it shows, for those who do not see it. */
  says: string;
  xLabel: string;
  yLabel: string;
  x: readonly number[];
  curves: readonly Curve[];
  height: number;
  isXLog?: boolean;
  isYLog?: boolean;
  /** What is shown at least. */
  xRange?: readonly [number, number];
  yRange?: readonly [number, number];
  /** Where a vertical line stands. */
  marker?: number | null;
  /** A horizontal line, such as that of equality. */
  baseline?: number;
  onPointed?: (index: number | null) => void;
}

const inherited = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** 1e6 and 0.01 as they stand; numbers between in full. */
const tick = (value: number | null): string => {
  if (value === null) return "";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5)
    ? value.toExponential(0).replace("e+", "e")
    : `${Number(value.toPrecision(4))}`;
};

export const Chart = defineComponent(
  (props: Props) => {
    const box = ref<HTMLDivElement>();
    const { isDark } = useData();
    let plot: uPlot | null = null;
    let resizes: ResizeObserver | null = null;

    /** The columns of uPlot: x, then each curve, after it the edges of its band. */
    const data = () =>
      [
        props.x,
        ...props.curves.flatMap(({ values, band }) => [values, ...(band ? [band.high, band.low] : [])]),
      ] as uPlot.AlignedData;

    const axis = (label: string, isLog: boolean | undefined, size: number): uPlot.Axis => ({
      label,
      size,
      labelSize: 20,
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
      stroke: () => inherited("--vp-c-text-2"),
      grid: { stroke: () => inherited("--vp-c-divider"), width: 1 },
      ticks: { show: false },
      values: (_, values) => values.map((value) => (isLog && value !== null && !isPowerOfTen(value) ? "" : tick(value))),
    });

    const drawBaseline = (u: uPlot) => {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.lineWidth = devicePixelRatio;
      ctx.strokeStyle = inherited("--vp-c-text-3");
      const y = u.valToPos(props.baseline!, "y", true);
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      if (y > bbox.top && y < bbox.top + bbox.height) {
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
      ctx.restore();
    };
    /** The marker is an element of its own: it moves in every picture, and the chart need not be drawn again for that. */
    let line: HTMLElement | null = null;
    const moveMarker = () => {
      if (!line || !plot) return;
      line.hidden = props.marker == null;
      if (props.marker != null) line.style.transform = `translateX(${plot.valToPos(props.marker, "x")}px)`;
    };

    const create = () => {
      plot?.destroy();
      plot = null;
      let series = 0;
      const bands: uPlot.Band[] = [];
      const all = props.curves.flatMap(({ label, color, dash, dots, band }): uPlot.Series[] => {
        const stroke = () => inherited(color);
        const curve: uPlot.Series = {
          label,
          stroke,
          width: 2,
          points: dots ? { show: true, size: 7, fill: stroke } : { show: false },
          ...(dash ? { dash: [...dash] } : {}),
        };
        series += 1;
        if (!band) return [curve];
        bands.push({ series: [series + 1, series + 2], fill: () => `color-mix(in srgb, ${inherited(color)} 18%, transparent)` });
        series += 2;
        const edge: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false } };
        return [curve, edge, edge];
      });
      plot = new uPlot(
        {
          width: box.value!.clientWidth,
          height: props.height,
          legend: { show: false },
          cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
          scales: {
            x: {
              time: false,
              distr: props.isXLog ? 3 : 1,
              ...(props.xRange ? { range: () => around(props.xRange!, props.x) } : {}),
            },
            y: {
              distr: props.isYLog ? 3 : 1,
              ...(props.yRange ? { range: (_: uPlot, least: number, most: number) => around(props.yRange!, [least, most]) } : {}),
            },
          },
          axes: [axis(props.xLabel, props.isXLog, 30), axis(props.yLabel, props.isYLog, 48)],
          series: [{}, ...all],
          bands,
          hooks: {
            draw: props.baseline === undefined ? [] : [drawBaseline],
            setSize: [moveMarker],
            setCursor: [(u) => props.onPointed?.(u.cursor.left! < 0 ? null : (u.cursor.idx ?? null))],
          },
        },
        data(),
        box.value!,
      );
      line = document.createElement("div");
      line.className = "marker";
      plot.over.append(line);
      moveMarker();
    };

    onMounted(() => {
      create();
      resizes = new ResizeObserver(() => plot?.setSize({ width: box.value!.clientWidth, height: props.height }));
      resizes.observe(box.value!);
    });
    onBeforeUnmount(() => {
      resizes?.disconnect();
      plot?.destroy();
    });
    watch(
      () => props.curves.map(({ label, color, band }) => [label, color, band !== undefined].join()).join(";"),
      () => box.value && create(),
      { flush: "post" },
    );
    watch(
      [() => props.x, () => props.curves, () => props.xRange],
      () => {
        plot?.setData(data());
        moveMarker();
      },
      { flush: "post" },
    );
    watch(() => props.marker, moveMarker, { flush: "post" });
    watch(isDark, () => plot?.redraw(false), { flush: "post" });

    return () => (
      <figure class="chart">
        <div ref={box} role="img" aria-label={props.says} style={{ minHeight: `${props.height}px` }} />
      </figure>
    );
  },
  {
    props: [
      "says",
      "xLabel",
      "yLabel",
      "x",
      "curves",
      "height",
      "isXLog",
      "isYLog",
      "xRange",
      "yRange",
      "marker",
      "baseline",
      "onPointed",
    ],
  },
);

/** The range, made larger where values lie outside. */
const around = ([low, high]: readonly [number, number], values: readonly (number | null)[]): [number, number] => {
  const finite = values.filter((value): value is number => value !== null && Number.isFinite(value));
  return [Math.min(low, ...finite), Math.max(high, ...finite)];
};

const isPowerOfTen = (value: number): boolean => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;
