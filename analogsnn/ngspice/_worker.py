"""The child process: one job, one ngspice, one answer. Run as `python -m analogsnn.ngspice._worker FOLDER`.

Reads `job.json` (`deck`: lines of the main deck or null, `probes`: decks for an operating point each) and writes
`answer.json` (`version`, `log`, `probes`, `statistics`, and `names`, whose rows are in `answer.npy`).
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PySpice.Spice.NgSpice.Shared import NgSpiceShared, ffi, ffi_string_utf8


class QuietNgSpice(NgSpiceShared):
    """PySpice's shared mode without its judgement of the log.

    PySpice takes every line on stderr that does not begin with `Warning:` for a failed command, so that the notes of a
    gmin stepping make a good run raise. Here the lines are kept, and the parent judges them as a whole.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.statistics: dict[str, int] = {}
        super().__init__()

    @staticmethod
    def _send_char(message_c: Any, ngspice_id: Any, user_data: Any) -> int:
        self = ffi.from_handle(user_data)
        text = ffi_string_utf8(message_c)
        text = text if isinstance(text, str) else text.decode("latin-1")
        stream, _, text = text.partition(" ")
        if stream != "stderr":
            self._stdout.append(text)  # the version is read from there
        self.lines.append(text)
        return 0

    def solve(self, deck: list[str]) -> dict[str, np.ndarray]:
        """Load a deck, run its analysis and give its vectors; then forget it, for ngspice keeps one global state."""
        self.load_circuit("\n".join(deck))
        self.run()
        self.statistics = self.steps()
        vectors = {}
        if self.last_plot != "const":  # ngspice's own constants stand there when an analysis gave nothing
            vectors = self.vectors(self.last_plot)
            if "onoise_total" in vectors:  # the sum over all frequencies; the spectrum is the plot before it
                vectors = self.vectors(f"noise{int(self.last_plot.removeprefix('noise')) - 1}")
        self.remove_circuit()
        self.destroy()
        return vectors

    def vectors(self, plot: str) -> dict[str, np.ndarray]:
        """The vectors of a plot, real parts, by ngspice's names."""
        return {name: np.real(vector._data) for name, vector in self.plot(None, plot).items()}

    def steps(self) -> dict[str, int]:
        """Accepted and rejected steps of the run just done; ngspice counts time points, with the one at zero."""
        before = len(self.lines)
        self.exec_command("rusage all")
        said = [line.partition(" timepoints = ") for line in self.lines[before:]]
        del self.lines[before:]
        first = {"Accepted": 1, "Rejected": 0}
        return {what.lower(): int(count) - first[what] for what, _, count in said if what in first}


def main(folder: Path) -> None:
    logging.getLogger("PySpice").setLevel(logging.CRITICAL)
    job = json.loads((folder / "job.json").read_text())
    ngspice = QuietNgSpice()
    ngspice.exec_command("set num_threads=1")  # two threads cost 10 to 500 times the CPU on decks of this size
    answer: dict[str, Any] = {"version": ngspice.ngspice_version, "probes": [], "statistics": {}, "names": None}
    ngspice.lines.clear()
    try:
        for deck in job["probes"]:
            answer["probes"].append({name: float(v[0]) for name, v in ngspice.solve(deck).items()})
        if job["deck"] is not None:
            ngspice.lines.clear()
            vectors = ngspice.solve(job["deck"])
            answer["names"], answer["statistics"] = list(vectors), ngspice.statistics
            np.save(folder / "answer.npy", np.stack(list(vectors.values())) if vectors else np.zeros((0, 0)))
    except (NameError, ValueError, IndexError) as error:  # PySpice's own errors are NameErrors; the log says why
        ngspice.lines.append(f"Error: {type(error).__name__}: {error}")
    answer["log"] = ngspice.lines
    partial = folder / "answer.part"
    partial.write_text(json.dumps(answer))
    partial.rename(folder / "answer.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
