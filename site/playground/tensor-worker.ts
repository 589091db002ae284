/** The worker of all parts that need TensorFlow.js: one file, which is loaded once. */

import { hear } from "./hear/denoise.ts";
import type { HearRequest } from "./hear/protocol.ts";
import { measure } from "./measure/measure.ts";
import type { MeasureRequest } from "./measure/protocol.ts";

self.onmessage = ({ data }: MessageEvent<HearRequest | MeasureRequest>) => (data.kind === "measure" ? measure(data) : hear(data));
