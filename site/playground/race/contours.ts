/** Lines of equal height, as paths of an SVG. */

import { contours } from "d3-contour";
import { DOMAIN, type Point, type Surface } from "./surfaces.ts";

/** The picture's size, in its own units. */
export const [WIDTH, HEIGHT] = [600, 400];
const SCALE = WIDTH / (DOMAIN.right - DOMAIN.left);

export const toPicture = ({ x, y }: Point): Point => ({ x: (x - DOMAIN.left) * SCALE, y: (DOMAIN.top - y) * SCALE });
export const toPlane = ({ x, y }: Point): Point => ({ x: DOMAIN.left + x / SCALE, y: DOMAIN.top - y / SCALE });

const CELL = 8;

/** For each level, from the lowest: where the landscape is higher. It reaches as far beyond the picture as the landscape moves. */
export const contourPaths = ({ value, levels, drift, steps }: Surface): string[] => {
  const drifts = Array.from({ length: steps + 1 }, (_, step) => drift(step));
  const beyond = (axis: "x" | "y") => Math.ceil((Math.max(...drifts.map((point) => Math.abs(point[axis]))) * SCALE) / CELL) + 1;
  const [right, down] = [beyond("x"), beyond("y")];
  const [columns, rows] = [WIDTH / CELL + 2 * right + 1, Math.ceil(HEIGHT / CELL) + 2 * down + 1];
  const heights = Array.from({ length: columns * rows }, (_, i) => {
    const { x, y } = toPlane({ x: ((i % columns) - right) * CELL, y: (Math.floor(i / columns) - down) * CELL });
    return value(x, y);
  });
  const inPicture = ([column, row]: number[]) =>
    `${((column! - 0.5 - right) * CELL).toFixed(1)} ${((row! - 0.5 - down) * CELL).toFixed(1)}`;
  return contours()
    .size([columns, rows])
    .thresholds([...levels])(heights)
    .map(({ coordinates }) =>
      coordinates.flatMap((polygon) => polygon.map((ring) => `M${ring.map(inPicture).join("L")}Z`)).join(""),
    );
};
