"""Several models into one: who was right before counts, who is far off does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.engine.ensemble import Ensemble, combine, judged, trimmed_mean
from sybilion_mcp.engine.models import Floats, Members

HORIZON = 3
FOREVER = float("inf")


def members(**offsets: float) -> Members:
    """Models by name that say 10 plus an offset, every month."""
    return Members({name: np.full(HORIZON, 10.0 + offset) for name, offset in offsets.items()}, ())


def combined(series: Floats, past: dict[int, Members], now: Members, half_life: float = FOREVER) -> Ensemble:
    """What comes of `now` after the whole series, with what was said at earlier origins."""
    judgements = [judged(series, origin, said) for origin, said in past.items()]
    return combine(series, len(series), now, judgements, half_life)


class TestTrimmedMean:
    rows = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)

    @given(rows)
    @settings(max_examples=50)
    def test_it_lies_among_what_it_averages(self, values: list[float]) -> None:
        mean = trimmed_mean(np.array(values)[:, None], np.ones(len(values)))[0]

        assert min(values) - 1e-6 <= mean <= max(values) + 1e-6

    @given(rows)
    @settings(max_examples=50)
    def test_the_order_of_the_models_does_not_matter(self, values: list[float]) -> None:
        backwards = values[::-1]

        one, other = (trimmed_mean(np.array(rows)[:, None], np.ones(len(rows)))[0] for rows in (values, backwards))

        assert one == pytest.approx(other, abs=1e-6)

    def test_one_that_is_far_off_does_not_count(self) -> None:
        near, far = (np.array([[1.0], [2.0], [3.0], [4.0], [5.0], [off]]) for off in (6.0, 1e9))

        assert trimmed_mean(far, np.ones(6)) == pytest.approx(trimmed_mean(near, np.ones(6)))

    def test_it_follows_the_weights(self) -> None:
        rows = np.array([[0.0, 5.0], [10.0, 5.0]])

        left, right = (trimmed_mean(rows, np.array(weights)) for weights in ([0.7, 0.3], [0.3, 0.7]))

        assert left[0] < 5.0 < right[0]
        assert (left[1], right[1]) == pytest.approx((5.0, 5.0))
        assert trimmed_mean(rows, np.array([1.0, 0.0]))[0] == 0.0


class TestWeights:
    past = range(20, 40)

    def test_without_evidence_all_weigh_the_same(self) -> None:
        found = combined(np.full(40, 10.0), {}, members(good=0.0, bad=4.0))

        assert found.weights == {"good": 0.5, "bad": 0.5}
        assert found.values == pytest.approx(12.0)

    def test_who_was_right_weighs_more(self) -> None:
        said = members(good=0.5, fair=1.0, bad=4.0)

        found = combined(np.full(40, 10.0), dict.fromkeys(self.past, said), said)

        assert found.weights["good"] > found.weights["fair"] > found.weights["bad"] > 0
        assert sum(found.weights.values()) == pytest.approx(1.0)

    def test_one_that_is_never_wrong_takes_all(self) -> None:
        said = members(good=0.0, other=0.0, bad=4.0)

        found = combined(np.full(400, 10.0), dict.fromkeys(range(20, 400), said), said)

        assert found.weights["bad"] < 0.01
        assert found.weights["good"] == pytest.approx(found.weights["other"])

    def test_months_that_had_not_come_are_not_looked_at(self) -> None:
        series = np.concatenate([np.full(40, 10.0), np.full(20, 14.0)])
        said = members(early=0.5, late=4.0)

        def at_40(known: Floats) -> Ensemble:
            return combine(known, 40, said, [judged(known, origin, said) for origin in self.past], FOREVER)

        assert at_40(series).weights == at_40(series[:40]).weights

    def test_old_errors_are_forgotten_as_asked(self) -> None:
        series = np.concatenate([np.full(60, 10.0), np.full(30, 14.0)])
        said = members(formerly=0.1, lately=3.9)
        past = dict.fromkeys(range(20, 90), said)

        remembering, forgetting = (combined(series, past, said, half_life) for half_life in (FOREVER, 8.0))

        assert remembering.weights["formerly"] > remembering.weights["lately"]
        assert forgetting.weights["formerly"] < forgetting.weights["lately"]

    def test_a_model_without_a_past_starts_in_the_middle(self) -> None:
        said = members(good=0.5, fair=1.0, bad=4.0)
        now = members(good=0.5, fair=1.0, bad=4.0, fresh=0.0)

        found = combined(np.full(40, 10.0), dict.fromkeys(self.past, said), now)

        assert found.weights["good"] > found.weights["fresh"] > found.weights["bad"]

    def test_on_sporadic_demand_all_weigh_the_same(self) -> None:
        series = np.resize([0.0, 0.0, 6.0, 0.0], 40)
        said = Members({"nothing": np.zeros(HORIZON), "rate": np.full(HORIZON, 1.5)}, ())

        found = combined(series, dict.fromkeys(self.past, said), said)

        assert found.weights == {"nothing": 0.5, "rate": 0.5}

    def test_those_left_out_are_passed_on(self) -> None:
        now = Members(members(one=0.0).values, ("another",))

        assert combined(np.full(40, 10.0), {}, now).left_out == ("another",)
