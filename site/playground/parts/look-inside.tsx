/** "Look inside": what a model's file holds. */

import "../inside/inside.css";
import { defineComponent, onBeforeUnmount, onMounted, ref, shallowRef } from "vue";
import averaged from "../../../fixtures/keras-files/keras-average.keras?url";
import { readQuery, writeQuery } from "../address.ts";
import { inOwnTask } from "../in-own-task.ts";
import type { InsideAnswer, InsideRequest } from "../inside/worker.ts";
import { Shell } from "./shell.tsx";

const EXAMPLE = "keras-average.keras";

const Part = defineComponent(() => {
  const contents = shallowRef<{ title: string; html: string } | null>(null);
  const problem = ref("");
  const status = ref("");
  const isOver = ref(false);
  let worker: Worker | null = null;

  const fail = (message: string) => {
    problem.value = message;
    status.value = "";
  };
  const read = (files: readonly File[]) => {
    worker?.terminate(); // a file that is still being read is not wanted any more
    worker = new Worker(new URL("../inside/worker.ts", import.meta.url), { type: "module" });
    status.value = "Reading …";
    problem.value = "";
    contents.value = null;
    worker.onmessage = ({ data }: MessageEvent<InsideAnswer>) => {
      if (data.kind === "failed") return fail(data.message);
      contents.value = data;
      status.value = `${data.title} was read.`;
    };
    worker.onerror = ({ message }) => fail(message || "The worker could not be started. Load the page again.");
    worker.postMessage({ files } satisfies InsideRequest);
  };
  const readExample = async () => {
    writeQuery({ example: "yes" });
    const answer = await fetch(averaged).catch(() => null);
    if (answer?.ok) read([new File([await answer.blob()], EXAMPLE)]);
    else fail("The example could not be loaded. Is there a network?");
  };
  const given = (list: FileList | null | undefined) => {
    writeQuery({});
    read([...(list ?? [])]);
  };

  const listeners = {
    dragover: (event: DragEvent) => {
      event.preventDefault();
      isOver.value = true;
    },
    dragleave: (event: DragEvent) => {
      if (!event.relatedTarget) isOver.value = false; // out of the window
    },
    drop: (event: DragEvent) => {
      event.preventDefault();
      isOver.value = false;
      given(event.dataTransfer?.files);
    },
  };
  onMounted(() => {
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener as EventListener);
    if ("example" in readQuery()) void readExample();
  });
  onBeforeUnmount(() => {
    for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener as EventListener);
    worker?.terminate();
  });

  return () => (
    <Shell
      title="Look inside"
      says="A .keras, .h5, .safetensors or TensorFlow.js model, or a checkpoint: which optimizer it was trained with, and how its numbers are spread. Nothing is uploaded; the file is read where you are."
    >
      {{
        default: () => (
          <div class="inside">
            <div class={["drop", { isOver: isOver.value }]}>
              <input
                id="files"
                class="sr-only"
                type="file"
                multiple
                onChange={(event) => given((event.target as HTMLInputElement).files)}
              />
              <p>
                <label for="files" class="button">
                  Choose files
                </label>{" "}
                or drop them on this page
              </p>
              <p class="hint">
                All files of a model together, where it has several: model.json with its .bin files.{" "}
                <button type="button" class="link" onClick={() => void readExample()}>
                  No file at hand? Look into an example
                </button>
              </p>
            </div>
            <p class="sr-only" role="status">
              {status.value}
            </p>
            {status.value === "Reading …" ? <p class="hint">Reading …</p> : null}
            {problem.value ? (
              <p class="problem" role="alert">
                {problem.value}
              </p>
            ) : null}
            {contents.value ? (
              <section aria-label={contents.value.title}>
                <h2>{contents.value.title}</h2>
                <div class="contents" innerHTML={contents.value.html} />
              </section>
            ) : null}
          </div>
        ),
      }}
    </Shell>
  );
});

export const LookInside = inOwnTask(Part);
