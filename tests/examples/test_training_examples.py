"""The training examples, cut short: they learn, compile, and write their pages."""

from __future__ import annotations

import numpy as np
import pytest

from analogsnn.chips import train_for_chip
from analogsnn.errors import InputError
from analogsnn.network import allowed, dense
from analogsnn.report import write_training_report
from tests.examples.test_chip_examples import load


def test_a_short_training_reaches_the_chip(tmp_path):
    example = load("50_temporal_pattern")
    learn, check = example.samples(64, 1), example.samples(60, 501)
    arrival = train_for_chip(
        example.network(1), learn, check, example.OUTPUTS, largest=load("classifier").LARGEST, steps=25, seed=1, fresh=6
    )
    # 25 of 150 steps: far from chance (0.5) already, on the ideal chip and on fresh ones.
    assert arrival.trained.losses[-5:].mean() < 0.5 * arrival.trained.losses[:3].mean()
    assert arrival.unquantised > 0.75
    assert arrival.quantised > 0.7
    assert arrival.mismatched.shape == (6,)
    assert arrival.mismatched.mean() > 0.65
    assert arrival.mapping.occupancy.synapse_words.max() <= 64
    write_training_report(
        tmp_path / "page.html",
        {"mismatch": arrival},
        check,
        title="Short",
        outputs=example.OUTPUTS,
        seed=1,
        seconds=1.0,
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for part in ("What arrives on the chip", "fresh chips", "Seed 1", "Spikes", "of 40 neurons spike"):
        assert part in page


def test_the_pattern_has_its_answer_in_the_order_alone():
    example = load("50_temporal_pattern")
    samples = example.samples(40, 0)
    counts = np.zeros((40, example.CHANNELS), int)
    np.add.at(counts, (samples.sample, samples.channel), 1)
    assert np.all(counts == 3)
    assert np.array_equal(samples.binned(example.CHANNELS, 1e-3).sum(axis=1), counts)
    network = example.network(0)
    assert allowed(network).shape == dense(network).weight.shape


def test_a_word_is_told_by_no_single_band():
    example = load("51_spoken_words")
    samples = example.samples(80, 0)
    assert np.all((samples.time >= 0) & (samples.time < samples.duration))
    assert all(sum(band in word for word in example.WORDS) == 2 for band in range(example.BANDS))
    counts = np.zeros((80, example.BANDS), int)
    np.add.at(counts, (samples.sample, samples.channel // example.EACH), 1)
    for word, bands in enumerate(example.WORDS):
        mean = counts[samples.label == word].mean(axis=0)
        assert mean[list(bands)].min() > 2 * np.delete(mean, bands).max()  # 8 events a band, and noise
    again = example.samples(80, 0)
    assert np.array_equal(again.time, samples.time)
    mask = allowed(example.network(1))
    assert np.count_nonzero(mask, axis=(0, 1)).max() <= 64


@pytest.mark.validate_long
def test_words_are_learned_in_a_short_training():
    example = load("51_spoken_words")
    learn, check = example.samples(100, 1), example.samples(60, 501)
    arrival = train_for_chip(
        example.network(1), learn, check, example.OUTPUTS, largest=load("classifier").LARGEST, steps=60, seed=1, fresh=5
    )
    assert arrival.quantised > 0.8  # chance is 0.25
    assert arrival.lost < 0.15


def test_a_network_needs_its_classes():
    example = load("50_temporal_pattern")
    samples = example.samples(8, 0)
    with pytest.raises(InputError, match="populations of one size"):
        train_for_chip(example.network(0), samples, samples, ("pattern", "hidden"), largest=1e-7, steps=1, seed=0)
