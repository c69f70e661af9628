"""Too little time takes candidates, then guidance, then anything new, and gives them back."""

from __future__ import annotations

from engines.musicgen.ladder import FROZEN, Ladder, Rung, Work


def test_candidates_go_first_then_guidance_then_all_and_come_back() -> None:
    ladder, wanted, work = Ladder(), Rung(4, True), Work(2.0, 100, 100)
    ladder.took(wanted, 100, 8.0, 100, 0.0)  # 10 ms a row
    ways = [ladder.chosen(wanted, left_s, work) for left_s in (10.0, 9.0, 5.0, 2.5, 1.3, 1.0)]
    assert ways == [Rung(4, True), Rung(2, True), Rung(2, True), Rung(1, True), Rung(1, False), FROZEN]
    assert ladder.said() == (
        "too slow for 4 candidates: 2", "too slow for 4 candidates: 1", "too slow: one candidate, without guidance",
        "too slow: what sounded last is repeated",
    )  # fmt: skip
    ways = [ladder.chosen(wanted, left_s, work) for left_s in (5.0, 9.0, 15.0)]
    assert ways == [Rung(1, True), Rung(2, True), Rung(4, True)]
    assert not ladder.said()
    assert ladder.chosen(wanted, 15.0, work) == wanted
    assert ladder.said() == ("there is time again for all that is asked",)


def test_what_has_to_be_heard_again_for_guidance_counts() -> None:
    ladder, wanted = Ladder(), Rung(1, True)
    ladder.took(wanted, 100, 1.0, 100, 0.0)
    assert ladder.chosen(wanted, 1.3, Work(2.0, 100, 100)) == wanted
    assert ladder.chosen(wanted, 1.3, Work(2.0, 100, 100, heard=100)) == Rung(1, False)


def test_a_machine_that_was_too_slow_once_is_tried_again() -> None:
    ladder, work = Ladder(), Work(2.0, 100, 100)
    ladder.took(Rung(1, True), 100, 30.0, 100, 0.0)
    ways = [ladder.chosen(Rung(1, True), 2.0, work) for _ in range(30)]
    assert ways[0] == FROZEN
    assert ways[-1] != FROZEN
