/** What the parts of the playground have in common: a title, a sentence, and the way to the other parts. */

import "../playground.css";

import { useRoute, withBase } from "vitepress";
import { defineComponent } from "vue";

export const PARTS = [
  { id: "see-it-move", title: "See it move" },
  { id: "write-your-own", title: "Write your own" },
  { id: "hear-it", title: "Hear it" },
  { id: "measure-it", title: "Measure it" },
  { id: "look-inside", title: "Look inside" },
] as const;

export const Shell = defineComponent(
  (props: { title: string; says: string }, { slots }) => {
    const route = useRoute();
    return () => (
      <main class="playground">
        <nav class="parts" aria-label="Parts of the playground">
          {PARTS.map(({ id, title }) => (
            <a
              key={id}
              href={withBase(`/playground/${id}.html`)}
              aria-current={route.path.includes(`/playground/${id}`) ? "page" : undefined}
            >
              {title}
            </a>
          ))}
        </nav>
        <h1>{props.title}</h1>
        <p class="lead">{props.says}</p>
        {slots.default?.()}
      </main>
    );
  },
  { props: ["title", "says"] },
);
