"""The tables of call detail records in PostgreSQL, version by version, as Alembic runs them."""

from typing import Final

HEAD: Final = "1"
"""The version that this Callsim works with."""

VERSION_TABLE: Final = "callsim_schema"
"""Where a database has its version: not Alembic's name, which others may use beside us."""
