/** "Write your own": an update rule in an editor, which joins the race. */

import "../own/own.css";
import { computed, defineAsyncComponent, defineComponent, onBeforeUnmount, onMounted, ref, shallowRef, watch } from "vue";
import { packed, readQuery, unpacked } from "../address.ts";
import { inOwnTask } from "../in-own-task.ts";
import type { Problem } from "../own/compile.ts";
import { BEGINNINGS } from "../own/rules.ts";
import { type OwnOutcome, OwnRunner } from "../own/run-own.ts";
import { useRaceInAddress } from "../race/in-address.ts";
import { learningRateOf, OWN } from "../race/race.ts";
import { RaceView } from "../race/race-view.tsx";
import type { OwnRule } from "../race/runners.ts";
import { Shell } from "./shell.tsx";

/** Larger than the rest of the page, so it comes when somebody is there: until then the text stands in a plain field, which works as well,
 *  and stays where there is no network any more. */
const Editor = defineAsyncComponent(() =>
  import("../own/editor.tsx").then(
    ({ Editor }) => Editor,
    () => () => null,
  ),
);
const SIGNS = ["pointermove", "pointerdown", "keydown", "focusin"] as const;

const FIRST = BEGINNINGS[0]!.source;
/** After the last letter, before the rule is run. */
const PAUSE_MILLISECONDS = 300;
/** Longer texts are not written to an address, nor read from one. */
const LONGEST = 8000;

const Part = defineComponent(() => {
  const source = ref(FIRST);
  const field = ref<HTMLTextAreaElement>();
  const isSomebodyThere = ref(false);
  const arrive = () => {
    isSomebodyThere.value = true;
    for (const sign of SIGNS) window.removeEventListener(sign, arrive);
  };
  /** A rule that came with a link is somebody else's program: it runs when the visitor says so. */
  const isForeign = ref(false);
  const outcome = shallowRef<OwnOutcome | null>(null);
  /** A link had a rule that cannot be read. */
  const isLost = ref(false);
  const isLong = computed(() => source.value.length > LONGEST);
  const { race, isReady } = useRaceInAddress(() =>
    source.value === FIRST || isLong.value ? {} : { rule: packed(source.value) },
  );

  const problem = computed((): Problem | null => (outcome.value?.kind === "failed" ? outcome.value.problem : null));
  const own = computed((): OwnRule | null => {
    const { value } = outcome;
    if (value === null) return null;
    if (value.kind === "failed") return { name: "yours", slots: [], result: { problem: value.problem.message } };
    return { name: value.name, slots: value.slots, result: { track: value.track } };
  });

  let runner: OwnRunner | null = null;
  let timer = 0;
  const runNow = async () => {
    if (isForeign.value || !isReady.value) return;
    const { choices, course } = race;
    const ran = await runner!.run({
      source: source.value,
      course: course.value,
      learningRate: learningRateOf(choices, OWN),
      chosen: { ...choices.chosen },
    });
    outcome.value = ran?.kind === "failed" && ran.problem.isSyntax ? await withLine(ran.problem) : (ran ?? outcome.value);
  };
  const withLine = async (problem: Problem): Promise<OwnOutcome> => {
    const { brokenLine } = await import("../own/broken-line.ts");
    return { kind: "failed", problem: { ...problem, line: brokenLine(source.value) } };
  };
  const later = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => void runNow(), PAUSE_MILLISECONDS);
  };

  onMounted(() => {
    runner = new OwnRunner();
    for (const sign of SIGNS) window.addEventListener(sign, arrive);
    const { rule } = readQuery();
    const given = rule === undefined ? null : unpacked(rule.slice(0, 2 * LONGEST));
    if (given !== null && given.length <= LONGEST) {
      source.value = given;
      isForeign.value = !BEGINNINGS.some((beginning) => beginning.source === given);
    } else isLost.value = rule !== undefined;
    race.choices.selected = readQuery().numbers ?? OWN;
    watch(source, () => {
      isLost.value = false;
      later();
    });
    watch(
      [isForeign, isReady, () => race.course.value, () => learningRateOf(race.choices, OWN), () => race.choices.chosen],
      (_, [, wasReady]) => (wasReady ? void runNow() : later()), // at first the page has enough to do
      { immediate: true },
    );
  });
  onBeforeUnmount(() => {
    window.clearTimeout(timer);
    arrive(); // takes the listeners away
    runner?.dispose();
  });

  const status = () => {
    if (isForeign.value)
      return (
        <p class="foreign">
          This rule came with the link. It is a program: read it, then{" "}
          <button
            type="button"
            onClick={() => {
              isForeign.value = false;
            }}
          >
            Run it
          </button>
        </p>
      );
    const { value } = problem;
    if (value)
      return (
        <p class="problem">
          {value.line === null ? "" : <strong>Line {value.line}. </strong>}
          {value.message}
        </p>
      );
    return <p class="fine">{outcome.value?.kind === "ran" ? `${outcome.value.name} runs, and has joined the race.` : "…"}</p>;
  };

  const editor = () => (
    <div class="own">
      <div class="bar">
        <label for="beginning">Begin with</label>
        <select
          id="beginning"
          value={BEGINNINGS.find((one) => one.source === source.value)?.id ?? ""}
          onChange={(event) => {
            const { value } = event.target as HTMLSelectElement;
            isForeign.value = false;
            source.value = BEGINNINGS.find(({ id }) => id === value)!.source;
          }}
        >
          <option value="" disabled>
            your text
          </option>
          {BEGINNINGS.map(({ id, title }) => (
            <option key={id} value={id}>
              {title}
            </option>
          ))}
        </select>
        <span>
          The words are explained in <a href="../docs/your-own-optimizer.html">Your own optimizer</a>.
        </span>
      </div>
      <div class="editor-place">
        <textarea
          ref={field}
          aria-label="The rule"
          spellcheck={false}
          value={source.value}
          onInput={(event) => {
            source.value = (event.target as HTMLTextAreaElement).value;
          }}
        />
        {isSomebodyThere.value ? (
          <Editor
            source={source.value}
            problem={problem.value}
            field={field.value}
            onSource={(text: string) => {
              source.value = text;
            }}
          />
        ) : null}
      </div>
      <div role="status">
        {isLost.value ? (
          <p class="problem">The rule that came with the link is damaged or too long: this is not it. Ask for its text.</p>
        ) : null}
        {status()}
        {isLong.value ? (
          <p class="note">The rule is too long for a link: whoever gets this page's address does not get it.</p>
        ) : null}
      </div>
    </div>
  );

  return () => (
    <Shell
      title="Write your own"
      says="An update rule, written like the paper's equations. It is compiled to WebAssembly as you type, as in your program, and joins the race."
    >
      {{
        default: () => (
          <RaceView race={race} isReady={isReady.value} own={own.value}>
            {{ beside: editor }}
          </RaceView>
        ),
      }}
    </Shell>
  );
});

export const WriteYourOwn = inOwnTask(Part);
