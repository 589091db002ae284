/** The landscape, and the paths over it. */

import { computed, defineComponent, ref } from "vue";
import { contourPaths, HEIGHT, toPicture, toPlane, WIDTH } from "./contours.ts";
import type { Race } from "./race.ts";
import { MARKS, type Runner } from "./runners.ts";
import { DOMAIN, type Point } from "./surfaces.ts";

/** A step of somebody's path. */
export interface Place {
  readonly id: string;
  readonly step: number;
}

interface Props {
  race: Race;
  runners: readonly Runner[];
  /** How many steps are shown. */
  shown: number;
  isReady: boolean;
  onPointed: (place: Place | null) => void;
}

/** Pointers this far from a path, in the picture's units, mean it. */
const REACH = 24;

/** As an address holds it, so that a link starts at the same place. */
const rounded = (value: number): number => Number(value.toFixed(3));

export const Picture = defineComponent(
  (props: Props) => {
    const svg = ref<SVGSVGElement>();
    const dragging = ref(false);
    const paths = computed(() => (props.isReady ? contourPaths(props.race.surface.value) : []));
    const visible = computed(() => props.runners.filter(({ track, isHidden }) => track && !isHidden));

    const placeOf = ({ clientX, clientY }: PointerEvent): Point => {
      const { left, top, width } = svg.value!.getBoundingClientRect();
      return { x: ((clientX - left) * WIDTH) / width, y: ((clientY - top) * WIDTH) / width };
    };
    const moveStart = (to: Point) => {
      const { x, y } = to;
      props.race.choices.start = {
        x: rounded(Math.min(DOMAIN.right, Math.max(DOMAIN.left, x))),
        y: rounded(Math.min(DOMAIN.top, Math.max(DOMAIN.bottom, y))),
      };
    };
    /** From which step on paths are drawn: where the landscape moves, older ones say nothing any more. */
    const first = computed(() => Math.max(0, Math.floor(props.shown) - props.race.surface.value.trail));
    const nearest = ({ x, y }: Point): Place | null => {
      let best: Place | null = null;
      let least = REACH ** 2;
      for (const { id, track } of visible.value)
        for (let step = first.value; step < Math.min(props.shown, track!.steps); step++) {
          const at = toPicture({ x: track!.path[2 * step]!, y: track!.path[2 * step + 1]! });
          const distance = (at.x - x) ** 2 + (at.y - y) ** 2;
          if (distance < least) [best, least] = [{ id, step }, distance];
        }
      return best;
    };
    const onPointerdown = (event: PointerEvent) => {
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      dragging.value = true;
    };
    const drop = () => {
      dragging.value = false;
    };
    const onKeydown = (event: KeyboardEvent) => {
      const step = event.shiftKey ? 0.5 : 0.1;
      const [right, up] = ARROWS[event.key] ?? [0, 0];
      if (right === 0 && up === 0) return;
      event.preventDefault();
      const { x, y } = props.race.start.value;
      moveStart({ x: x + right * step, y: y + up * step });
    };

    /** Whose numbers are shown lies on top. */
    const rank = ({ id }: Runner): number => (id === props.race.choices.selected ? 1 : 0);
    const lineOf = (path: Float32Array, shown: number): string =>
      pointsOf(path)
        .slice(first.value, shown + 1)
        .join(" ");

    const pathOf = ({ id, track }: Runner) => {
      const shown = Math.min(Math.floor(props.shown), track!.steps);
      const line = lineOf(track!.path, shown);
      const end = line.slice(line.lastIndexOf(" ") + 1);
      return (
        <g key={id} class="path" style={{ "--color": `var(--${id})` }} data-runner={id}>
          <polyline class="casing" points={line} />
          <polyline points={line} />
          {track!.average ? <polyline class="average" points={lineOf(track!.average, shown)} /> : null}
          <path class="mark" d={MARKS[id]} transform={`translate(${end})`} />
        </g>
      );
    };

    return () => {
      const { surface, start } = props.race;
      const moved = toPicture(surface.value.drift(props.shown));
      const origin = toPicture({ x: 0, y: 0 });
      const from = toPicture(start.value);
      return (
        <div class="landscape">
          <svg
            ref={svg}
            class="picture"
            viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
            role="img"
            aria-label={`${surface.value.title}, seen from above. Each path is an optimizer's; the table says where they are.`}
            onPointermove={(event) => props.onPointed(nearest(placeOf(event)))}
            onPointerdown={(event) => props.onPointed(nearest(placeOf(event)))}
            onPointerleave={() => props.onPointed(null)}
          >
            <g class="heights" transform={`translate(${moved.x - origin.x} ${moved.y - origin.y})`}>
              <Landscape paths={paths.value} optima={surface.value.optima} />
            </g>
            {[...visible.value].sort((a, b) => rank(a) - rank(b)).map(pathOf)}
          </svg>
          <button
            type="button"
            class={["start", { dragging: dragging.value }]}
            style={{ left: `${(100 * from.x) / WIDTH}%`, top: `${(100 * from.y) / HEIGHT}%` }}
            aria-label={`Start at ${start.value.x.toFixed(1)}, ${start.value.y.toFixed(1)}. Drag it, or use the arrow keys.`}
            onPointerdown={onPointerdown}
            onPointermove={(event) => dragging.value && moveStart(toPlane(placeOf(event)))}
            onPointerup={drop}
            onPointercancel={drop}
            onKeydown={onKeydown}
          />
        </div>
      );
    };
  },
  { props: ["race", "runners", "shown", "isReady", "onPointed"] },
);

/** Apart, because it stays while the paths grow. */
const Landscape = ({ paths, optima }: { paths: readonly string[]; optima: readonly Point[] }) => (
  <g>
    {paths.map((d, i) => (
      <path key={i} class="hill" d={d} />
    ))}
    {optima.map(toPicture).map(({ x, y }) => (
      <path key={`${x} ${y}`} class="optimum" d={`M${x - 6} ${y}H${x + 6}M${x} ${y - 6}V${y + 6}`} />
    ))}
  </g>
);
Landscape.props = ["paths", "optima"];

/** By path: its points as the picture has them, to the end or until it leaves for good. Each picture shows most of those of the one before. */
const written = new WeakMap<Float32Array, readonly string[]>();
const pointsOf = (path: Float32Array): readonly string[] => {
  const known = written.get(path);
  if (known) return known;
  const points: string[] = [];
  for (let i = 0; i < path.length; i += 2) {
    const { x, y } = toPicture({ x: path[i]!, y: path[i + 1]! });
    if (!(Math.abs(x) < 1e4 && Math.abs(y) < 1e4)) break;
    points.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  }
  written.set(path, points);
  return points;
};

const ARROWS: Readonly<Record<string, readonly [right: number, up: number]>> = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};
