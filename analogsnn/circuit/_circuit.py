"""Netlist → circuit: an equinox module whose topology is static and whose parameters are leaves."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from ..errors import InputError
from ..netlist import Evaluator, Name, Netlist, parameter_values, walk
from ._card import check_cards
from ._differentiated import differentiated_values
from ._precision import use_float64
from ._system import check_amplifiers
from ._topology import Topology, build_topology, ekv_netlist
from ._values import Values, element_values, evaluator, is_traced, without_derivatives


class Circuit(eqx.Module):
    """A circuit that can be simulated and differentiated.

    `parameters` holds every independent number of the deck by its path, SI units, 64 bit: sizes, capacitors, source
    values, parameters of instances (`x1.w`), `param.NAME`, `temp` (°C). Numbers that follow from others by an
    expression are computed from them; `replace` with the path of such a number cuts it loose, `shifted` adds to it.
    `offsets` holds what was added to those.

    ```python
    circuit = Circuit.from_netlist(read_netlist("spice/dpi_synapse.cir"))
    circuit["x1.csyn.c"]  # 2e-12
    slow = circuit.replace({"x1.csyn.c": 4e-12})
    ```
    """

    parameters: dict[str, Any]
    netlist: Netlist = eqx.field(static=True)
    topology: Topology = eqx.field(static=True)
    offsets: dict[str, Any] = eqx.field(default_factory=dict)

    @classmethod
    def from_netlist(cls, netlist: Netlist) -> Circuit:
        """The circuit of a netlist.

        **Raises** `NetlistErrors` with every element that the engine has no equations for, nodes that float, and
        loops of voltage sources; `NetlistError` for sizes that are not positive, cards that lack a value or whose
        body is another than the engine's, and E elements that feed each other without end.
        """
        use_float64()
        flat = ekv_netlist(netlist)
        topology = build_topology(flat)
        free = _independent(flat)
        values = {path: value for path, value in parameter_values(flat).items() if path in free}
        circuit = cls({path: np.float64(value) for path, value in values.items()}, flat, topology)
        check_amplifiers(topology, circuit.values())
        check_cards(netlist, flat)
        return circuit

    def __getitem__(self, path: str) -> Any:
        """The value of a parameter, by path.

        **Raises** `InputError` with near names for one that does not exist.
        """
        path = _known(self, path)
        if path in self.parameters:
            return self.parameters[path]
        numbers = self.numbers()
        head, _, name = path.rpartition(".")
        for element in self.netlist.elements:
            if element.name == head and name in element.parameters:
                return numbers.parameter(element, name)
        scope = self.netlist.scope if head == "param" else self.netlist.scopes[head]
        return numbers.binding(scope.bindings[name])

    def replace(self, values: Mapping[str, Any]) -> Circuit:
        """The circuit with other values, by path: numbers, traced or not.

        **Raises** `InputError` with near names for a path that does not exist, and for what is no finite number.
        """
        new = {_known(self, path): value for path, value in values.items()}
        new = {path: value if is_traced(value) else _number(path, value) for path, value in new.items()}
        return Circuit({**self.parameters, **new}, self.netlist, self.topology, self.offsets)

    def shifted(self, amounts: Mapping[str, Any]) -> Circuit:
        """The circuit with amounts added to numbers, by path. One that follows from others goes on following them, so
        that derivatives by a shared number and by all that depend on it can be had together.

        **Raises** `InputError` as `replace` does.
        """
        new = {_known(self, path): value for path, value in amounts.items()}
        new = {path: value if is_traced(value) else _number(path, value) for path, value in new.items()}
        free = {path: self.parameters[path] + value for path, value in new.items() if path in self.parameters}
        bound = {path: self.offsets.get(path, 0.0) + value for path, value in new.items() if path not in free}
        return Circuit({**self.parameters, **free}, self.netlist, self.topology, {**self.offsets, **bound})

    def paths(self) -> tuple[str, ...]:
        """Every parameter path, independent or not."""
        return self._once("paths", lambda: tuple(parameter_values(self.netlist)))

    def numbers(self) -> Evaluator:
        """The evaluator of the deck's expressions at this circuit's parameters."""
        return self._once("numbers", lambda: evaluator(self.parameters, self.offsets))

    def values(self) -> Values:
        """The numbers of all elements."""
        if self.is_traced:
            return self._once("values", lambda: differentiated_values(self.topology, self.parameters, self.offsets))
        return element_values(self.topology, self.numbers())

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        """What follows from the parameters alone, and is asked for several times in a run; it is no leaf."""
        kept = vars(self).setdefault("_kept", {})
        if what not in kept:
            kept[what] = make()
        return kept[what]

    @property
    def is_traced(self) -> bool:
        """Whether JAX is differentiating, batching or compiling with respect to a parameter."""
        return any(is_traced(value) for value in (*self.parameters.values(), *self.offsets.values()))

    def frozen(self) -> Circuit:
        """The same circuit with constant parameters: numbers where JAX knows them."""

        def constant() -> Circuit:
            values, offsets = map(without_derivatives, (self.parameters, self.offsets))
            return Circuit(values, self.netlist, self.topology, offsets)

        return self._once("frozen", constant)

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes but ground and those that are only computed afterwards."""
        return self.topology.nodes


def _known(circuit: Circuit, path: str) -> str:
    """The path as it stands in the parameters. (No method: equinox makes an object of each use of one, at 0.1 ms.)"""
    path = path.lower()
    if path.startswith("card."):
        path = "param." + path[5:]
    if path not in circuit.parameters:
        names = circuit.paths()
        if path not in names:
            close = difflib.get_close_matches(path, names, 3)
            hint = f"did you mean {' or '.join(close)}?" if close else "Circuit.paths() lists them."
            raise InputError(f"the circuit has no parameter '{path}'; {hint}")
    return path


def _number(path: str, value: Any) -> Any:
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise InputError(f"'{path}' is given {value!r}, which is no real number.")
    if array.ndim:
        raise InputError(f"'{path}' is given an array of shape {array.shape}; a parameter is one number.")
    if not np.isfinite(array):
        raise InputError(f"'{path}' is given {float(array):g}; parameters are finite.")
    return np.float64(array)


def _independent(netlist: Netlist) -> set[str]:
    """Paths of the numbers that no other parameter moves."""
    found = {"temp", *netlist.changes}
    for scope in netlist.scopes.values():
        for name in scope.arguments:
            if not any(isinstance(part, Name) for part in walk(scope.bindings[name].expression)):
                found.add(scope.path_of(name))
    for element in netlist.elements:
        for name, parameter in element.parameters.items():
            if not any(isinstance(part, Name) for part in walk(parameter.expression)):
                found.add(f"{element.name}.{name}")
    return found
