"""DynapSim of Rockpool 3.1.0 on the wiring of benchmarks/network.py; runs in an environment of its own.

    PYTHON benchmarks/peer_dynapsim.py WIRING.npz REPEATS

Prints one line of JSON: CPU ns a neuron and step, at its default step of 1 ms and at 0.1 ms. `w.T @ s` is what it
ships with; its matrix is dense and of one synapse type. Its simulation is compiled before it is timed.
"""

import json
import sys
import time

import numpy as np

SECONDS = {1e-3: 0.5, 1e-4: 0.1}
WEIGHT = 1e-3  # of its weight scale: too weak to change the rate much


def main() -> None:
    import jax
    import jax.numpy as jnp
    from rockpool.devices.dynapse import DynapSim

    wiring, repeats = np.load(sys.argv[1]), int(sys.argv[2])
    rows = []
    for dt, seconds in SECONDS.items():
        for name in wiring.files:
            n = int(name)
            matrix = np.zeros((n, n), np.float32)
            own = wiring[name]
            np.add.at(matrix, (np.tile(np.arange(n)[:, None], (1, own.shape[2]))[None].repeat(4, 0), own), WEIGHT)
            module = DynapSim((n, n), has_rec=True, w_rec=jnp.asarray(matrix), dt=dt, Idc=0.05e-9)
            evolve = jax.jit(lambda module, x: module(x)[0])
            # Small networks run longer, so that calling does not count.
            steps = round(seconds * max(1.0, 1024 / n) / dt)
            data = jnp.zeros((1, steps, n), jnp.float32)
            spikes = np.asarray(evolve(module, data))
            taken = []
            for _ in range(repeats):
                started = time.process_time()
                evolve(module, data).block_until_ready()
                taken.append(time.process_time() - started)
            rate = float(spikes.sum() / n / (steps * dt))
            rows.append(
                {"name": f"DynapSim, {dt * 1e3:g} ms", "neurons": n, "ns": min(taken) / (n * steps) * 1e9, "rate": rate}
            )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
