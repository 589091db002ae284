"""What Python users have: one optimizer in a process of its own, that makes steps when told to. `npm run bench python` drives it.

    python bench/python.py <peer> <tensors> <parameters in each>

prints "ready <version>", then answers each line "run <repeats>" with "<wall nanoseconds> <processor nanoseconds>", of all repeats together.
Ends with status 3 and one line of reason where the peer's package is not installed. One thread: set before anything is imported.
"""

import os
import sys
import time

os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    NPROC="1",  # the size of XLA's pool of threads
    XLA_FLAGS="--xla_cpu_multi_thread_eigen=false",
    TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1",
    TF_CPP_MIN_LOG_LEVEL="3",
    JAX_PLATFORMS="cpu",
    CUDA_VISIBLE_DEVICES="",
)

LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def arrays(tensors, size):
    """Values and gradients: uniform in [-0.5, 0.5). Which numbers makes no difference to the time."""
    import numpy as np

    random = np.random.default_rng(0)
    make = lambda: [random.random(size, dtype=np.float32) - np.float32(0.5) for _ in range(tensors)]
    return make(), make()


def torch_adamax(tensors, size, foreach, compiled=False):
    import torch

    torch.set_num_threads(1)
    values, gradients = arrays(tensors, size)
    parameters = [torch.nn.Parameter(torch.from_numpy(value)) for value in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.from_numpy(gradient)
    optimizer = torch.optim.Adamax(parameters, lr=LEARNING_RATE, betas=(BETA1, BETA2), eps=EPSILON, foreach=foreach)
    step = torch.compile(lambda: optimizer.step(), fullgraph=False) if compiled else optimizer.step
    with torch.no_grad():
        step()
    return step, f"torch {torch.__version__}"


def keras_options():
    return dict(learning_rate=LEARNING_RATE, beta_1=BETA1, beta_2=BETA2, epsilon=EPSILON)


def keras_jax(tensors, size):
    """Keras 3's stateless_apply under jit. Outputs stand in the order of the inputs: only then is every buffer donated."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    values, gradients = arrays(tensors, size)
    variables = [keras.Variable(value) for value in values]
    optimizer = keras.optimizers.Adamax(**keras_options())
    optimizer.build(variables)

    def update(trainable, state, gradients):
        return optimizer.stateless_apply(state, gradients, trainable)

    update = jax.jit(update, donate_argnums=(0, 1))
    held = {"trainable": [jax.numpy.array(value) for value in values], "state": [jax.numpy.array(v.value) for v in optimizer.variables]}
    gradients = [jax.numpy.array(gradient) for gradient in gradients]

    def step():
        held["trainable"], held["state"] = update(held["trainable"], held["state"], gradients)
        jax.block_until_ready((held["trainable"], held["state"]))

    return step, f"keras {keras.__version__}, jax {jax.__version__}"


def keras_torch(tensors, size):
    os.environ["KERAS_BACKEND"] = "torch"
    import torch
    import keras

    torch.set_num_threads(1)
    values, gradients = arrays(tensors, size)
    variables = [keras.Variable(value) for value in values]
    gradients = [torch.from_numpy(gradient) for gradient in gradients]
    optimizer = keras.optimizers.Adamax(**keras_options())
    optimizer.build(variables)

    def step():
        with torch.no_grad():
            optimizer.apply(gradients)

    return step, f"keras {keras.__version__}, torch {torch.__version__}"


def tf_keras_adamax(tensors, size, xla):
    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    values, gradients = arrays(tensors, size)
    variables = [tf.Variable(value) for value in values]
    gradients = [tf.constant(gradient) for gradient in gradients]
    optimizer = tf_keras.optimizers.Adamax(jit_compile=False, **keras_options())
    optimizer.build(variables)
    apply = lambda: optimizer.apply_gradients(zip(gradients, variables))
    step = tf.function(lambda: [apply(), None][1], jit_compile=True) if xla else apply
    return step, f"tf_keras {tf_keras.__version__}, tensorflow {tf.__version__}"


def optax_jit(tensors, size):
    import jax
    import optax

    values, gradients = arrays(tensors, size)
    transformation = optax.adamax(LEARNING_RATE, b1=BETA1, b2=BETA2, eps=EPSILON)

    def update(values, state, gradients):
        updates, state = transformation.update(gradients, state, values)
        return optax.apply_updates(values, updates), state

    update = jax.jit(update, donate_argnums=(0, 1))
    values = [jax.numpy.array(value) for value in values]
    gradients = [jax.numpy.array(gradient) for gradient in gradients]
    held = {"values": values, "state": transformation.init(values)}

    def step():
        held["values"], held["state"] = update(held["values"], held["state"], gradients)
        jax.block_until_ready((held["values"], held["state"]))

    return step, f"optax {optax.__version__}, jax {jax.__version__}"


PEERS = {
    "PyTorch for-loop": lambda *model: torch_adamax(*model, foreach=False),
    "PyTorch foreach": lambda *model: torch_adamax(*model, foreach=True),
    "PyTorch compiled": lambda *model: torch_adamax(*model, foreach=True, compiled=True),
    "Keras 3 on torch": keras_torch,
    "Keras 3 on JAX": keras_jax,
    "Optax": optax_jit,
    "tf_keras eager": lambda *model: tf_keras_adamax(*model, xla=False),
    "tf_keras XLA": lambda *model: tf_keras_adamax(*model, xla=True),
}


def main():
    peer, tensors, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")  # what libraries print goes elsewhere
    os.dup2(2, 1)
    try:
        step, version = PEERS[peer](tensors, size)
        step()
    except ImportError as error:
        print(f"absent {error}", file=answers, flush=True)
        sys.exit(3)
    print(f"ready {version}", file=answers, flush=True)
    for line in sys.stdin:
        repeats = int(line.split()[1])
        processor, wall = time.process_time_ns(), time.perf_counter_ns()
        for _ in range(repeats):
            step()
        wall, processor = time.perf_counter_ns() - wall, time.process_time_ns() - processor
        print(wall, processor, file=answers, flush=True)


if __name__ == "__main__":
    main()
