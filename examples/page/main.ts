/** The page: starts a training, and shows how it goes. "?threads=2" asks for so many threads in the measurement at the end. */

import { contextOf, drawCurve, drawMap } from "./draw.js";
import { measureSpeed } from "./speed.js";
import { createTraining } from "./training.js";

const element = <Kind extends HTMLElement>(id: string) => document.getElementById(id) as Kind;
const say = (id: string, text: string) => {
  element(id).textContent = text;
};
const [map, curve] = ["map", "curve"].map((id) => contextOf(element<HTMLCanvasElement>(id))) as [
  CanvasRenderingContext2D,
  CanvasRenderingContext2D,
];
const [stop, again] = [element<HTMLButtonElement>("stop"), element<HTMLButtonElement>("again")];
/** A map costs about as much as twenty steps: not one for every frame of the screen. */
const FRAME_MILLISECONDS = 80;
const threads = Number(new URLSearchParams(location.search).get("threads")) || "auto";

const train = async (seed: number): Promise<void> => {
  const { epochs, network, points, backend, run, accuracy, sample } = createTraining(seed);
  const losses = { trained: [] as number[], unseen: [] as number[] };
  const draw = () => {
    drawMap(map, network, points);
    drawCurve(curve, epochs, [losses.trained, losses.unseen]);
  };
  const controller = new AbortController();
  stop.onclick = () => controller.abort();
  stop.disabled = false;
  again.disabled = true;
  say("status", "Training");
  say("backend", `${backend.name}: ${backend.why}`);
  say("accuracy", "–");

  let training = true;
  let drawn = 0;
  const animate = (now: number) => {
    if (now - drawn > FRAME_MILLISECONDS) {
      draw();
      drawn = now;
    }
    if (training) requestAnimationFrame(animate);
  };
  requestAnimationFrame(animate);
  const onEpoch = ({ epoch, loss, valLoss, steps, stepsPerSecond }: Parameters<Parameters<typeof run>[0]>[0]) => {
    losses.trained.push(loss);
    losses.unseen.push(valLoss);
    element<HTMLProgressElement>("progress").value = epoch / epochs;
    say("epoch", `${epoch} / ${epochs}`);
    say("loss", loss.toFixed(4));
    say("val-loss", valLoss.toFixed(4));
    say("steps", String(steps));
    say("speed", Math.round(stepsPerSecond).toLocaleString("en"));
  };
  try {
    const { stoppedBy } = await run(onEpoch, controller.signal);
    say("status", stoppedBy ? "Stopped" : "Done");
  } finally {
    training = false;
    stop.disabled = true;
    again.disabled = false;
  }
  draw();
  say("accuracy", `${(100 * accuracy(sample(1000))).toFixed(1)} %`);
  again.onclick = () => show(seed + 1);
};

const measure = async (): Promise<void> => {
  say("million", "Measuring …");
  const { milliseconds, steps, shared, why } = await measureSpeed(1e6, threads, 0.5);
  say("million", `${milliseconds.toFixed(2)} ms, ${shared} of ${steps} steps shared by threads. ${why}`);
};

/** Errors are shown, not only logged: the reader of a page does not look into the console. */
const show = (seed: number): void => {
  train(seed)
    .then(measure)
    .catch((error) => say("status", `${error}`));
};
show(1);
