"""What is kept of changes made over REST, and how it is laid over the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulator.administration import merged
from simulator.config import Config, ConfigError
from simulator.config_dial_plan import ServerGroupSection
from simulator.config_plan import DialedNumber
from simulator.plan_changes import FILE, PlanChanges, numbers_by_id
from simulator.reload import AT_START, changed, kept
from simulator.routing import DialPlan
from tests.support.virtual_server import configuration


def number(pattern: str, **settings: Any) -> DialedNumber:
    return DialedNumber.model_validate({"pattern": pattern, "label": "1001", **settings})


def patterns(config: Config) -> list[str]:
    return [one.pattern for one in config.dialed_numbers]


BASE = configuration(dialed_numbers=[number("1"), number("2>"), number("3>")])


def test_entries_are_replaced_in_their_place_and_new_ones_come_last() -> None:
    changes = (
        PlanChanges()
        .with_number("dn-1", number("9>"))
        .with_number("2>", number("22>"))
        .with_number("3>", None)
        .with_number("gone", None)
    )
    assert patterns(changes.apply(BASE)) == ["1", "22>", "9>"]
    assert list(changes.all_numbers(BASE)) == ["1", "2>", "dn-1"]


def test_no_changes_are_no_change() -> None:
    assert PlanChanges().apply(BASE) is BASE


def test_an_entry_that_is_not_in_force_may_stand_beside_another() -> None:
    config = configuration(dialed_numbers=[number("1"), number("1", enabled=False)])
    assert list(numbers_by_id(config)) == ["1", "1#2"]


def test_an_application_without_a_script_gets_one() -> None:
    entry = DialedNumber.model_validate({"pattern": "4", "script": "new", "application": "new"})
    config = PlanChanges().with_number("dn-1", entry).apply(BASE)
    assert "new" in config.icm.scripts
    assert config.icm.scripts.keys() >= BASE.icm.scripts.keys()
    assert "new" not in BASE.icm.scripts


def test_groups_are_replaced_added_and_deleted() -> None:
    base = configuration(server_groups={"a.lab": ["10.0.0.1"], "b.lab": ["10.0.0.2"]})
    other = ServerGroupSection.model_validate({"name": "a.lab", "servers": ["10.0.0.9"]})
    config = PlanChanges().with_group("a.lab", other).with_group("b.lab", None).apply(base)
    assert [(one.name, one.servers[0].host) for one in config.server_groups] == [
        ("a.lab", "10.0.0.9")
    ]


def test_they_are_the_same_after_a_restart(tmp_path: Path) -> None:
    group = ServerGroupSection.model_validate(
        {"name": "a.lab", "servers": ["10.0.0.1:5070"], "heartbeat": {"enabled": True}}
    )
    changes = (
        PlanChanges()
        .with_number("6>", None)
        .with_number("dn-1", number("9>"))
        .with_group("a.lab", group)
    )
    path = tmp_path / FILE
    changes.save(path)
    assert PlanChanges.load(path) == changes
    config = configuration(server={"data_dir": str(tmp_path)})
    found, whole = merged(config, lambda one: one)
    assert found == changes
    assert "9>" in patterns(whole)
    assert "6>" not in patterns(whole)
    assert DialPlan(whole).route_call("9123").label == "1001"


def test_only_what_differs_from_the_file_is_kept(tmp_path: Path) -> None:
    entry = {"pattern": "9>", "label": "1", "script": None, "server_group": None}
    group = {
        "name": "a.lab",
        "servers": [{"host": "10.0.0.1", "transport": None}],
        "component": None,
    }
    changes = (
        PlanChanges()
        .with_number("dn-1", DialedNumber.model_validate(entry))
        .with_number("dn-2", None)
        .with_number("2>", None)
        .with_group("a.lab", ServerGroupSection.model_validate(group))
        .with_group("b.lab", None)
    )
    changes.needed(BASE).save(tmp_path / FILE)
    assert json.loads((tmp_path / FILE).read_text()) == {
        "dialedNumberPattern": {"dn-1": {"pattern": "9>", "label": "1"}, "2>": None},
        "sipserver": {"a.lab": {"name": "a.lab", "servers": [{"host": "10.0.0.1"}]}},
    }


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    config = configuration(server={"data_dir": str(tmp_path / "none")})
    assert merged(config, lambda one: one) == (PlanChanges(), config)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError"),
        ('{"dialedNumberPattern": [], "sipserver": {}}', "AttributeError"),
        ('{"dialedNumberPattern": {"a": {"pattern": "["}}, "sipserver": {}}', "pattern: "),
        (b"\xff", "UnicodeDecodeError|utf-8"),
    ],
)
def test_a_file_that_is_broken_is_named(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = tmp_path / FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=why) as raised:
        PlanChanges.load(path)
    assert str(path) in str(raised.value)
    assert "mend it, or delete it" in str(raised.value)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigError, match="mend it, or delete it"):
        PlanChanges.load(tmp_path / FILE)


def test_changes_that_no_longer_fit_are_named_at_start(tmp_path: Path) -> None:
    PlanChanges().with_number("dn-1", number("6!")).save(tmp_path / FILE)
    config = configuration(server={"data_dir": str(tmp_path)})
    with pytest.raises(ConfigError, match="matches the same numbers as '6>'"):
        merged(config, lambda one: one)


def test_a_save_that_fails_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / FILE
    PlanChanges().with_number("a", None).save(path)
    before = path.read_text()
    (tmp_path / f"{FILE}.new").mkdir()
    with pytest.raises(IsADirectoryError):
        PlanChanges().save(path)
    assert path.read_text() == before
    assert json.loads(before) == {"dialedNumberPattern": {"a": None}, "sipserver": {}}


def test_keys_that_need_a_restart_exist() -> None:
    config = Config()
    for key in AT_START:
        value: object = config
        for name in key.split("."):
            value = getattr(value, name)


def test_differences_are_told_by_key() -> None:
    before = configuration()
    after = configuration(sip={"audit": {"every": 5}}, routes=["1=sip:10.0.0.1"], icm={"wait": 1})
    assert changed(before, after) == ["sip.audit", "routes", "icm.wait"]
    assert kept(before, after) == (after, [])
