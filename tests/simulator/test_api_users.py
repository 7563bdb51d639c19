"""The users of REST in the configuration: how they are written, and what is wrong with them."""

from pathlib import Path

import pytest
import yaml

from simulator.config import Config, ConfigError
from simulator.config_base import User

HASH = "$scrypt$ln=10,r=8,p=1$c29kaXVtY2hsb3JpZGU$" + "A" * 43


def users(text: str, tmp_path: Path) -> list[User]:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    config = Config.load(path)
    again = Config.model_validate(yaml.safe_load(config.to_yaml()))
    assert again.api == config.api
    return [one.user for one in config.api.users]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api: {users: ann:a:b}", [User("ann", "a:b", "admin")]),
        ("api: {users: [ann:x, bob:y:admin]}", [User("ann", "x"), User("bob", "y:admin")]),
        ("api: {users: {ann: x}}", [User("ann", "x")]),
        (
            "api:\n  users:\n  - ann:x\n  - {name: bob, password: 'a:b', role: read}\n",
            [User("ann", "x"), User("bob", "a:b", "read")],
        ),
        (
            "api: {users: {ann: x, bob: {password: y, role: control}}}",
            [User("ann", "x"), User("bob", "y", "control")],
        ),
        ("api: {users: {name: ann, password: x, role: read}}", [User("ann", "x", "read")]),
        (f'api: {{users: ["ann:{HASH}"]}}', [User("ann", HASH)]),
        (f'api: {{users: {{ann: {{password: "{HASH}"}}}}}}', [User("ann", HASH)]),
        (f"api:\n  users:\n    ann: {HASH}\n", [User("ann", HASH)]),
    ],
)
def test_a_user_is_written_in_one_of_these_ways(
    tmp_path: Path, text: str, expected: list[User]
) -> None:
    assert users(text, tmp_path) == expected


def test_a_role_may_be_set_from_the_command_line() -> None:
    config = Config.load(overrides=["api.users.bob.password=y", "api.users.bob.role=read"])
    assert [one.user for one in config.api.users] == [User("bob", "y", "read")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("api:\n  users:\n  - topsecret", "3: api.users.0: must be NAME:PASSWORD, or name"),
        ("api: {users: ['ann:']}", "1: api.users.0.password: must be text, not empty"),
        ("api: {users: [':x']}", "1: api.users.0.name: must not be empty"),
        ("api: {users: [{name: 'a:b', password: x}]}", "api.users.0.name: 'a:b' has a colon"),
        ("api: {users: [{name: ann}]}", "1: api.users.0.password: is missing; add it"),
        ("api: {users: {ann: {role: read}}}", "1: api.users.ann.password: is missing; add it"),
        (
            "api: {users: {ann: {password: topsecret, role: reed}}}",
            "1: api.users.ann.role: must be 'read', 'control' or 'admin'; did you mean 'read'?",
        ),
        (
            "api: {users: {ann: {password: topsecret, rights: read}}}",
            "1: api.users.ann.rights: is not a known key; ",
        ),
        ("api: {users: [{name: ann, password: [topsecret]}]}", "password: must be text"),
        ("api: {users: [ann:x, {name: ann, password: y}]}", "api.users: user 'ann' is there twice"),
        (
            "api: {users: ['ann:$scrypt$topsecret']}",
            "1: api.users.0.password: is not of the form $scrypt$ln=14,r=8,p=1$SALT$HASH; "
            "make one by 'callsim password'",
        ),
        ("api: {users: ['ann:$2b$12$topsecret']}", "password: is a hash that is not scrypt's"),
        ("sip: {authentication: {users: {ann: {password: x}}}}", "must be NAME:PASSWORD"),
    ],
)
def test_a_fault_is_named_without_the_password(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Config.load(path)
    assert fault in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_the_password_does_not_show() -> None:
    config = Config.load(overrides=["api.users=[{name: ann, password: topsecret, role: read}]"])
    assert "topsecret" not in repr(config)
    assert "topsecret" not in repr(config.api.users[0].user)
