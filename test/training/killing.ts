/** Trainings that are killed, and started again. */

/** For the steps of a program: SIGKILL at the `kill`th or, where that is not a whole number, a moment after the step before: while it saves,
 *  say. Without a number, never. */
export const killAt = (kill = "Infinity"): ((step: number) => void) => {
  const at = Number(kill);
  const die = () => process.kill(process.pid, "SIGKILL");
  return (step) => {
    if (step === at) die();
    else if (step === Math.floor(at)) setTimeout(die, 20 * (at % 1));
  };
};

/** As if the process had been killed: what is under way ends by it, and nothing is done about it. */
export class Killed extends Error {}

/** Waits for a training that is killed so, or comes to its end. */
export const killed = async (training: Promise<unknown>): Promise<void> => {
  await training.catch((error) => {
    if (!(error instanceof Killed)) throw error;
  });
};
killed.at = (kill: number) => (step: number) => {
  if (step === kill) throw new Killed();
};
