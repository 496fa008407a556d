"""Mean opinion scores: Student's t against tables, intervals, hidden references, and raters whom BT.500 leaves out."""

import numpy as np
import pytest

from misr.metrics import opinion
from misr.metrics.opinion import chance, differential, estimate, holm, student, unlike, within

TABLE = {1: 12.7062047364, 2: 4.3026527297, 3: 3.1824463053, 5: 2.5705818366, 10: 2.2281388520, 30: 2.0422724563}


@pytest.mark.parametrize(("df", "t"), TABLE.items())
def test_students_t_is_that_of_the_tables(df, t):
    assert student(df) == pytest.approx(t, abs=1e-9)
    assert within(t, df) == pytest.approx(0.95, abs=1e-10)


def test_students_t_is_the_integral_of_its_density():
    """The density (1 + x^2 / df)^-((df + 1) / 2), normalised, by Simpson's rule, for odd and even df."""
    x = np.linspace(-1.7, 1.7, 4001)
    weights = np.r_[1, np.tile([4, 2], 1999), 4, 1] * (x[1] - x[0]) / 3
    for df, norm in ((1, np.pi), (2, 2 * np.sqrt(2)), (3, np.pi * np.sqrt(3) / 2), (4, 8 / 3)):
        assert within(1.7, df) == pytest.approx(float(weights @ (1 + x * x / df) ** (-(df + 1) / 2)) / norm, abs=1e-10)


def test_with_many_raters_it_is_the_normal_distribution():
    assert student(100_000) == pytest.approx(1.959964, abs=1e-4)


def test_an_interval_is_the_one_done_by_hand():
    found = estimate(np.array([4.0, 3.0, 5.0, 4.0]))
    assert found.mean == 4
    assert found.half == pytest.approx(3.1824463053 * np.sqrt(2 / 3) / 2)


def test_one_rater_has_a_mean_and_no_interval():
    assert estimate(np.array([3.5])) == opinion.Estimate(3.5, None)
    assert not estimate(np.array([3.5])).sure
    assert chance(np.array([3.5])) is None


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    found = [estimate(rng.normal(2.5, 1, 8)) for _ in range(2000)]
    held = np.mean([abs(e.mean - 2.5) <= e.half for e in found])
    assert 0.935 < held < 0.965


def test_chance_and_interval_agree():
    rng = np.random.default_rng(4)
    for _ in range(200):
        values = rng.normal(0.7, 1, 7)
        assert estimate(values).sure == (chance(values) < 0.05)


def test_holm_asks_more_of_the_first_than_of_the_last():
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_vote_against_the_reference_is_five_where_it_is_as_good():
    votes = np.array([[[5, 3, 5], [4, 4, 2]]])  # one rater, two contents; the reference is the first
    assert differential(votes, 0).tolist() == [[[5, 3, 5], [5, 5, 3]]]


def panel(raters: int = 15, presentations: int = 60) -> np.ndarray:
    """Raters who agree but for a category now and then."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(1.5, 4.5, presentations)
    return (truth + rng.normal(0, 0.6, (raters, presentations))).round().clip(1, 5)


def test_a_rater_who_presses_anything_is_left_out():
    votes = panel(raters=24)
    votes[4] = np.random.default_rng(6).choice([1, 5], votes.shape[1])
    assert [n for n, out in enumerate(unlike(votes)) if out] == [4]


def test_a_rater_who_is_always_stricter_stays():
    votes = panel()
    votes[4] = (votes[4] - 2).clip(1, 5)
    assert not any(unlike(votes))


def test_raters_who_agree_all_stay():
    assert not any(unlike(panel()))
    assert not any(unlike(np.full((4, 10), 3.0)))
    assert unlike(np.array([[1.0, 5, 3]])) == [False]


def test_fewer_than_six_raters_cannot_leave_one_out():
    rng = np.random.default_rng(7)
    assert not any(any(unlike(rng.integers(1, 6, (5, 40)).astype(float))) for _ in range(100))


def test_what_is_no_question_of_t_is_refused():
    with pytest.raises(ValueError, match="df"):
        within(1, 0)
