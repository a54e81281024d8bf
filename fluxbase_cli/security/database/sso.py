"""The providers of single sign-on that are stored in the database, without their secrets."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import dict_row

from fluxbase_cli.security.database.rows import columns_of, existing, require
from fluxbase_cli.security.finding import NotCheckedError
from fluxbase_cli.store.connection import Connection

_SAML = "auth.saml_providers"
_OAUTH = ("dashboard.oauth_providers", "platform.oauth_providers")


@dataclass(frozen=True, slots=True)
class SamlProvider:
    """A SAML provider that is switched on.

    Attributes:
        name: its name.
        plain_metadata: whether its metadata come over http.
        idp_initiated: whether a sign-in may begin at the provider.
        has_redirect_hosts: whether there is a list of hosts that a sign-in may lead to.
    """

    name: str
    plain_metadata: bool
    idp_initiated: bool
    has_redirect_hosts: bool


@dataclass(frozen=True, slots=True)
class DashboardProvider:
    """A provider that opens the dashboard to each of its accounts.

    Attributes:
        table: its table.
        name: its name.
        address: where a sign-in begins; None for SAML.
        is_saml: whether it is a SAML provider.
    """

    table: str
    name: str
    address: str | None
    is_saml: bool


def read_saml_providers(connection: Connection) -> tuple[SamlProvider, ...]:
    """The SAML providers that are switched on, but those of the configuration, which the server copies.

    Raises:
        NotCheckedError: this release has no such table.
    """
    columns = require(connection, {_SAML: ("name", "enabled", "idp_metadata_url")})[_SAML]
    statement = sql.SQL(
        "SELECT name::text AS name, coalesce(idp_metadata_url LIKE 'http://%%', false) AS plain_metadata,"
        " coalesce({initiated}, false) AS idp_initiated,"
        " coalesce(cardinality({hosts}) > 0, false) AS has_redirect_hosts"
        " FROM auth.saml_providers WHERE enabled AND coalesce({source} <> 'config', true) ORDER BY name"
    ).format(
        initiated=existing(columns, "allow_idp_initiated", "false"),
        hosts=existing(columns, "allowed_redirect_hosts", "NULL::text[]"),
        source=existing(columns, "source", "NULL::text"),
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        return tuple(SamlProvider(**row) for row in cursor.execute(statement, ()).fetchall())


def read_dashboard_providers(connection: Connection) -> tuple[DashboardProvider, ...]:
    """The providers that open the dashboard without any required claim or group.

    Raises:
        NotCheckedError: this release has no such table.
    """
    tables = columns_of(connection, *_OAUTH, _SAML)
    oauth = [each for each in _OAUTH if each in tables]
    if not oauth:
        message = f"the table {_OAUTH[0]} is not in this database"
        raise NotCheckedError(message)
    found: list[DashboardProvider] = []
    for table in oauth:
        statement = sql.SQL(
            "SELECT provider_name::text AS name, authorization_url::text AS address FROM {} WHERE enabled"
            " AND {} AND coalesce({}::text IN ('null', '{{}}', '[]'), true) ORDER BY 1"
        ).format(
            sql.Identifier(*table.split(".")),
            existing(tables[table], "allow_dashboard_login", "false"),
            existing(tables[table], "required_claims", "NULL"),
        )
        found += [
            DashboardProvider(table, name, address, is_saml=False) for name, address in connection.execute(statement)
        ]
    columns = tables.get(_SAML, frozenset())
    if {"enabled", "allow_dashboard_login"} <= columns:
        statement = sql.SQL(
            "SELECT name::text FROM auth.saml_providers WHERE enabled AND allow_dashboard_login"
            " AND coalesce(cardinality({}), 0) = 0 AND coalesce(cardinality({}), 0) = 0"
            " AND coalesce({} <> 'config', true) ORDER BY 1"
        ).format(
            existing(columns, "required_groups", "NULL::text[]"),
            existing(columns, "required_groups_all", "NULL::text[]"),
            existing(columns, "source", "NULL::text"),
        )
        found += [DashboardProvider(_SAML, name, None, is_saml=True) for (name,) in connection.execute(statement)]
    return tuple(found)
