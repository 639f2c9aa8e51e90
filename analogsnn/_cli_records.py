"""What the commands about chips write as JSON and say on the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from .errors import AnalogSNNError, DoesNotFitError
from .units import format_quantity

if TYPE_CHECKING:
    from .chips import Chip, Mapping
    from .network import Network, Spikes


def misfit_record(error: AnalogSNNError) -> dict[str, Any]:
    """`fits` and `misfit` for a network that does not fit, nothing for another error."""
    if not isinstance(error, DoesNotFitError):
        return {}
    keys = ("resource", "who", "needed", "available", "hint")
    return {"fits": False, "misfit": [{k: getattr(m, k) for k in keys} | {"message": str(m)} for m in error.misfits]}


def compile_record(mapping: Mapping) -> dict[str, Any]:
    """What `compile --json` writes."""
    cores: dict[str, set] = {}
    for row in mapping.biases:
        cores.setdefault(row.name, set()).add((row.coarse, row.fine))
    biases = {}
    for row in mapping.biases:  # a bias that differs between cores is named with its core
        name = row.name if len(cores[row.name]) == 1 else f"{row.name}@{row.chip}.{row.core}"
        keys = ("requested", "realised", "coarse", "fine", "relative_error")
        biases[name] = {k: getattr(row, k) for k in keys}
        biases[name] |= {"quantity": row.quantity, "unit": row.unit, "asked": row.asked, "got": row.got}
    each = mapping.chip.topology.cores_per_chip
    return {
        "fits": True,
        "misfit": [],
        "chip": mapping.chip.name,
        "neurons": [dict(vars(p)) for p in mapping.neurons],
        "cores": [{"chip": c, "core": k, "neurons": n} for (c, k), n in mapping.occupancy.neurons.items()],
        "biases": biases,
        "weights": [
            {
                "chip": w.core // each,
                "core": w.core % each,
                "wanted": w.wanted.tolist(),
                "realised": w.realised.tolist(),
                "masks": w.masks.tolist(),
                "counts": w.counts.tolist(),
                "relative_l2": w.relative_l2,
            }
            for w in mapping.weights
        ],
        "decoded_equal": True,  # else compile would have raised
        "warnings": list(mapping.warnings),
    }


def network_record(network: Network) -> dict[str, Any]:
    """A network as JSON."""
    return {
        "populations": [
            {
                "name": p.name, "size": p.size, "rate": p.rate, "pulse": p.pulse,
                "neuron": asdict(p.neuron),
                "synapses": {kind: dict(vars(s)) for kind, s in p.synapses.items()},
            }
            for p in network.populations
        ],
        "inputs": [{"name": i.name, "size": i.size} for i in network.inputs],
        "connections": [
            {
                "source": c.source, "target": c.target, "synapse": c.synapse, "delay": c.delay, "stp": c.stp,
                "pairs": c.pairs.tolist(), "weight": c.weight.tolist(),
            }
            for c in network.connections
        ],
    }  # fmt: skip


def spikes_record(network: Network, spikes: Spikes, chips: int, seconds: float) -> dict[str, Any]:
    """Rates (Hz) by population and chip, and all spikes."""
    rates = {}
    for name, start in network.offsets().items():
        size = network.population(name).size
        mine = (spikes.neuron >= start) & (spikes.neuron < start + size)
        each = np.bincount(spikes.lane[mine], minlength=chips) / (size * seconds)
        rates[name] = {"mean": float(each.mean()), "per_chip": each.tolist()}
    population, index = named(network, spikes.neuron)
    columns = {"time_s": spikes.time.tolist(), "chip": spikes.lane.tolist(), "population": population, "index": index}
    return {"duration": seconds, "chips": chips, "rates": rates, "spikes": columns}


def named(network: Network, neuron: np.ndarray) -> tuple[list[str], list[int]]:
    """Population and index of neurons: int array [spike]."""
    names = [p.name for p in network.populations]
    starts = np.array(list(network.offsets().values()))
    which = np.searchsorted(starts, neuron, side="right") - 1
    return [names[k] for k in which], (neuron - starts[which]).tolist()


def chip_record(chip: Chip) -> dict[str, Any]:
    """Every value of a description by its path, with its provenance."""
    values = {}
    plain = chip.model_dump(mode="json", by_alias=True)
    for path in chip.paths:
        if path.startswith("meta."):
            continue
        mark = chip.provenance(path)
        alt = [{"value": value, "source": source} for value, source in mark.alt]
        entry = {"value": _at(plain, path), "tag": mark.tag, "source": mark.source, "alt": alt, "note": mark.note}
        values[path] = entry
    sources = [s.model_dump() for s in chip.meta.sources]
    return {
        "name": chip.name, "revision": chip.meta.revision, "digest": chip.digest, "sources": sources, "values": values,
    }  # fmt: skip


def _at(node: Any, path: str) -> Any:
    for part in path.replace("[", ".[").split("."):
        node = node[int(part[1:-1])] if part.startswith("[") else node[part]
    return node


def say_compiled(data: dict[str, Any], *files: Path | None) -> None:
    """A compilation in a few lines."""
    neurons, cores = len(data["neurons"]), len(data["cores"])
    chips = len({c["chip"] for c in data["cores"]})
    typer.echo(
        f"{neurons} neurons on {cores} cores of {chips} chips ({data['chip']}); decoded: equal to what was asked."
    )
    worst = max(data["biases"].items(), key=lambda item: abs(item[1]["relative_error"]), default=None)
    if worst is not None:
        typer.echo(f"{len(data['biases'])} biases, the worst {worst[0]}: {100 * worst[1]['relative_error']:+.2f} %.")
    for w in data["weights"]:
        typer.echo(f"weights of core {w['chip']}.{w['core']}: {100 * w['relative_l2']:.2f} % off (relative L2).")
    for file in files:
        if file is not None:
            typer.echo(f"wrote {file}")


def say_network(data: dict[str, Any]) -> None:
    """A network, a line for every part."""
    for p in data["populations"]:
        n = p["neuron"]
        tau, refractory = format_quantity(n["tau"], "s"), format_quantity(n["refractory"], "s")
        typer.echo(
            f"population {p['name']}: {p['size']} neurons, tau {tau}, gain {n['gain']:.3g}, refractory {refractory}"
        )
    for i in data["inputs"]:
        typer.echo(f"input {i['name']}: {i['size']} channels")
    for c in data["connections"]:
        low, high = (format_quantity(f(c["weight"]), "A") for f in (min, max))
        late = "" if c["delay"] == "none" else f", {c['delay']} delay"
        late += ", depressing" if c["stp"] else ""
        count = len(c["pairs"])
        typer.echo(f"{c['source']} → {c['target']} {c['synapse']}: {count} synapses, {low} to {high}{late}")


def say_rates(data: dict[str, Any]) -> None:
    """Rates by population."""
    for name, rate in data["rates"].items():
        low, high = min(rate["per_chip"]), max(rate["per_chip"])
        typer.echo(f"{name}: {rate['mean']:.2f} Hz ({low:.2f} to {high:.2f} over {data['chips']} chips)")


def say_bias(data: dict[str, Any]) -> None:
    """A bias in all its languages."""
    current, unit = format_quantity(data["realised"], "A", 4), data["unit"]
    typer.echo(f"{data['name']} code ({data['coarse']}, {data['fine']}): {current}")
    if data["asked"] is not None or data["requested"] != data["realised"]:
        asked = format_quantity(data["requested"], "A", 4)
        typer.echo(f"  asked {asked}, error {100 * data['relative_error']:+.2f} %")
    low, high = (format_quantity(x, "A") for x in data["current_spread"])
    typer.echo(f"  mismatch of {100 * data['cv']:.0f} %: {low} to {high} (one standard deviation)")
    if unit == "s" and data["sets"] is not None:
        low, high = (format_quantity(x, "s") for x in data["spread"])
        typer.echo(f"  {data['sets']} {format_quantity(data['got'], 's', 4)} ({low} to {high})")
    elif data["sets"] is None:
        typer.echo("  sets no quantity of the model")
    else:
        typer.echo(f"  sets {data['sets']}")


def say_chip(data: dict[str, Any]) -> None:
    """A description, a line for every value."""
    typer.echo(f"{data['name']}, {data['revision']} (digest {data['digest']})")
    for s in data["sources"]:
        typer.echo(f"  [{s['key']}] {s['what']} ({s['licence']})")
    for path, v in data["values"].items():
        marks = " ".join(x for x in (v["tag"], f"[{v['source']}]" if v["source"] else None) if x)
        others = "".join(f"; {a['value']} [{a['source']}]" for a in v["alt"])
        note = f" — {v['note']}" if v["note"] else ""
        typer.echo(f"{path} = {v['value']}  {marks}{others}{note}")
