"""The table of calls, one row each, with its legs as JSON: they are read only with it.

Text is ordered by its code points, as in SQLite. Every index serves queries that are offered,
and ends with the columns that decide where the values before them are the same.
"""

from typing import Final

from alembic import op

revision = "1"
down_revision = None

_TABLE: Final = """
CREATE TABLE cdr (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_guid text COLLATE "C" NOT NULL,
    call_start_time bigint NOT NULL,
    call_end_time bigint NOT NULL,
    calling_number text COLLATE "C",
    called_number text COLLATE "C",
    call_result text COLLATE "C",
    self_service_duration bigint,
    queue_duration bigint,
    application_name text COLLATE "C",
    call_server_hostname text COLLATE "C",
    vxml_server_hostname text COLLATE "C",
    sip_call_id text COLLATE "C",
    icm_call_key text COLLATE "C",
    transfer_destination text COLLATE "C",
    error_code text COLLATE "C",
    cause_id bigint,
    call_type_id bigint,
    sub_system_type_id bigint,
    uui text COLLATE "C",
    hold_count bigint,
    application_count bigint,
    transfer_count bigint,
    timeout_count bigint,
    error_count bigint,
    ecc_variables text COLLATE "C",
    legs text COLLATE "C",
    marks text COLLATE "C"
)
"""

_INDEXES: Final = {
    "cdr_start": "call_start_time, id",
    "cdr_end": "call_end_time, call_start_time, id",
    "cdr_result": "call_result, call_start_time, id",
    "cdr_called": "called_number, call_start_time, id",
    "cdr_calling": "calling_number, call_start_time, id",
}


def upgrade() -> None:
    """Make what an empty database lacks."""
    op.execute(_TABLE)
    op.execute("CREATE UNIQUE INDEX cdr_guid ON cdr (call_guid, call_start_time)")
    for name, columns in _INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON cdr ({columns})")
