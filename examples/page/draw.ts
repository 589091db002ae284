/** What the page shows as pictures. */

import type { Network, Sample } from "./network.js";

type Color = readonly [red: number, green: number, blue: number];
const COLORS: readonly Color[] = [
  [209, 96, 61],
  [47, 127, 158],
  [231, 178, 62],
];
const PALE: Color = [250, 248, 243];
/** The map is computed for so many places in each direction, and drawn larger. */
const CELLS = 80;

export const contextOf = (canvas: HTMLCanvasElement): CanvasRenderingContext2D => {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser gives no 2D drawing context for a canvas. Use one that can draw.");
  return context;
};

/** The plane from -1 to 1, each place in the colors of what the network says of it, and the points that it is trained on. */
export const drawMap = (context: CanvasRenderingContext2D, network: Network, points: readonly Sample[]): void => {
  const { width, height } = context.canvas;
  const cells = new OffscreenCanvas(CELLS, CELLS);
  const image = new ImageData(CELLS, CELLS);
  for (let i = 0; i < CELLS ** 2; i++) {
    const at = (index: number) => (2 * (index + 0.5)) / CELLS - 1;
    image.data.set([...blend(network.predict([at(i % CELLS), -at(Math.floor(i / CELLS))])), 255], 4 * i);
  }
  cells.getContext("2d")!.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(cells, 0, 0, width, height);
  context.lineWidth = 1.5;
  context.strokeStyle = "white";
  for (const { input, label } of points) {
    const [x = 0, y = 0] = input;
    context.beginPath();
    context.arc(((x + 1) / 2) * width, ((1 - y) / 2) * height, 4.5, 0, 2 * Math.PI);
    context.fillStyle = `rgb(${COLORS[label]!.join(" ")})`;
    context.fill();
    context.stroke();
  }
};

/** The colors of the classes, mixed by their probabilities, and halfway to paper. */
const blend = (probabilities: readonly number[]): number[] =>
  PALE.map((pale, c) => 0.45 * pale + 0.55 * probabilities.reduce((sum, p, label) => sum + p * COLORS[label]![c]!, 0));

/** Losses after each epoch, on a logarithmic scale from 2 down to a thousandth. */
export const drawCurve = (context: CanvasRenderingContext2D, epochs: number, curves: readonly (readonly number[])[]): void => {
  const { width, height } = context.canvas;
  const [top, bottom] = [Math.log(2), Math.log(1e-3)];
  const y = (loss: number) => ((top - Math.log(Math.min(2, Math.max(1e-3, loss)))) / (top - bottom)) * (height - 4) + 2;
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = context.strokeStyle = "rgb(128 128 128 / 70%)";
  context.lineWidth = 0.5;
  for (const loss of [1, 0.1, 0.01]) {
    context.beginPath();
    context.moveTo(34, y(loss));
    context.lineTo(width, y(loss));
    context.stroke();
    context.fillText(String(loss), 2, y(loss) + 4);
  }
  context.lineWidth = 2;
  for (const [i, losses] of curves.entries()) {
    context.strokeStyle = `rgb(${COLORS[i]!.join(" ")})`;
    context.beginPath();
    for (const [epoch, loss] of losses.entries()) context.lineTo(34 + ((width - 34) * epoch) / (epochs - 1), y(loss));
    context.stroke();
  }
};
