"""The pytree that engines return: it passes through JAX, and becomes xarray at the edge."""

from __future__ import annotations

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from analogsnn.errors import InputError
from analogsnn.waveforms import Waveforms


def ramp(xp, n_valid=None) -> Waveforms:
    time = xp.asarray([0.0, 1.0, 2.0, 2.0])
    voltages = xp.asarray([[0.0, 1.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
    return Waveforms(
        time=time, voltages=voltages, nodes=("out", "x1.vr"), currents=-voltages[:1], branches=("vdd",), supply=1.8,
        n_valid=n_valid,
    )  # fmt: skip


def test_names():
    waves = ramp(np)
    assert waves.voltage("X1.VR")[0] == 1.0
    assert (waves.voltage("out", "x1.vr") == [-1, 0, 1, 1]).all()
    assert (waves.voltage("0") == 0).all()
    assert waves.current("vdd")[2] == -2.0
    with pytest.raises(InputError, match="no node 'ouut'; did you mean out"):
        waves.voltage("ouut")
    with pytest.raises(InputError, match="no branch current 'x'; there are vdd"):
        waves.current("x")


def test_passes_through_jax():
    def work(scale, waves):
        bigger = eqx.tree_at(lambda w: w.voltages, waves, waves.voltages * scale)
        return bigger.voltage("out").sum(), bigger

    value, bigger = eqx.filter_jit(work)(jnp.float32(3.0), ramp(jnp))
    assert float(value) == 15.0
    assert bigger.nodes == ("out", "x1.vr")
    slope = jax.grad(lambda s: work(s, ramp(jnp))[0])(jnp.float32(3.0))
    assert float(slope) == 5.0
    lanes = jax.vmap(lambda s: work(s, ramp(jnp))[1])(jnp.asarray([1.0, 2.0]))
    assert lanes.voltage("out").shape == (2, 4)


def test_made_before_jax_is_loaded():
    code = (
        "import sys, numpy as np; from analogsnn.waveforms import Waveforms\n"
        "def make():\n"
        "    none = np.zeros((0, 1))\n"
        "    return Waveforms(time=np.zeros(1), voltages=none, nodes=(), currents=none, branches=())\n"
        "make(); assert 'jax' not in sys.modules; import jax; make(); assert len(jax.tree.leaves(make())) == 3"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_xarray_of_one_run(tmp_path):
    data = ramp(np, n_valid=3).to_xarray()
    assert data.voltage.dims == ("node", "time")
    assert data.voltage.attrs["units"] == "V"
    assert data.current.attrs["units"] == "A"
    assert data.time.attrs["units"] == "s"
    assert data.sizes["time"] == 3
    assert float(data.voltage.sel(node="x1.vr", time=2.0)) == 1.0
    data.to_netcdf(tmp_path / "w.nc", engine="h5netcdf")
    with xarray.open_dataset(tmp_path / "w.nc", engine="h5netcdf") as again:
        xarray.testing.assert_identical(again.load(), data)


def test_xarray_of_a_batch():
    def lane(scale, n):
        return eqx.tree_at(lambda w: (w.time, w.n_valid), ramp(jnp, n_valid=n), (ramp(jnp).time * scale, n))

    same = jax.vmap(lambda s: eqx.tree_at(lambda w: w.voltages, ramp(jnp), s * ramp(jnp).voltages))(jnp.arange(2.0))
    assert same.to_xarray().voltage.dims == ("lane", "node", "time")
    own = jax.vmap(lane)(jnp.asarray([1.0, 2.0]), jnp.asarray([3, 2])).to_xarray()
    assert own.voltage.dims == ("lane", "node", "point")
    assert own.time.dims == ("lane", "point")
    assert own.n_valid.values.tolist() == [3, 2]
    assert np.isnan(own.voltage.values[1, :, 2:]).all()
    assert np.isnan(own.time.values[0, 3])
    assert own.time.values[1, 1] == 2.0
