/** The training of the page, in Node. */

import { createTraining } from "./training.js";

const training = createTraining();
console.log(`${training.backend.name}: ${training.backend.why}`);
await training.run(({ epoch, loss, valLoss, steps, stepsPerSecond }) => {
  if (epoch % (training.epochs / 10) === 0)
    console.log(
      `epoch ${epoch}: loss ${loss.toFixed(4)}, of unseen points ${valLoss.toFixed(4)}; ${steps} steps, ${Math.round(stepsPerSecond)} a second`,
    );
});
console.log(`${(100 * training.accuracy(training.sample(1000))).toFixed(1)} % of 1000 new points recognized`);
