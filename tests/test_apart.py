import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analogsnn import _apart
from analogsnn._apart import apart


@pytest.fixture(params=["CPU alone", "another platform beside it"])
def platforms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "CPU alone":
        found = {"cpu": None, "tpu": None}
        monkeypatch.setattr(_apart, "backends", lambda: found)
    return request.param


def test_a_part_gives_what_its_function_does(platforms: str):
    def power(k: int, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.where(x > 0, x**k + y, y)

    part = apart(power, known=1)
    x, y = jnp.array([1.0, -2.0, 3.0]), jnp.array([0.5, 0.25, 2.0])
    expected = np.array([1.5, 0.25, 29.0])  # x³ + y where x is above zero
    np.testing.assert_array_equal(part(3, x, y), expected)
    np.testing.assert_array_equal(jax.jit(part, static_argnums=0)(3, x, y), expected)
    np.testing.assert_array_equal(jax.vmap(lambda a, b: part(3, a, b))(x, y), expected)
    slope = jax.grad(lambda x: jnp.sum(part(3, x, y)))(x)
    np.testing.assert_array_equal(slope, [3.0, 0.0, 27.0])  # 3 x² there
    np.testing.assert_array_equal(jax.jvp(lambda x: part(3, x, y), (x,), (jnp.ones(3),))[1], slope)


def test_on_cpu_a_part_is_one_call_that_is_not_inlined_and_traced_once():
    traced = []

    @apart
    def part(x: jax.Array) -> jax.Array:
        traced.append(x)
        return jnp.sin(x) * x

    program = jax.jit(lambda x: part(part(x)) + part(2 * x)).lower(jnp.ones(3)).as_text()
    assert len(traced) == 1
    assert program.count('inlineable = "false"') == 3
    assert program.count("func.func private @part") == 1
