"""Sessions and lifecycle under thousands of schedules; `make simulation` plays more."""

import pytest

from tests.simulation.schedule import Schedule

GROUPS, EACH = 4, 1_000


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_acknowledged_event_has_its_effect_once_in_any_schedule(group: int) -> None:
    for seed in range(group * EACH, (group + 1) * EACH):
        try:
            Schedule(seed).play()
        except AssertionError as error:
            error.add_note(f"again: python -m tests.simulation --seed {seed} --count 1")
            raise


def test_a_seed_plays_the_same_schedule_again() -> None:
    for seed in range(50):
        first, second = Schedule(seed).play(), Schedule(seed).play()
        assert first.worked == second.worked
        assert [run.told for run in first.store.runs] == [run.told for run in second.store.runs]
        assert first.store.applied == second.store.applied
