"""300 random networks: the decoded network equals the one that was asked, or what does not fit is confirmed."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.random_networks import check, random_network


@pytest.mark.parametrize("block", range(10))
def test_decoded_equals_asked_over_300_random_networks(block):
    records = [check(number) for number in range(30 * block, 30 * block + 30)]
    assert [r for r in records if not r["ok"]] == []
    assert sum(r["fits"] for r in records) >= 20  # most networks must fit, or the test tests nothing
    assert Counter(r["chip"] for r in records)["dynapse1"] >= 10


def test_networks_come_from_their_number_alone():
    (a, chip, options), (b, *same) = random_network(7), random_network(7)
    assert [chip, options] == same
    assert [c.pairs.tolist() for c in a.connections] == [c.pairs.tolist() for c in b.connections]
    assert random_network(19)[0].size > 100  # one in twenty is large
