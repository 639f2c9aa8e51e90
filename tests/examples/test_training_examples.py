"""The training examples, cut short: they learn, compile, and write their pages."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analogsnn.chips import train_for_chip
from analogsnn.network import allowed, dense

from .test_chip_examples import load


def test_a_short_training_reaches_the_chip(tmp_path, capsys):
    example = load("50_temporal_pattern")
    example.main(tmp_path, steps=25, count=64, tried=60)
    said = capsys.readouterr().out
    shares = [[float(x) for x in re.findall(r"\d\.\d+", line)] for line in said.splitlines()[:2]]
    # 25 of 150 steps: far from chance already, and the chips that it is tried on are not far behind.
    assert all(row[0] > 0.75 and row[1] > 0.7 for row in shares), said
    assert shares[0][2] > 0.65
    page = (tmp_path / "temporal_pattern.html").read_text(encoding="utf-8")
    for part in ("What arrives on the chip", "no mismatch in the loss", "Seed 1", "Spikes"):
        assert part in page


def test_the_moving_bar_has_its_answer_in_the_order_alone():
    example = load("51_moving_bar")
    samples = example.samples(400, 0)
    counts = np.zeros((4, example.SIDE**2))
    np.add.at(counts, (samples.label[samples.sample], samples.channel), 1)
    # Poisson-like: each pixel fires some 200 times a direction, ±4 standard deviations.
    assert np.all(np.abs(counts - counts.mean()) < 4 * np.sqrt(2 * counts.mean()))
    network = example.network(0)
    assert allowed(network).shape == dense(network).weight.shape
    assert np.array_equal(samples.binned(36, 1e-3).sum(axis=(1, 2)), np.bincount(samples.sample))


def test_a_network_needs_its_classes():
    example = load("51_moving_bar")
    samples = example.samples(8, 0)
    with pytest.raises(Exception, match="populations of one size"):
        train_for_chip(
            example.network(0), samples, samples, ("right", "hidden"), largest=1e-7, steps=1, seed=0, batch=4
        )
