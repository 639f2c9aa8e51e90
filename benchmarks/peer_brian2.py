"""Our equations in Brian2's C++ standalone mode, on the wiring of benchmarks/network.py; in an environment of its own.

    PYTHON benchmarks/peer_brian2.py WIRING.npz REPEATS

Prints one line of JSON: CPU ns a neuron and step of the compiled program at 0.1 ms. The membrane is integrated in
u = ln(I_mem / 1 pA) by forward Euler, its cheapest method; currents decay exponentially; an event adds the linear jump
of a DPI. Constants are those of the default physics of analogsnn.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile

import numpy as np

DT = 1e-4
KAPPA, UT, I0 = 0.705, 25e-3, 0.5
SLEW = KAPPA / (3e-12 * UT) * 1e-12  # 1/(pA s)
LEAK = 1 / (SLEW * 20e-3)
KINDS = ("ampa", "nmda", "gaba_a", "gaba_b")
JUMP = 0.02  # pA


def seconds(n: int) -> float:
    """Small networks run longer, so that setting up does not count."""
    return max(1.0, 1024 / n)


def build(n: int, own: np.ndarray, folder: str) -> None:
    """Generate and compile, without running."""
    import brian2 as b

    b.set_device("cpp_standalone", directory=folder, build_on_run=False)
    b.device.reinit()
    b.device.activate(directory=folder, build_on_run=False)
    b.defaultclock.dt = DT * b.second
    b.seed(0)
    space = {
        "slew": SLEW, "leak": LEAK, "gain": 4 * LEAK, "gate": 1000.0, "dc": 27.0,
        "a": KAPPA / (KAPPA + 1), "lift": np.log(I0) / (KAPPA + 1), "jump": JUMP,
    }  # fmt: skip
    decays = "\n".join(f"d{k}/dt = -{k}/(10*ms) : 1" for k in KINDS)
    group = b.NeuronGroup(
        n,
        f"""du/dt = slew*(clip(dc + ampa + nmda*m/(m + gate) - gaba_b, 0, inf)/(1 + m/gain) - leak - ahp - gaba_a
              + exp(a*u + lift))/second : 1 (unless refractory)
        m = exp(u) : 1
        dahp/dt = -ahp/(100*ms) : 1
        {decays}""",
        threshold="u > log(1e4)", reset="u = log(0.5); ahp += 0.5", refractory=2 * b.ms, method="euler",
        namespace=space,
    )  # fmt: skip
    group.u = "log(0.5) + rand()"
    objects = [group, b.SpikeMonitor(group, record=False)]
    for kind, source in zip(KINDS, own, strict=True):
        synapses = b.Synapses(group, group, on_pre=f"{kind}_post += jump", namespace=space)
        synapses.connect(i=source.ravel(), j=np.repeat(np.arange(n), source.shape[1]))
        objects.append(synapses)
    network = b.Network(objects)
    network.run(seconds(n) * b.second)
    b.device.build(directory=folder, compile=True, run=False, debug=False)


def main() -> None:
    wiring, repeats = np.load(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        build(int(sys.argv[3]), wiring[sys.argv[3]], sys.argv[4])
        return
    rows = []
    for name in wiring.files:
        with tempfile.TemporaryDirectory() as folder:
            # A process of its own for each size: the device keeps what it has seen.
            command = [sys.executable, __file__, os.path.abspath(sys.argv[1]), "1", name, folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken = []
            for _ in range(repeats):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(["./main"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            count = sum(np.fromfile(os.path.join(folder, "results", f), np.int32).sum()
                        for f in os.listdir(os.path.join(folder, "results")) if "spikemonitor_count" in f)  # fmt: skip
        n = int(name)
        rows.append(
            {
                "name": "Brian2 C++",
                "neurons": n,
                "ns": min(taken) / (n * seconds(n) / DT) * 1e9,
                "rate": count / n / seconds(n),
            }
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
