"""Profiles offer what their name says, and their parts add up to it."""

import pytest

from scenarios.load.profile import Profile

FIXED = Profile.fixed(50, 10)
RAMP = Profile.ramp(100, 300, 20)
DOWN = Profile.ramp(300, 100, 20)
STEPS = Profile.steps(100, 350, 100, 5)


@pytest.mark.parametrize(
    ("profile", "at", "rate"),
    [
        (FIXED, 0, 50),
        (FIXED, 9.9, 50),
        (FIXED, 10, 0),
        (FIXED, -1, 0),
        (RAMP, 0, 100),
        (RAMP, 10, 200),
        (DOWN, 15, 150),
        (STEPS, 4.9, 100),
        (STEPS, 5, 200),
        (STEPS, 14.9, 300),
        (STEPS, 15, 0),
    ],
)
def test_the_rate_at_a_moment(profile: Profile, at: float, rate: float) -> None:
    assert profile.rate(at) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("profile", "calls", "peak"),
    [(FIXED, 500, 50), (RAMP, 4000, 300), (DOWN, 4000, 300), (STEPS, 3000, 300)],
)
def test_the_calls_of_all_seconds_are_those_of_the_whole(
    profile: Profile, calls: float, peak: float
) -> None:
    assert profile.calls(-5, 100) == pytest.approx(calls)
    each = [profile.calls(second, second + 1) for second in range(30)]
    assert sum(each) == pytest.approx(calls)
    assert profile.peak == peak


def test_steps_go_down_as_well() -> None:
    down = Profile.steps(300, 100, 100, 2)
    assert [rate for _, rate in down.parts()] == [300, 200, 100]
    assert down.seconds == 6


def test_a_step_between_ends_before_the_last() -> None:
    assert STEPS.last == 300
    assert list(STEPS.parts()) == [(0, 100), (5, 200), (10, 300)]


def test_a_fixed_rate_is_told_once() -> None:
    assert list(Profile.fixed(50, 3600, "soak").parts(4)) == [(0.0, 50)]


@pytest.mark.parametrize("generators", [1, 3])
@pytest.mark.parametrize("profile", [RAMP, DOWN, Profile.ramp(1, 20, 60), Profile.ramp(20, 1, 60)])
def test_the_parts_of_a_ramp_place_its_calls(profile: Profile, generators: int) -> None:
    """SIPp loses half a call on average with each change of its rate."""
    parts = list(profile.parts(generators))
    ends = [at for at, _ in parts[1:]] + [profile.seconds]
    placed = sum(
        rate * (end - at) - 0.5 * generators for (at, rate), end in zip(parts, ends, strict=True)
    )
    assert placed == pytest.approx(profile.calls(0, profile.seconds))
    assert all(end - at >= 0.99 for (at, _), end in zip(parts[:-1], ends[:-1], strict=True))
    assert len(parts) >= 10


def test_it_says_what_it_is() -> None:
    assert str(RAMP) == "100 to 300 calls/s over 20 s"
    assert str(STEPS) == "100 to 300 calls/s by 100, 5 s each"
    assert str(FIXED) == "50 calls/s for 10 s"
