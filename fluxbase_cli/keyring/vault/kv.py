"""The two versions of Vault's engine `kv`: version 2 keeps the history of a secret, version 1 only the last write.

The formats are from Vault's HTTP API (https://developer.hashicorp.com/vault/api-docs/secret/kv).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from fluxbase_cli.errors import ConfigurationError
from fluxbase_cli.keyring.provider import KeyAbsentError
from fluxbase_cli.keyring.vault.client import VaultClient
from fluxbase_cli.keyring.vault.connection import BAD_REQUEST, FORBIDDEN, NOT_FOUND, Request, Response

_LOOKUP = "sys/internal/ui/mounts/"


@dataclass(frozen=True, slots=True)
class Stored:
    """The secret at a path.

    Attributes:
        fields: the fields.
        created_at: when this version of the secret was written. None if the engine does not know.
    """

    fields: Mapping[str, Any] = field(repr=False)
    created_at: datetime | None = None


class Engine(Protocol):
    """The operations on the secrets of one mount. Every `path` begins with the path of the mount."""

    @property
    def has_check_and_set(self) -> bool:
        """Whether the engine refuses the second of two concurrent first writes."""
        ...

    def read(self, path: str) -> Stored:
        """Read the newest version, with one request.

        Raises:
            KeyAbsentError: there is no secret, or it was deleted or destroyed.
            ConfigurationError: it can't be read.
        """
        ...

    def write_first(self, path: str, fields: Mapping[str, str]) -> bool:
        """Write a new secret. If there is or was a secret, write nothing and return False."""
        ...

    def change(self, path: str, field: str, text: str) -> bool:
        """Write one field of a secret and keep the others. If another write came first, write nothing, return False."""
        ...

    def exists(self, path: str) -> bool:
        """Whether anything of the secret is left. Metadata alone counts too."""
        ...

    def field_names(self, path: str) -> frozenset[str] | None:
        """The names of all fields in all readable versions. None if nothing is left, not even metadata."""
        ...

    def purge(self, path: str) -> None:
        """Remove the secret with all versions and metadata. It may be gone already."""
        ...


@dataclass(frozen=True, slots=True)
class KvVersion1:
    """Version 1 of the engine.

    Attributes:
        client: sends the requests.
    """

    client: VaultClient

    @property
    def has_check_and_set(self) -> bool:
        """See `Engine.has_check_and_set`."""
        return False

    def read(self, path: str) -> Stored:
        """See `Engine.read`."""
        response = self.client.ask(Request("GET", path), "read")
        if response.status == NOT_FOUND:
            raise KeyAbsentError(f"there is no secret at {path} in {self.client.name}", hint=_WRITE_HINT)
        _require(response, self.client, f"reading {path}")
        return Stored(response.data)

    def write_first(self, path: str, fields: Mapping[str, str]) -> bool:
        """See `Engine.write_first`. A write by others between our two requests is not noticed."""
        if self.exists(path):
            return False
        response = self.client.ask(Request("POST", path, fields), "create")
        _require(response, self.client, f"writing {path}")
        return True

    def change(self, path: str, field: str, text: str) -> bool:
        """See `Engine.change`. A write by others between our two requests is not noticed."""
        response = self.client.ask(Request("GET", path), "read")
        _require(response, self.client, f"reading {path}", NOT_FOUND)
        fields = {**(response.data if response.is_ok else {}), field: text}
        _require(self.client.ask(Request("POST", path, fields), "update"), self.client, f"writing {path}")
        return True

    def exists(self, path: str) -> bool:
        """See `Engine.exists`."""
        return self.field_names(path) is not None

    def field_names(self, path: str) -> frozenset[str] | None:
        """See `Engine.field_names`."""
        try:
            return frozenset(self.read(path).fields)
        except KeyAbsentError:
            return None

    def purge(self, path: str) -> None:
        """See `Engine.purge`."""
        response = self.client.ask(Request("DELETE", path), "delete")
        _require(response, self.client, f"deleting {path}", NOT_FOUND)


@dataclass(frozen=True, slots=True)
class KvVersion2:
    """Version 2 of the engine.

    Attributes:
        client: sends the requests.
        mount: the path of the mount, with a slash at its end.
    """

    client: VaultClient
    mount: str

    @property
    def has_check_and_set(self) -> bool:
        """See `Engine.has_check_and_set`."""
        return True

    def read(self, path: str) -> Stored:
        """See `Engine.read`."""
        data = self._path("data", path)
        response = self.client.ask(Request("GET", data), "read")
        metadata = response.data.get("metadata")
        if response.status == NOT_FOUND:
            raise self._absent(path, metadata if isinstance(metadata, Mapping) else None)
        _require(response, self.client, f"reading {data}")
        return Stored(_mapping(response.data.get("data")), _time(_mapping(metadata).get("created_time")))

    def write_first(self, path: str, fields: Mapping[str, str]) -> bool:
        """See `Engine.write_first`."""
        data = self._path("data", path)
        response = self.client.look_up(Request("POST", data, {"options": {"cas": 0}, "data": dict(fields)}))
        if response.status == FORBIDDEN:
            # Vault also answers this if there is a secret already and the token may create, but not update.
            if self._is_readable(path):
                return False
            raise self.client.denied(data, "create")
        if response.status == BAD_REQUEST and "check-and-set" in response.error_text:
            # This may be the response to our second attempt: the first succeeded, and its response was lost.
            return self._holds(path, fields)
        _require(response, self.client, f"writing {data}")
        return True

    def change(self, path: str, field: str, text: str) -> bool:
        """See `Engine.change`."""
        data = self._path("data", path)
        response = self.client.ask(Request("GET", data), "read")
        _require(response, self.client, f"reading {data}", NOT_FOUND)
        # Vault returns the number of a deleted version too. The next version has the next number.
        number = int(_mapping(response.data.get("metadata")).get("version") or 0)
        fields = {**(_mapping(response.data.get("data")) if response.is_ok else {}), field: text}
        response = self.client.ask(Request("POST", data, {"options": {"cas": number}, "data": fields}), "update")
        if response.status == BAD_REQUEST and "check-and-set" in response.error_text:
            return self._holds(path, fields)
        _require(response, self.client, f"writing {data}")
        return True

    def exists(self, path: str) -> bool:
        """See `Engine.exists`."""
        return self._metadata(path) is not None

    def field_names(self, path: str) -> frozenset[str] | None:
        """See `Engine.field_names`."""
        metadata = self._metadata(path)
        if metadata is None:
            return None
        return frozenset(name for number in _readable_versions(metadata) for name in self._fields_of(path, number))

    def purge(self, path: str) -> None:
        """See `Engine.purge`. Deleting only the data would hide it. Without the metadata nobody can bring it back."""
        metadata = self._path("metadata", path)
        response = self.client.ask(Request("DELETE", metadata), "delete")
        _require(response, self.client, f"deleting {metadata}", NOT_FOUND)

    def _metadata(self, path: str) -> Mapping[str, Any] | None:
        metadata = self._path("metadata", path)
        response = self.client.ask(Request("GET", metadata), "read")
        if response.status == NOT_FOUND:
            return None
        _require(response, self.client, f"reading {metadata}")
        return response.data

    def _fields_of(self, path: str, number: str) -> Mapping[str, Any]:
        data = self._path("data", path)
        response = self.client.ask(Request("GET", data, query={"version": number}), "read")
        _require(response, self.client, f"reading {data}", NOT_FOUND)
        return _mapping(response.data.get("data"))

    def _is_readable(self, path: str) -> bool:
        return self.client.look_up(Request("GET", self._path("data", path))).is_ok

    def _holds(self, path: str, fields: Mapping[str, str]) -> bool:
        try:
            return dict(self.read(path).fields) == dict(fields)
        except KeyAbsentError:
            return False

    def _path(self, kind: str, path: str) -> str:
        return f"{self.mount}{kind}/{path.removeprefix(self.mount)}"

    def _absent(self, path: str, metadata: Mapping[str, Any] | None) -> KeyAbsentError:
        if metadata is None:
            rest = path.removeprefix(self.mount)
            kind, slash, _ = rest.partition("/")
            hint = f"Leave out `{kind}/`: it belongs to the HTTP API." if slash and kind == "data" else _WRITE_HINT
            return KeyAbsentError(f"there is no secret at {path} in {self.client.name}", hint=hint)
        number = metadata.get("version")
        if metadata.get("destroyed") is True:
            return KeyAbsentError(
                f"version {number} of the secret at {path} in {self.client.name} was destroyed",
                hint="What was destroyed can't be brought back. If you have a copy of the key, write it there again.",
            )
        return KeyAbsentError(
            f"version {number} of the secret at {path} in {self.client.name} was deleted",
            hint=f"`vault kv undelete -versions={number} {path}` brings it back.",
        )


_WRITE_HINT = "Write it there (`fluxbase-cli keys generate --store` does), or correct the path."


class Engines:
    """The engines of the mounts. Each mount is looked up once, when it is first needed.

    Args:
        client: sends the requests.
    """

    def __init__(self, client: VaultClient) -> None:
        self._client = client
        self._known: dict[str, Engine] = {}

    def of(self, path: str) -> Engine:
        """The engine of the mount that contains a path.

        Raises:
            ConfigurationError: there is no such mount, or it is not a `kv`.
        """
        # A mount never contains another mount, so one that matches is the right one.
        for mount, engine in self._known.items():
            if path.startswith(mount):
                return engine
        response = self._client.look_up(Request("GET", f"{_LOOKUP}{path}"))
        if response.status in (FORBIDDEN, NOT_FOUND):
            if "namespace not found" in response.error_text:
                # `ask` raises the error for that.
                self._client.ask(Request("GET", f"{_LOOKUP}{path}"), "read")
            mount, _, rest = path.partition("/")
            raise ConfigurationError(
                f"{self._client.name} shows this token no mount for {path}",
                hint="There is none, or the token lacks a policy. For KV version 2 mounted at "
                f'{mount}: path "{mount}/data/{rest}" {{ capabilities = ["read"] }}',
            )
        _require(response, self._client, f"looking for the mount of {path}")
        mount = str(response.data.get("path") or "")
        if not mount or not path.startswith(mount):
            raise ConfigurationError(
                f"{path} names a mount of {self._client.name} and no secret in it",
                hint="Write mount and path, as in secret/fluxbase/keys/v1.",
            )
        engine = _engine(self._client, mount, response.data)
        self._known[mount] = engine
        return engine


def _engine(client: VaultClient, mount: str, described: Mapping[str, Any]) -> Engine:
    kind = described.get("type")
    if kind not in ("kv", "generic"):
        raise ConfigurationError(
            f"the mount {mount} of {client.name} is not of the type kv",
            hint="Write a path in a mount of the type kv: `vault secrets list` shows the mounts.",
        )
    # An old mount of version 1 has no options at all.
    version = str(_mapping(described.get("options")).get("version") or "1")
    match version:
        case "1":
            return KvVersion1(client)
        case "2":
            return KvVersion2(client, mount)
        case _:
            raise ConfigurationError(
                f"the mount {mount} of {client.name} is a kv of an unknown version",
                hint="Keep the keys in a mount of KV version 1 or 2.",
            )


def _require(response: Response, client: VaultClient, doing: str, *also: int) -> None:
    if not response.is_ok and response.status not in also:
        raise ConfigurationError(
            f"{client.name} refuses {doing} (HTTP {response.status})", hint="The log of the server says why."
        )


def _readable_versions(metadata: Mapping[str, Any]) -> Iterator[str]:
    """The numbers of the versions that can still be read."""
    for number, version in _mapping(metadata.get("versions")).items():
        described = _mapping(version)
        if not described.get("destroyed") and not described.get("deletion_time"):
            yield str(number)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
