"""`analogsnn sensitivity`: which number of a deck moves a measure, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import InputError


def add_to(app: typer.Typer, command: Callable[..., None]) -> None:
    """Register the command; `command` runs it, writes its JSON and turns errors into exit statuses."""

    @app.command()
    def sensitivity(
        deck: Annotated[Path, typer.Argument(metavar="DECK", help="A SPICE deck with a .tran.")],
        of: Annotated[
            list[str],
            typer.Option("--of", metavar="MEASURE", help='"spike_time(spk, 20)", or the name of a .meas; repeatable.'),
        ],
        top: Annotated[int, typer.Option("--top", min=1, help="How many parameters to show.")] = 20,
        check: Annotated[bool, typer.Option("--check", help="Compare the first ones with differences.")] = False,
        checks: Annotated[int, typer.Option("--checks", min=1, help="How many: at least one of each kind.")] = 8,
        ngspice: Annotated[
            bool, typer.Option("--ngspice/--no-ngspice", help="Whether the check asks ngspice too.")
        ] = True,
        tolerance: Annotated[
            float | None, typer.Option("--tolerance", metavar="R", help="Relative, of the check; docs/sensitivity.md.")
        ] = None,
        accuracy: Annotated[str, typer.Option("--accuracy", help="fast or reference.")] = "reference",
        rtol: Annotated[
            float | None, typer.Option("--rtol", metavar="R", help="Relative tolerance of the run.")
        ] = None,
        stop: Annotated[
            float | None, typer.Option("--stop", metavar="S", help="End of the run in s; default: the deck's.")
        ] = None,
        threshold: Annotated[
            float | None, typer.Option("--threshold", metavar="V", help="Of spikes; default: half the supply.")
        ] = None,
        include: Annotated[
            list[Path] | None,
            typer.Option("--include", metavar="DIR", help="Another folder that the deck may read; repeatable."),
        ] = None,
        timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Wall-clock limit of each run.")] = 600.0,
        html: Annotated[Path | None, typer.Option("--html", metavar="F.html", help="Write a page.")] = None,
        json_file: Annotated[
            Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")
        ] = None,
    ) -> None:
        """Derivatives of measures by every number of a deck. Exit status 1: the check found one that differs."""
        failed: list[str] = []

        def work(started: float) -> dict[str, Any]:
            from . import sensitivity as room
            from .circuit import Circuit
            from .sensitivity._report import failed as differing
            from .sensitivity._report import lines, to_dict, write_page
            from .simulation import read_deck

            if tolerance is not None and not 0 < tolerance < 1:
                raise InputError(f"--tolerance is {tolerance:g}; it is relative, between 0 and 1, such as 0.002.")
            if not 0 < timeout < 1e9:
                raise InputError(f"--timeout is {timeout:g} s; it must be positive and finite.")
            netlist = read_deck(deck, tuple(include or ()))
            for note in netlist.notes:
                typer.echo(f"note: {note}", err=True)
            circuit = Circuit.from_netlist(netlist)
            found = room.sensitivity(
                circuit, of, stop, accuracy=accuracy, rtol=rtol, threshold=threshold, timeout=timeout
            )
            for note in found.notes:
                typer.echo(f"note: {note}", err=True)
            judged = {}
            if check:
                from tqdm import tqdm

                total = sum(len(room.checked_paths(circuit, m, checks)) for m in found.measures.values())
                with tqdm(total=total, unit=" parameters", disable=None) as bar:
                    judged = room.check(
                        found, netlist if ngspice else None, count=checks, tolerance=tolerance, timeout=timeout,
                        progress=bar.update,
                    )  # fmt: skip
            for line in lines(found, judged, top):
                typer.echo(line)
            if html is not None:
                write_page(found, judged, html, title=f"Sensitivities of {deck.name}", top=top)
            failed.extend(differing(judged))
            return to_dict(found, judged)

        targets = [] if html is None else [html]
        command("sensitivity", None, None, json_file, work, lambda data: None, targets=targets)
        if failed:
            typer.echo(f"analogsnn: the check found a difference: {', '.join(failed)}.", err=True)
            raise typer.Exit(1)
