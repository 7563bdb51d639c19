"""What was changed in the dial plan over REST, laid over the configuration file.

The changes are kept as JSON in the data folder, so that they are there after a restart, and
after the file is read again. Entries of the file are known by their pattern or name, new
patterns by an id of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from simulator.config import Config, ConfigError, Problem
from simulator.config_dial_plan import ServerGroupSection
from simulator.config_plan import DialedNumber
from simulator.durable import rewrite

FILE: Final = "plan-changes.json"

Kind = Literal["dialedNumberPattern", "sipserver"]


def numbers_by_id(config: Config) -> dict[str, DialedNumber]:
    """The dialed numbers of a configuration file: the id is the pattern, unless it is taken."""
    found: dict[str, DialedNumber] = {}
    for number in config.dialed_numbers:
        name = number.pattern
        at = 2
        while name in found:  # one that is not enabled may stand beside another
            name = f"{number.pattern}#{at}"
            at += 1
        found[name] = number
    return found


@dataclass(frozen=True, slots=True)
class PlanChanges:
    """Patterns and server groups that were added or replaced, by id; None: deleted."""

    numbers: Mapping[str, DialedNumber | None] = field(default_factory=dict)
    groups: Mapping[str, ServerGroupSection | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers) + len(self.groups)

    def with_number(self, name: str, number: DialedNumber | None) -> "PlanChanges":
        """A copy in which the pattern `name` is `number`."""
        return replace(self, numbers={**self.numbers, name: number})

    def with_group(self, name: str, group: ServerGroupSection | None) -> "PlanChanges":
        """A copy in which the group `name` is `group`."""
        return replace(self, groups={**self.groups, name: group})

    def needed(self, base: Config) -> "PlanChanges":
        """A copy without the deletions of what `base` does not have."""
        numbers, groups = numbers_by_id(base), {group.name for group in base.server_groups}
        return PlanChanges(
            {name: one for name, one in self.numbers.items() if one is not None or name in numbers},
            {name: one for name, one in self.groups.items() if one is not None or name in groups},
        )

    def all_numbers(self, base: Config) -> dict[str, DialedNumber]:
        """The dialed numbers by id: those of the file in their order, then the new ones."""
        merged: dict[str, DialedNumber | None] = {**numbers_by_id(base), **self.numbers}
        return {name: number for name, number in merged.items() if number is not None}

    def all_groups(self, base: Config) -> dict[str, ServerGroupSection]:
        """The server groups by name."""
        of_file = {group.name: group for group in base.server_groups}
        merged: dict[str, ServerGroupSection | None] = {**of_file, **self.groups}
        return {name: group for name, group in merged.items() if group is not None}

    def apply(self, base: Config) -> Config:
        """`base` with the changes. Applications that no script is named after get one."""
        if not len(self):
            return base
        numbers = self.all_numbers(base)
        scripts = dict(base.icm.scripts)
        wanted = {n.script: n.application for n in numbers.values() if n.script is not None}
        added = {
            name: ({"self_service": {"application": application or name}},)
            for name, application in wanted.items()
            if name not in scripts
        }
        icm = base.icm
        if added:
            made = type(icm).model_validate({"scripts": added}).scripts
            icm = icm.model_copy(update={"scripts": {**scripts, **made}})
        update = {
            "dialed_numbers": tuple(numbers.values()),
            "server_groups": tuple(self.all_groups(base).values()),
            "icm": icm,
        }
        return base.model_copy(update=update)

    # The file.

    @classmethod
    def load(cls, path: Path) -> "PlanChanges":
        """Read the file; nothing where there is none. Raises ConfigError."""
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, str(error)) from None
        try:
            tree = json.loads(text)
            numbers = {
                name: None if one is None else DialedNumber.model_validate(one)
                for name, one in tree["dialedNumberPattern"].items()
            }
            groups = {
                name: None if one is None else ServerGroupSection.model_validate(one)
                for name, one in tree["sipserver"].items()
            }
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise _unreadable(path, f"{where}: {first['msg']}") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _unreadable(path, f"{type(error).__name__}: {error}") from None
        return cls(numbers, groups)

    def save(self, path: Path) -> None:
        """Replace the file, or leave it as it is. Raises OSError."""
        tree: dict[Kind, Any] = {
            "dialedNumberPattern": {name: dumped(one) for name, one in self.numbers.items()},
            "sipserver": {name: dumped(one) for name, one in self.groups.items()},
        }
        rewrite(path, json.dumps(tree, indent=1, ensure_ascii=False), 0o666)


def dumped(section: DialedNumber | ServerGroupSection | None) -> dict[str, Any] | None:
    """A section as JSON can hold it; what is at its default is left out."""
    if section is None:
        return None
    return section.model_dump(mode="json", exclude_defaults=True)


def _unreadable(path: Path, why: str) -> ConfigError:
    fix = "mend it, or delete it to have the plan of the configuration file alone"
    return ConfigError([Problem(str(path), None, "", f"cannot be used: {why}; {fix}")])
