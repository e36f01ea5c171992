import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aura.core.events import Event, from_mask, unite

EVENTS = st.lists(st.builds(Event, st.floats(-50, 150), st.floats(0, 80)), max_size=12)


@given(st.lists(st.booleans(), max_size=60))
def test_a_mask_is_restored_from_its_events(values: list[bool]) -> None:
    mask = np.array(values, dtype=np.bool_)
    back = np.zeros(len(mask), dtype=np.bool_)
    for event in from_mask(mask, step_s=0.5):
        back[round(event.onset_s / 0.5) : round(event.end_s / 0.5)] = True
    assert (back == mask).all()


@given(EVENTS)
def test_united_events_are_sorted_disjoint_and_inside_the_recording(events: list[Event]) -> None:
    united = unite(events, duration_s=100)
    edges = [edge for event in united for edge in (event.onset_s, event.end_s)]
    assert edges == sorted(edges)
    assert all(event.duration_s >= 0 for event in united)
    assert all(event.onset_s >= 0 and event.end_s <= 100 + 1e-9 for event in united)
    # Uniting again changes nothing but the last digit of onset + (end - onset).
    again = unite(united, duration_s=100)
    assert np.allclose([(e.onset_s, e.end_s) for e in again], [(e.onset_s, e.end_s) for e in united])


@given(EVENTS)
def test_uniting_covers_the_same_time(events: list[Event]) -> None:
    t_s = np.linspace(0, 100, 400)[1:-1]

    def find_covered(events: list[Event] | tuple[Event, ...]) -> np.ndarray:
        return np.any([(e.onset_s <= t_s) & (t_s <= e.end_s) & (e.duration_s > 0) for e in events] or [t_s < 0], axis=0)

    assert (find_covered(unite(events, duration_s=100)) == find_covered(events)).mean() > 0.99


def test_an_event_without_duration_is_kept() -> None:
    assert unite([Event(30, 0), Event(100, 0), Event(101, 0), Event(100, 5)], duration_s=100) == (
        Event(30, 0),
        Event(100, 0),
    )
    assert unite([Event(30, 0), Event(10, 30)], duration_s=100) == (Event(10, 30),)
