"""Random networks onto chips: what was decoded must be what was asked, or the misfit must be real.

    python -m benchmarks.random_networks --count 10000 --out results.jsonl

One line a network; a run that was interrupted goes on where it stopped. Every network comes from its number alone.
Equality is counted here, synapse by synapse, apart from the library's own comparison. A misfit is confirmed apart from
the compiler too: by counting, or, where it depends on the placement, by a constraint problem posed anew.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from analogsnn.chips import Chip, Configuration, compile, decode, differences, load_chip
from analogsnn.errors import DoesNotFitError
from analogsnn.network import Adaptation, Input, Network, Neuron, Population, Synapse, connect

LARGE = 20  # one network in so many has up to 1200 neurons, the others up to 100
TAUS = (10e-3, 14e-3, 20e-3, 40e-3)
TOTAL = 0.15  # relative; the error of a sum of weights that the chip files allow


def random_network(number: int) -> tuple[Network, str, dict[str, Any]]:
    """Network, chip and options of `compile` for one number."""
    rng = np.random.default_rng([2026, number])
    large = number % LARGE == LARGE - 1
    name = ("dynapse1", "dynapse2")[(number // LARGE if large else number) % 2]
    chip = load_chip(name)
    total = int(rng.integers(101, 1201)) if large else int(rng.integers(1, 101))
    kinds = sorted(chip.synapse.types)
    delays = ["none", *(d.name for d in chip.synapse.delays)]
    few = rng.choice(TAUS, size=int(rng.integers(1, 5)))
    threshold = chip.neuron.fixed.threshold or 10e-9
    rich = chip.neuron.switches.adaptation is not None
    sizes = _sizes(rng, total, int(rng.integers(1, 9)))

    def neuron() -> Neuron:
        return Neuron(
            tau=float(rng.choice(few)),
            threshold=threshold,
            dc=float(rng.choice([0.0, 1e-9])) if rich else 0.0,
            adaptation=Adaptation(weight=1e-9) if rich and rng.random() < 0.2 else None,
            nmda_gate=2e-9 if rich and rng.random() < 0.2 else None,
        )

    common = {kind: Synapse(tau=5e-3, gain=2.0) for kind in kinds}
    own = rng.random() < 0.5  # populations with synapses of their own cannot all share a core
    populations = [
        Population(
            name=f"p{k}",
            size=size,
            neuron=neuron(),
            synapses={kind: Synapse(tau=float(rng.choice(few)) / 4, gain=2.0) for kind in kinds} if own else common,
            rate=float(rng.uniform(1, 50)),
        )
        for k, size in enumerate(sizes)
    ]
    inputs = [Input(name=f"i{k}", size=int(rng.integers(1, 21))) for k in range(rng.integers(0, 3))]
    weights = rng.choice([1e-9, 2e-9, 4e-9, 5e-9, 8e-9], size=int(rng.integers(1, 6)), replace=False)
    weights = weights if name == "dynapse2" else weights[:1] * rng.integers(1, 3, size=2)
    budget = {p.name: 40 if rng.random() < 0.98 else 200 for p in populations}
    connections = []
    for _ in range(rng.integers(0, 2 * len(populations) + 2)):
        source = rng.choice(np.array([*populations, *inputs], dtype=object))
        target = rng.choice(np.array(populations, dtype=object))
        most = budget[target.name] // (2 if name == "dynapse1" else 1)
        each = int(rng.integers(0, 1 + min(12 if most < 50 else 80, most)))
        budget[target.name] -= each * (2 if name == "dynapse1" else 1)
        pairs = np.stack(
            [rng.integers(0, source.size, each * target.size), np.repeat(np.arange(target.size), each)], axis=1
        )
        stp = bool(chip.synapse.depression is not None and rng.random() < 0.1)
        kind, delay = str(rng.choice(kinds)), str(rng.choice(delays))
        connections.append(
            connect(source.name, target.name, kind, pairs, rng.choice(weights, len(pairs)), delay, stp=stp)
        )
    network = Network(populations=tuple(populations), inputs=tuple(inputs), connections=tuple(connections))
    chips = int(rng.integers(2, 5)) if large else int(rng.integers(1, 3))
    options = {"chips": chips, "monitor": bool(rng.integers(2)), "time_limit": float(rng.choice([0.0, 0.1]))}
    if rng.random() < 0.4:
        options["cores"] = int(rng.integers(1, chips * chip.topology.cores_per_chip + 1))
    return network, name, options


def _sizes(rng: np.random.Generator, total: int, parts: int) -> list[int]:
    cuts = np.sort(rng.integers(0, total + 1, parts - 1))
    return [int(s) for s in np.diff([0, *cuts, total]) if s > 0]


def check(number: int) -> dict[str, Any]:
    """Compile one network; **Returns** what came of it, with `ok` False if it contradicts the network."""
    network, name, options = random_network(number)
    chip, start = load_chip(name), time.process_time()
    record: dict[str, Any] = {
        "number": number,
        "chip": name,
        "neurons": network.size,
        "synapses": network.synapse_count,
    }
    try:
        mapping = compile(network, chip, **options)
    except DoesNotFitError as error:
        wrong = [m.resource for m in error.misfits if not confirmed(m, network, chip, options)]
        record |= {
            "fits": False,
            "misfit": sorted({m.resource for m in error.misfits}),
            "unconfirmed": sorted(set(wrong)),
        }
        return record | {"ok": not wrong, "seconds": time.process_time() - start}
    record |= {"fits": True, "cores": len(mapping.occupancy.neurons), "seconds": time.process_time() - start}
    again = decode(Configuration.from_json(mapping.configuration.to_json(), chip), chip)
    same = differences(mapping.network, again, tolerance=0.0) == []
    return record | {"ok": same and equal(network, again, chip)}


def equal(asked: Network, got: Network, chip: Chip) -> bool:
    """Whether the decoded synapses are those that were asked, counted one by one."""

    def synapses(network: Network) -> Counter:
        return Counter(
            (c.source, i, c.target, j, c.synapse, c.delay, c.stp)
            for c in network.connections
            for i, j in c.pairs.tolist()
        )

    def weights(network: Network) -> dict[tuple, float]:
        total: dict[tuple, float] = {}
        for c in network.connections:
            for (i, j), w in zip(c.pairs.tolist(), c.weight.tolist(), strict=True):
                key = (c.source, i, c.target, j, c.synapse, c.delay, c.stp)
                total[key] = total.get(key, 0.0) + w
        return total

    if chip.synapse.weight.scheme == "mask_sum" and synapses(asked) != synapses(got):
        return False
    a, b = weights(asked), weights(got)
    return a.keys() == b.keys() and all(abs(b[k] / a[k] - 1) < 2 * TOTAL for k in a)


def confirmed(misfit: Any, network: Network, chip: Chip, options: dict[str, Any]) -> bool:
    """Whether a misfit is real, by means of its own."""
    if misfit.resource == "cam_words":
        return fewest_words(network, misfit.who.split("'")[1], chip) > chip.synapse.words_per_neuron
    cores = options.get("cores", options["chips"] * chip.topology.cores_per_chip)
    if misfit.resource in ("cores", "neurons_per_core"):
        names = {p.name for p in network.populations}
        sends = {(c.source, i) for c in network.connections if c.source in names for i in c.pairs[:, 0].tolist()}
        null_cores = len({k // chip.topology.cores_per_chip for k in range(cores)}) if chip.routing.null_fires else 0
        places = cores * chip.topology.neurons_per_core
        return network.size > places or len(sends) > places - null_cores
    if misfit.resource == "core_bias_conflict":
        return not colourable(network, chip, cores)
    return "(proved" in str(misfit)


def fewest_words(network: Network, name: str, chip: Chip) -> int:
    """Words of the fullest neuron of a population; where words are repeated, with the best current for every type."""
    words: Counter = Counter()
    for kind in {c.synapse for c in network.connections if c.target == name}:
        mine = [c for c in network.connections if c.target == name and c.synapse == kind and len(c.pairs)]
        least = min((float(c.weight.min()) for c in mine), default=1.0)
        for c in mine:
            repeats = np.rint(c.weight / least) if chip.synapse.weight.scheme == "repeat" else np.ones(len(c.pairs))
            for j, n in zip(c.pairs[:, 1].tolist(), repeats.tolist(), strict=True):
                words[j] += int(n)
    return max(words.values(), default=0)


def colourable(network: Network, chip: Chip, cores: int) -> bool:
    """Whether the populations have room on `cores` cores so that no bias of any core has two values.

    Posed from the parameters of the network, not from codes, and relaxed: what this cannot have, no placement can.
    """
    from ortools.sat.python import cp_model

    received: dict[str, set[str]] = {p.name: set() for p in network.populations}
    for c in network.connections:
        if len(c.pairs):
            received[c.target].add(c.synapse)
    leaks = 1 if chip.neuron.second_leak is None else 2
    model = cp_model.CpModel()
    at = {(p.name, k): model.new_bool_var("") for p in network.populations for k in range(cores)}
    room = chip.topology.neurons_per_core
    count = {key: model.new_int_var(0, room, "") for key in at}
    for key, here in at.items():
        model.add(count[key] <= room * here)
    for p in network.populations:
        model.add(sum(count[p.name, k] for k in range(cores)) == p.size)
    for k in range(cores):
        model.add(sum(count[p.name, k] for p in network.populations) <= room)
    quantities: dict[str, dict[str, Any]] = {"tau": {}, "gain current": {}}
    for p in network.populations:
        quantities["tau"][p.name] = p.neuron.tau
        quantities["gain current"][p.name] = round(p.neuron.gain / p.neuron.tau, 9)
        for kind in received[p.name]:
            quantities.setdefault(f"{kind} tau", {})[p.name] = p.synapse(kind).tau
        for feature, value in (("dc", p.neuron.dc or None), ("adaptation", p.neuron.adaptation)):
            if value is not None:
                quantities.setdefault(feature, {})[p.name] = value
    for what, values in quantities.items():
        for k in range(cores):
            on = {v: model.new_bool_var("") for v in set(values.values())}
            for name, value in values.items():
                model.add_implication(at[name, k], on[value])
            model.add(sum(on.values()) <= (leaks if what == "tau" else 1))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    return solver.solve(model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)


def main() -> None:
    """Check many networks, one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/random_networks.jsonl"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if arguments.out.exists():
        done = {json.loads(line)["number"] for line in arguments.out.read_text().splitlines()}
    with arguments.out.open("a") as file:
        for number in range(arguments.first, arguments.first + arguments.count):
            if number not in done:
                file.write(json.dumps(check(number)) + "\n")
                file.flush()
    rows = [json.loads(line) for line in arguments.out.read_text().splitlines()]
    bad = [r["number"] for r in rows if not r["ok"]]
    misfits = Counter(m for r in rows if not r["fits"] for m in r["misfit"])
    print(f"{len(rows)} networks, {sum(r['fits'] for r in rows)} fit, {len(bad)} wrong or unconfirmed: {bad[:20]}")
    print(f"misfits: {dict(misfits)}; {sum(r['seconds'] for r in rows):.0f} CPU seconds")


if __name__ == "__main__":
    main()
