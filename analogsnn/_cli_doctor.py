"""The command `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer


def add_to(app: typer.Typer, run: Callable[..., None]) -> None:
    """Add the command; `run` is what all commands go through."""

    @app.command("doctor")
    def doctor_command(
        json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the checks.")] = None,
    ) -> None:
        """Whether this machine has what the package needs; exit status 1 where something is missing."""
        failed = False

        def work(started: float) -> dict[str, Any]:
            from .doctor import doctor

            nonlocal failed
            checks = doctor()
            failed = not all(check.ok for check in checks)
            return {"checks": [asdict(check) for check in checks]}

        run("doctor", None, None, json_file, work, _say)
        if failed:
            raise typer.Exit(1)


def _say(data: dict[str, Any]) -> None:
    for check in data["checks"]:
        mark = "ok     " if check["ok"] else "MISSING"
        typer.echo(f"{mark} {check['name']}: {check['found']}" + (f"; {check['hint']}" if check["hint"] else ""))
