/** "Hear it": the denoiser of the speech example trains in the page. */

import "../hear/hear.css";
import { computed, defineComponent, onBeforeUnmount, onMounted, reactive, ref, shallowRef, watch } from "vue";
import { type NoiseKind, noiseKinds } from "../../../examples/speech/noise.ts";
import { numberIn, readQuery, writeQuery } from "../address.ts";
import type { BackendName } from "../backends.ts";
import { Chart } from "../chart.tsx";
import { CHOICES, type HearAnswer, type HearRequest, type Sounds } from "../hear/protocol.ts";
import { SoundView } from "../hear/sound.tsx";
import { inOwnTask } from "../in-own-task.ts";
import { BackendChoice, backendOf, queryOf } from "./backend-choice.tsx";
import { Choice } from "./choice.tsx";
import { Shell } from "./shell.tsx";

const BACKENDS = ["wasm", "webgpu", "webgl"] as const satisfies readonly BackendName[];
const STEPS = [100, 400, 1500];
/** The curve is a running mean: the loss of one batch says little. */
const SMOOTHING = 0.9;

const Part = defineComponent(() => {
  const choices = reactive({
    backend: "wasm" as BackendName,
    steps: 400,
    noise: "engine" as NoiseKind,
    recording: 0,
    averages: true,
  });
  const losses = shallowRef<readonly number[]>([]);
  const sounds = shallowRef<Sounds | null>(null);
  const heardAt = ref(0);
  const status = ref("");
  const isTraining = ref(false);
  let worker: Worker | null = null;

  const listening = () => ({ noise: choices.noise, recording: choices.recording });
  const stop = (said: string) => {
    worker?.terminate();
    worker = null;
    isTraining.value = false;
    status.value = said;
  };
  const train = () => {
    stop("");
    losses.value = [];
    sounds.value = null;
    isTraining.value = true;
    worker = new Worker(new URL("../tensor-worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<HearAnswer>) => {
      if (data.kind === "status") status.value = data.says;
      if (data.kind === "losses") losses.value = [...losses.value, ...data.losses];
      if (data.kind === "sounds") [sounds.value, heardAt.value] = [data.sounds, data.step];
      if (data.kind === "failed") stop(data.message);
      if (data.kind === "done") [isTraining.value, status.value] = [false, data.says]; // the worker stays, to clean other sounds
    };
    worker.onerror = ({ message }) => stop(message || "The worker could not be started. Load the page again.");
    const { backend, steps } = choices;
    worker.postMessage({ kind: "train", backend, steps, listening: listening() } satisfies HearRequest);
  };

  onMounted(() => {
    const query = readQuery();
    choices.backend = backendOf(query, BACKENDS);
    choices.steps = STEPS.find((steps) => steps === Number(query.steps)) ?? 400;
    choices.noise = noiseKinds.find((kind) => kind === query.noise) ?? "engine";
    choices.recording = Math.round(numberIn(query.recording, 1, CHOICES, 1)) - 1;
    choices.averages = query.averages !== "off";
    watch(choices, ({ backend, steps, noise, recording, averages }) =>
      writeQuery({
        ...queryOf(backend),
        ...(steps === 400 ? {} : { steps: `${steps}` }),
        ...(noise === "engine" ? {} : { noise }),
        ...(recording === 0 ? {} : { recording: `${recording + 1}` }),
        ...(averages ? {} : { averages: "off" }),
      }),
    );
    watch([() => choices.noise, () => choices.recording], () =>
      worker?.postMessage({ kind: "listen", listening: listening() } satisfies HearRequest),
    );
  });
  onBeforeUnmount(() => stop(""));

  const curves = computed(() => {
    let mean = losses.value[0] ?? 0;
    const smooth = losses.value.map((loss) => {
      mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
      return mean;
    });
    return [
      { label: "loss", color: "--vp-c-border", values: losses.value },
      { label: "its running mean", color: "--adamax", values: smooth },
    ];
  });
  const x = computed(() => losses.value.map((_, step) => step + 1));
  const cleaned = computed(() => sounds.value && (choices.averages ? sounds.value.averaged : sounds.value.last));
  const gain = computed(() =>
    sounds.value && cleaned.value ? `${(cleaned.value.decibels! - sounds.value.noisy.decibels!).toFixed(1)} dB` : "–",
  );

  const settings = () => (
    <div class="settings">
      <BackendChoice
        offered={BACKENDS}
        chosen={choices.backend}
        onChoose={(backend: BackendName) => {
          choices.backend = backend;
        }}
      />
      <Choice
        title="Steps"
        options={STEPS.map((steps) => ({ value: `${steps}` }))}
        chosen={`${choices.steps}`}
        onChoose={(value: string) => {
          choices.steps = Number(value);
        }}
      />
      <button type="button" class="primary" onClick={() => (isTraining.value ? stop("Stopped.") : train())}>
        {isTraining.value ? "Stop" : "Train"}
      </button>
    </div>
  );

  const listen = () => (
    <div class="settings">
      <Choice
        title="Noise"
        options={noiseKinds.map((kind) => ({ value: kind }))}
        chosen={choices.noise}
        onChoose={(value: string) => {
          choices.noise = value as NoiseKind;
        }}
      />
      <Choice
        title="Recording, never trained on"
        options={Array.from({ length: CHOICES }, (_, i) => ({ value: `${i + 1}` }))}
        chosen={`${choices.recording + 1}`}
        onChoose={(value: string) => {
          choices.recording = Number(value) - 1;
        }}
      />
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          aria-checked={choices.averages}
          checked={choices.averages}
          onChange={() => {
            choices.averages = !choices.averages;
          }}
        />
        Averages of the weights
      </label>
    </div>
  );

  return () => (
    <Shell
      title="Hear it"
      says="A small network learns, here and now, to take changing noise from a voice: 115,841 parameters, Adamax with clipping and moving averages, in your browser."
    >
      {{
        default: () => (
          <div class="hear">
            {settings()}
            <p class="status" role="status">
              {status.value || "Nothing is loaded before you press Train: TensorFlow.js and forty recordings, about 3 MB."}
            </p>
            <div class="live">
              <Chart
                says={`The loss of each step, so far ${losses.value.length} of ${choices.steps}.`}
                xLabel="step"
                yLabel="loss"
                x={x.value}
                curves={curves.value}
                height={240}
                isYLog={true}
                xRange={[0, choices.steps]}
                yRange={[0.03, 0.3]}
              />
              <dl class="figures">
                <div>
                  <dt>Step</dt>
                  <dd>{losses.value.length}</dd>
                </div>
                <div>
                  <dt>Loss</dt>
                  <dd>{curves.value[1]!.values.at(-1)?.toFixed(4) ?? "–"}</dd>
                </div>
                <div>
                  <dt>Cleaner by</dt>
                  <dd>{gain.value}</dd>
                </div>
              </dl>
            </div>
            <h2>Listen</h2>
            {listen()}
            <div class="sounds">
              <SoundView title="Noisy" heard={sounds.value?.noisy ?? null} />
              <SoundView title={sounds.value ? `Cleaned, after step ${heardAt.value}` : "Cleaned"} heard={cleaned.value} />
              <SoundView title="As it was recorded" heard={sounds.value?.clean ?? null} />
            </div>
            <p class="says">
              The figures are scale-invariant signal-to-distortion ratios. What separates optimizers here was measured in{" "}
              <a href="../docs/speech-study.html">a study</a>. The voice is Allison Smith's, under a{" "}
              <a href="../examples/speech/recordings/ATTRIBUTION.html">licence of its own</a>.
            </p>
          </div>
        ),
      }}
    </Shell>
  );
});

export const HearIt = inOwnTask(Part);
