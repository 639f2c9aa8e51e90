"""Values and derivatives of a measure in many lanes by parameters that they share.

The lanes run side by side without derivatives; what is kept of each is the sequence of its steps. These are then taken
again, lane by lane, with derivatives (`_replay`), exactly as a single run's are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..circuit import Circuit
from ..errors import AnalogSNNError, InputError
from ..waveforms import Waveforms
from ._derivative import waveforms_with_derivatives
from ._lane_start import family
from ._lanes import collect
from ._plan import Run, kept_states, narrowed
from ._start import check_masses
from ._transient import make_plan

Differentiated = tuple[Any, Any]


def lane_gradients(
    circuit: Circuit,
    parameters: Callable[[Any, int], Mapping[str, Any]],
    shared: Any,
    lanes: Sequence[int],
    measure: Callable[[Waveforms], Any],
    t_stop: float | None = None,
    *,
    accuracy: str = "reference",
    rtol: float | None = None,
    save: Sequence[str] | None = None,
    save_at: Any = None,
    max_steps: int = 5_000_000,
    chunk: int | None = None,
    workers: int | None = None,
) -> Iterator[tuple[int, Differentiated | AnalogSNNError]]:
    """The value of a measure in each lane, and its derivative by the parameters that all lanes share.

    **Arguments**

    - `parameters(shared, lane)`: the circuit's parameters in a lane, by path, from what is shared; differentiable. Here
      is where mismatch depends on a size: `{"x1.w": w, "x1.dvt": 3.5e-9 / jnp.sqrt(w * l) * draws[lane]}`. The paths
      are the same for all lanes.
    - `shared`: numbers, or a pytree of them.
    - `measure(waves)`: one real number, differentiable (`spike_time`, a mean, ...).
    - the rest: as of `transient_lanes`; give `save`, and the replay keeps no more than the measure needs.

    **Returns** an iterator over (lane, (value, gradient)) with the gradient in the form of `shared`, as lanes end; the
    error of a lane in its place. A lane whose measure does not exist gives that `InputError`.

    **Raises** `InputError`, `ConvergenceError` as `transient_lanes` does.

    ```python
    def draw(width, lane):
        return {"x1.xsyn.w": width, "x1.xsyn.dvt": 3.5e-9 / jnp.sqrt(width * 2e-6) * normal[lane]}

    for lane, (peak, slope) in lane_gradients(circuit, draw, 2e-6, range(100), highest, save=["x1.syn"]):
        ...
    ```
    """
    plan = make_plan(circuit, t_stop, accuracy=accuracy, rtol=rtol, save_at=save_at, save=save, max_steps=max_steps)
    check_masses(circuit)
    if not circuit.topology.states:
        raise InputError("sources hold every node of the circuit, so that nothing is left to differentiate.")
    given = [{p: float(v) for p, v in parameters(shared, lane).items()} for lane in lanes]
    if not given or any(one.keys() != given[0].keys() for one in given):
        raise InputError("parameters must give the same paths in every lane, and there must be a lane.")
    every = plan._replace(keep=kept_states(circuit.topology, None))
    members = family(circuit, every, {path: np.array([one[path] for one in given]) for path in given[0]})

    def finish(index: int, run: Run) -> Differentiated:
        def value(shared: Any) -> Any:
            moved = circuit.replace(parameters(shared, lanes[index]))
            if not moved.is_traced:
                raise InputError("parameters does not depend on what is shared, so that nothing has a derivative.")
            return measure(waveforms_with_derivatives(moved, plan, narrowed(plan, run)))

        return jax.value_and_grad(value)(jax.tree.map(float, shared))

    found = collect(members, list(range(len(given))), chunk, workers, finish)
    return ((lanes[index], result) for index, result in found)
