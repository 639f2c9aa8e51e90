"""The commands about chips: `compile`, `decode`, `run`, `bias`, `chip show`, `chip check`."""

from __future__ import annotations

import csv
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._cli_records import (
    chip_record,
    compile_record,
    named,
    network_record,
    say_bias,
    say_chip,
    say_compiled,
    say_network,
    say_rates,
    spikes_record,
)
from .errors import InputError
from .units import parse_quantity

if TYPE_CHECKING:
    from .chips import Chip
    from .network import Network, NetworkFile

Work = Callable[[float], dict[str, Any]]
Run = Callable[..., None]  # (name, seed, out, json_file, work, say, *, jax)
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")]
ChipName = Annotated[str, typer.Option("--chip", metavar="C", help="A built-in chip or the path of a description.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same bits.")]
Profile = Annotated[str, typer.Option("--profile", help="The chip's physics profile.")]
SubFloor = Annotated[bool, typer.Option("--allow-subfloor", help="Accept currents below the chip's floor.")]
Nearest = Annotated[bool, typer.Option("--nearest", help="Take the nearest reachable value, with a warning.")]
CV = Annotated[float, typer.Option("--cv", help="Mismatch: coefficient of variation of a current.")]


def add_to(app: typer.Typer, run: Run) -> None:
    """Add the commands to `app`; `run` is what every command of the application runs in (see `cli`)."""

    @app.command("compile")
    def compile_command(
        network: Annotated[str, typer.Argument(metavar="NETWORK", help="FILE.toml, FILE.nir, or module:object.")],
        chip: ChipName = "dynapse2",
        out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the configuration.")] = None,
        html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page about it.")] = None,
        vendor: Annotated[
            Path | None, typer.Option("--vendor", metavar="FILE", help="Write the driver's layout.")
        ] = None,
        json_file: Json = None,
        chips: Annotated[int, typer.Option("--chips", min=1, help="Use up to so many chips of the board.")] = 1,
        cores: Annotated[int | None, typer.Option("--cores", min=1, help="Use up to so many cores.")] = None,
        profile: Profile = "A",
        monitor: Annotated[bool, typer.Option("--monitor/--no-monitor", help="Send all spikes to the host.")] = True,
        time_limit: Annotated[float, typer.Option("--time-limit", min=0, metavar="S", help="For the solver.")] = 5.0,
        allow_subfloor: SubFloor = False,
        nearest: Nearest = False,
        allow_forbidden: Annotated[
            bool, typer.Option("--allow-forbidden", help="Route where the chip forbids.")
        ] = False,
        weight_unit: Annotated[str | None, typer.Option("--weight-unit", help="A weight of 1 in a NIR file.")] = None,
        seed: Seed = 0,
    ) -> None:
        """Map a network onto a chip, or say everything that does not fit."""

        def work(started: float) -> dict[str, Any]:
            from .chips import compile, load_chip, vendor_layout

            _check_outputs(out, html, vendor)
            description = load_chip(_name_or_path(chip))
            read, notes = load_network(network, description, weight_unit, profile)
            mapping = compile(
                read.network, description, profile=profile, monitor=monitor, seed=seed, nearest=nearest,
                allow_subfloor=allow_subfloor, cores=cores, chips=chips, pins=read.pins, tags=read.tags,
                allow_forbidden=allow_forbidden, time_limit=time_limit,
            )  # fmt: skip
            for note in (*notes, *mapping.warnings):
                typer.echo(f"warning: {note}", err=True)
            if out is not None:
                mapping.configuration.save(out)
            if vendor is not None:
                _write_json(vendor, vendor_layout(mapping.configuration, description))
            if html is not None:
                from .report import write_compile_report

                write_compile_report(html, mapping, title=f"{Path(network).stem} on {description.name}", notes=notes)
            return compile_record(mapping)

        run("compile", seed, None, json_file, work, lambda data: say_compiled(data, out, html, vendor), jax=False)

    @app.command("decode")
    def decode_command(
        config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A configuration.")],
        chip: ChipName = "",
        out: Annotated[Path | None, typer.Option("--out", metavar="FILE.nir", help="Write the network as NIR.")] = None,
        json_file: Json = None,
    ) -> None:
        """The network that a configuration makes of a chip, rebuilt from its words and codes alone."""

        def work(started: float) -> dict[str, Any]:
            from .network import write_nir

            if out is not None and out.suffix != ".nir":
                raise InputError(f"--out is '{out}'; networks are written as .nir.")
            _check_outputs(out)
            network = _decoded(config, chip)[0]
            if out is not None:
                for note in write_nir(network, out):
                    typer.echo(f"note: {note}", err=True)
            return network_record(network)

        run("decode", 0, None, json_file, work, say_network, jax=False)

    @app.command("run")
    def run_command(
        config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A configuration.")],
        events: Annotated[Path, typer.Option("--events", metavar="FILE", help="CSV: time_s,input,index.")],
        chip: ChipName = "",
        chips: Annotated[int, typer.Option("--chips", min=1, max=1000, help="Number of mismatched chips.")] = 1,
        duration: Annotated[
            str | None, typer.Option("--duration", help="As in '1 s'; default: events + 0.1 s.")
        ] = None,
        cv: CV = 0.2,
        out: Annotated[Path | None, typer.Option("--out", metavar="FILE.csv", help="Write the spikes.")] = None,
        json_file: Json = None,
        seed: Seed = 1,
    ) -> None:
        """Simulate what a configuration makes of mismatched chips: quantised biases, realised connections."""

        def work(started: float) -> dict[str, Any]:
            from .chips import check_playback
            from .network import chips as produce
            from .network import lanes, read_events, simulate

            _check_outputs(out)
            if not (0 <= cv < 10):
                raise InputError(f"--cv is {cv:g}; it must be from 0 to 10.")
            network, description = _decoded(config, chip)
            given = read_events(events, network)
            check_playback(description, given.time)
            last = float(given.time[-1]) if len(given.time) else 0.0
            seconds = last + 0.1 if duration is None else parse_quantity(duration, "s", "--duration")
            if seconds <= 0:
                raise InputError(f"--duration is '{duration}'; it must be positive.")
            if any(c.delay != "none" or c.stp for c in network.connections):
                typer.echo("warning: delays and short-term depression have no calibration and are left out.", err=True)
                plain = tuple(replace(c, delay="none", stp=False) for c in network.connections)
                network = replace(network, connections=plain)
            devices = lanes(network, produce(chips, cv, seed))
            spikes = simulate(devices, given, seconds)
            if out is not None:
                _write_spikes(out, network, spikes)
            return spikes_record(network, spikes, chips, seconds)

        run("run", seed, None, json_file, work, say_rates)

    @app.command("bias")
    def bias_command(
        name: Annotated[str, typer.Argument(metavar="NAME", help="A bias of the chip.")],
        chip: ChipName = "dynapse2",
        tau: Annotated[str | None, typer.Option("--tau", help="A time, as in 20ms (also refractory, pulse).")] = None,
        current: Annotated[str | None, typer.Option("--current", help="A current, as in 5pA.")] = None,
        code: Annotated[str | None, typer.Option("--code", help="COARSE,FINE.")] = None,
        profile: Profile = "A",
        cv: CV = 0.2,
        allow_subfloor: SubFloor = False,
        nearest: Nearest = False,
        json_file: Json = None,
    ) -> None:
        """A bias as time, current and code, each from any of them, with the spread that mismatch gives."""

        def work(started: float) -> dict[str, Any]:
            from .chips import load_chip, translate

            answer = translate(
                load_chip(_name_or_path(chip)), name,
                time=None if tau is None else parse_quantity(tau, "s", "--tau"),
                current=None if current is None else parse_quantity(current, "A", "--current"),
                code=None if code is None else _code(code),
                profile=profile, cv=cv, allow_subfloor=allow_subfloor, nearest=nearest,
            )  # fmt: skip
            return {
                "name": name,
                "sets": None if answer.meaning is None else answer.meaning.quantity,
                "unit": answer.unit,
                "asked": answer.asked,
                "got": answer.got,
                "requested": answer.code.requested,
                "realised": answer.code.realised,
                "coarse": answer.code.coarse,
                "fine": answer.code.fine,
                "relative_error": answer.code.relative_error if answer.code.requested > 0 else 0.0,
                "cv": cv,
                "current_spread": list(answer.current_spread),
                "spread": list(answer.spread),
            }

        run("bias", 0, None, json_file, work, say_bias, jax=False)

    group = typer.Typer(name="chip", help="Chip descriptions.", no_args_is_help=True)
    app.add_typer(group)

    @group.command("show")
    def show_command(
        chip: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A built-in chip or a description.")],
        json_file: Json = None,
    ) -> None:
        """A chip's description, every value with its provenance."""

        def work(started: float) -> dict[str, Any]:
            from .chips import load_chip

            return chip_record(load_chip(_name_or_path(chip)))

        run("chip show", 0, None, json_file, work, say_chip, jax=False)

    @group.command("check")
    def check_command(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="A chip description.")], json_file: Json = None
    ) -> None:
        """Whether a description is complete and fits together: status 0, else 1 and one sentence per problem."""

        def work(started: float) -> dict[str, Any]:
            from .chips import load_chip

            if not file.is_file():
                raise InputError(f"There is no file '{file}'; give the path of a chip description (.toml).")
            try:
                chip = load_chip(file)
            except InputError as error:
                return {"ok": False, "problems": str(error).splitlines()}
            bare = [path for path in chip.paths if not path.startswith("meta.") and chip.provenance(path).tag is None]
            return {"ok": True, "problems": [], "name": chip.name, "digest": chip.digest, "without_provenance": bare}

        def say(data: dict[str, Any]) -> None:
            for problem in data["problems"]:
                typer.echo(problem, err=True)
            if not data["ok"]:
                raise typer.Exit(1)
            bare = len(data["without_provenance"])
            typer.echo(f"{file}: chip '{data['name']}' is complete; {bare} values do not say where they come from.")

        run("chip check", 0, None, json_file, work, say, jax=False)


def load_network(text: str, chip: Chip, weight_unit: str | None, profile: str) -> tuple[NetworkFile, list[str]]:
    """A network from FILE.toml, FILE.nir or module:object, and remarks about what was left out or filled in.

    A file says nothing of physics, so that its network has the chip's.
    """
    from .chips import chip_defaults
    from .network import Network, NetworkFile, read_network, read_nir

    defaults = chip_defaults(chip)
    unit = None if weight_unit is None else parse_quantity(weight_unit, "A", "--weight-unit")
    if unit is not None and unit <= 0:
        raise InputError(f"--weight-unit is '{weight_unit}'; it must be positive.")
    if text.endswith(".toml"):
        read = read_network(text, defaults)
        return replace(read, network=replace(read.network, physics=chip.model_physics(profile))), []
    if text.endswith(".nir"):
        if not Path(text).is_file():
            raise InputError(f"{text}: cannot be read (no such file).")
        network, notes = read_nir(text, weight_unit=unit, defaults=defaults)
        return NetworkFile(replace(network, physics=chip.model_physics(profile)), {}, {}, 0), notes
    module, separator, attribute = text.partition(":")
    if not separator or not module or not attribute:
        raise InputError(f"'{text}' is no network; give FILE.toml, FILE.nir, or module:object.")
    if os.getcwd() not in sys.path:  # as `python -m` has it
        sys.path.insert(0, os.getcwd())
    try:
        thing = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"'{text}' cannot be imported: {error}.") from None
    if callable(thing) and not isinstance(thing, Network):
        try:
            thing = thing()
        except TypeError as error:
            raise InputError(f"'{text}' cannot be called without arguments: {error}.") from None
    if not isinstance(thing, Network):
        raise InputError(f"'{text}' is a {type(thing).__name__}; it must be a Network, or a function that makes one.")
    return NetworkFile(thing, {}, {}, 0), []


def _decoded(config: Path, chip: str) -> tuple[Network, Chip]:
    from .chips import Configuration, decode, load_chip

    configuration = Configuration.load(config, load_chip(_name_or_path(chip)) if chip else None)
    description = load_chip(_name_or_path(chip) if chip else configuration.chip[0])
    return decode(configuration, description), description


def _name_or_path(text: str) -> str | Path:
    return Path(text) if text.endswith(".toml") else text


def _code(text: str) -> tuple[int, int]:
    try:
        coarse, fine = (int(x) for x in text.split(","))
    except ValueError:
        raise InputError(f"--code is '{text}'; give COARSE,FINE, as in 2,31.") from None
    return coarse, fine


def _check_outputs(*paths: Path | None) -> None:
    for path in paths:
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                existed = path.exists()
                path.open("ab").close()
                if not existed:
                    path.unlink()
            except OSError as e:
                raise InputError(f"'{path}' cannot be written: {e.strerror}. Choose another place.") from None


def _write_json(path: Path, data: dict[str, Any]) -> None:
    import json

    path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _write_spikes(path: Path, network: Any, spikes: Any) -> None:
    population, index = named(network, spikes.neuron)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_s", "chip", "population", "index"])
        times = (f"{t:.6f}" for t in spikes.time.tolist())
        writer.writerows(zip(times, spikes.lane.tolist(), population, index, strict=True))
