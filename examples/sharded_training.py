"""Train a small transformer on eight devices, which are threads of the processor.

Each matrix of the parameters is sharded over two axes of the mesh, "fsdp" and "tensor".
Its state is also sharded over the third, "data", over which batches are spread: ZeRO.
Halfway, Orbax saves the run. It is continued on four devices, and compared with the
original run. The example prints and draws the losses of both, where each array is
placed, how many bytes a device holds, and what the devices exchange in a step.

With ``--processes 2``, it compares one process with eight devices, two processes with
four each, and two processes of which one is killed midway, after which both resume from
the last checkpoint.

    python examples/sharded_training.py
    python examples/sharded_training.py --processes 2 --stateful
"""

import argparse

from support import options


def width(text):
    number = options.at_least(16)(text)
    if number % 16:
        raise argparse.ArgumentTypeError(f"must be a multiple of 16, found {text!r}")
    return number


STEPS = 20  # of an epoch
parser = options.parser(__doc__, "sharded_training.png")
parser.add_argument(
    "--epochs", type=options.at_least(2), default=8, help=f"of {STEPS} steps each"
)
parser.add_argument("--width", type=width, default=64, help="a multiple of 16")
parser.add_argument("--layers", type=options.positive, default=2, help="blocks")
parser.add_argument(
    "--stateful", action="store_true", help="train by an object with a step method"
)
parser.add_argument(
    "--processes", type=int, choices=(1, 2), default=1, help="with 2 nothing is drawn"
)
# What the processes are told by the first.
for name, kind in (("--process", int), ("--address", str), ("--checkpoints", str)):
    parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
if __name__ == "__main__":
    arguments = options.parse(parser, "orbax")

import functools
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from support import manual

import optifunc as of

DEVICES = 8
AXES = ("data", "fsdp", "tensor")
WHOLE, HALF = (2, 2, 2), (2, 1, 2)  # the meshes: of all devices, and of four
CONTEXT = 32
HEADS = 4
BATCH = P(("data", "fsdp"))
EXAMPLES = 16  # of a batch


# --- The network ----------------------------------------------------------------------

# Where each array lies, by the last part of its name. Others are whole on each device.
LAYOUT = {
    "embedding": P("tensor", "fsdp"),
    "positions": P(None, "fsdp"),
    "qkv": P("fsdp", None, "tensor"),  # [width, 3, heads, width // heads]
    "out": P("tensor", None, "fsdp"),
    "up": P("fsdp", "tensor"),
    "down": P("tensor", "fsdp"),
    "head": P("fsdp", "tensor"),
}


def layout(path, leaf):
    return LAYOUT.get(path.rpartition(".")[2], P())


class Sizes(NamedTuple):
    width: int
    layers: int


def shapes(sizes):
    width, size = sizes.width, sizes.width // HEADS
    block = {
        "scales": (2, width),
        "qkv": (width, 3, HEADS, size),
        "out": (HEADS, size, width),
        "up": (width, 4 * width),
        "down": (4 * width, width),
    }
    return {
        "embedding": (manual.CHARACTERS, width),
        "positions": (CONTEXT, width),
        "scale": (width,),
        "head": (width, manual.CHARACTERS),
        **{f"block{i}": block for i in range(sizes.layers)},
    }


def initialize(key, sizes):
    """The parameters: ones for scales, and normal numbers for all others."""
    leaves, structure = jax.tree.flatten_with_path(shapes(sizes), is_leaf=is_shape)

    def drawn(number, name, shape):
        if "scale" in name:
            return jnp.ones(shape)
        inputs = {"out": sizes.width, "embedding": 100, "positions": 100}
        own = jax.random.fold_in(key, number)
        return jax.random.normal(own, shape) / inputs.get(name, shape[0]) ** 0.5

    drawn_leaves = (drawn(i, path[-1].key, n) for i, (path, n) in enumerate(leaves))
    return structure.unflatten(drawn_leaves)


def is_shape(x):
    return isinstance(x, tuple)


def spread(x):
    """Activations, laid over the devices by their examples alone."""
    return jax.lax.with_sharding_constraint(x, BATCH)


def normalized(x, scale):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale


def attention(block, x):
    q, k, v = jnp.moveaxis(jnp.einsum("btw,wchd->btchd", x, block["qkv"]), 2, 0)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    causal = np.tril(np.ones((CONTEXT, CONTEXT), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e9))
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v)
    return jnp.einsum("bqhd,hdw->bqw", mixed, block["out"])


def loss_fn(params, text):
    """How badly each character is guessed from those before it: text [n, CONTEXT+1]."""
    # Any example may need any row.
    rows = jax.lax.with_sharding_constraint(params["embedding"], P())
    x = spread(rows[text[:, :-1]] + params["positions"])
    for name in sorted(params):
        if name.startswith("block"):
            block = params[name]
            x = spread(x + attention(block, normalized(x, block["scales"][0])))
            hidden = normalized(x, block["scales"][1]) @ block["up"]
            x = spread(x + jax.nn.gelu(hidden) @ block["down"])
    logits = normalized(x, params["scale"]) @ params["head"]
    return of.losses.cross_entropy(jnp.moveaxis(logits, -1, 1), text[:, 1:])


# --- On a mesh ------------------------------------------------------------------------


def mesh_of(sizes):
    """A mesh of the first devices."""
    count = int(np.prod(sizes))
    types = (AxisType.Auto,) * len(AXES)
    return jax.make_mesh(sizes, AXES, types, devices=jax.devices()[:count])


def abstract_params(mesh, sizes):
    """Shapes and shardings of the parameters, which are not made."""

    def on_mesh(path, shape):
        spec = layout(path[-1].key, shape)
        sharding = NamedSharding(mesh, spec)
        return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)

    return jax.tree.map_with_path(on_mesh, shapes(sizes), is_leaf=is_shape)


def shardings_of(tree):
    return jax.tree.map(lambda x: x.sharding, tree)


def made(mesh, sizes, seed):
    """The parameters, each device's part of them made on that device."""
    shardings = shardings_of(abstract_params(mesh, sizes))
    make = jax.jit(lambda key: initialize(key, sizes), out_shardings=shardings)
    return make(jax.random.key(seed))


def optimizer(mesh, steps):
    """AdamW, its state cut over "data"; the gradients' norm is that of all parts."""
    lr = of.schedules.warmup_cosine(5e-3, steps // 10 + 1, steps)
    adamw = of.chain(of.clip_by_global_norm(1.0), of.adamw(lr))
    return of.sharding.zero(adamw, mesh, "data", layout=layout)


def batch_of(mesh, codes, seed, step):
    """The batch of a step, of which each process places what its devices need."""
    rng = np.random.default_rng((seed, step))
    text = manual.windows(codes, CONTEXT + 1, (EXAMPLES,), rng)
    sharding = NamedSharding(mesh, BATCH)
    return jax.make_array_from_callback(text.shape, sharding, lambda i: text[i])


# --- The two APIs ---------------------------------------------------------------------


class Pure:
    """Training by a function of values."""

    def __init__(self, tx, mesh, sizes, params, state=None):
        self.params = params
        self.state = of.sharding.init(tx, params) if state is None else state
        self.step_of = compile_step(tx, mesh, sizes)

    def step(self, batch):
        self.params, self.state, loss = self.step_of(self.params, self.state, batch)
        return loss

    def saved(self):
        return {"params": self.params, "state": self.state}


class Stateful:
    """Training by an object that keeps parameters and state."""

    def __init__(self, tx, mesh, sizes, params, state=None):
        self.mesh = mesh
        self.optimizer = of.optim.Stateful(tx, params)
        if state is not None:
            self.optimizer.load_functional(state, params)
        self.train_step = self.optimizer.compile_step(loss_fn)

    def step(self, batch):
        with jax.set_mesh(self.mesh):
            return self.train_step(batch)

    def saved(self):
        _, state, params = self.optimizer.functional()
        return {"params": params, "state": state}


@functools.cache
def compile_step(tx, mesh, sizes):
    """One compiled step; parameters and state stay where they are."""

    def step(params, state, text):
        loss, grads = jax.value_and_grad(loss_fn)(params, text)
        params, state = of.apply_gradients(tx, grads, state, params)
        return params, state, loss

    params = abstract_params(mesh, sizes)
    state = of.sharding.abstract_state(tx, params)
    places = (*map(shardings_of, (params, state)), NamedSharding(mesh, P()))
    text = jax.ShapeDtypeStruct(
        (EXAMPLES, CONTEXT + 1), jnp.int32, sharding=NamedSharding(mesh, BATCH)
    )
    jitted = jax.jit(step, donate_argnums=(0, 1), out_shardings=places)
    with jax.set_mesh(mesh):
        return jitted.lower(params, state, text).compile()


# --- Training, saving, resuming -------------------------------------------------------


def resumed(interface, tx, mesh, sizes, seed, manager):
    """Where the last checkpoint left off, on whichever mesh; or from the beginning."""
    last = manager.latest_step()
    if last is None:
        return interface(tx, mesh, sizes, made(mesh, sizes, seed)), 0
    params = abstract_params(mesh, sizes)
    wanted = {"params": params, "state": of.sharding.abstract_state(tx, params)}
    found = manager.restore(last, args=ocp.args.StandardRestore(wanted))
    return interface(tx, mesh, sizes, found["params"], found["state"]), last


def train(run, mesh, codes, seed, steps, on_step):
    """Steps with these numbers; what ``on_step`` is told: number and loss."""
    for step in steps:
        loss = run.step(batch_of(mesh, codes, seed, step))
        on_step(step + 1, float(loss))


def save(manager, step, run):
    """Each process writes what its devices hold: nothing is gathered."""
    manager.save(step, args=ocp.args.StandardSave(run.saved()))
    manager.wait_until_finished()


def on_one_process(args, folder):
    """Train; save half-way; continue there and on four devices. Prints and draws."""
    from support import devices  # with Matplotlib, which only pictures need

    interface, codes = interface_of(args), manual.characters()
    sizes, total = Sizes(args.width, args.layers), args.epochs * STEPS
    half = args.epochs // 2 * STEPS
    mesh = mesh_of(WHOLE)
    tx = optimizer(mesh, total)
    report(devices, tx, mesh, sizes)
    losses, others = {}, {}
    with ocp.CheckpointManager(folder / "one") as manager:
        run, _ = resumed(interface, tx, mesh, sizes, args.seed, manager)
        train(run, mesh, codes, args.seed, range(half), losses.__setitem__)
        save(manager, half, run)
        print(f"8 devices, {half} steps: loss {losses[half]:.4f}; saved", flush=True)
        train(run, mesh, codes, args.seed, range(half, total), losses.__setitem__)
        print(f"8 devices, {total} steps: loss {losses[total]:.4f}", flush=True)
        few = mesh_of(HALF)
        fewer, start = resumed(
            interface, optimizer(few, total), few, sizes, args.seed, manager
        )
    train(fewer, few, codes, args.seed, range(start, total), others.__setitem__)
    print(f"4 devices from step {start}, {total} steps: loss {others[total]:.4f}")
    difference = max(abs(losses[step] - loss) for step, loss in others.items())
    print(f"the losses agree to {difference:.1e}")
    devices.draw(states_of(mesh, sizes, total), losses, others, args.output)
    print(f"saved {args.output}")


def interface_of(args):
    return Stateful if args.stateful else Pure


# --- What a device holds and exchanges ------------------------------------------------


def states_of(mesh, sizes, steps):
    """Parameters and state, as shapes: {name: tree}."""
    params = abstract_params(mesh, sizes)
    tx = optimizer(mesh, steps)

    def moments(tx):
        return of.find_in_state(of.sharding.abstract_state(tx, params), "exp_avg")

    return {
        "parameters": params,
        "state without ZeRO": moments(tx.inner),
        "state with ZeRO": moments(tx),
    }


def report(devices, tx, mesh, sizes):
    params = abstract_params(mesh, sizes)
    count = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(params))
    print(f"{count:,} parameters on a mesh of {dict(mesh.shape)}")
    state, plain = (of.sharding.abstract_state(t, params) for t in (tx, tx.inner))
    print("bytes a device:")
    print(f"  parameters          {devices.held_bytes(params):>9,}")
    print(f"  state without ZeRO  {devices.held_bytes(plain):>9,}")
    print(f"  state with ZeRO     {devices.held_bytes(state):>9,}")
    compiled = compile_step(tx, mesh, sizes)
    arguments = compiled.memory_analysis().argument_size_in_bytes
    print(f"  the step's arguments, as XLA counts them: {arguments:,}")
    found = devices.exchanges(compiled.as_text())
    listed = ", ".join(f"{n} {kind}" for kind, n in found.items())
    print(f"exchanges in a step: {listed}", flush=True)


# --- Two processes --------------------------------------------------------------------


def in_process(args):
    """One of the processes, each with its share of the devices."""
    if args.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(args.address, args.processes, args.process)
    mesh, codes = mesh_of(WHOLE), manual.characters()
    sizes, total = Sizes(args.width, args.layers), args.epochs * STEPS
    tx, folder = optimizer(mesh, total), Path(args.checkpoints)

    def tell(step, loss):
        print(f"step {step} loss {loss!r}", flush=True)

    with ocp.CheckpointManager(folder) as manager:
        run, start = resumed(interface_of(args), tx, mesh, sizes, args.seed, manager)
        print(f"from step {start}", flush=True)
        for first in range(start, total, STEPS):
            train(run, mesh, codes, args.seed, range(first, first + STEPS), tell)
            save(manager, first + STEPS, run)
    whole = multihost_utils.process_allgather(run.saved()["params"], tiled=True)
    arrays = dict(enumerate(jax.tree.leaves(whole)))
    path = folder.parent / f"process{args.process}.npz"
    np.savez(path, **{str(i): x for i, x in arrays.items()})


def started(args, folder, count):
    """So many processes, begun."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    folder.mkdir(exist_ok=True)
    own = {name: getattr(args, name) for name in ("epochs", "seed", "width", "layers")}
    numbers = [str(x) for name, n in own.items() for x in (f"--{name}", n)]
    interface = ["--stateful"] if args.stateful else []
    command = [sys.executable, __file__, *numbers, *interface, "--address", address]
    command += ["--processes", str(count), "--checkpoints", folder / "saved"]
    return [
        subprocess.Popen(
            [*command, "--process", str(i)],
            env={**os.environ, **environment(DEVICES // count)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]


def finished(processes):
    """What the first process printed, and check that all have ended well."""
    printed = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a process has failed; what it said is above")
    return printed[0]


def on_processes(args, folder):
    """One process, several, and several that are interrupted: the same numbers."""
    count = args.processes
    printed = finished(started(args, folder / "one", 1))
    print(f"1 process: loss {printed.split()[-1]}", flush=True)
    printed = finished(started(args, folder / "whole", count))
    print(f"{count} processes: loss {printed.split()[-1]}")
    first, *others = (read(folder / "whole" / f"process{i}.npz") for i in range(count))
    equal = all(same(first, other) for other in others)
    print(f"their parameters are equal bit by bit: {equal}")
    pairs = zip(first, read(folder / "one" / "process0.npz"), strict=True)
    difference = max(float(np.max(np.abs(x - y))) for x, y in pairs)
    print(f"those of one process agree to {difference:.1e}", flush=True)

    broken = folder / "broken"
    processes = started(args, broken, count)
    stop = f"step {STEPS + STEPS // 2} "  # half an epoch after the first checkpoint
    for line in processes[-1].stdout:
        if line.startswith(stop):
            break
    processes[-1].kill()
    for process in processes:  # the others wait for the one that is gone
        process.kill()
        process.communicate()
    print(f"killed one at {stop.strip()}", flush=True)
    printed = finished(started(args, broken, count))
    start = next(x for x in printed.splitlines() if x.startswith("from step"))
    print(f"resumed {start}")
    again = same(first, read(broken / "process0.npz"))
    print(f"the parameters are those of the run without interruption: {again}")


def read(path):
    with np.load(path) as arrays:
        return [arrays[str(i)] for i in range(len(arrays))]


def same(xs, ys):
    return all(x.tobytes() == y.tobytes() for x, y in zip(xs, ys, strict=True))


def environment(devices):
    """What JAX reads when it starts: processors that stand for devices."""
    flags = os.environ.get("XLA_FLAGS", "")
    return {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}",
        # Threads. With few of them, devices that wait for others leave none for those.
        "NPROC": "64",
    }


def main(args):
    if args.process is not None:
        in_process(args)
        return
    os.environ.update(environment(DEVICES))
    with tempfile.TemporaryDirectory() as name:
        run = on_one_process if args.processes == 1 else on_processes
        run(args, Path(name))


if __name__ == "__main__":
    main(arguments)
