/** The editor of a rule, by CodeMirror: what is wrong stands beside its line. */

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { defineComponent, onBeforeUnmount, onMounted, ref, watch } from "vue";
import type { Problem } from "./compile.ts";

interface Props {
  source: string;
  problem: Problem | null;
  /** The plain field whose place it takes, with the cursor where it was. */
  field: HTMLTextAreaElement | undefined;
  onSource: (source: string) => void;
}

/** Colors of the page, so that they follow its dark mode. */
const colors = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.regexp], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--vp-c-text-2)", fontStyle: "italic" },
  {
    tag: [tags.definition(tags.variableName), tags.function(tags.variableName), tags.function(tags.propertyName)],
    color: "var(--code-name)",
  },
]);

export const Editor = defineComponent(
  (props: Props) => {
    const box = ref<HTMLDivElement>();
    let view: EditorView | null = null;

    const diagnosticsOf = (problem: Problem | null, { doc }: EditorState): Diagnostic[] => {
      if (problem?.line == null) return [];
      const { from, to } = doc.line(Math.min(doc.lines, Math.max(1, problem.line)));
      return [{ from, to, severity: "error", message: problem.message }];
    };
    const show = () => {
      if (view) view.dispatch(setDiagnostics(view.state, diagnosticsOf(props.problem, view.state)));
    };

    onMounted(() => {
      const { field } = props;
      const isTakenOver = field !== undefined && document.activeElement === field;
      view = new EditorView({
        parent: box.value!,
        state: EditorState.create({
          doc: props.source,
          ...(isTakenOver ? { selection: { anchor: field.selectionStart, head: field.selectionEnd } } : {}),
          extensions: [
            lineNumbers(),
            history(),
            bracketMatching(),
            indentOnInput(),
            highlightActiveLine(),
            lintGutter(),
            syntaxHighlighting(colors),
            javascript({ typescript: true }),
            keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
            EditorView.contentAttributes.of({ "aria-label": "The rule. Press Escape, then Tab, to leave the editor." }),
            EditorView.updateListener.of((update) => {
              if (update.docChanged) props.onSource(update.state.doc.toString());
            }),
          ],
        }),
      });
      show();
      if (isTakenOver) view.focus();
    });
    onBeforeUnmount(() => view?.destroy());
    watch(() => props.problem, show);
    watch(
      () => props.source,
      (source) => {
        if (view && source !== view.state.doc.toString())
          view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: source } });
      },
    );
    return () => <div ref={box} class="editor" />;
  },
  { props: ["source", "problem", "field", "onSource"] },
);
