"""What the operator of a server with one key must know: before the values move, and afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fluxbase_cli.catalogue.releases import Release
from fluxbase_cli.config import EncryptionSettings
from fluxbase_cli.keyring import Key, Keyring
from fluxbase_cli.keys.target_rules import unusable_warning
from fluxbase_cli.server.one_key import disagreement, reads_one_key
from fluxbase_cli.store.sessions import OtherSession, named


@dataclass(frozen=True, slots=True)
class ServerNotes:
    """What the operator of a server with one key is told. For a server with several keys, there are no lines.

    Attributes:
        encryption: the configuration.
        release: the release of the database; None if it is not known.
        keyring: the keys.
        target: the key to which the values move.
        old: the version from which they move; None for all others.
        sessions: the sessions of others on the database.
        dry_run: whether nothing is written.
    """

    encryption: EncryptionSettings
    release: Release | None
    keyring: Keyring
    target: Key
    old: int | None
    sessions: Sequence[OtherSession] = ()
    dry_run: bool = False

    @property
    def knows_one_key(self) -> bool:
        """Whether the server knows one key."""
        return reads_one_key(self.encryption, self.release)

    def before_question(self) -> Iterator[str]:
        """What a running server can't read meanwhile, and which sessions are open. For every server."""
        if self.knows_one_key:
            yield from self.before()
            return
        version = self.target.version
        yield f"! A running server can read what was moved only if it was started with key version {version}."
        yield "  Without that key its requests fail, mostly without an error message."
        yield from self._sessions()

    def _sessions(self) -> Iterator[str]:
        if self.sessions:
            yield f"! Sessions that are still open on this database: {named(self.sessions)}"
        else:
            yield "Sessions:  no other session is open on this database"

    def before(self) -> Iterator[str]:
        """What happens to a running server, before the question is asked."""
        if not self.knows_one_key:
            return
        yield from self._disagreement()
        unusable = unusable_warning(self.target)
        if unusable is not None:
            yield f"! {unusable}"
            yield "  `fluxbase-cli keys generate --encoding raw` makes one that it takes."
        if self.dry_run:
            # Nothing is written, so the server may run.
            return
        has = self.keyring.server_key
        if has is not None:
            yield f"Server:    has key version {has.version}, fingerprint {has.fingerprint}"
        if has is None or has.version != self.target.version:
            yield "! The server knows one key. It can't read what was moved, until it is started with the new key."
            yield "  Most of these failures are silent. Stop it before you go on; start it with the new key afterwards."
        yield from self._sessions()

    def after(self) -> Iterator[str]:
        """What comes next: which key the server must get, and how."""
        if not self.knows_one_key:
            return
        yield from self._disagreement()
        version = self.target.version
        if self.keyring.server_version == version:
            yield (
                f"The server has key version {version}, by the configuration. If it has been running since before that "
                "was changed, start it again."
            )
            return
        audit = "" if self.old is None else f" --key-version {self.old}"
        # After a rollback the present key is the newer one, so versions are named and not "old" and "new".
        has = self.keyring.server_version or self.old
        present = "the key that it has" if has is None else f"version {has}"
        yield f"Now give the server key version {version}. Until then it can't read its secrets:"
        yield ""
        yield f"  1. Put key version {version} (fingerprint {self.target.fingerprint}) in place of {present}:"
        yield f"     {self._place()}"
        yield "  2. Start the server so that it reads this key, for example:"
        yield "       docker compose up -d --no-deps fluxbase     (`restart` keeps the old key)"
        yield "       kubectl rollout restart deployment/fluxbase"
        yield "       systemctl restart fluxbase"
        yield f"  3. Prove it: fluxbase-cli secrets audit{audit} --databases all"
        yield ""
        runs = "another key" if has is None else f"key version {has}"
        yield f"A server that still runs with {runs} goes on sending mail until somebody saves the e-mail settings."
        yield "Its functions lose their secrets, and logins by OAuth or TOTP fail, mostly without an error message."

    def _disagreement(self) -> Iterator[str]:
        finding = disagreement(self.encryption, self.release)
        if finding is not None:
            yield f"! {finding.sentence.removesuffix('.')}"

    def _place(self) -> str:
        key = self.encryption.server_key
        if key is None:
            return "FLUXBASE_ENCRYPTION_KEY, where the server reads it"
        return f"FLUXBASE_ENCRYPTION_KEY, now at {key.source}"
