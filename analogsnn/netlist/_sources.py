"""Independent sources: reading their lines, and their waveforms as ngspice means them.

Defaults follow ngspice 39: a rise, fall or time constant that is absent or **zero** becomes the print step of `.tran`,
a width, period or 1/frequency that is absent or zero becomes the stop time. So there is no true step.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._deck import Bound, read_value
from ._expressions import ExpressionProblem, Number
from ._fields import Field, split_fields
from ._lines import Log, LogicalLine

FIELDS = {
    "pulse": ("v1", "v2", "td", "tr", "tf", "pw", "per", "np"),
    "sin": ("vo", "va", "freq", "td", "theta", "phase"),
    "exp": ("v1", "v2", "td1", "tau1", "td2", "tau2"),
    "am": ("va", "vo", "mf", "fc", "td", "phase"),
    "sffm": ("vo", "va", "fc", "mdi", "fs", "phasec", "phasem"),
}
_LEAST = {"pulse": 2, "sin": 2, "exp": 2, "am": 3, "sffm": 2}
_REFUSED = {"trnoise": "draws random numbers", "trrandom": "draws random numbers", "external": "is set by a program"}


def read_source(fields: list[Field], line: LogicalLine, log: Log) -> tuple[str, dict[str, Bound]]:
    """Waveform and parameters of a V or I line after its nodes.

    Parameters are `dc`, `acmag`, `acphase`, `m`, and the waveform's own (`FIELDS`; `t0 v0 t1 v1 …` and `td`, `r` for
    pwl).

    **Raises** `ExpressionProblem`.
    """
    waveform = ""
    parameters: dict[str, Bound] = {}
    position = 0

    def value(item: Field) -> Bound:
        return read_value(item.value, item.at, line, log)

    while position < len(fields):
        item = fields[position]
        position += 1
        word, _, _ = item.value.partition("(")
        if item.key in ("dc", "m", "r", "td", "ac"):
            if item.key in ("r", "td") and waveform != "pwl":
                raise ExpressionProblem(f"{item.key}= belongs to pwl(…).", item.key_at)
            parameters["acmag" if item.key == "ac" else item.key] = value(item)
        elif item.key:
            raise ExpressionProblem(
                f"a source has no parameter '{item.key}'.", item.key_at, "It has dc, ac, m, and one waveform."
            )
        elif word in FIELDS or word == "pwl":
            if waveform:
                raise ExpressionProblem(f"a source has one waveform; '{waveform}' stands before '{word}'.", item.at)
            waveform = word
            inside, position = _waveform_fields(item, fields, position)
            parameters.update(_waveform(word, inside, line, log, item.at))
        elif word in _REFUSED:
            raise ExpressionProblem(f"'{word}' {_REFUSED[word]} and is not read.", item.at, "Use pwl with the values.")
        elif word == "dc":
            if position < len(fields) and not fields[position].key and not _is_keyword(fields[position]):
                parameters["dc"] = value(fields[position])
                position += 1
            else:
                parameters["dc"] = Bound(Number(0.0), line, item.at)
        elif word == "ac":
            for name in ("acmag", "acphase"):
                if position < len(fields) and not fields[position].key and not _is_keyword(fields[position]):
                    parameters[name] = value(fields[position])
                    position += 1
        elif word in ("distof1", "distof2"):
            while position < len(fields) and not fields[position].key and not _is_keyword(fields[position]):
                position += 1
        elif "dc" not in parameters:
            parameters["dc"] = value(item)
        else:
            raise ExpressionProblem(
                f"'{item.value}' follows the dc value and is no waveform.", item.at,
                "A source line is: name + − [dc VALUE] [pulse(…)|pwl(…)|sin(…)|exp(…)|am(…)|sffm(…)].",
            )  # fmt: skip
    return waveform, parameters


def _is_keyword(item: Field) -> bool:
    word = item.value.partition("(")[0]
    return word in FIELDS or word in ("pwl", "dc", "ac", "distof1", "distof2") or word in _REFUSED


def _waveform_fields(item: Field, fields: list[Field], position: int) -> tuple[list[Field], int]:
    """The numbers of a waveform, written `pulse(0 1)`, `pulse (0 1)` or `pulse 0 1`."""
    word, bracket, _ = item.value.partition("(")
    if bracket:
        if not item.value.endswith(")"):
            raise ExpressionProblem(f"'{item.value}' has text after its ')'.", item.at, "Put a blank there.")
        text, at = item.value[len(word) + 1 : -1], item.at + len(word) + 1
    elif position < len(fields) and not fields[position].key and fields[position].value.startswith("("):
        text, at = fields[position].value[1:-1], fields[position].at + 1
        position += 1
    else:
        inside = []
        while position < len(fields) and not fields[position].key and not _is_keyword(fields[position]):
            inside.append(fields[position])
            position += 1
        return inside, position
    # Commas between numbers separate them here, so a decimal comma cannot be told apart and is not looked for.
    spaced = [Field(f.value, f.at + at, f.key, f.key_at + at) for f in split_fields(_commas_to_blanks(text))]
    return spaced, position


def _commas_to_blanks(text: str) -> str:
    level, result = 0, []
    for character in text:
        level += (character in "{(") - (character in "})")
        result.append(" " if character == "," and level == 0 else character)
    return "".join(result)


def _waveform(word: str, inside: list[Field], line: LogicalLine, log: Log, at: int) -> dict[str, Bound]:
    for item in inside:
        if item.key:
            raise ExpressionProblem(f"{word}(…) holds numbers, not {item.key}=.", item.key_at)
    values = [read_value(item.value, item.at, line, log) for item in inside]
    if word == "pwl":
        if len(values) < 2 or len(values) % 2:
            raise ExpressionProblem(
                f"pwl wants pairs of time and value, and has {len(values)} numbers.", at, "Add or remove one."
            )
        return {f"{'tv'[i % 2]}{i // 2}": bound for i, bound in enumerate(values)}
    names, least = FIELDS[word], _LEAST[word]
    if not least <= len(values) <= len(names):
        raise ExpressionProblem(
            f"{word} takes {least} to {len(names)} numbers ({' '.join(names)}), and has {len(values)}.", at
        )
    return dict(zip(names, values, strict=False))


@dataclass(frozen=True, slots=True)
class Pulse:
    """Trapezoids from `v1` to `v2`, first at `td`, repeated every `per`, `np` of them (0: no end); times in s."""

    v1: Any
    v2: Any
    td: Any
    tr: Any
    tf: Any
    pw: Any
    per: Any
    np: Any = 0.0

    def at(self, t: float) -> float:
        """Value at time t [s]."""
        t -= self.td
        if self.np > 0 and t > self.np * self.per:
            return self.v1
        if t > self.per:
            t -= self.per * math.floor(t / self.per)
        if t <= 0 or t >= self.tr + self.pw + self.tf:
            return self.v1
        if t < self.tr:
            return self.v1 + (self.v2 - self.v1) * t / self.tr
        if t <= self.tr + self.pw:
            return self.v2
        return self.v2 + (self.v1 - self.v2) * (t - self.tr - self.pw) / self.tf

    def corners(self, stop: float) -> list[float]:
        """Times of the slope's jumps in [0, stop], in s."""
        times: list[float] = []
        start = self.td
        period = self.per if self.per > 0 else math.inf
        last = start + self.np * period if self.np > 0 else math.inf
        while start <= stop and start < last * (1 - 1e-12) and len(times) < 4_000_000:
            up, top = start + self.tr, start + self.tr + self.pw
            times += [start, up, top, top + self.tf]
            start += period
        return sorted({t for t in times if 0 <= t <= stop})


@dataclass(frozen=True, slots=True)
class Sine:
    """vo + va sin(2π freq (t − td) + phase) exp(−(t − td) theta), constant before td; phase in degree."""

    vo: Any
    va: Any
    freq: Any
    td: Any
    theta: Any
    phase: Any

    def at(self, t: float) -> float:
        """Value at time t [s]."""
        t, phase = t - self.td, math.radians(self.phase)
        if t <= 0:
            return self.vo + self.va * math.sin(phase)
        return self.vo + self.va * math.sin(2 * math.pi * self.freq * t + phase) * math.exp(-t * self.theta)

    def corners(self, stop: float) -> list[float]:
        """Times of the slope's jumps in [0, stop], in s."""
        return [self.td] if 0 <= self.td <= stop else []


@dataclass(frozen=True, slots=True)
class Exponential:
    """From `v1` towards `v2` with `tau1` after `td1`, and back with `tau2` after `td2`; times in s."""

    v1: Any
    v2: Any
    td1: Any
    tau1: Any
    td2: Any
    tau2: Any

    def at(self, t: float) -> float:
        """Value at time t [s]."""
        if t <= self.td1:
            return self.v1
        step = self.v2 - self.v1
        value = self.v1 + step * (1 - math.exp(-(t - self.td1) / self.tau1))
        if t > self.td2:
            value -= step * (1 - math.exp(-(t - self.td2) / self.tau2))
        return value

    def corners(self, stop: float) -> list[float]:
        """Times of the slope's jumps in [0, stop], in s."""
        return [t for t in (self.td1, self.td2) if 0 <= t <= stop]


@dataclass(frozen=True, slots=True)
class AmplitudeModulation:
    """va (vo + sin(2π mf t + phase)) sin(2π fc t + phase) with t counted from td, zero before it; phase in degree."""

    va: Any
    vo: Any
    mf: Any
    fc: Any
    td: Any
    phase: Any

    def at(self, t: float) -> float:
        """Value at time t [s]."""
        t, phase = t - self.td, math.radians(self.phase)
        if t <= 0:
            return 0.0
        slow = math.sin(2 * math.pi * self.mf * t + phase)
        return self.va * (self.vo + slow) * math.sin(2 * math.pi * self.fc * t + phase)

    def corners(self, stop: float) -> list[float]:
        """Times of the slope's jumps in [0, stop], in s."""
        return [self.td] if 0 <= self.td <= stop else []


@dataclass(frozen=True, slots=True)
class FrequencyModulation:
    """vo + va sin(2π fc t + phasec + mdi sin(2π fs t + phasem)); phases in degree."""

    vo: Any
    va: Any
    fc: Any
    mdi: Any
    fs: Any
    phasec: Any
    phasem: Any

    def at(self, t: float) -> float:
        """Value at time t [s]."""
        slow = self.mdi * math.sin(2 * math.pi * self.fs * t + math.radians(self.phasem))
        return self.vo + self.va * math.sin(2 * math.pi * self.fc * t + math.radians(self.phasec) + slow)

    def corners(self, stop: float) -> list[float]:
        """A sine has none."""
        return []


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """Straight lines through (times, values), constant outside; shifted by `td`; from point time `repeat` on again and
    again, where given."""

    times: tuple[Any, ...]
    values: tuple[Any, ...]
    td: Any
    repeat: Any | None

    def at(self, t: float) -> float:
        """Value at time t [s]."""
        t -= self.td
        times, values = self.times, self.values
        if t <= times[0]:
            return values[0]
        if t > times[-1]:
            if self.repeat is None or times[-1] <= self.repeat:
                return values[-1]
            period = times[-1] - self.repeat
            t = self.repeat + (t - self.repeat) - period * math.floor((t - self.repeat) / period)
            if t <= times[0]:
                return values[0]
        i = bisect.bisect_left(times, t)
        return values[i - 1] + (values[i] - values[i - 1]) * (t - times[i - 1]) / (times[i] - times[i - 1])

    def corners(self, stop: float) -> list[float]:
        """Times of the slope's jumps in [0, stop], in s."""
        found = {t + self.td for t in self.times if 0 <= t + self.td <= stop}
        if self.repeat is not None and self.times[-1] > self.repeat:
            again = [t for t in self.times if t >= self.repeat]
            shift = period = self.times[-1] - self.repeat
            while again[0] + shift + self.td <= stop and len(found) < 4_000_000:
                found |= {t + shift + self.td for t in again if t + shift + self.td <= stop}
                shift += period
        return sorted(found)


Waveform = Pulse | Sine | Exponential | AmplitudeModulation | FrequencyModulation | PiecewiseLinear


def resolve_waveform(kind: str, values: Mapping[str, Any], step: float, stop: float) -> Waveform:
    """A waveform with ngspice's defaults filled in from the print step and the stop time of `.tran`, both in s.

    `values` holds the numbers of the source by the names of `FIELDS`; they may be traced, as long as those compared
    with zero (times) are concrete.
    """

    def given(name: str, otherwise: Any) -> Any:
        value = values.get(name)
        return otherwise if value is None or (isinstance(value, (int, float)) and value == 0.0) else value

    def plain(name: str, otherwise: Any = 0.0) -> Any:
        return values.get(name, otherwise)

    if kind == "pulse":
        return Pulse(
            values["v1"], values["v2"], plain("td"), given("tr", step), given("tf", step),
            given("pw", stop), given("per", stop), plain("np"),
        )  # fmt: skip
    if kind == "sin":
        return Sine(values["vo"], values["va"], given("freq", 1 / stop), plain("td"), plain("theta"), plain("phase"))
    if kind == "exp":
        td1 = given("td1", step)
        return Exponential(
            values["v1"], values["v2"], td1, given("tau1", step), given("td2", td1 + step), given("tau2", step)
        )
    if kind == "am":
        return AmplitudeModulation(
            values["va"], values["vo"], given("mf", 1 / stop), given("fc", 0.0), plain("td"), plain("phase")
        )
    if kind == "sffm":
        return FrequencyModulation(
            values["vo"], values["va"], given("fc", 1 / stop), plain("mdi"), given("fs", 1 / stop),
            plain("phasec"), plain("phasem"),
        )  # fmt: skip
    if kind == "pwl":
        count = sum(1 for name in values if name[0] == "t" and name[1:].isdigit())
        repeat = values.get("r")
        return PiecewiseLinear(
            tuple(values[f"t{i}"] for i in range(count)), tuple(values[f"v{i}"] for i in range(count)),
            plain("td"), None if repeat is None or repeat < 0 else repeat,
        )  # fmt: skip
    raise ValueError(f"no waveform '{kind}'")
