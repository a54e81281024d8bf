"""The generation of the server: the stable releases, or the coming ones with tenants."""

from __future__ import annotations

from enum import StrEnum

from fluxbase_cli.catalogue.locations import Layout
from fluxbase_cli.catalogue.releases import Release

#: For remedies on tables of the server: a server of main makes them as its release describes them at each start.
AFTER_EACH_START = "-- The server undoes this when it starts: run it after each start.\n"


class Generation(StrEnum):
    """The releases that the rules tell apart."""

    STABLE = "stable"
    """2026.1.4 to 2026.3.6."""
    MAIN = "main"
    """2026.3.7-rc.1 and later, with the schema `platform` and tenants."""


def generation_of(release: Release) -> Generation | None:
    """The generation of the server that made a database. None if the tables do not show it."""
    if release.layouts == {Layout.PLATFORM}:
        return Generation.MAIN
    return Generation.STABLE if release.layouts == {Layout.DASHBOARD} else None
