"""Levels of licence use, and their hysteresis [OPS]."""

from simulator.licence import Licences


def run(limit: int, *used: int) -> list[str]:
    """The level after each number of calls."""
    licences = Licences()
    levels = []
    for calls in used:
        licences.use(calls, limit, 0.0)
        levels.append(licences.name)
    return levels


def test_levels_rise_at_94_and_97_percent_and_with_the_last_port() -> None:
    assert run(100, 0, 93, 94, 96, 97, 99, 100) == [
        "safe", "safe", "warning", "warning", "critical", "critical", "failure"
    ]  # fmt: skip


def test_a_level_falls_back_only_at_the_threshold_below() -> None:
    assert run(100, 100, 98, 97, 95, 94, 91, 90) == [
        "failure", "failure", "critical", "critical", "warning", "warning", "safe"
    ]  # fmt: skip


def test_one_licence() -> None:
    assert run(1, 0, 1, 0, 1) == ["safe", "failure", "safe", "failure"]


def test_several_levels_at_once() -> None:
    assert run(10, 9, 10, 9, 8) == ["safe", "failure", "safe", "safe"]


def test_changes_are_told_once() -> None:
    licences = Licences()
    told: list[tuple[float, str, str]] = []
    licences.watch = lambda now, event, details: told.append((now, event, details))
    for now, used in enumerate((93, 94, 95, 94, 90, 89)):
        licences.use(used, 100, float(now))
    assert told == [
        (1.0, "system.threshold_exceeded", "licences warning: 94 of 100 ports in use"),
        (4.0, "system.threshold_exceeded", "licences safe: 90 of 100 ports in use"),
    ]


def test_no_limit_any_more() -> None:
    licences = Licences()
    licences.use(10, 10, 0.0)
    licences.use(10, 0, 1.0)
    assert licences.name == "safe"
