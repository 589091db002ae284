/** "Measure it": the visitor's device. */

import "../measure/measure.css";
import { computed, defineComponent, onBeforeUnmount, onMounted, reactive, ref, shallowRef, watch } from "vue";
import { numberIn, readQuery, writeQuery } from "../address.ts";
import type { BackendName } from "../backends.ts";
import { Chart } from "../chart.tsx";
import { inOwnTask } from "../in-own-task.ts";
import type { MeasureAnswer, MeasureRequest, SizeResult } from "../measure/protocol.ts";
import { BackendChoice, backendOf, queryOf } from "./backend-choice.tsx";
import { Choice } from "./choice.tsx";
import { Shell } from "./shell.tsx";

const BACKENDS = ["wasm", "webgl", "webgpu", "cpu"] as const satisfies readonly BackendName[];
const SIZES = [1e3, 1e4, 1e5, 1e6, 1e7];
const power = (size: number): string => `1e${Math.round(Math.log10(size))}`;
const ratio = (value: number): string => `${Number(value.toPrecision(value < 10 ? 2 : 3))}`;
const time = (microseconds: number): string =>
  microseconds < 1000 ? `${Number(microseconds.toPrecision(3))} µs` : `${Number((microseconds / 1000).toPrecision(3))} ms`;

const Part = defineComponent(() => {
  const choices = reactive({ backend: "wasm" as BackendName, threads: true, largest: 1e6 });
  const results = shallowRef<readonly SizeResult[]>([]);
  const status = ref("");
  const isRunning = ref(false);
  let worker: Worker | null = null;

  const stop = (said: string) => {
    worker?.terminate();
    worker = null;
    isRunning.value = false;
    status.value = said;
  };
  const start = () => {
    stop("");
    results.value = [];
    isRunning.value = true;
    status.value = "TensorFlow.js is loading …";
    const sizes = SIZES.filter((size) => size <= choices.largest);
    worker = new Worker(new URL("../tensor-worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<MeasureAnswer>) => {
      const next = () => `Measuring ${power(sizes[results.value.length]!)} parameters …`;
      if (data.kind === "size") results.value = [...results.value, data.result];
      if (data.kind === "failed") stop(data.message);
      else if (data.kind === "done") stop("Done.");
      else if (results.value.length < sizes.length) status.value = `${data.kind === "started" ? `${data.says} ` : ""}${next()}`;
    };
    worker.onerror = ({ message }) => stop(message || "The worker could not be started. Load the page again.");
    const { backend, threads } = choices;
    worker.postMessage({ kind: "measure", backend, threads, sizes, seconds: 0.8 } satisfies MeasureRequest);
  };

  onMounted(() => {
    const query = readQuery();
    choices.backend = backendOf(query, BACKENDS);
    choices.threads = query.threads !== "off";
    choices.largest = SIZES.find((size) => size === numberIn(query.largest, 1e3, 1e7, 1e6)) ?? 1e6;
    watch(choices, ({ backend, threads, largest }) =>
      writeQuery({
        ...queryOf(backend),
        ...(threads ? {} : { threads: "off" }),
        ...(largest === 1e6 ? {} : { largest: `${largest}` }),
      }),
    );
  });
  onBeforeUnmount(() => stop(""));

  const curves = computed(() => {
    const curve = (label: string, color: string, side: "adapter" | "core") => ({
      label,
      color,
      values: results.value.map((result) => result[side].ratio.median),
      band: {
        low: results.value.map((result) => result[side].ratio.low),
        high: results.value.map((result) => result[side].ratio.high),
      },
      dots: true as const,
    });
    return [curve("adamax/tfjs", "--adamax", "adapter"), curve("adamax, the core alone", "--adam", "core")];
  });

  const table = () => (
    <table class="results">
      <caption>Medians of one step. The middle half of the ratios is in parentheses.</caption>
      <thead>
        <tr>
          <th scope="col">Parameters</th>
          <th scope="col">tf.train.adamax</th>
          <th scope="col">adamax/tfjs</th>
          <th scope="col">times faster</th>
          <th scope="col">core alone</th>
          <th scope="col">times faster</th>
        </tr>
      </thead>
      <tbody>
        {results.value.map(({ size, theirs, adapter, core }) => (
          <tr key={size}>
            <th scope="row">{power(size)}</th>
            <td>{time(theirs.median)}</td>
            {[adapter, core].map(({ microseconds, ratio: times }, i) => [
              <td key={`time${i}`}>{time(microseconds.median)}</td>,
              <td key={`ratio${i}`} class="ratio">
                <strong>{ratio(times.median)}</strong> ({ratio(times.low)} – {ratio(times.high)})
              </td>,
            ])}
          </tr>
        ))}
      </tbody>
    </table>
  );

  return () => (
    <Shell
      title="Measure it"
      says="How much faster is a step here, on your device, than that of TensorFlow.js' own Adamax? The sides take turns, so that whatever else the machine does hits both alike."
    >
      {{
        default: () => (
          <div class="measure">
            <div class="settings">
              <BackendChoice
                offered={BACKENDS}
                chosen={choices.backend}
                onChoose={(backend: BackendName) => {
                  choices.backend = backend;
                }}
              />
              <Choice
                title="Threads"
                options={[{ value: "on" }, { value: "off" }]}
                chosen={choices.threads ? "on" : "off"}
                onChoose={(value: string) => {
                  choices.threads = value === "on";
                }}
              />
              <Choice
                title="Up to so many parameters"
                options={SIZES.map((size) => ({ value: power(size) }))}
                chosen={power(choices.largest)}
                onChoose={(value: string) => {
                  choices.largest = Number(value);
                }}
              />
              <button type="button" class="primary" onClick={() => (isRunning.value ? stop("Stopped.") : start())}>
                {isRunning.value ? "Stop" : "Measure"}
              </button>
            </div>
            <p class="status" role="status">
              {status.value}
            </p>
            <div class="key" aria-hidden="true">
              {curves.value.map(({ label, color }) => (
                <span key={label} style={{ "--color": `var(${color})` }}>
                  {label}
                </span>
              ))}
              <span class="base">tf.train.adamax: 1</span>
            </div>
            <Chart
              says="How many times faster a step is than tf.train.adamax, over the number of parameters. The table has the numbers."
              xLabel="parameters"
              yLabel="times faster"
              x={results.value.map(({ size }) => size)}
              curves={curves.value}
              height={320}
              isXLog={true}
              isYLog={true}
              xRange={[600, 1.7 * choices.largest]}
              yRange={[0.3, 300]}
              baseline={1}
            />
            {results.value.length > 0 ? table() : null}
            <p class="says">
              What is measured is the step alone, with ready gradients, which in most trainings is the smaller part.{" "}
              <strong>adamax/tfjs</strong> runs on the chosen backend of TensorFlow.js; the <strong>core alone</strong> on its own
              WebAssembly, whatever is chosen. More of it in <a href="../docs/performance.html">Performance</a>.
            </p>
          </div>
        ),
      }}
    </Shell>
  );
});

export const MeasureIt = inOwnTask(Part);
