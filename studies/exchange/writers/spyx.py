"""Networks of spyx."""

from importlib import import_module

import numpy as np

from .drawing import MAP, N_HIDDEN, N_IN, N_OUT, Save, weights


def write(save: Save) -> None:
    """IF, LIF and current-based LIF, a step late, also recurrent; channels come last in spyx."""
    jnp, nnx, nir, snn = (import_module(m) for m in ("jax.numpy", "flax.nnx", "nir", "spyx.nn"))
    export = import_module("spyx.nir").to_nir

    def attempt(layers, gains, shape=(N_IN,), dt=1.0):
        def made(rng, grid):
            rngs = nnx.Rngs(int(rng.integers(1000)))
            modules = layers(rngs, grid)
            gain = iter(gains)
            for module in modules:
                if hasattr(module, "kernel"):
                    scale = next(gain)
                    for parameter, size in ((module.kernel, scale), (module.bias, scale / 4)):
                        if parameter is not None:
                            parameter[...] = jnp.array(weights(rng, parameter.shape, grid, size))
                if hasattr(module, "recurrent_w"):
                    drawn = weights(rng, module.recurrent_w.shape, grid, 0.5)
                    module.recurrent_w[...] = jnp.array(drawn)
            spiking = [k for k, m in enumerate(modules) if hasattr(m, "initial_state")]

            def run(given):
                series = jnp.array(given)[:, None]
                found = []
                for last in spiking:
                    chain = snn.Sequential(*modules[: last + 1])
                    found.append(np.asarray(snn.run(chain, series)[0])[:, 0])
                return found, None

            def write(path):
                n_out = modules[-1].hidden_shape
                sizes = {"input": np.array([*shape[-1:], *shape[:-1]])}, {"output": np.array(n_out)}
                nir.write(path, export(snn.Sequential(*modules), *sizes, dt=dt))

            names = [node_name(k, modules[k]) for k in spiking]
            return write, run, names

        return made

    def node_name(k, module):
        inner = f"layer_{k}/layer_{k}.lif" if hasattr(module, "recurrent_w") else f"layer_{k}"
        return f"{inner}_threshold" if isinstance(module, snn.PSU_LIF) else inner

    def dense(kind, dyadic=None, last=None, **given):
        def layers(rngs, grid):
            chosen = dict(given, **(dyadic or {})) if grid else given
            return [
                nnx.Linear(N_IN, N_HIDDEN, rngs=rngs),
                kind((N_HIDDEN,), rngs=rngs, **chosen),
                nnx.Linear(N_HIDDEN, N_OUT, rngs=rngs),
                (last or kind)((N_OUT,), rngs=rngs, **chosen),
            ]

        return layers

    told = {"tool": "spyx", "lost": ["latency of a step", "reset"]}
    half, quarter = {"beta": 0.75}, {"alpha": 0.5, "beta": 0.75}
    save("if", attempt(dense(snn.IF), (1, 1)), module="IF", dt=1, **told)
    save("lif", attempt(dense(snn.LIF, half), (1, 1), dt=1e-3), module="LIF", dt=1e-3, **told)
    made = attempt(dense(snn.CuBaLIF, quarter), (0.5, 0.5))
    save("cuba", made, module="CuBaLIF", dt=1, **told)
    wrong = told | {"lost": [*told["lost"], "edge of the input"]}
    save(
        "rif",
        attempt(dense(snn.RIF, threshold=1.5), (1, 1)),
        grid="grid",
        module="RIF",
        dt=1,
        **wrong,
    )
    save("rlif", attempt(dense(snn.RLIF, half), (1, 1)), module="RLIF", dt=1, **wrong)
    made = attempt(dense(snn.RCuBaLIF, quarter), (0.5, 0.5))
    save("rcuba", made, grid="grid", module="RCuBaLIF", dt=1, **wrong)
    made = attempt(dense(snn.PSU_LIF, half), (0.5, 0.5))
    save("psu", made, grid="grid", module="PSU_LIF", dt=1, **told)

    def convolution(rngs, grid):
        return [
            nnx.Conv(2, 3, (3, 3), strides=(2, 1), padding="VALID", rngs=rngs),
            snn.IF((3, 6, 3)),
            snn.SumPool((1, 2), (1, 2), "VALID"),
            snn.Flatten(),
            nnx.Linear(27, N_OUT, rngs=rngs),
            snn.LIF((N_OUT,), beta=0.75, rngs=rngs),
        ]

    def same(rngs, grid):
        return [
            nnx.Conv(2, 3, (3, 3), padding="SAME", rngs=rngs),
            snn.LIF((8, 8, 3), beta=0.5, rngs=rngs),
            snn.SumPool(3, 3, "SAME"),
            snn.Flatten(),
            nnx.Linear(27, N_OUT, rngs=rngs),
            snn.IF((N_OUT,)),
        ]

    turned = *MAP[1:], MAP[0]
    columns = told | {"lost": [*told["lost"], "order of the columns after Flatten"]}
    columns |= {"axes": "height, width, channels, of input and spikes"}
    save(
        "conv",
        attempt(convolution, (1, 0.5), turned),
        turned,
        grid="grid",
        module="IF, LIF",
        dt=1,
        **columns,
    )
    save(
        "conv_same",
        attempt(same, (1, 0.25), turned),
        turned,
        grid="grid",
        module="LIF, IF",
        dt=1,
        **columns,
    )
