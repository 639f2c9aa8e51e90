"""The command line. Exit status: 0 done, 1 does not fit, 2 bad input, 3 the run failed, 130 interrupted."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from . import (
    __version__,
    _cli_calibrate,
    _cli_campaign,
    _cli_chips,
    _cli_doctor,
    _cli_example,
    _cli_fit,
    _cli_records,
    _cli_sensitivity,
)
from .errors import AnalogSNNError, DoesNotFitError, InputError

app = typer.Typer(
    name="analogsnn",
    help="Emulates analog, mixed-signal neuromorphic chips.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers to FILE.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write report.html and result.json to DIR.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of mismatch and series; the same seed, the same bits.")]


@app.command("heart-rate")
def heart_rate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Recording: one column, or CSV.")],
    rate: Annotated[float, typer.Option("--rate", metavar="HZ", help="Samples per second.")],
    column: Annotated[str | None, typer.Option("--column", metavar="C", help="Name or 0-based number.")] = None,
    zones: Annotated[str, typer.Option("--zones", help="Zone boundaries in bpm.")] = "60,75,90,105",
    chips: Annotated[int, typer.Option("--chips", min=1, max=1000, help="Number of mismatched chips.")] = 10,
    seed: Seed = 1,
    trim: Annotated[bool, typer.Option("--trim/--no-trim", help="Trim every chip with a metronome.")] = True,
    out: Out = None,
    json_file: Json = None,
) -> None:
    """Heart rate and its zone from a pulse recording, by a spiking network on mismatched chips."""

    def work(started: float) -> dict[str, Any]:
        from .heart_rate import check_zones, prepare_chips, preparing_work, read_recording, result, run_all
        from .heart_rate import write_report as write

        recording = read_recording(file, rate, column)
        boundaries = check_zones(_numbers(zones))
        for start, end in recording.gaps:
            typer.echo(f"gap: {start:.2f}–{end:.2f} s has no signal; it is bridged by silence.", err=True)
        total = chips * recording.duration + preparing_work(boundaries, chips, trim)
        with _progress(total, "chip-seconds") as progress:
            members = prepare_chips(boundaries, chips, seed=seed, trimmed=trim, progress=progress)
            (run,) = run_all([(recording, members)], boundaries, progress=progress)
        if out is not None:
            write(out / "report.html", [run], title=f"Heart rate from {recording.name}", seed=seed)
        return result(run)

    _command("heart-rate", seed, out, json_file, work, _say_run)


@app.command()
def demo(
    full: Annotated[bool, typer.Option("--full", help="All 20 chips over the whole recording.")] = False,
    seed: Seed = 1,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path("out/demo"),
    json_file: Json = None,
) -> None:
    """The heart-rate network on a real 11-minute pulse recording, 20 mismatched chips, and a page to look at."""

    def work(started: float) -> dict[str, Any]:
        from .heart_rate import demo as run_demo
        from .heart_rate import demo_work, result
        from .heart_rate import write_report as write

        with _progress(demo_work(full), "chip-seconds") as progress:
            done = run_demo(seed=seed, full=full, progress=progress)
        runs = {"semi_synthetic": done.semi_synthetic, "recording": done.recording, "whole": done.whole}
        write(out / "report.html", list(runs.values()), title="Heart rate on one core", seed=seed)
        return {"runs": {name: result(run, halves=name == "whole") for name, run in runs.items()}}

    _command("demo", seed, out, json_file, work, lambda data: [_say_run(r, n) for n, r in data["runs"].items()])


@app.command()
def validate(
    blocks: Annotated[
        list[str] | None, typer.Argument(metavar="[BLOCK]...", help="Blocks or benches; default: every bench.")
    ] = None,
    against: Annotated[
        str, typer.Option("--against", metavar="CARD", help="The card that ngspice gets: ekv, bsim3, or a file.")
    ] = "ekv",
    long: Annotated[bool, typer.Option("--long/--short", help="Benches in full, or in their short form.")] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="R", help="Relative, of every measure on the same equations.")
    ] = 0.005,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Wall-clock limit of each run.")] = 1800.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take no result of ngspice that is known.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="F.html", help="Write a page with figures.")] = None,
    json_file: Json = None,
) -> None:
    """Our engine and ngspice on the benches of the library, measure by measure. Exit status 1: outside tolerance."""
    failed: list[str] = []

    def work(started: float) -> dict[str, Any]:
        from .validation import find_benches
        from .validation import validate as run

        with _progress(2 * len(find_benches(blocks)), "runs") as progress:
            report = run(
                blocks, against, long=long, tolerance=tolerance, timeout=timeout, fresh=fresh, progress=progress
            )
        if html is not None:
            report.write_html(html)
        for line in report.lines():
            typer.echo(line)
        failed.extend(report.failed)
        return report.to_dict()

    targets = [] if html is None else [html]
    _command("validate", None, None, json_file, work, lambda data: None, targets=targets)
    if failed:
        typer.echo(f"analogsnn: outside tolerance: {', '.join(failed)}.", err=True)
        raise typer.Exit(1)


netlist_app = typer.Typer(name="netlist", help="SPICE decks: what is read, what is ignored, what is wrong.")
app.add_typer(netlist_app)

Deck = Annotated[Path, typer.Argument(metavar="DECK", help="A SPICE deck; its first line is the title.")]
Include = Annotated[
    list[Path] | None,
    typer.Option("--include", metavar="DIR", help="Another folder that the deck may read; repeatable."),
]


@app.command()
def simulate(
    deck: Deck,
    engine: Annotated[str, typer.Option("--engine", help="What solves the circuit: jax (ours) or ngspice.")] = "jax",
    accuracy: Annotated[str | None, typer.Option("--accuracy", help="fast or reference; default: the deck's.")] = None,
    rtol: Annotated[float | None, typer.Option("--rtol", metavar="R", help="Relative tolerance.")] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", metavar="V", help="Of spikes, in volt; default: half the supply.")
    ] = None,
    include: Include = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Wall-clock limit in seconds.")] = 600.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Solve anew even when the result is known.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="F.nc", help="Write the waveforms (netCDF).")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="F.png", help="Draw them.")] = None,
    signal: Annotated[
        list[str] | None,
        typer.Option("--signal", metavar="NAME", help="What to draw, as v(spk) or i(vdd); repeatable."),
    ] = None,
    json_file: Json = None,
) -> None:
    """Solve a deck: waveforms, spike times, and the deck's .meas statements."""

    def work(started: float) -> dict[str, Any]:
        from . import simulation
        from .measure import Waveforms

        def draw(waves: Waveforms, target: Path, names: list[str], level: float | None) -> None:
            from .report import drawing, waveforms_figure

            with drawing():
                waveforms_figure(waves, names, title=deck.name, threshold=level).savefig(target, dpi=110)

        if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
            raise InputError(f"--plot is '{plot}'; its name must end in .png, .svg or .pdf.")
        settings = simulation.Settings(accuracy, rtol, timeout, fresh)
        netlist = simulation.read_deck(deck, tuple(include or ()))
        for note in [*map(str, netlist.notes), *(f"{deck}: {text}" for text in simulation.left_out(netlist))]:
            typer.echo(f"note: {note}", err=True)
        run = simulation.simulate(netlist, engine, settings)
        data = simulation.numbers(netlist, run, engine, threshold)
        if plot is not None:
            names = simulation.signals(netlist, run.waves, tuple(signal or ()))
            _atomically(plot, lambda part: draw(run.waves, part, names, data["threshold"]))
        if out is not None:
            _atomically(out, lambda part: run.waves.to_xarray().to_netcdf(part, engine="h5netcdf"))
        return data

    targets = [t for t in (out, plot) if t is not None]
    _command("simulate", None, None, json_file, work, _say_simulation, jax=engine != "ngspice", targets=targets)


def _say_simulation(data: dict[str, Any]) -> None:
    steps = "" if data["steps"] is None else f"{data['steps']} steps ({data['rejected']} rejected), "
    typer.echo(f"{data['engine']}: {len(data['nodes'])} nodes, {steps}{data['seconds_run']:.2f} s")
    for name, node in data["nodes"].items():
        times = node["spike_times"]
        if times:
            first_last = f"first {times[0] * 1e3:.4g} ms, last {times[-1] * 1e3:.4g} ms"
            typer.echo(f"  v({name}) passes {data['threshold']:.3g} V {len(times)} times, {first_last}")
    for name, value in data["measures"].items():
        typer.echo(f"  {name} = {value:.6g}")


@netlist_app.command("check")
def netlist_check(deck: Deck, include: Include = None, json_file: Json = None) -> None:
    """What a deck says: what was read, what was ignored, what is wrong. Nothing is run."""

    def work(started: float) -> dict[str, Any]:
        from .errors import NetlistErrors
        from .netlist import check_netlist
        from .simulation import deck_roots

        report = check_netlist(deck, deck_roots(deck, tuple(include or ())))
        if not report.ok:
            for note in report.notes:
                typer.echo(f"note: {note}", err=True)
            raise NetlistErrors(list(report.problems))
        return {
            "deck": report.file, "title": report.title, "files": list(report.files), "counts": dict(report.counts),
            "analyses": list(report.analyses), "notes": [str(note) for note in report.notes],
        }  # fmt: skip

    _command("netlist check", None, None, json_file, work, _say_report, jax=False)


def _say_report(data: dict[str, Any]) -> None:
    typer.echo(f"{data['deck']}: {data['title']}")
    typer.echo("read: " + ", ".join(f"{count} {what}" for what, count in data["counts"].items()))
    typer.echo("files: " + ", ".join(data["files"]))
    for note in data["notes"]:
        typer.echo(f"note: {note}")
    typer.echo("nothing is wrong")


def _numbers(text: str) -> list[float]:
    try:
        return [float(x) for x in text.split(",") if x.strip()]
    except ValueError:
        raise InputError(f"--zones is '{text}'; give numbers in bpm with commas, as in 60,75,90,105.") from None


def _say_run(run: dict[str, Any], name: str = "") -> None:
    from .heart_rate import summary_lines

    for line in summary_lines(run, name):
        typer.echo(line)


class _progress:
    """A tqdm bar as a context manager that yields the function to report with."""

    def __init__(self, total: float, unit: str):
        from tqdm import tqdm

        self.bar = tqdm(total=round(total), unit=f" {unit}", disable=None, mininterval=0.5)

    def __enter__(self) -> Callable[[float], None]:
        def report(amount: float) -> None:
            self.bar.update(amount)

        return report

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _command(
    name: str,
    seed: int | None,
    out: Path | None,
    json_file: Path | None,
    work: Callable[[float], dict[str, Any]],
    say: Callable[[dict[str, Any]], Any],
    *,
    jax: bool = True,
    targets: Sequence[Path] = (),
) -> None:
    """Run a command: check that its outputs can be written, do the work, write the JSON, turn errors into statuses.

    `work` writes the files in `targets`; `jax` says that it compiles.
    """
    started = time.perf_counter()
    record: dict[str, Any] = {"version": __version__, "command": name, "seed": seed, "seconds": None, "error": None}
    results = [t for t in (json_file, out / "result.json" if out else None) if t is not None]
    try:
        for target in (*results, *targets):
            _check_writable(target)
        if jax:
            from .compilation_cache import use_compilation_cache

            use_compilation_cache()
        data = work(started)
    except InputError:
        raise
    except AnalogSNNError as e:
        record |= {"seconds": time.perf_counter() - started, "error": _described(e), **_cli_records.misfit_record(e)}
        _write_all(results, record)
        raise
    record |= {"seconds": time.perf_counter() - started, **data}
    _write_all(results, record)
    say(data)
    for target in (*results, *targets):
        typer.echo(f"wrote {target}")
    if out is not None:
        typer.echo(f"wrote {out / 'report.html'}")


def _described(error: AnalogSNNError) -> dict[str, Any]:
    where = [m.who for m in error.misfits] if isinstance(error, DoesNotFitError) else None
    return {"type": type(error).__name__, "message": str(error), "where": where}


def _check_writable(target: Path) -> None:
    if target.is_dir():
        raise InputError(f"'{target}' cannot be written: it is a folder. Name a file.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent):
            pass
    except OSError as e:
        raise InputError(f"'{target}' cannot be written: {e.strerror}. Choose another folder.") from None


def _atomically(target: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make the file beside its place, then move it there: whole, or not at all."""
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        write(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _write_all(targets: list[Path], record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    for target in targets:
        part = target.with_name(target.name + ".part")
        part.write_text(text)
        os.replace(part, target)


_cli_chips.add_to(app, _command)
_cli_doctor.add_to(app, _command)
_cli_sensitivity.add_to(app, _command)
_cli_campaign.add_to(app, _command)
_cli_calibrate.add_to(app, _command)
_cli_fit.add_to(app, _command)
_cli_example.add_to(app, _command)


def main() -> None:
    """Entry point: one sentence per problem on stderr, never a traceback for an input error."""
    try:
        status = app(standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except typer.TyperException as e:
        _fail(e.format_message(), 2)
    except InputError as e:
        _fail(str(e), 2)
    except DoesNotFitError as e:
        _fail(str(e), 1)
    except AnalogSNNError as e:
        _fail(str(e), 3)


def _fail(message: str, status: int) -> None:
    print(f"analogsnn: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
