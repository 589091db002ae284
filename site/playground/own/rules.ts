/** Rules to begin with. */

const IMPORT = (names: string) => `import { ${names} } from "adamax";\n\n`;

export interface Beginning {
  readonly id: string;
  readonly title: string;
  readonly source: string;
}

export const BEGINNINGS: readonly Beginning[] = [
  {
    id: "nesterov",
    title: "Adamax with a look ahead",
    source: `${IMPORT("abs, constant, decayRate, defineRule, max")}// Adamax, whose step looks one momentum ahead, as Nesterov's does.
defineRule({
  name: "Lookahead",
  slots: ["momentum", "norm"],
  hyperparameters: {
    beta1: decayRate(0.9),
    beta2: decayRate(0.99),
  },
  update(elements, { learningRate, step }, { beta1, beta2 }) {
    let { w, g, momentum: m, norm: u } = elements;
    m = m.add(g.sub(m).mul(1 - beta1));
    u = max(u.mul(beta2), abs(g));
    const ahead = m.mul(beta1).add(g.mul(1 - beta1));
    const correction = constant(1).sub(constant(beta1).pow(step));
    const rate = learningRate.div(correction);
    w = w.sub(rate.mul(ahead).div(u.add(1e-7)));
    return { w, momentum: m, norm: u };
  },
});
`,
  },
  {
    id: "sign",
    title: "Sign descent",
    source: `${IMPORT("defineRule, sign")}// Every element moves by the learning rate, downhill.
defineRule({
  name: "Sign",
  slots: [],
  hyperparameters: {},
  update: ({ w, g }, { learningRate }) => ({
    w: w.sub(learningRate.mul(sign(g))),
  }),
});
`,
  },
  {
    id: "rmsprop",
    title: "RMSprop",
    source: `${IMPORT("decayRate, defineRule")}defineRule({
  name: "RMSprop",
  slots: ["square"],
  hyperparameters: { rho: decayRate(0.9) },
  update({ w, g, square }, { learningRate }, { rho }) {
    square = square.mul(rho).add(g.square().mul(1 - rho));
    return { w: w.sub(learningRate.mul(g).div(square.sqrt().add(1e-7))), square };
  },
});
`,
  },
  {
    id: "normalized",
    title: "Normalized descent",
    source: `${IMPORT("defineRule, max, norm")}// Steps of the same length, whatever the gradient.
defineRule({
  name: "Normalized",
  slots: [],
  hyperparameters: {},
  update: ({ w, g }, { learningRate }) => ({
    w: w.sub(g.mul(learningRate.div(max(norm(g), 1e-12)))),
  }),
});
`,
  },
];
