"""The commands from a process to a model: `extract-card` and `calibrate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import InputError
from .units import format_quantity, parse_quantity

Run = Callable[..., None]
_BLOCKS = "dpi_synapse, dpi_synapse_sink, adexp_neuron or nmda_gate."
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")]


def add_to(app: typer.Typer, run: Run) -> None:
    """Add the commands to `app`; `run` is what every command of the application runs in (see `cli`)."""

    @app.command("extract-card")
    def extract_card_command(
        card: Annotated[Path, typer.Argument(metavar="PDK.lib", help="A foundry or generic card.")],
        nmos: Annotated[str, typer.Option("--nmos", metavar="NAME", help="Its n transistor: a .model or .subckt.")],
        pmos: Annotated[str, typer.Option("--pmos", metavar="NAME", help="Its p transistor.")],
        out: Annotated[
            Path, typer.Option("--out", metavar="card.toml", help="Values and errors; beside it card.lib, to include.")
        ] = Path("card.toml"),
        section: Annotated[str | None, typer.Option("--section", help="Of a .lib with several, such as tt.")] = None,
        vdd: Annotated[float, typer.Option("--vdd", metavar="V", help="Supply in volt.")] = 1.8,
        lengths: Annotated[str, typer.Option("--lengths", help="Channel lengths in µm, with commas.")] = "0.5,1,2,5",
        widths: Annotated[str, typer.Option("--widths", help="Channel widths in µm, with commas.")] = "1,2,10",
        timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Of each ngspice run.")] = 600.0,
        html: Annotated[
            Path | None, typer.Option("--html", metavar="F.html", help="Write a page with figures.")
        ] = None,
        json_file: Json = None,
    ) -> None:
        """Fit the EKV transistor of our engine to a process: sweeps in ngspice, parameters, errors by region."""
        if out.suffix not in (".toml", ".lib"):
            raise InputError(f"--out is '{out}'; its name must end in .toml or .lib (both files are written).")
        toml, lib = out.with_suffix(".toml"), out.with_suffix(".lib")
        if lib.resolve() == card.resolve():
            raise InputError(f"--out would write over the card itself, {card}; choose another name.")

        def work(started: float) -> dict[str, Any]:
            from .calibrate import Grid, extract_card, write_card_page
            from .cli import _atomically, _progress

            grid = Grid(vdd=vdd, lengths=_micrometres(lengths, "--lengths"), widths=_micrometres(widths, "--widths"))
            with _progress(len(grid.celsius) + 3, "runs") as progress:
                found = extract_card(card, nmos, pmos, section=section, grid=grid, timeout=timeout, progress=progress)
            _atomically(toml, lambda part: part.write_text(found.to_toml(), encoding="utf-8"))
            _atomically(lib, lambda part: part.write_text(found.to_lib(), encoding="utf-8"))
            if html is not None:
                write_card_page(html, found)
            return found.to_dict()

        targets = [toml, lib, *([html] if html else [])]
        run("extract-card", None, None, json_file, work, _say_card, targets=targets)

    @app.command("calibrate")
    def calibrate_command(
        block: Annotated[str, typer.Argument(metavar="BLOCK", help=_BLOCKS)],
        card: Annotated[str, typer.Option("--card", help="An EKV card: ekv, or the card.lib of extract-card.")] = "ekv",
        out: Annotated[Path, typer.Option("--out", metavar="F.toml", help="Parameters, errors, range.")] = Path(
            "model.toml"
        ),
        html: Annotated[
            Path | None, typer.Option("--html", metavar="F.html", help="Write a page: model, circuit and ngspice.")
        ] = None,
        against: Annotated[
            str | None,
            typer.Option("--against", metavar="CARD", help="Compare with the block on the foundry's card, in ngspice."),
        ] = None,
        json_file: Json = None,
    ) -> None:
        """Fit a behavioural model to a circuit of the library: parameters, errors, and where it is within 3 %."""

        def work(started: float) -> dict[str, Any]:
            from .calibrate import calibrate, compare, compared, experiments, write_calibration_page
            from .calibrate._foundry import summary
            from .cli import _atomically, _progress

            further = 2 * compared(block, against) if against is not None else 0
            with _progress(experiments(block) + further, "runs") as progress:
                found = calibrate(block, card=card, progress=progress)
                rows = compare(found, against, progress) if against is not None else None
            _atomically(out, lambda part: part.write_text(found.to_toml(), encoding="utf-8"))
            if html is not None:
                missing = write_calibration_page(html, found)
                if missing is not None:
                    typer.echo(f"analogsnn: the page {html} is without ngspice: {missing}", err=True)
            if rows is None:
                return found.to_dict() | {"against": None}
            split = {"card": against, "rows": [row.to_dict() for row in rows], "summary": summary(rows)}
            return found.to_dict() | {"against": split}

        run("calibrate", None, None, json_file, work, _say_model, targets=[out, *([html] if html else [])])


def _say_model(data: dict[str, Any]) -> None:
    typer.echo(f"{data['block']} on {data['card']}: {data['experiments']} experiments")
    for quantity, row in data["summary"].items():
        typer.echo(
            f"  {quantity}: largest error {100 * row['max_relative']:.1f} %, rms {100 * row['rms_relative']:.1f} %, "
            f"{100 * row['share_below_limit']:.0f} % of the experiments within 3 %"
        )
    judged, along = " and ".join(data["judged"]), data["along"]
    if data["valid_range"] is None:
        typer.echo(f"  there is no range in which {judged} are within 3 %")
    else:
        low, high = (format_quantity(x, "A") for x in data["valid_range"][along])
        typer.echo(f"  {judged} within 3 % for {along} from {low} to {high}")
    if data["against"] is not None:
        typer.echo(f"  against {data['against']['card']} in ngspice, largest error (rms):")
        for quantity, kinds in data["against"]["summary"].items():
            said = [
                f"{name} {100 * kinds[kind]['max_relative']:.1f} % ({100 * kinds[kind]['rms_relative']:.1f} %)"
                for name, kind in (("card", "card_error"), ("model", "model_error"), ("both", "error"))
            ]
            typer.echo(f"    {quantity}: {', '.join(said)}")


def _micrometres(text: str, option: str) -> tuple[float, ...]:
    try:
        values = [
            parse_quantity(part.strip(), "m", option) if "m" in part else float(part) / 1e6 for part in text.split(",")
        ]
    except ValueError:
        raise InputError(f"{option} is '{text}'; give micrometres with commas, as in 0.5,1,2.") from None
    return tuple(sorted(set(values)))


def _say_card(data: dict[str, Any]) -> None:
    for polarity, row in data["overall"].items():
        typer.echo(
            f"{polarity}mos: 1 pA to 1 µA, saturated: rms {100 * row['rms_relative']:.1f} %, 95 % of the points within "
            f"{100 * row['p95_relative']:.1f} %, largest error {100 * row['max_relative']:.1f} %"
        )
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for row in data["errors"]:
        key = (row["polarity"], row["region"])
        if key not in worst or row["max_relative"] > worst[key]["max_relative"]:
            worst[key] = row
    for (polarity, region), row in worst.items():
        typer.echo(
            f"  {polarity}mos {region}: {100 * row['max_relative']:.1f} % at W/L {format_quantity(row['w'], 'm')}/"
            f"{format_quantity(row['l'], 'm')}, {row['temperature']:g} °C"
        )
