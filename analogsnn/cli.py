"""The command line. Exit status: 0 done, 1 does not fit, 2 bad input, 3 the run failed, 130 interrupted."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__, _cli_chips, _cli_records
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
        from .heart_rate import check_zones, prepare_chips, read_recording, result, run_all
        from .heart_rate import write_report as write

        recording = read_recording(file, rate, column)
        boundaries = check_zones(_numbers(zones))
        for start, end in recording.gaps:
            typer.echo(f"gap: {start:.2f}–{end:.2f} s has no signal; it is bridged by silence.", err=True)
        with _progress(chips * recording.duration, "chip-seconds") as progress:
            members = prepare_chips(boundaries, chips, seed=seed, trimmed=trim)
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
    seed: int,
    out: Path | None,
    json_file: Path | None,
    work: Callable[[float], dict[str, Any]],
    say: Callable[[dict[str, Any]], Any],
) -> None:
    """Run a command: check that its outputs can be written, do the work, write the JSON, turn errors into statuses."""
    from .compilation_cache import use_compilation_cache

    started = time.perf_counter()
    record: dict[str, Any] = {"version": __version__, "command": name, "seed": seed, "seconds": None, "error": None}
    targets = [t for t in (json_file, out / "result.json" if out else None) if t is not None]
    try:
        for target in targets:
            _check_writable(target)
        use_compilation_cache()
        data = work(started)
    except InputError:
        raise
    except AnalogSNNError as e:
        record |= {"seconds": time.perf_counter() - started, "error": _described(e), **_cli_records.misfit_record(e)}
        _write_all(targets, record)
        raise
    record |= {"seconds": time.perf_counter() - started, **data}
    _write_all(targets, record)
    say(data)
    for target in targets:
        typer.echo(f"wrote {target}")
    if out is not None:
        typer.echo(f"wrote {out / 'report.html'}")


def _described(error: AnalogSNNError) -> dict[str, Any]:
    where = [m.who for m in error.misfits] if isinstance(error, DoesNotFitError) else None
    return {"type": type(error).__name__, "message": str(error), "where": where}


def _check_writable(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent):
            pass
    except OSError as e:
        raise InputError(f"'{target}' cannot be written: {e.strerror}. Choose another folder.") from None


def _write_all(targets: list[Path], record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    for target in targets:
        part = target.with_name(target.name + ".part")
        part.write_text(text)
        os.replace(part, target)


_cli_chips.add_to(app, _command)


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
