"""What names the rows of Fluxbase's sealed tables, for lists. It is no part of a location, and nothing depends on it.

All of these tables have `created_at`; most have `updated_at`, and `tenant_id` where the release has tenants. So have
tables of the operator, perhaps, which may have a column `name` too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowNames:
    """The columns that name a row.

    Attributes:
        name: the column with the row's name; None if there is none.
        namespace: the column that says where the name is valid.
        user: the column with the id of the user to whom the row belongs.
        parent: the column that refers to the row of another table that has the name. Then `name` and `namespace` are
            columns of that table.
        parent_schema, parent_table: that table. Its key is `id`.
    """

    name: str | None = None
    namespace: str | None = None
    user: str | None = None
    parent: str | None = None
    parent_schema: str = ""
    parent_table: str = ""


#: By `schema.table`. A user's e-mail address is no name: the id of the row says which user it is.
ROW_NAMES: Mapping[str, RowNames] = {
    "functions.secrets": RowNames("name", "namespace"),
    "functions.secret_versions": RowNames(
        "name", "namespace", parent="secret_id", parent_schema="functions", parent_table="secrets"
    ),
    "app.settings": RowNames("key", user="user_id"),
    "dashboard.oauth_providers": RowNames("provider_name"),
    "platform.oauth_providers": RowNames("provider_name"),
    "platform.instance_settings": RowNames(),
    "auth.oauth_tokens": RowNames("provider", user="user_id"),
    "auth.users": RowNames(user="id"),
    "branching.github_config": RowNames("repository"),
}
#: For a table that the operator has named.
OTHER_NAMES = RowNames("name")
