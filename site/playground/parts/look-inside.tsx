/** "Look inside": what a model's file holds. */

import "../inside/inside.css";
import { defineComponent, onBeforeUnmount, onMounted, ref, shallowRef } from "vue";
import averaged from "../../../fixtures/keras-files/keras-average.keras?url";
import { readQuery, writeQuery } from "../address.ts";
import type { InsideAnswer, InsideRequest } from "../inside/worker.ts";
import { Shell } from "./shell.tsx";

const EXAMPLE = "keras-average.keras";

export const LookInside = defineComponent(() => {
  const contents = shallowRef<{ title: string; html: string } | null>(null);
  const problem = ref("");
  const status = ref("");
  const isOver = ref(false);
  let worker: Worker | null = null;

  const read = (files: readonly File[]) => {
    if (files.length === 0) return;
    worker?.terminate(); // a file that is still being read is not wanted any more
    worker = new Worker(new URL("../inside/worker.ts", import.meta.url), { type: "module" });
    status.value = "Reading …";
    problem.value = "";
    contents.value = null;
    worker.onmessage = ({ data }: MessageEvent<InsideAnswer>) => {
      if (data.kind === "read") contents.value = data;
      else problem.value = data.message;
      status.value = data.kind === "read" ? `${data.title} was read.` : "";
    };
    worker.onerror = ({ message }) => {
      problem.value = message || "The worker could not be started. Load the page again.";
    };
    worker.postMessage({ files } satisfies InsideRequest);
  };
  const readExample = async () => {
    writeQuery({ example: "yes" });
    const response = await fetch(averaged);
    read([new File([await response.blob()], EXAMPLE)]);
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
