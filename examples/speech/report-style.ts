/** The report's style sheet: light and dark, wide and narrow. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #fbfaf8; --card: #ffffff; --ink: #1d2129; --soft: #5d6470; --rule: #e3e1dc; --grid: #ecebe7;
  --network: #b3123f; --wiener: #5277a8; --noisy: #a3a6ad;
  --optimizer0: #7d8590; --optimizer1: #2f7fc1; --optimizer2: #3c9a5f; --optimizer3: #e08a00; --optimizer4: #b3123f;
  --white: #d8d8d2; --pink: #f3bfd0; --hum: #c9d9f2; --engine: #e9cfa6; --babble: #cfe6c8; --band-ink: #3c4048;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161b; --card: #1c1f26; --ink: #e8e6e1; --soft: #9aa1ad; --rule: #2d313a; --grid: #262a32;
    --network: #ff6b8e; --wiener: #7fa8de; --noisy: #7b808a;
    --optimizer0: #9aa3b0; --optimizer1: #5eb0f2; --optimizer2: #62c98a; --optimizer3: #ffb03b; --optimizer4: #ff6b8e;
    --white: #55585f; --pink: #6b3c4d; --hum: #36486b; --engine: #64502c; --babble: #38573a; --band-ink: #dcdad5;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 48px 24px 64px; }
h1 { font-size: clamp(1.8rem, 4.5vw, 2.7rem); line-height: 1.12; letter-spacing: -0.02em; margin: 0 0 12px; text-wrap: balance; }
h2 { font-size: 1.45rem; letter-spacing: -0.01em; margin: 0 0 12px; }
h3 { font-size: 1.02rem; margin: 28px 0 6px; }
h3 small { color: var(--soft); font-weight: 400; margin-left: 6px; }
p { margin: 0 0 14px; max-width: 72ch; text-wrap: pretty; }
.kicker { color: var(--soft); font-size: 0.85rem; margin-bottom: 10px; }
.lead { font-size: 1.15rem; color: var(--soft); }
.note, figcaption { color: var(--soft); font-size: 0.88rem; }
section, footer { margin-top: 64px; padding-top: 28px; border-top: 1px solid var(--rule); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 14px; margin-top: 28px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 18px 18px 16px; }
.tile strong { display: block; font-size: 1.9rem; line-height: 1.15; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 0.9rem; line-height: 1.4; display: block; margin-top: 6px; }
.scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
.scroll > svg { min-width: 720px; }
svg text { font: 12.5px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg text.value, svg text.group { fill: var(--ink); }
svg text.group { font-size: 13px; }
svg text.band-name { fill: var(--band-ink); font-size: 11px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.line.noisy { stroke-dasharray: 2 4; }
.line.optimizer0 { stroke-dasharray: 5 7; } /* the same numbers as the Adamax below it */
.tint { opacity: 0.22; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 0.9rem; margin: 10px 0 8px; max-width: none; }
.swatch { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 8px; }
${["network", "wiener", "noisy", "optimizer0", "optimizer1", "optimizer2", "optimizer3", "optimizer4"]
  .map(
    (name) =>
      `.line.${name} { stroke: var(--${name}); } .bar.${name} { fill: var(--${name}); } .swatch.${name} { background: var(--${name}); }`,
  )
  .join("\n")}
${["white", "pink", "hum", "engine", "babble"].map((kind) => `.noise-${kind} { fill: var(--${kind}); }`).join("\n")}
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin: 8px 0 16px; }
th, td { text-align: right; padding: 8px 12px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
thead th { color: var(--soft); font-weight: 500; font-size: 0.84rem; vertical-align: bottom; white-space: normal; }
th:first-child { text-align: left; padding-left: 0; font-weight: 500; }
.winner td, .winner th { font-weight: 700; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 16px 18px 12px; margin-top: 16px; }
.card h3 { margin: 0 0 10px; text-transform: capitalize; }
.card h3 small { text-transform: none; }
.versions { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 16px; }
figure { margin: 0; }
audio { width: 100%; height: 34px; margin-top: 6px; }
figcaption { text-align: center; }
@media (max-width: 760px) {
  main { padding: 28px 16px 48px; }
  .versions { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  section, footer { margin-top: 44px; }
}
@media (max-width: 440px) { .versions { grid-template-columns: 1fr; } }
`;
