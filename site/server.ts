/** `npm run site:preview`: serves the built site. */

import { fileURLToPath } from "node:url";
import { serve } from "../scripts/serve.ts";

export const DIST = fileURLToPath(new URL("dist", import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url))
  console.log((await serve(DIST, { port: Number(process.env.PORT ?? 4173) })).url);
