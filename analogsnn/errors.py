"""The errors that a user of analogsnn meets.

Every message is one sentence of what and where, why, and what to do; the command line prints it without a
traceback (exit status 2 for bad input, 1 for a network that does not fit, 3 for a run that failed).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class AnalogSNNError(Exception):
    """Base of all errors that analogsnn raises on purpose."""


class InputError(AnalogSNNError):
    """A file, an option or an argument that cannot be used; the message names it and says what would do."""


class SimulationError(AnalogSNNError):
    """A run that started and could not be finished truthfully (overflow, not a number, a tool that failed)."""


class ConvergenceError(SimulationError):
    """A solve that did not get to its end.

    **Fields**

    - `time`: s, how far it got; 0 for an operating point. `node`: the node with the largest error.
    - `waves`: the `Waveforms` until there, or None.
    """

    def __init__(self, message: str, *, time: float, node: str, waves: Any = None):
        self.time, self.node, self.waves = time, node, waves
        super().__init__(message)


@dataclass(frozen=True)
class Misfit:
    """One limit of a chip that a network breaks.

    **Fields**

    - `resource`: the limit's name in the chip description, such as `cam_words`.
    - `needed`, `available`: counts, or SI values for currents and times.
    - `who`: the logical objects that contribute, largest first.
    - `hint`: the smallest change that would fit.
    - `message`: what breaks in words, when the fields alone would not say it well; the hint follows it.
    """

    resource: str
    needed: float
    available: float
    who: str
    hint: str
    message: str = ""

    def __str__(self) -> str:
        if self.message:
            return f"{self.resource}: {self.message}; {self.hint}"
        return f"{self.resource}: needs {self.needed:.4g}, available {self.available:.4g} ({self.who}); {self.hint}"


class DoesNotFitError(AnalogSNNError):
    """A network that breaks limits of the chip; `misfits` holds every one of them, not only the first."""

    def __init__(self, misfits: list[Misfit]):
        self.misfits = misfits
        super().__init__("The network does not fit the chip:\n" + "\n".join(f"  {m}" for m in misfits))


class NetlistError(InputError):
    """One problem in a deck, with the place where it stands.

    **Fields**

    - `message`: what was found and what was wanted, without the place.
    - `file`: as the user reaches it; `line`, `column` count from 1.
    - `snippet`: the offending line as written, shortened.
    - `hint`: the smallest change that would mend it, or "".
    """

    def __init__(self, message: str, *, file: str, line: int, column: int, snippet: str = "", hint: str = ""):
        self.message, self.file, self.line, self.column = message, file, line, column
        self.snippet, self.hint = snippet, hint
        super().__init__(f"{file}:{line}:{column}: {message}" + (f" {hint}" if hint else ""))


class NetlistErrors(InputError):
    """Every problem found in a deck; `problems` lists them in the order of the file."""

    def __init__(self, problems: list[NetlistError]):
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class NgspiceError(SimulationError):
    """ngspice is missing, too old, crashed, hung, or says in its log that the result is not one; `log` is the log."""

    def __init__(self, message: str, log: str = ""):
        self.log = log
        super().__init__(message)
