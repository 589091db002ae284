import { type Component, defineAsyncComponent } from "vue";

/** A part that comes to life in a task of its own, after the page around it: a visitor who touches something waits for one of both alone. */
export const inOwnTask = <Part extends Component>(part: Part): Part =>
  defineAsyncComponent<Part>({
    loader: async () => part,
    hydrate: (hydrate) => {
      const timer = window.setTimeout(hydrate);
      return () => window.clearTimeout(timer);
    },
  });
