/** On which backend of TensorFlow.js: the choice of all parts that need it. */

import { defineComponent, onMounted, ref } from "vue";
import type { Query } from "../address.ts";
import type { BackendName } from "../backends.ts";
import { Choice } from "./choice.tsx";

const DEFAULT: BackendName = "wasm";

/** What an address says of it, and what it has to say. */
export const backendOf = ({ backend }: Query, offered: readonly BackendName[]): BackendName =>
  offered.find((name) => name === backend) ?? DEFAULT;
export const queryOf = (backend: BackendName): Query => (backend === DEFAULT ? {} : { backend });

interface Props {
  offered: readonly BackendName[];
  chosen: BackendName;
  onChoose: (backend: BackendName) => void;
}

export const BackendChoice = defineComponent(
  (props: Props) => {
    const hasWebGpu = ref(true);
    onMounted(() => {
      hasWebGpu.value = "gpu" in navigator;
    });
    return () => (
      <Choice
        title="TensorFlow.js backend"
        options={props.offered.map((value) => ({ value, isDisabled: value === "webgpu" && !hasWebGpu.value }))}
        chosen={props.chosen}
        onChoose={(value: string) => props.onChoose(value as BackendName)}
      />
    );
  },
  { props: ["offered", "chosen", "onChoose"] },
);
