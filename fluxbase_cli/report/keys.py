"""What the commands of the group `keys` print, but `destroy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from fluxbase_cli.errors import ExitCode
from fluxbase_cli.keys.create import StoredKey
from fluxbase_cli.keys.inventory import ListedKey
from fluxbase_cli.keys.rewrap import Rewrapped
from fluxbase_cli.keys.verify import Verification
from fluxbase_cli.printable import joined
from fluxbase_cli.report.columns import Column, Listing


def stored_data(stored: StoredKey) -> dict[str, Any]:
    """A new key that was stored, as JSON."""
    return {
        "version": stored.version,
        "provider": stored.provider,
        "source": stored.source,
        "fingerprint": stored.fingerprint,
        "setting": dict(stored.setting),
    }


def stored_lines(stored: StoredKey) -> Iterator[str]:
    """The same as text."""
    name = "the new key" if stored.version is None else f"key version {stored.version}"
    yield f"✓ Stored {name} in {stored.source}: fingerprint {stored.fingerprint}"


def setting_lines(setting: Mapping[str, str]) -> Iterator[str]:
    """The fields of a key's entry in the configuration, as they are written there."""
    return (f"        {field}: {_quoted(value)}" for field, value in setting.items())


def _quoted(value: str) -> str:
    return f'"{value}"' if any(character in value for character in " {}`#:") else value


def keys_listing(*, counted: bool) -> Listing[Mapping[str, Any]]:
    """The list of `keys list`. Its rows are those of `keys_data`.

    Args:
        counted: whether the values of each key were counted.
    """
    return Listing(
        (
            Column("version", itemgetter("version"), lambda key: f"{key['version']}{_roles(key)}"),
            Column("provider", itemgetter("provider")),
            Column("fingerprint", itemgetter("fingerprint")),
            Column("state", itemgetter("state")),
            Column("values", lambda key: key.get("values"), right=True, shown=counted),
            Column("created_at", lambda key: key.get("created_at"), lambda key: _day(key.get("created_at")), "CREATED"),
            Column(
                "last_rotation",
                lambda key: key.get("last_rotation"),
                lambda key: _day(key.get("last_rotation")),
                "ROTATED",
            ),
            Column("source", itemgetter("source")),
            Column("active", itemgetter("active"), shown=False),
            Column("server", lambda key: key.get("server", False), shown=False),
            Column("warnings", lambda key: "; ".join(key["warnings"]), shown=False),
        ),
        lambda key: str(key["version"]),
    )


def _roles(key: Mapping[str, Any]) -> str:
    roles = [role for role in ("active", "server") if key.get(role)]
    return f" ({', '.join(roles)})" if roles else ""


def _day(moment: str | None) -> str:
    return "-" if moment is None else f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d}"


def keys_data(keys: tuple[ListedKey, ...], values: Mapping[int, int] | None = None) -> list[dict[str, Any]]:
    """The keys as `keys list -o json` prints them, the oldest first. Unknown fields are left out."""
    data = []
    for key in keys:
        fields: dict[str, Any] = {
            "version": key.version,
            "provider": key.provider,
            "source": key.source,
            "fingerprint": key.fingerprint,
            "active": key.active,
            "state": key.state.value,
            "warnings": list(key.warnings),
        }
        if key.server:
            fields["server"] = True
        if key.created_at is not None:
            fields["created_at"] = key.created_at.isoformat()
        if key.last_rotation is not None:
            fields["last_rotation"] = key.last_rotation.isoformat()
        if values is not None:
            fields["values"] = values.get(key.version, 0)
        data.append(fields)
    return data


def verification_data(verification: Verification) -> dict[str, Any]:
    """The result of `keys verify` as JSON."""
    return {
        "ok": verification.exit_code == ExitCode.DONE,
        "keys": [
            {
                "version": key.version,
                "provider": key.provider,
                "source": key.source,
                "fingerprint": key.fingerprint,
                "ok": key.problem is None,
                "problem": key.problem,
                **({"server": True} if key.server else {}),
            }
            for key in verification.keys
        ],
    }


def verification_lines(verification: Verification) -> Iterator[str]:
    """The same as text."""
    if not verification.keys:
        yield "✗ no key is configured"
    for key in verification.keys:
        name = f"key version {key.version} ({key.source})"
        if key.gone:
            yield f"! {name}: was destroyed; its entry can be removed from the configuration"
        elif key.to_come:
            yield f"! {name}: has no key yet; `fluxbase-cli keys generate --store --key-version {key.version}` makes it"
        elif key.problem is None:
            server = "; the server has this key" if key.server else ""
            yield f"✓ {name}: fingerprint {key.fingerprint}, opens what it seals{server}"
        else:
            # The error of a key that can't be read names its place already.
            place = key.source.rpartition("(")[2].removesuffix(")")
            short = f"key version {key.version}" if place in key.problem else name
            yield joined(f"✗ {short}: ", key.problem)


def rewrapped_data(rewrapped: Sequence[Rewrapped]) -> dict[str, Any]:
    """The result of `keys rewrap` as JSON."""
    return {
        "keys": [
            {
                "version": key.version,
                "fingerprint": key.fingerprint,
                "source": key.source,
                "kms_key_id": key.wrapping_key,
                "setting": dict(key.setting),
            }
            for key in rewrapped
        ]
    }


def rewrapped_lines(rewrapped: Sequence[Rewrapped]) -> Iterator[str]:
    """The same as text."""
    for key in rewrapped:
        yield f"✓ Key version {key.version} ({key.fingerprint}) is wrapped by {key.wrapping_key}"
