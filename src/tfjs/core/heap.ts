/** Our compiled step in the memory of TensorFlow.js' wasm backend: gradients are read where they lie, and values are copied once inside it. */

import * as tf from "@tensorflow/tfjs-core";
import type { NearRow, OnProgress, RowRequest } from "../../backend.js";
import type { Pointer } from "../../backends/cpu/layout.js";
import type { CpuRow, Engine, Memory, Segment, SegmentRunner } from "../../backends/cpu/memory.js";
import { CpuBackend } from "../../backends/cpu/step.js";
import { compileModule } from "../../backends/wasm/compiler.js";
import { isSharedBuffer, type RunJobs, runAlone, WasmBackend } from "../../backends/wasm/wasm.js";
import { BackendError } from "../../errors.js";
import type { Program } from "../../rule/program.js";
import { type HeapModule, isWasm, lacking } from "./private-members.js";
import { TensorVariable } from "./variable.js";

const MAX_PAGES = 65536;
const ALIGNMENT = 64;

export class HeapBackend extends CpuBackend {
  private constructor(heap: HeapEngine) {
    super(heap);
  }

  /** In the memory of the backend that TensorFlow.js runs now, or null when our step cannot run there. */
  static current(): HeapBackend | null {
    const backend = tf.findBackend(tf.getBackend());
    if (!backend || !isWasm(backend) || !backend.wasm || lacking("emscripten", backend.wasm).length > 0) return null;
    const { wasm } = backend;
    const memory = wasm.asm?.memory ?? wasm.wasmMemory;
    return memory && WasmBackend.refusal() === null ? new HeapBackend(new HeapEngine(wasm, memory)) : null;
  }

  override place(
    requests: readonly RowRequest[],
    programs: readonly Program[],
    firstIndex: number,
    told?: OnProgress,
  ): NearRow[] {
    const rows = super.place(requests, programs, firstIndex, told);
    // Making room may have moved the heap.
    for (const { foreign } of requests) if (foreign instanceof TensorVariable) foreign.locate();
    return rows;
  }
}

/** Points the row at its value and its gradient where those are in this memory and may be used there; others are staged. */
const lieIn = (row: CpuRow, buffer: ArrayBufferLike): void => {
  const { gradient, request, pointers } = row;
  const bytesBefore = row.begin * row.bytesPerElement; // both are those of the whole variable
  const variable = request.foreign;
  const hasValue = variable instanceof TensorVariable && variable.isWritable && variable.value.buffer === buffer;
  const hasGradient = ArrayBuffer.isView(gradient) && gradient.buffer === buffer;
  if (hasGradient) row.ownGradient = gradient;
  const w = hasValue ? variable.value.byteOffset + bytesBefore : 0;
  const g = hasGradient ? gradient.byteOffset + bytesBefore : pointers[1]!;
  if (pointers[0] === w && pointers[1] === g) return;
  pointers[0] = w;
  pointers[1] = g;
  row.segment.writtenRows.length = 0; // jobs that were written for other places are void
};

class HeapEngine implements Engine {
  readonly name = "wasm";
  readonly why = "WebAssembly SIMD in the memory of TensorFlow.js, where the tensors are";
  readonly threads = 1;

  readonly maxBytes = 2 ** 31;
  readonly #allocated = new Map<Memory, Pointer>();

  constructor(
    readonly module: HeapModule,
    readonly memory: WebAssembly.Memory,
  ) {}

  allocate(bytes: number): Memory {
    const { memory, module } = this;
    const pointer = module._malloc(bytes + ALIGNMENT) >>> 0;
    if (pointer === 0)
      throw new BackendError(
        `There is no memory for the optimizer's state. Asked for: ${bytes} bytes of TensorFlow.js' wasm heap. ` +
          'Free tensors, or pass backend: "wasm" for a memory of the optimizer\'s own.',
      );
    const base = Math.ceil(pointer / ALIGNMENT) * ALIGNMENT;
    new Uint8Array(memory.buffer, base, bytes).fill(0);
    const allocated = {
      base,
      get buffer() {
        return memory.buffer;
      },
    };
    this.#allocated.set(allocated, pointer);
    return allocated;
  }

  compile(programs: readonly Program[]): (segment: Segment) => SegmentRunner {
    const isShared = isSharedBuffer(this.memory.buffer);
    const module = new WebAssembly.Module(compileModule(programs, isShared ? MAX_PAGES : null));
    const { run } = new WebAssembly.Instance(module, { memory: { memory: this.memory } }).exports;
    return (segment) => runAlone(segment, run as RunJobs);
  }

  /** The heap may have grown, and TensorFlow.js has put values and gradients elsewhere. */
  locate(rows: readonly CpuRow[], count: number): void {
    const { buffer } = this.memory;
    for (let i = 0; i < count; i++) {
      const { segment } = rows[i]!;
      if (segment.buffer !== buffer) segment.refresh();
      lieIn(rows[i]!, buffer);
    }
  }

  release({ memory }: Segment): void {
    this.module._free(this.#allocated.get(memory)!);
    this.#allocated.delete(memory);
  }

  dispose(): void {
    for (const pointer of this.#allocated.values()) this.module._free(pointer);
    this.#allocated.clear();
  }
}
