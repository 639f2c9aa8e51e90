"""The DPI in closed form, against the published form of its solution and against independent integration."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from analogsnn.errors import InputError
from analogsnn.models import DPI, Physics

pytestmark = pytest.mark.usefixtures("x64")

C, KAPPA, UT, I_TAU = 24.5e-12, 0.705, 25e-3, 86.9e-12
# (I_g/I_tau, I_w, width, start), and the end in nA with as many digits as are known.
CASES = [(4, 100e-9, 100e-6, 0.5e-12), (4, 100e-9, 1e-3, 0.5e-12), (1, 1e-6, 100e-6, 0.5e-12),
         (4, 100e-9, 100e-6, 1e-9), (100, 10e-9, 10e-6, 0.5e-12)]  # fmt: skip
ENDS_10_MS = ["1.2695", "34.48", "9.105", "4.451", "0.0005604"]
ENDS_OWN_TAU = ["1.2698", "34.491", "9.107", "4.4517", "0.00056043"]
TOL_CASES = 1e-6  # what the project promises; the solution itself is good to rounding
TOL_ROUNDING = 1e-12  # of a current: 64-bit rounding of u = ln I, about 30
TOL_REFERENCE = 1e-9  # what the reference integrators reach at their tightest
TOL_DIFFERENCE = 1e-6  # central differences with relative steps of 1e-5


def dpi(gain: float, tau: float | None = None, **others) -> DPI:
    """The synapse of the cases, with its own tau or with I_tau set for another one."""
    i_tau = I_TAU if tau is None else C * UT / (KAPPA * tau)
    return DPI(c=C, kappa=KAPPA, ut=UT, i_tau=i_tau, i_gain=gain * i_tau, **others)


@pytest.fixture(scope="module")
def on(x64):
    return jax.jit(DPI.on)


def by_integration(synapse: DPI, u: float, i_w: float, time: float) -> float:
    slew, i_tau, i_gain = float(synapse.slew), float(synapse.i_tau), float(synapse.i_gain)
    sol = solve_ivp(
        lambda _, x: slew * (i_w / (1 + np.exp(u + x) / i_gain) - i_tau), (0, time), [0.0],
        method="LSODA", rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return u + sol.y[0, -1]


def by_published_form(synapse: DPI, start: float, i_w: float, time: float) -> float:
    """(I/I0)^a ((I∞-I0)/(I∞-I))^(1+a) = e^(t/tau), by bracketing; for I between I0 < I∞."""
    end = float(synapse.i_gain * (i_w / synapse.i_tau - 1))
    a, s = float(synapse.i_gain) / end, time / float(synapse.tau)
    root = brentq(
        lambda i: a * np.log(i / start) + (1 + a) * np.log((end - start) / (end - i)) - s,
        start, end * (1 - 1e-12), xtol=1e-24, rtol=np.float64(1e-14),
    )  # fmt: skip
    assert isinstance(root, float)
    return root


@pytest.mark.parametrize("tau", [10e-3, None], ids=["tau 10.000 ms", "own tau"])
@pytest.mark.parametrize("k", range(5))
def test_on_phase_of_the_five_cases(on, k, tau):
    gain, i_w, width, start = CASES[k]
    synapse = dpi(gain, tau)
    end = float(jnp.exp(on(synapse, np.log(start), i_w, width)))
    assert end == pytest.approx(by_published_form(synapse, start, i_w, width), rel=TOL_CASES)
    assert end == pytest.approx(np.exp(by_integration(synapse, np.log(start), i_w, width)), rel=TOL_CASES)
    printed = (ENDS_OWN_TAU if tau is None else ENDS_10_MS)[k]
    digits = len(printed.replace(".", "").lstrip("0"))
    assert float(f"{end * 1e9:.{digits}g}") == float(printed)


def test_on_phase_everywhere(on):
    """Weights of none, below, at and above the leak, starts far below and above the end, pulses short and long."""
    random = np.random.default_rng(1)
    synapse = dpi(4.0)
    for k in range(120):
        z = 10 ** random.uniform(-6, 4)
        ratio = [0.0, random.uniform(0, 1), 1.0, 1 + 1e-7 * random.normal(), 10 ** random.uniform(0, 5), 1 + z][k % 6]
        s = 10 ** random.uniform(-4, 1.3)
        u, i_w, time = np.log(z * 4 * I_TAU), ratio * I_TAU, s * float(synapse.tau)
        expected = by_integration(synapse, u, i_w, time)
        assert float(on(synapse, u, i_w, time)) == pytest.approx(expected, abs=TOL_REFERENCE), (z, ratio, s)


def test_two_pulses_in_sequence_are_one(on):
    random = np.random.default_rng(2)
    synapse = dpi(4.0)
    u, ratio, first, second = random.uniform([-28, 0.5, 1e-5, 1e-5], [-18, 500, 2e-2, 2e-2], (300, 4)).T
    one = on(synapse, u, ratio * I_TAU, first + second)
    two = on(synapse, on(synapse, u, ratio * I_TAU, first), ratio * I_TAU, second)
    np.testing.assert_allclose(two, one, atol=TOL_ROUNDING)


def test_no_digits_are_lost_from_far_below(on):
    """From 1e-30 A the current grows as exp(ζ t/tau), through 20 e-folds."""
    synapse = dpi(4.0)
    i_w, time = 1000 * I_TAU, 0.02 * float(synapse.tau)
    assert float(on(synapse, np.log(1e-30), i_w, time)) - np.log(1e-30) == pytest.approx(999 * 0.02, rel=1e-9)


def test_off_phase_is_a_pure_exponential_whatever_the_gain(on):
    for gain in (0.1, 1.0, 100.0):
        synapse = dpi(gain)
        times = np.linspace(0, 0.2, 50)
        expected = np.log(1e-9) - times / float(synapse.tau)
        np.testing.assert_allclose(synapse.off(np.log(1e-9), times), expected, rtol=1e-15)
        np.testing.assert_allclose(on(synapse, np.log(1e-9), 0.0, times), expected, atol=TOL_ROUNDING)
    assert float(jnp.exp(dpi(4.0, i0=0.5e-12).off(np.log(1e-9), 10.0))) == pytest.approx(0.5e-12)


def test_tau_times_leak_is_constant():
    """tau = C U_T/(κ I_tau): 9.9976 ms at 86.9 pA, and in proportion over four decades."""
    assert float(dpi(4.0).tau) == pytest.approx(9.9976e-3, rel=1e-5)
    for i_tau in (1e-12, 1e-10, 1e-8):
        synapse = DPI(c=C, kappa=KAPPA, ut=UT, i_tau=i_tau, i_gain=i_tau)
        u = synapse.off(0.0, 1e-3)
        assert -1e-3 / float(u) * i_tau == pytest.approx(C * UT / KAPPA, rel=TOL_ROUNDING)
    physics = Physics()
    assert float(DPI.from_physics(physics, "AMPA", tau=5e-3, gain=4.0).tau) == pytest.approx(5e-3)


def test_steady_state(on):
    synapse = dpi(4.0, i0=0.5e-12)
    for ratio in (1.5, 10.0, 1000.0):
        end = on(synapse, synapse.rest, ratio * I_TAU, 50 * float(synapse.tau) * (1 + 1 / (ratio - 1)))
        assert float(jnp.exp(end)) == pytest.approx(float(synapse.steady_state(ratio * I_TAU)), rel=1e-10)
    assert float(synapse.steady_state(0.5 * I_TAU)) == 0.5e-12


def test_train_and_mean_response(on):
    """The mean is linear in the rate above a threshold, up to the steady state at a duty of 1."""
    synapse = dpi(4.0)
    width, i_w = 100e-6, 200 * I_TAU
    for rate in (100.0, 1000.0, 9000.0):
        n = int(rate * 1.0)
        starts = np.arange(n) / rate
        u_start, u_end = synapse.pulses(starts, width, i_w, np.log(1e-9))
        # ∫ I dt over a pulse follows from the charge balance, independent of the mean that is tested:
        # tau (ΔI + I_g Δu) + ∫ I = I_g (I_w/I_tau - 1) t_p; in the gap it is tau ΔI.
        i0, i1, i2 = np.exp(u_start[-2]), np.exp(u_end[-2]), np.exp(u_start[-1])
        tau, i_gain = float(synapse.tau), float(synapse.i_gain)
        charge = i_gain * 199 * width - tau * (i1 - i0 + i_gain * float(u_end[-2] - u_start[-2])) + tau * (i1 - i2)
        assert charge * rate == pytest.approx(float(synapse.mean_response(rate, width, i_w)), rel=1e-6)
    assert float(synapse.mean_response(1 / width, width, i_w)) == pytest.approx(float(synapse.steady_state(i_w)))
    assert float(synapse.mean_response(10.0, width, i_w)) == 0.0


def test_trace_by_integration():
    synapse = dpi(4.0, i0=0.5e-12)
    starts, widths, i_w = np.array([1e-3, 5e-3, 6e-3]), np.array([1e-3, 1e-3, 2e-3]), np.array([10e-9, 1e-9, 50e-12])
    times = np.linspace(0, 12e-3, 25)
    u = np.log(20e-12)
    got = synapse.trace(times, starts, widths, i_w, u)
    for t, g in zip(times, got, strict=True):
        expected, now = u, 0.0
        for start, width, current in zip(starts, widths, i_w, strict=True):
            expected = by_integration(synapse, expected, 0.0, min(start, t) - now) if min(start, t) > now else expected
            if t > start:
                expected = by_integration(synapse, expected, current, min(width, t - start))
            now = max(now, min(start + width, t))
        expected = by_integration(synapse, expected, 0.0, t - now) if t > now else expected
        assert float(g) == pytest.approx(expected, abs=TOL_REFERENCE)


def test_pulses_that_overlap_are_refused():
    with pytest.raises(InputError, match=r"Pulse 1 begins at 0\.001 s, before the end of the one before it at 0\.002"):
        dpi(4.0).pulses(np.array([0.0, 1e-3]), 2e-3, 1e-9)


def test_vector_field_is_the_derivative_of_the_closed_form(on):
    synapse = dpi(4.0)
    in_time = jax.jit(jax.grad(DPI.on, argnums=3))
    for ratio in (0.0, 0.3, 1.0, 2.0, 1000.0):
        for u in (-28.0, -22.0, -18.0):
            end = on(synapse, u, ratio * I_TAU, 2e-3)
            expected = float(synapse.derivative(end, ratio * I_TAU))
            assert float(in_time(synapse, u, ratio * I_TAU, 2e-3)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 1.0 + 1e-9, 1.05, 1000.0])
def test_gradients_against_differences(on, ratio):
    gradient = jax.jit(jax.grad(DPI.on, argnums=(0, 1, 2, 3)))
    for u in (np.log(0.5e-12), np.log(0.05 * 4 * I_TAU), np.log(10e-9)):
        synapse, i_w, time = dpi(4.0), ratio * I_TAU, 1e-3
        of_synapse, of_u, of_weight, of_time = gradient(synapse, u, i_w, time)

        def along(change, by, of, here=(synapse, u, i_w, time)):
            h = 1e-5 * by
            assert float(of) * by == pytest.approx(
                float(on(*change(here, h)) - on(*change(here, -h))) / 2e-5, rel=TOL_DIFFERENCE, abs=1e-8
            )

        along(lambda x, h: (x[0], x[1] + h, x[2], x[3]), 1.0, of_u)
        along(lambda x, h: (x[0], x[1], x[2], x[3] + h), time, of_time)
        if ratio > 0:
            along(lambda x, h: (x[0], x[1], x[2] + h, x[3]), i_w, of_weight)
        for name in ("c", "kappa", "ut", "i_tau", "i_gain"):

            def change(x, h, name=name):
                moved = eqx.tree_at(lambda d: getattr(d, name), x[0], getattr(x[0], name) + h)
                return (moved, *x[1:])

            along(change, getattr(synapse, name), getattr(of_synapse, name))


def test_gradients_are_finite_in_all_corners():
    gradient = jax.jit(jax.vmap(jax.grad(DPI.on, argnums=(0, 1, 2, 3)), in_axes=(None, 0, 0, 0)))
    second = jax.jit(jax.vmap(jax.hessian(lambda u, i_w, t: dpi(4.0).on(u, i_w, t), argnums=(0, 1, 2))))
    steady = np.log(4 * I_TAU * 2)
    u, i_w, time = np.array(
        [[-28, 0, 0], [-28, I_TAU, 0], [steady, 3 * I_TAU, 1], [steady, 3 * I_TAU, 0], [-69, 1e-6, 1e-4],
         [-69, 0, 10], [-10, 0, 10], [-10, I_TAU, 10], [-10, 1e-6, 10], [-28, 1e-3, 10]]
    ).T  # fmt: skip
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradient(dpi(4.0, i0=0.0), u, i_w, time)))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(second(u, i_w, time)))


def test_batches_and_single_values_agree(on):
    synapse = dpi(4.0)
    u = np.linspace(-28, -18, 7)
    i_w = np.geomspace(1e-12, 1e-6, 7)
    together = jax.vmap(lambda u, i_w: synapse.on(u, i_w, 1e-3))(u, i_w)
    np.testing.assert_allclose(
        together, [float(on(synapse, a, b, 1e-3)) for a, b in zip(u, i_w, strict=True)], rtol=1e-14
    )
