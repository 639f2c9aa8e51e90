"""The values of the sources over time.

Straight-line waveforms (constants, pulses, piecewise-linear ones) become a table: between two edges every one of them
is value + slope · (t - edge). Smooth ones (sin, exp, am, sffm) are computed as they are. The edges of all of them are
step boundaries: a solver that does not know them jumps over a short pulse and reports success.

Sources enter the equation with their slope, so none may jump: where a waveform has two values at one time, it gets from
one to the other within `JUMP`, as ngspice does within one short step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import InputError
from ..netlist import Behavioural, Call, Evaluator, IndependentSource, Name, resolve_waveform, walk
from ._system import expression_nodes, formula_value
from ._topology import Topology, refuse
from ._values import is_traced, stack

SMOOTH_FIELDS = {
    "sin": ("vo", "va", "freq", "td", "theta", "phase"),
    "exp": ("v1", "v2", "td1", "tau1", "td2", "tau2"),
    "am": ("va", "vo", "mf", "fc", "td", "phase"),
    "sffm": ("vo", "va", "fc", "mdi", "fs", "phasec", "phasem"),
}
MAX_EDGES = 4_000_000
JUMP = 1e-12  # s
# The table is padded to at least so many edges, and to a power of two, so that few lengths of it are ever compiled for.
LEAST_EDGES = 16


class Inputs(NamedTuple):
    """The sources of one run.

    - `edges [k + 1]`: times in s, from the start to the end of the run; the end is repeated as padding.
    - `value [k, linear input]`, `slope [k, linear input]`: straight lines from each edge to the next.
    - `smooth`: for each smooth source, the numbers of its waveform.
    """

    edges: Any
    value: Any
    slope: Any
    smooth: tuple[Any, ...]


def dc_inputs(topology: Topology, numbers: Evaluator, *, at_time_zero: tuple[float, float] | None = None) -> Any:
    """Values of all sources but behavioural ones for an operating point, `[input]`.

    `at_time_zero = (print step, stop)` takes the waveform's value at time zero, as a transient run does; otherwise
    the `dc` value counts where it is given.
    """
    values = []
    for source in topology.inputs:
        if isinstance(source, Behavioural):
            continue
        if source.waveform and (at_time_zero is not None or "dc" not in source.parameters):
            step, stop = at_time_zero or (1e-9, 1.0)
            given = {name: numbers.parameter(source, name) for name in source.parameters}
            values.append(_waveform_start(source, given, step, stop))
        else:
            values.append(numbers.parameter(source, "dc") if "dc" in source.parameters else 0.0)
    return stack(values)


def _waveform_start(source: IndependentSource, given: Mapping[str, Any], step: float, stop: float) -> Any:
    wave = resolve_waveform(source.waveform, given, step, stop)
    if source.waveform in ("pulse", "pwl"):
        times, values, _ = _corners(source, given, step, stop)
        plain = _plain(times)
        # Before an edge at time zero, so that a run that begins with it does not begin beyond it if it comes later.
        return values[0] if plain[0] >= 0 else _line(times, values, 0.0, _place(plain, 0.0))[0]
    return smooth_value(source.waveform, [getattr(wave, name) for name in SMOOTH_FIELDS[source.waveform]], 0.0, 0.0)


def build_inputs(topology: Topology, numbers: Evaluator, step: float, stop: float) -> Inputs:
    """The table of a transient run from 0 to `stop` s; `step` is the print step, which absent rise times take.

    **Raises** `NetlistError` for a waveform with more than four million edges, a pwl whose times do not ascend or whose
    repetition does not begin at one of its points, and a B-source of voltage that jumps.
    """
    refuse_jumps(topology)
    linear = topology.inputs[: topology.linear_inputs]
    smooth = topology.inputs[topology.linear_inputs : topology.linear_inputs + topology.smooth_inputs]
    lines, times = [], [np.array([0.0, stop])]
    for source in linear:
        assert isinstance(source, IndependentSource)
        given = {name: numbers.parameter(source, name) for name in source.parameters}
        if not source.waveform:
            lines.append((None, given.get("dc", 0.0)))
            continue
        *corners, concrete = _corners(source, given, step, stop)
        lines.append(tuple(corners))
        times.append(concrete)
    parameters = []
    for source in smooth:
        assert isinstance(source, IndependentSource)
        given = {name: numbers.parameter(source, name) for name in source.parameters}
        wave = resolve_waveform(source.waveform, given, step, stop)
        parameters.append(stack([getattr(wave, name) for name in SMOOTH_FIELDS[source.waveform]]))
        starts = {"exp": ("td1", "td2"), "sffm": ()}.get(source.waveform, ("td",))
        times.append(np.array([_concrete(getattr(wave, name)) for name in starts]))
    edges = np.unique(np.concatenate(times))
    edges = edges[(edges >= 0) & (edges <= stop)]
    # Corners of different sources that rounding alone sets apart would make steps of nothing.
    keep = np.concatenate([[True], np.diff(edges) > 1e-15 * stop])
    edges = edges[keep]
    edges[-1] = stop
    if len(edges) > MAX_EDGES:
        raise refuse(linear[0], f"the sources have {len(edges)} edges; {MAX_EDGES} are allowed.", "Shorten the run.")
    length = max(LEAST_EDGES, 2 ** math.ceil(math.log2(len(edges))))
    edges = np.concatenate([edges, np.full(length - len(edges), stop)])
    middle = 0.5 * (edges[:-1] + edges[1:])
    places = [None if corners is None else _place(_plain(corners), middle) for corners, _ in lines]
    # As one operation where JAX is looking: the sources' small operations, one by one, are a third of what a gradient
    # takes beside its run and its reverse mode.
    table = _compiled_table if any(is_traced(number) for number in jax.tree.leaves(lines)) else _table
    value, slope = table(lines, places, edges, middle)
    return Inputs(edges, value, slope, tuple(parameters))


def _table(
    lines: Sequence[tuple[Any, Any]], places: Sequence[Place | None], edges: Any, middle: Any
) -> tuple[Any, Any]:
    """Values at the edges and slopes, `[k, source]`, of lines (corner times, values) or (None, constant)."""
    values, slopes = [], []
    for (corner_times, corner_values), place in zip(lines, places, strict=True):
        if place is None:
            values.append(corner_values + 0.0 * middle)
            slopes.append(0.0 * middle)
        else:
            at_middle, slope = _line(corner_times, corner_values, middle, place)
            values.append(at_middle + slope * (edges[:-1] - middle))
            slopes.append(slope)
    library, shape = _library(*values, *slopes), (len(middle), len(lines))
    return tuple(library.stack(part, axis=-1) if lines else np.zeros(shape) for part in (values, slopes))  # type: ignore[return-value]


_compiled_table = jax.jit(_table)


def _plain(value: Any) -> np.ndarray:
    """The numbers behind times, which must be known: they are step boundaries.

    **Raises** `InputError` where JAX compiles with respect to them.
    """
    try:
        return np.asarray(jax.lax.stop_gradient(value) if is_traced(value) else value, dtype=float)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        raise InputError(
            "the time of an input's edge is an argument of a compiled function (jit or vmap), and edges are step "
            "boundaries that must be known; keep the sources' times out of its arguments, or call it without jit."
        ) from None


def _concrete(value: Any) -> float:
    return float(_plain(value))


def _corners(source: IndependentSource, given: Mapping[str, Any], step: float, stop: float) -> tuple[Any, Any, Any]:
    """Corners of a straight-line waveform up to the first one past `stop`: times and values as arrays (traced where the
    parameters are; two at one time make a jump), and the times as plain numbers."""
    wave: Any = resolve_waveform(source.waveform, given, step, stop)
    if source.waveform == "pulse":
        td, tr, tf, pw, per = (_concrete(x) for x in (wave.td, wave.tr, wave.tf, wave.pw, wave.per))
        if min(tr, tf, pw, per) < 0:
            raise refuse(source, f"{source.name.upper()}: a pulse's rise, fall, width and period are not negative.")
        count = max(1, math.ceil((stop - td) / per)) if per > 0 and stop > td else 1
        often = _concrete(wave.np)
        if often > 0:  # ngspice cuts a fraction of a pulse too; nobody means one
            if often != round(often):
                raise refuse(source, f"{source.name.upper()} has {often:g} pulses.", "Give a whole number, or none.")
            count = min(count, round(often))
        if 4 * count > MAX_EDGES:
            raise refuse(source, f"{source.name.upper()} has {4.0 * count:.3g} edges until {stop:g} s; {MAX_EDGES} are "
                         "allowed.", "Lengthen its period or shorten the run.")  # fmt: skip
        shape: list[tuple[Any, Any]] = [
            (0.0, wave.v1), (wave.tr, wave.v2), (wave.tr + wave.pw, wave.v2), (wave.tr + wave.pw + wave.tf, wave.v1)
        ]  # fmt: skip
        if count > 1 and tr + pw + tf > per:
            shape = _cut(shape, [0.0, tr, tr + pw, tr + pw + tf], wave.per, per)
        starts = np.arange(count)
        corners = [wave.td + starts * wave.per + offset for offset, _ in shape]
        levels = [v + 0.0 * starts for _, v in shape]
        times, values = (_library(*part).stack(part, -1).reshape(-1) for part in (corners, levels))
    else:
        points = [wave.td + t for t in wave.times]
        levels = list(wave.values)
        concrete = [_concrete(t) for t in wave.times]
        if any(b < a for a, b in pairwise(concrete)):
            raise refuse(source, f"the times of {source.name.upper()}'s pwl do not ascend.", "Sort its points.")
        if wave.repeat is not None:
            repeat = _concrete(wave.repeat)
            if repeat not in concrete[:-1]:
                raise refuse(source, f"{source.name.upper()} repeats from r={repeat:g} s, which is none of its points.",
                             "Give the time of one of its points but the last.")  # fmt: skip
            first = concrete.index(repeat)
            period = concrete[-1] - repeat
            turns = max(0, math.ceil((stop - _concrete(points[-1])) / period))
            if turns * (len(wave.times) - first) > MAX_EDGES:
                raise refuse(source, f"{source.name.upper()} repeats {turns} times until {stop:g} s; its edges pass "
                             f"{MAX_EDGES}.", "Lengthen it or shorten the run.")  # fmt: skip
            for turn in range(1, turns + 1):
                shift = turn * (wave.times[-1] - wave.repeat)
                points += [wave.td + t + shift for t in wave.times[first:]]
                levels += wave.values[first:]
        times, values = stack(points), stack(levels)
    plain = _plain(times)
    times = times + _spread(plain)
    plain = plain + _spread(plain)
    return times, values, plain[(plain >= 0) & (plain <= stop)]


def _library(*arrays: Any) -> Any:
    """JAX where one of the arrays is traced, else NumPy: what is known stays known under jit."""
    return jnp if any(is_traced(array) for array in arrays) else np


def _spread(times: np.ndarray) -> np.ndarray:
    """What to add to corner times so that none of them coincide: each jump becomes a slope of `JUMP`, or of half the
    time to the next corner where that is less."""
    late = np.zeros_like(times)
    for i in np.flatnonzero(np.diff(times) <= 0) + 1:
        later = times[i + 1 :][times[i + 1 :] > times[i]]
        room = 0.5 * (later[0] - times[i]) if len(later) else JUMP
        late[i] = late[i - 1] + 0.5 * (min(JUMP, room) - late[i - 1])
    return late


def _cut(shape: list[tuple[Any, Any]], at: list[float], period: Any, limit: float) -> list[tuple[Any, Any]]:
    """A pulse that its own period ends: the corners before, then the value reached there, then a jump back."""
    kept = [corner for corner, t in zip(shape, at, strict=True) if t < limit]
    i = len(kept)
    (t0, v0), (t1, v1) = shape[i - 1], shape[i]
    reached = v0 + (v1 - v0) * (period - t0) / (t1 - t0)
    return [*kept, (period, reached)]


class Place(NamedTuple):
    """Where times stand among the corners of a line: the corners on both sides, whether there are, and whether the last
    one is past."""

    left: Any
    right: Any
    inside: Any
    past: Any


def _place(corners: np.ndarray, t: Any) -> Place:
    last = len(corners) - 1
    left = np.clip(np.searchsorted(corners, t, side="right") - 1, 0, max(last - 1, 0))
    return Place(left, np.minimum(left + 1, last), (t >= corners[0]) & (t < corners[-1]), t >= corners[-1])


def _line(times: Any, values: Any, t: Any, place: Place) -> tuple[Any, Any]:
    """Value and slope at `t` of the straight lines through the corners; constant outside."""
    library, (left, right, inside, past) = _library(times, values), place
    width = library.where(times[right] > times[left], times[right] - times[left], 1.0)
    slope = library.where(inside, (values[right] - values[left]) / width, 0.0)
    start = library.where(past, values[-1], values[left])
    anchor = library.where(inside, times[left], t)
    return start + slope * (t - anchor), slope


def smooth_value(kind: str, numbers: Any, t: Any, inside: Any) -> Any:
    """Value at time t of a smooth waveform, its numbers in the order of `SMOOTH_FIELDS`; as ngspice means it.

    `inside` is a time between the same two edges as t: at an edge itself it says on which side the slope is wanted.
    """
    turn = 2 * math.pi

    def since(begin: Any) -> Any:
        return jnp.where(inside > begin, t - begin, 0.0)

    if kind == "sin":
        vo, va, freq, td, theta, phase = numbers
        late = since(td)
        return vo + va * jnp.sin(turn * freq * late + jnp.radians(phase)) * jnp.exp(-late * theta)
    if kind == "exp":
        v1, v2, td1, tau1, td2, tau2 = numbers
        rise, fall = since(td1), since(td2)
        return v1 + (v2 - v1) * (jnp.exp(-fall / tau2) - jnp.exp(-rise / tau1))
    if kind == "am":
        va, vo, mf, fc, td, phase = numbers
        late, phase = since(td), jnp.radians(phase)
        value = va * (vo + jnp.sin(turn * mf * late + phase)) * jnp.sin(turn * fc * late + phase)
        return jnp.where(inside > td, value, 0.0)
    vo, va, fc, mdi, fs, phasec, phasem = numbers
    slow = mdi * jnp.sin(turn * fs * t + jnp.radians(phasem))
    return vo + va * jnp.sin(turn * fc * t + jnp.radians(phasec) + slow)


def input_values(topology: Topology, base: Any, formula: Sequence[dict[str, Any]], t: Any, celsius: Any) -> Any:
    """All of u, `[input]`, from the values of the independent sources: the behavioural inputs follow one another."""
    behavioural = [e for e in topology.inputs if isinstance(e, Behavioural)]
    if not behavioural:
        return base
    known: dict[str, Any] = {}
    values = [base[i] for i in range(base.shape[0])]
    names = [*topology.nodes, "0"]
    tree = {f.node: f for f in topology.follows}

    def voltage(index: int) -> Any:
        if index == len(topology.nodes):
            return 0.0
        if names[index] not in known:
            follow = tree[index]
            value = voltage(follow.base)
            if follow.input >= 0:
                value = value + follow.sign * values[follow.input]
            known[names[index]] = value
        return known[names[index]]

    for element, parameters in zip(behavioural, formula[len(topology.behavioural) :], strict=True):
        for node in expression_nodes(element.expression):
            voltage(topology.nodes.index(node))
        values.append(jnp.asarray(formula_value(element, known, parameters, t, celsius), dtype=float))
    shape = jnp.broadcast_shapes(*(jnp.shape(v) for v in values))
    return jnp.stack([jnp.broadcast_to(v, shape).astype(float) for v in values])


class Segment(NamedTuple):
    """The sources between two edges: straight lines value + slope (t - edge), and the numbers of the smooth ones.

    `middle`: between the two edges, to say on which side of its corners a smooth waveform is.
    """

    edge: Any
    middle: Any
    value: Any
    slope: Any
    smooth: tuple[Any, ...]


def segment(inputs: Inputs, k: Any) -> Segment:
    """The `k`-th segment of a table."""
    middle = 0.5 * (inputs.edges[k] + inputs.edges[k + 1])
    return Segment(inputs.edges[k], middle, inputs.value[k], inputs.slope[k], inputs.smooth)


# Operations whose value jumps where their arguments pass a border.
_JUMPING = frozenset(
    {"==", "!=", "<", "<=", ">", ">=", "&&", "||", "!", "?:", "ternary_fcn", "sgn", "floor", "ceil", "nint", "u"}
) | {"eq0", "ne0", "gt0", "lt0", "ge0", "le0"}


def moving_formulas(topology: Topology) -> list[Behavioural]:
    """The B-sources whose formula changes with time by itself: through `time`, or through a source with a waveform."""
    tree = {topology.nodes[follow.node]: follow for follow in topology.follows}
    moving = [not isinstance(e, Behavioural) and bool(e.waveform) for e in topology.inputs]

    def moves(node: str) -> bool:
        while node in tree:
            follow = tree[node]
            if follow.input >= 0 and moving[follow.input]:
                return True
            if follow.base == len(topology.nodes):
                return False
            node = topology.nodes[follow.base]
        return False

    found = []
    for i, element in enumerate((*topology.inputs, *topology.behavioural)):
        if not isinstance(element, Behavioural):
            continue
        timed = any(isinstance(part, Name) and part.name == "time" for part in walk(element.expression))
        if timed or any(moves(node) for node in expression_nodes(element.expression)):
            found.append(element)
            if i < len(moving):
                moving[i] = True
    return found


def refuse_jumps(topology: Topology) -> None:
    """Refuse B-sources of voltage that jump in time: what a jump pushes through capacitances would be lost.

    **Raises** `NetlistError`.
    """
    for element in moving_formulas(topology):
        calls = {part.function for part in walk(element.expression) if isinstance(part, Call)}
        if element.output == "v" and calls & _JUMPING:
            raise refuse(element, f"{element.name.upper()} is a voltage that may jump ({min(calls & _JUMPING)}), and a "
                         "jump has no slope to push charge through capacitances with.",
                         "Use pulse or pwl, or a smooth function such as tanh; max, min and uramp do too.")  # fmt: skip


def at_time(topology: Topology, line: Segment, t: Any, formula: Any, celsius: Any) -> tuple[Any, Any, Any]:
    """u, du/dt and d²u/dt² within a segment, each `[input]`; or `[input, lane]`, every lane at a time `t [lane]`."""
    if topology.linear_inputs == len(topology.inputs):
        return line.value + line.slope * (t - line.edge), line.slope, jnp.zeros_like(line.slope)
    kinds = [s.waveform for s in topology.inputs[topology.linear_inputs :] if isinstance(s, IndependentSource)]

    def value(when: Any) -> Any:
        smooth = [
            jnp.broadcast_to(smooth_value(kind, numbers, when, line.middle), jnp.shape(when))
            for kind, numbers in zip(kinds, line.smooth, strict=True)
        ]
        straight = line.value + line.slope * (when - line.edge)
        every = jnp.concatenate([straight, jnp.stack(smooth)]) if smooth else straight
        return input_values(topology, every, formula, when, celsius)

    def rate(when: Any) -> tuple[Any, Any]:
        return jax.jvp(value, (when,), (jnp.ones_like(when),))

    t = jnp.asarray(t, dtype=float)
    (u, du), (_, d2u) = jax.jvp(rate, (t,), (jnp.ones_like(t),))
    return u, du, d2u
