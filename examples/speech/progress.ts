/** A progress bar in a terminal, a line every fifth of the way elsewhere. */
export class Progress {
  private readonly started = performance.now();
  private fifths = 0;

  constructor(
    private readonly title: string,
    private readonly total: number,
    private readonly out: NodeJS.WriteStream = process.stdout,
  ) {}

  /** `done` of `total`, and what to say beside it. The last call (`done` = `total`) ends the line. */
  update(done: number, note: string): void {
    const share = done / this.total;
    if (this.out.isTTY && process.env.TERM !== "dumb") {
      const filled = Math.round(24 * share);
      const bar = "█".repeat(filled) + "░".repeat(24 - filled);
      this.out.write(
        `\r\x1b[K${this.title} ${bar} ${done}/${this.total} · ${this.left(share)} · ${note}${done === this.total ? "\n" : ""}`,
      );
    } else if (Math.floor(5 * share) > this.fifths) {
      this.fifths = Math.floor(5 * share);
      this.out.write(`${this.title}: ${done}/${this.total}, ${note}\n`);
    }
  }

  private left(share: number): string {
    const seconds = (performance.now() - this.started) / 1000;
    return share < 1 ? `${Math.ceil((seconds / share) * (1 - share))} s left` : `${seconds.toFixed(1)} s`;
  }
}
