// The thread that holds the memory. Node does not read TypeScript; tsx does.
import { register } from "tsx/esm/api";

register();
await import("./host.ts");
