import { parser } from "@lezer/javascript";

const grammar = parser.configure({ dialect: "ts" });

/** Where a text stops being TypeScript; null: nowhere. The parser that compiles it gives up an arrow function as a whole, and says where that
 *  began; this one, which is the editor's, goes on. */
export const brokenLine = (source: string): number | null => {
  let broken: number | null = null;
  grammar.parse(source).iterate({
    enter: ({ type, from }) => {
      if (type.isError) broken ??= from;
    },
  });
  return broken === null ? null : source.slice(0, broken).trimEnd().split("\n").length;
};
