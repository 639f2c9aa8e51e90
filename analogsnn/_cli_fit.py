"""The command `fit`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Run = Callable[..., None]


def add_to(app: typer.Typer, run: Run) -> None:
    """Add the command to `app`; `run` is what every command of the application runs in (see `cli`)."""

    @app.command("fit")
    def fit_command(
        spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Deck, parameters with bounds, targets.")],
        html: Annotated[
            Path | None, typer.Option("--html", metavar="F.html", help="Write a page with figures.")
        ] = None,
        json_file: Annotated[
            Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")
        ] = None,
    ) -> None:
        """Fit a circuit's parameters to recordings, spikes, measures or rates. Exit status 1: at a bound, or early."""
        wrong: list[str] = []

        def work(started: float) -> dict[str, Any]:
            from .calibrate import FitWarning, fit_file, write_fit_page

            def say(runs: int, cost: float) -> None:
                typer.echo(f"cost {cost:.6g} after {runs} simulations", err=True)

            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    done = fit_file(spec, say)
                finally:  # what was suspected may be why it cannot be done
                    for warning in caught:
                        if issubclass(warning.category, FitWarning):
                            typer.echo(f"note: {warning.message}", err=True)
            if html is not None:
                write_fit_page(html, done, f"Fit of {spec.name}")
            wrong.extend(name for name, p in done.parameters.items() if p.at_bound)
            wrong.extend([] if done.finished else ["the search"])
            return done.to_dict()

        run("fit", None, None, json_file, work, _say, targets=[html] if html else [])
        if wrong:
            raise typer.Exit(1)


def _say(data: dict[str, Any]) -> None:
    typer.echo(f"cost {data['cost_before']:.4g} → {data['cost_after']:.4g}, {data['simulator_runs']} simulations")
    for name, p in data["parameters"].items():
        error = "" if p["stderr"] is None else f" ± {p['stderr']:.2g}"
        marks = ("" if p["identifiable"] else ", not told by the data") + (", at a bound" if p["at_bound"] else "")
        typer.echo(f"  {name} = {p['value']:.6g}{error}{marks}")
