"""The commands about mismatch: `monte-carlo`, `size`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import InputError

if TYPE_CHECKING:
    from .mismatch import AreaLaw
    from .netlist import Netlist

Run = Callable[..., None]  # (name, seed, out, json_file, work, say, *, jax, targets)
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="F.html", help="Write a page with figures.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same bits.")]


def add_to(app: typer.Typer, run: Run) -> None:
    """Add the commands to `app`; `run` is what every command of the application runs in (see `cli`)."""

    @app.command("monte-carlo")
    def monte_carlo_command(
        deck: Annotated[Path, typer.Argument(metavar="DECK", help="A SPICE deck; its first line is the title.")],
        samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="How many.")] = 1000,
        measure: Annotated[
            list[str] | None,
            typer.Option("--measure", metavar="M", help="A .meas of the deck, or rate(spk) and such; repeatable."),
        ] = None,
        engine: Annotated[str, typer.Option("--engine", help="What solves the circuit: jax or ngspice.")] = "jax",
        workers: Annotated[
            str, typer.Option("--workers", metavar="N|dask://…", help="Processes, or a Dask scheduler (ngspice).")
        ] = "1",
        folder: Annotated[
            Path | None, typer.Option("--dir", metavar="D", help="Keep finished samples in D, and go on from there.")
        ] = None,
        seed: Seed = 1,
        avt: Annotated[
            float | None, typer.Option("--avt", metavar="MV_UM", help="A_VT in mV um; default: the card's.")
        ] = None,
        abeta: Annotated[
            float | None, typer.Option("--abeta", metavar="PERCENT_UM", help="A_beta in % um; default: the card's.")
        ] = None,
        common: Annotated[
            float, typer.Option("--common", metavar="V", help="Threshold shift common to a chip, in volt.")
        ] = 0.0,
        ideal: Annotated[
            list[str] | None,
            typer.Option("--ideal", metavar="PATTERN", help="Transistors without mismatch, as 'xb*'; repeatable."),
        ] = None,
        accuracy: Annotated[
            str | None, typer.Option("--accuracy", help="fast or reference; default: reference, in ngspice the deck's.")
        ] = None,
        rtol: Annotated[float | None, typer.Option("--rtol", metavar="R", help="Relative tolerance.")] = None,
        chunk: Annotated[
            int | None, typer.Option("--chunk", min=1, metavar="N", help="Samples that are kept at a time.")
        ] = None,
        spec: Annotated[
            list[str] | None,
            typer.Option("--spec", metavar="M=LOW..HIGH", help="For the yield, as tau=3m..4m; repeatable."),
        ] = None,
        contributions: Annotated[
            bool, typer.Option("--contributions/--no-contributions", help="Which transistor spreads what (jax).")
        ] = False,
        timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Of an ngspice run, seconds.")] = 600.0,
        include: Annotated[
            list[Path] | None,
            typer.Option("--include", metavar="DIR", help="Another folder that the deck may read; repeatable."),
        ] = None,
        html: Html = None,
        json_file: Json = None,
    ) -> None:
        """Monte Carlo over transistor mismatch: the spread of a deck's measures. Can be stopped and started again."""

        def work(started: float) -> dict[str, Any]:
            from . import simulation
            from .mismatch import monte_carlo
            from .mismatch._engines import parse_workers

            who = parse_workers(workers)
            limits = _specifications(spec or [])
            netlist = simulation.read_deck(deck, tuple(include or ()))
            law = _law(netlist, avt, abeta, common, ideal or [])
            with Bar(samples) as progress:
                found = monte_carlo(
                    netlist, measure or None, samples, seed, law=law, engine=engine, folder=folder, workers=who,
                    accuracy=accuracy, rtol=rtol, width=chunk, timeout=timeout, progress=progress,
                )  # fmt: skip
            data = found.to_dict()
            if limits:
                data["yield"] = found.yields(limits).to_dict()
            parts = [found.contributions(name) for name in found.names] if contributions else []
            if parts:
                data["contributions"] = {part.measure: part.to_dict() for part in parts}
            if html is not None:
                found.write_html(html, limits, parts)
            for line in (*found.lines(), *(line for part in parts for line in part.lines())):
                typer.echo(line)
            return data

        run(
            "monte-carlo", seed, None, json_file, work, _say, jax=engine != "ngspice",
            targets=[] if html is None else [html],
        )  # fmt: skip

    @app.command("size")
    def size_command(
        spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="What to minimise, and within what limits.")],
        ngspice_runs: Annotated[
            int, typer.Option("--ngspice-runs", min=0, metavar="N", help="Of either sizing; 0 for none.")
        ] = 300,
        workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="For the verification.")] = 1,
        folder: Annotated[
            Path | None, typer.Option("--dir", metavar="D", help="Keep the samples in D, and go on from there.")
        ] = None,
        html: Html = None,
        json_file: Json = None,
    ) -> None:
        """Choose transistor sizes by gradient for the least spread (or area), and verify them by Monte Carlo."""

        def work(started: float) -> dict[str, Any]:
            from .mismatch import size

            with Stages() as progress:
                found = size(spec, ngspice_runs=ngspice_runs, workers=workers, folder=folder, progress=progress)
            if html is not None:
                found.write_html(html)
            for line in found.lines():
                typer.echo(line)
            return found.to_dict()

        run("size", None, None, json_file, work, lambda data: None, targets=[] if html is None else [html])


def _say(data: dict[str, Any]) -> None:
    if "yield" in data:
        found = data["yield"]
        low, high = found["ci95"]
        typer.echo(f"  yield {found['share']:.1%} ({low:.1%} to {high:.1%}): {found['passed']} of {found['samples']}")
    if data["store"] is not None:
        typer.echo(f"the samples are in {data['store']}")


def _law(netlist: Netlist, avt: float | None, abeta: float | None, common: float, ideal: list[str]) -> AreaLaw:
    from .mismatch import AreaLaw

    fields: dict[str, Any] = {"ideal": tuple(ideal), "common_vt": common}
    if avt is not None:
        fields |= dict.fromkeys(("avt_n", "avt_p"), avt * 1e-9)
    if abeta is not None:
        fields |= dict.fromkeys(("abeta_n", "abeta_p"), abeta * 1e-8)
    return AreaLaw.from_card(netlist, **fields)


def _specifications(texts: list[str]) -> dict[str, tuple[float, float]]:
    from .netlist._numbers import read_number

    found = {}
    for text in texts:
        name, equals, limits = text.partition("=")
        low, dots, high = limits.partition("..")
        try:
            if not (equals and dots and name):
                raise ValueError
            ends = [read_number(end.strip()) if end.strip() else None for end in (low, high)]
        except ValueError:
            raise InputError(
                f"--spec is '{text}'; write it as tau=3m..4m, with one end left out if you like."
            ) from None
        found[name.lower()] = (
            -math.inf if ends[0] is None else float(ends[0]), math.inf if ends[1] is None else float(ends[1]),
        )  # fmt: skip
    return found


class Bar:
    """A progress bar of samples, with rate and time left, as a context manager; those found in a store do not count
    towards the rate."""

    def __init__(self, samples: int):
        from tqdm import tqdm

        self.bar = tqdm(total=samples, unit=" samples", disable=None, mininterval=0.5)
        self.first = True

    def __enter__(self) -> Callable[[int], None]:
        def report(done: int) -> None:
            if self.first:
                self.bar.initial = done
                self.bar.n = done
                self.bar.refresh()
            else:
                self.bar.update(done - self.bar.n)
            self.first = False

        return report

    def __exit__(self, *_: object) -> None:
        self.bar.close()


class Stages:
    """One progress bar after the other, as a context manager that yields the function to report with."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.stage = ""

    def __enter__(self) -> Callable[[str, int, int | None], None]:
        from tqdm import tqdm

        def report(what: str, done: int, total: int | None) -> None:
            stage = what if total is not None else "search"
            if stage != self.stage:
                self.__exit__()
                self.bar = tqdm(total=total, desc=stage, unit=" evaluations" if total is None else " samples",
                                disable=None, mininterval=0.5)  # fmt: skip
                self.stage = stage
            if total is None:
                self.bar.set_postfix_str(what)
            self.bar.update(done - self.bar.n)

        return report

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
