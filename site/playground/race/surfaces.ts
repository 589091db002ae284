/** The landscapes of the race: functions of two numbers, with their gradients by hand. Pure. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The part of the plane that the picture shows. */
export const DOMAIN = { left: -3, right: 3, bottom: -2, top: 2 } as const;

export interface Surface {
  readonly id: string;
  readonly title: string;
  /** What is hard about it. */
  readonly says: string;
  readonly start: Point;
  readonly steps: number;
  /** How many steps of a path are drawn. */
  readonly trail: number;
  /** Learning rates that serve here, for each contender. */
  readonly rates: Readonly<Record<string, number>>;
  /** Of the gradient's noise, in step `step`: its deviation. 0: none. */
  readonly noise: (step: number) => number;
  /** How far the whole landscape has moved by step `step`. */
  readonly drift: (step: number) => Point;
  /** Of the landscape that has not moved. Least value 0. */
  readonly value: (x: number, y: number) => number;
  readonly gradient: (x: number, y: number) => readonly [x: number, y: number];
  /** Heights between which the picture changes its shade. */
  readonly levels: readonly number[];
  /** Where the least value is, before it moves. */
  readonly optima: readonly Point[];
}

const still = (): Point => ({ x: 0, y: 0 });
const silent = () => 0;
/** `count` heights from `low` to `high`, each by the same factor higher. */
const geometric = (low: number, high: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => low * (high / low) ** (i / (count - 1)));

const valley: Surface = {
  id: "valley",
  title: "Valley",
  says: "Steep walls, a floor that bends and hardly falls. Who cannot slow down across it bounces between the walls.",
  start: { x: -2.35, y: 1.55 },
  steps: 300,
  trail: 300,
  rates: { adamax: 0.3, adam: 0.08, sgd: 0.01, lion: 0.03 },
  noise: silent,
  drift: still,
  value: (x, y) => 0.15 * (x - 2) ** 2 + 3 * (y - 0.4 * x ** 2 + 1.2) ** 2,
  gradient: (x, y) => {
    const above = y - 0.4 * x ** 2 + 1.2;
    return [0.3 * (x - 2) - 4.8 * x * above, 6 * above];
  },
  levels: geometric(0.03, 40, 11),
  optima: [{ x: 2, y: 0.4 }],
};

const [COS, SIN] = [Math.cos(0.35), Math.sin(0.35)];

const ravine: Surface = {
  id: "ravine",
  title: "Ravine",
  says: "Seventy times as steep across as along, and turned against the axes, so that no axis has a scale of its own.",
  start: { x: -2.6, y: 0.6 },
  steps: 240,
  trail: 240,
  rates: { adamax: 0.3, adam: 0.1, sgd: 0.02, lion: 0.03 },
  noise: silent,
  drift: still,
  value: (x, y) => 0.05 * (x * COS + y * SIN) ** 2 + 3.5 * (y * COS - x * SIN) ** 2,
  gradient: (x, y) => {
    const [along, across] = [0.1 * (x * COS + y * SIN), 7 * (y * COS - x * SIN)];
    return [along * COS - across * SIN, along * SIN + across * COS];
  },
  levels: geometric(0.01, 25, 11),
  optima: [{ x: 0, y: 0 }],
};

const plateau: Surface = {
  id: "plateau",
  title: "Plateau",
  says: "A plain that is all but flat, and one hole. The gradient says which way, and almost nothing of how far.",
  start: { x: -2, y: 1.3 },
  steps: 260,
  trail: 260,
  rates: { adamax: 0.06, adam: 0.04, sgd: 0.1, lion: 0.03 },
  noise: silent,
  drift: still,
  value: (x, y) => 1 - hole(x, y),
  gradient: (x, y) => [((x - 1.5) / 0.8) * hole(x, y), ((y + 0.6) / 0.8) * hole(x, y)],
  levels: [0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.94, 0.98, 0.995, 0.999],
  optima: [{ x: 1.5, y: -0.6 }],
};

const hole = (x: number, y: number): number => Math.exp(-((x - 1.5) ** 2 + (y + 0.6) ** 2) / 1.6);

const saddle: Surface = {
  id: "saddle",
  title: "Saddle",
  says: "It begins almost on the ridge, where the slope to either side is next to nothing, and the slope to the pass is not.",
  start: { x: -2.4, y: 0.004 },
  steps: 220,
  trail: 220,
  rates: { adamax: 0.06, adam: 0.05, sgd: 0.02, lion: 0.03 },
  noise: silent,
  drift: still,
  value: (x, y) => 0.4 * x ** 2 + 0.25 * (y ** 2 - 2.25) ** 2,
  gradient: (x, y) => [0.8 * x, y * (y ** 2 - 2.25)],
  levels: [0.02, 0.08, 0.2, 0.4, 0.7, 1.05, 1.4, 1.9, 2.5, 3.2],
  optima: [
    { x: 0, y: 1.5 },
    { x: 0, y: -1.5 },
  ],
};

/** Steps after which the noise of the stream changes. */
const SPELL = 75;

const stream: Surface = {
  id: "stream",
  title: "Noisy stream",
  says: "The optimum wanders, and the noise of the gradient jumps between quiet and loud: the time-variant process of the optimizer's page.",
  start: { x: -2.2, y: -1.2 },
  steps: 450,
  trail: 90,
  rates: { adamax: 0.3, adam: 0.2, sgd: 0.02, lion: 0.1 },
  noise: (step) => (Math.floor(step / SPELL) % 2 === 0 ? 0.3 : 3),
  drift: (step) => ({ x: 1.7 * Math.sin(step / 48), y: 1.05 * Math.sin(step / 29 + 0.6) }),
  value: (x, y) => 0.5 * x ** 2 + 0.9 * y ** 2,
  gradient: (x, y) => [x, 1.8 * y],
  levels: geometric(0.02, 16, 10),
  optima: [{ x: 0, y: 0 }],
};

export const SURFACES: readonly Surface[] = [valley, ravine, plateau, saddle, stream];

/** The first for a name that there is not. */
export const surfaceOf = (id: string): Surface => SURFACES.find((surface) => surface.id === id) ?? valley;
