import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from aura.events import unite
from aura.labels import ICTAL, INTERICTAL, LEFT_OUT, label
from aura.types import Event
from aura.windows import window_ends

SPANS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 200)), max_size=6)


@given(SPANS, st.sampled_from([1.0, 2.5, 4.0]), st.integers(0, 1200))
@example([(734, 104)], 1.0, 2)
def test_labels_are_those_of_counting_tenths_of_a_second(
    spans: list[tuple[int, int]], step_s: float, postictal: int
) -> None:
    postictal_s = postictal / 10
    seizures = unite([Event(a / 10, b / 10) for a, b in spans], duration_s=100)
    end_s = window_ends(100, step_s)
    labels = label(end_s, step_s=step_s, seizures=seizures, min_overlap=0.5, postictal_s=postictal_s)
    middles = np.arange(0.05, 100, 0.1)
    ictal = np.any([(s.onset_s < middles) & (middles < s.end_s) for s in seizures] or [middles < 0], axis=0)
    after = np.any(
        [(s.onset_s < middles) & (middles < s.end_s + postictal_s) for s in seizures] or [middles < 0], axis=0
    )
    for end, got in zip(end_s, labels, strict=True):
        step = (middles > end - step_s) & (middles < end)
        share = ictal[step].mean()
        if abs(share - 0.5) > 1e-6:
            expected = ICTAL if share > 0.5 else LEFT_OUT if after[step].any() else INTERICTAL
            assert got == expected


def test_half_an_ictal_step_is_ictal() -> None:
    assert label(np.array([2.0]), step_s=2.0, seizures=[Event(1, 5)], min_overlap=0.5, postictal_s=0).tolist() == [1]


def test_no_seizure_no_label() -> None:
    assert not label(window_ends(60, 1), step_s=1, seizures=[], min_overlap=0.5, postictal_s=60).any()
