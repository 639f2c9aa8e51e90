"""From sizes to chips: what the area law says of every current that a network's neurons have."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from ..errors import InputError
from ..netlist import Netlist
from ._law import AreaLaw, Transistor, transistors


def current_cvs(
    netlist: Netlist, currents: Mapping[str, str | Sequence[str]], law: AreaLaw | None = None
) -> dict[str, float]:
    r"""The coefficient of variation of currents that transistors in weak inversion set.

    A current that follows from several transistors has the sum of their variances, $\sigma^2 = \sum_j (\kappa_j
    A_{VT}/U_T)^2/(W_jL_j)$, and is log-normal: $cv = \sqrt{e^{\sigma^2} - 1}$. The common term of the law is left out,
    for it is no difference between the devices of a chip.

    **Arguments**

    - `netlist`: a deck of the block, on a card with `ekv_nn`, `ekv_np` and `ekv_ut`.
    - `currents`: name → the paths of the transistors, such as `{"i_leak": "x1.xl3", "AMPA.i_tau": ["x2.xtau"]}`. Bias
      transistors count where every neuron has its own.
    - `law`: by default that of the card.

    **Returns** name → cv: what `analogsnn.network.Mismatch` takes.

    **Raises** `InputError` for a path that is no transistor, or another card.
    """
    law = AreaLaw.from_card(netlist) if law is None else law
    found: dict[str, Transistor] = {t.path: t for t in transistors(netlist, law)}
    missing = [key for key in ("ekv_nn", "ekv_np", "ekv_ut") if key not in netlist.params]
    if missing:
        raise InputError(f"{netlist.file}: its card has no {', '.join(missing)}; take an EKV card.")

    def variance(path: str) -> float:
        if path not in found:
            close = difflib.get_close_matches(path, found, 3) or list(found)[:8]
            raise InputError(f"there is no transistor '{path}'; there are {', '.join(close)}.")
        device = found[path]
        swing = float(netlist.params[f"ekv_n{device.polarity}"]) * float(netlist.params["ekv_ut"])
        return (law.sigma_vt(device) / swing) ** 2 + law.sigma_beta(device) ** 2

    result = {}
    for name, paths in currents.items():
        total = sum(variance(path) for path in ([paths] if isinstance(paths, str) else paths))
        result[name] = math.sqrt(math.expm1(total))
    return result
