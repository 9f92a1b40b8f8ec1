# SPDX-License-Identifier: GPL-3.0-or-later
"""Work ahead of time changes nothing but the time it takes."""

import time

import pytest
import torch

from blender_demo.backend.portrait.ahead import computed_ahead


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_results_come_in_order(device: str):
    def late_if_even(item: int) -> int:
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(computed_ahead(late_if_even, range(9), device)) == [item * item for item in range(9)]


def test_only_a_few_are_computed_ahead_and_none_once_nobody_asks():
    begun = []
    results = computed_ahead(begun.append, range(1000), "cpu")
    next(results)
    results.close()
    assert len(begun) <= torch.get_num_threads() + 1
    assert begun == sorted(begun)


def test_an_error_comes_in_the_place_of_its_result():
    def fail_at_two(item: int) -> int:
        if item == 2:
            raise ValueError("two")
        return item

    results = computed_ahead(fail_at_two, range(100), "cpu")
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_each_is_computed_by_one_thread_and_others_keep_theirs():
    before = torch.get_num_threads()
    assert set(computed_ahead(lambda _: torch.get_num_threads(), range(9), "cpu")) == {1}
    assert torch.get_num_threads() == before
