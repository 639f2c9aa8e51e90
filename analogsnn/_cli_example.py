"""The command `example`: a whole system, its numbers beside their targets, a page and its network file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from .systems import Result

Run = Callable[..., None]  # (name, seed, out, json_file, work, say)


def add_to(app: typer.Typer, run: Run) -> None:
    """Add the command to `app`; `run` is what every command of the application runs in (see `cli`)."""

    @app.command()
    def example(
        name: Annotated[str, typer.Argument(metavar="NAME", help="A system, such as predictive_plasticity.")],
        chips: Annotated[int | None, typer.Option("--chips", min=1, max=1000, help="Mismatched chips.")] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same numbers.")] = 1,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="DIR", help="Write the page, the numbers and the network file.")
        ] = None,
        json_file: Annotated[
            Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")
        ] = None,
    ) -> None:
        """A whole system, from network to mismatched chips; a number that misses its target is said, and no failure."""

        from .systems import check_system

        check_system(name)  # before any folder is made

        def work(started: float) -> dict[str, Any]:
            from .systems import run_system

            result = run_system(name, chips=chips, seed=seed)
            if out is not None:
                write_files(out, result)
            return result.record()

        run("example", seed, out, json_file, work, _say)


def write_files(folder: Path, result: Result) -> None:
    """The page, and the network file, or the deck of a circuit."""
    from .network import network_text
    from .systems import write_page

    write_page(folder / "report.html", result)
    if result.network is not None:
        text = f"{result.title}.\nanalogsnn compile network.toml --chip CHIP puts it onto another chip."
        (folder / "network.toml").write_text(network_text(result.network, text), encoding="utf-8")
    if result.deck is not None:
        (folder / "deck.cir").write_text(result.deck, encoding="utf-8")


def _say(data: dict[str, Any]) -> None:
    for number in data["numbers"].values():
        value = "none" if number["value"] is None else f"{number['value']:.4g}"
        unit = "" if number["unit"] == "1" else f" {number['unit']}"
        spread, target = number["spread"], number["target"]
        over = (
            ""
            if spread is None
            else f" ({spread['low']:.3g} to {spread['high']:.3g}, {spread['count']} {spread['over']})"
        )
        wanted = ""
        if target is not None:
            limits = [
                f"{sign} {target[key]:g}" for sign, key in (("≥", "least"), ("≤", "most")) if target[key] is not None
            ]
            wanted = f"; target {' and '.join(limits)}: {'met' if number['met'] else 'NOT met'}"
        typer.echo(f"{number['text']}: {value}{unit}{over}{wanted}")
