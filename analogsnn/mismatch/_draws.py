"""Random numbers with addresses: (key, sample, name) says which one it is, wherever and among whatever it is drawn."""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..netlist import Netlist
from ._law import AreaLaw, Transistor, transistors

if TYPE_CHECKING:
    import jax


def as_key(key: Any) -> jax.Array:
    """A typed JAX key from a seed, a raw key `uint32 [2]`, or a typed key.

    **Raises** `InputError` for anything else.
    """
    import jax
    import jax.numpy as jnp

    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape == ():
            return key
    elif isinstance(key, (jax.Array, np.ndarray)) and key.shape == (2,) and key.dtype == np.uint32:
        return jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32")
    elif isinstance(key, (int, np.integer)) and not isinstance(key, bool) and 0 <= int(key) < 2**32:
        return jax.random.key(int(key), impl="threefry2x32")
    raise InputError(f"the random key is {key!r}; give a seed from 0 to 2**32 - 1, or one JAX key.")


def key_record(key: Any) -> list[Any]:
    """A key as JSON has it: the generator and its words."""
    import jax

    typed = as_key(key)
    return [str(jax.random.key_impl(typed)), np.asarray(jax.random.key_data(typed)).tolist()]


def standard_normals(key: Any, samples: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """Standard normal numbers `[sample, name]`, float64.

    Sample i has the key `fold_in(key, i)`; the 64-bit BLAKE2 hash of a name is folded into that, so that a number
    depends neither on which others are drawn nor on their order. Its 53 random bits are equal on every machine; they
    become a normal number by the inverse of the distribution on the host, in the same steps for one as for many.
    """
    from scipy.special import ndtri

    if len(samples) == 0 or len(names) == 0:
        return np.zeros((len(samples), len(names)))
    hashes = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    words = np.array([[int.from_bytes(h[:4], "little"), int.from_bytes(h[4:], "little")] for h in hashes], np.uint32)
    bits = _bits(as_key(key), np.asarray(samples, np.uint32), words).astype(np.uint64)
    uniform = (((bits[..., 0] << np.uint64(32)) | bits[..., 1]) >> np.uint64(11)).astype(float)
    return ndtri((uniform + 0.5) * 2.0**-53)


# Numbers are drawn in tiles of this many samples and names, so that one program does for all.
_TILE = (128, 32)


def _bits(key: Any, samples: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Random words, uint32 [sample, name, 2]."""
    result = np.empty((len(samples), len(words), 2), np.uint32)
    rows, columns = _TILE
    for i in range(0, len(samples), rows):
        some = np.resize(samples[i : i + rows], rows)
        for j in range(0, len(words), columns):
            tile = result[i : i + rows, j : j + columns]
            names = np.resize(words[j : j + columns], (columns, 2))
            tile[...] = np.asarray(_tile()(key, some, names))[: tile.shape[0], : tile.shape[1]]
    return result


@functools.cache
def _tile() -> Any:
    import jax

    def one(key: Any, sample: Any, words: Any) -> Any:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, sample), words[0]), words[1])
        return jax.random.bits(key, (2,), "uint32")

    by_name = jax.vmap(one, in_axes=(None, None, 0))
    return jax.jit(jax.vmap(by_name, in_axes=(None, 0, None)))


def draws(
    netlist: Netlist, key: Any, samples: int | Sequence[int], law: AreaLaw | None = None
) -> dict[str, np.ndarray]:
    """The shifts of every transistor's threshold and current factor, sample by sample.

    **Arguments**

    - `key`: a seed or a JAX key. `samples`: how many, or which.
    - `law`: by default that of the deck's card (`AreaLaw.from_card`).

    **Returns** parameter path (`x1.xsyn.dvt` in V, `x1.xsyn.dbt` relative) → `[sample]`. They are shifts: a deck's own
    `dvt` comes on top. Paths without any spread are left out.

    **Raises** `InputError` as `transistors` does.

    ```python
    shifts = draws(netlist, key=1, samples=[7])  # the same numbers as shifts of samples=1000 at 7
    ```
    """
    law = AreaLaw.from_card(netlist) if law is None else law
    return shifts_of(transistors(netlist, law), key, sample_numbers(samples), law)


def sample_numbers(samples: int | Sequence[int]) -> list[int]:
    """Which samples: the first so many, or those listed.

    **Raises** `InputError`.
    """
    if isinstance(samples, (int, np.integer)):
        if samples < 1:
            raise InputError(f"{samples} samples are asked for; at least one is needed.")
        return list(range(int(samples)))
    numbers = [operator.index(i) for i in samples]
    if any(not 0 <= i < 2**32 for i in numbers):
        raise InputError("samples are numbered from 0 to 2**32 - 1.")
    return numbers


def shifts_of(devices: Sequence[Transistor], key: Any, samples: Sequence[int], law: AreaLaw) -> dict[str, np.ndarray]:
    """`draws` for transistors that are known."""
    sums = terms_of(devices, law)
    names = list(dict.fromkeys(name for terms in sums.values() for name, _ in terms))
    column = {name: i for i, name in enumerate(names)}
    normals = standard_normals(key, samples, names)
    # Term by term, and not as a matrix product, whose rounding would depend on how many samples there are.
    zero = np.zeros(len(samples))
    return {path: sum((normals[:, column[n]] * weight for n, weight in terms), zero) for path, terms in sums.items()}


def terms_of(devices: Sequence[Transistor], law: AreaLaw) -> dict[str, list[tuple[str, float]]]:
    """Every shift as a sum of standard normal numbers: path → names of the numbers with their weights.

    A number of the area law has the shift's own path as name; others say what they are, such as `chip n.dvt`.

    **Raises** `InputError` for a law without any spread.
    """
    wanted = {"dvt": list(devices), "dbt": [t for t in devices if law.has_beta(t)]}
    groups = {path: (group, rho) for group, rho in law.groups for path in group}
    sums: dict[str, list[tuple[str, float]]] = {}
    for kind, members in wanted.items():
        area = law.sigma_vt if kind == "dvt" else law.sigma_beta
        common = law.common_vt if kind == "dvt" else law.common_beta
        slope = law.gradient_vt if kind == "dvt" else law.gradient_beta
        for t in members:
            group, rho = groups.get(t.path, ((), 0.0))
            terms = [(f"{t.path}.{kind}", area(t) * (1 - rho) ** 0.5)]
            if rho:
                terms.append((f"group {' '.join(sorted(group))}.{kind}", area(t) * rho**0.5))
            if common:
                terms.append((f"chip {t.polarity}.{kind}", common))
            if slope:
                x, y = law.positions[t.path]
                terms += [(f"slope x {t.polarity}.{kind}", slope * x), (f"slope y {t.polarity}.{kind}", slope * y)]
            if any(weight for _, weight in terms):
                sums[f"{t.path}.{kind}"] = terms
    if not sums:
        raise InputError("every mismatch constant is zero, so all samples would be the same; give avt or another.")
    return sums


def shifted(values: Mapping[str, Any], shifts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameter values with the shifts added to the nominal ones: path → `[sample]`."""
    return {path: float(values[path]) + shift for path, shift in shifts.items()}
