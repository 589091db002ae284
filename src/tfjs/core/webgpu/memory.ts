/** Memory for the state of tf.Variables, in arenas on TensorFlow.js' device; with room for values and gradients where those are copied there. */

import type { Row, RowRequest } from "../../../backend.js";
import type { Device } from "../../../backends/webgpu/device.js";
import { DeviceArrays, reserve } from "../../../backends/webgpu/memory.js";
import { Placement } from "../../../backends/webgpu/rows.js";
import type { WebgpuKernels } from "../private-members.js";
import { isInPlace, TensorRow } from "./row.js";

export const placeRows = (device: Device, inside: WebgpuKernels, requests: readonly RowRequest[], firstIndex: number): Row[] => {
  if (requests.length === 0) return [];
  const { state } = requests[0]!;
  const [large, small] = [true, false].map((kind) => requests.filter(({ variable }) => isInPlace(variable.length) === kind));
  const arrays = new Map<RowRequest, DeviceArrays>();
  const allocate = (own: readonly RowRequest[], names: readonly string[], place: (arrays: DeviceArrays) => DeviceArrays) => {
    const allocation = reserve(
      device,
      own.map(({ variable }) => variable.length),
      names,
    );
    for (const [i, request] of own.entries()) arrays.set(request, place(allocation.variables[i]!));
    return allocation;
  };
  const placement = new Placement(
    [allocate(small!, ["w", "g", ...state], (own) => own), allocate(large!, state, elsewhere)],
    requests.length,
  );
  return requests.map((request, i) => new TensorRow(request, firstIndex + i, arrays.get(request)!, placement, inside));
};

/** Value and gradient are in buffers of TensorFlow.js; in which, each step says. */
const elsewhere = ({ device, parts }: DeviceArrays): DeviceArrays =>
  new DeviceArrays(
    device,
    parts.map((part) => {
      const place = { buffer: NOWHERE, offset: part.begin };
      return { ...part, w: place, g: place, alone: true };
    }),
  );

/** Until a step says where: four elements fit at a time, as in what takes its place. */
const NOWHERE = { size: Number.POSITIVE_INFINITY } as GPUBuffer;
