"""The settings of our sessions. A database, a role or a variable such as PGOPTIONS may have other ones.

What changes the form of a value, the meaning of a statement or how long it may take is set here. What only makes
statements slower is left as it is, except in sessions for values (`connect_for_values`).
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from fluxbase_cli.store.encoding import USE_DATABASE_ENCODING

SETTINGS: dict[str, str] = {
    "search_path": "pg_catalog",
    # How long something may take. A dead client must not hold a lock, so the server soon ends an idle transaction, and
    # closes a silent socket.
    "statement_timeout": "0",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "0",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # Row-level security would hide rows. With `off`, PostgreSQL raises an error instead.
    "row_security": "off",
    # The form of values: the driver and our own code read these forms.
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmlbinary": "base64",
    "xmloption": "content",
    # The meaning of statements.
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # What the server logs: no parameter of a failed statement, and no plan, in which parameters are constants.
    "log_parameter_max_length_on_error": "0",
    "debug_print_parse": "off",
    "debug_print_rewritten": "off",
    "debug_print_plan": "off",
}

ROWS_IN_LOG = "log_error_verbosity"
#: Settings that keep sealed values out of the server's log, and that only a superuser may change, or a role with `GRANT
#: SET ON PARAMETER`: parameters of statements; the contents of a row in the DETAIL of an error; plans; pgaudit.
_SILENT = {
    "log_parameter_max_length": "0",
    ROWS_IN_LOG: "terse",
    "auto_explain.log_min_duration": "-1",
    "pgaudit.log_parameter": "off",
}

#: Settings that came later, with the first version that has them (as `server_version_num`).
_LATER: dict[str, tuple[int, str]] = {"transaction_timeout": (170000, "0")}

#: Texts are converted here, and not by the server. And only batches may be lost in a crash (see `begin_batch`), even if
#: the database has synchronous_commit off: the record of a key's destruction must be on disk before it is destroyed.
_BY_DATABASE = (
    USE_DATABASE_ENCODING,
    "SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'",
)

# Operators are qualified too: until the search path is set, it may begin with a schema of somebody else.
_SET = sql.SQL(
    "SELECT pg_catalog.set_config(name, setting, false) FROM (VALUES {}) AS wanted (name, setting)"
    " WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {}"
)


# A setting of a module exists only where the module is loaded. `current_setting` is NULL for one that does not exist.
_SET_IF_PERMITTED = sql.SQL(
    "SELECT set_config(name, setting, false) FROM (VALUES {}) AS wanted (name, setting)"
    " WHERE current_setting(name, true) IS NOT NULL AND has_parameter_privilege(name, 'SET')"
).format(
    sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(name), sql.Literal(value)) for name, value in _SILENT.items()
    )
)


def apply_settings(connection: psycopg.Connection[tuple[object, ...]], server_process: int) -> bool:
    """Make the settings of a session, but only in the server process that is expected.

    Args:
        connection: a connection in autocommit.
        server_process: the number of the server process that the connection had a moment ago.

    Returns:
        Whether the settings were made. False means that another server process got the statement, and nothing was set.

    Raises:
        psycopg.Error: a setting can't be made.
    """
    settings = dict(SETTINGS)
    version = connection.info.server_version
    settings |= {name: value for name, (since, value) in _LATER.items() if version >= since}
    rows = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(name), sql.Literal(value)) for name, value in settings.items()
    )
    statement = _SET.format(rows, sql.Literal(server_process))
    if connection.execute(statement).rowcount != len(settings):
        return False
    # In one round trip: a small job opens more connections than it has batches.
    connection.execute(sql.SQL("; ").join((*map(sql.SQL, _BY_DATABASE), _SET_IF_PERMITTED)))
    return True
