"""The commands `fluxbase-cli keys generate`, `list`, `verify` and `rewrap`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fluxbase_cli.cli.context import load, messages_for, working_directory
from fluxbase_cli.cli.listing import ColumnNames, chosen_columns, print_list
from fluxbase_cli.cli.option_types import whole_number
from fluxbase_cli.cli.options import LIST_OUTPUTS, Options, Output, command
from fluxbase_cli.cli.output import print_result, was_printed, write
from fluxbase_cli.cli.waits import tells_waits
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ConfigurationError, ExitCode, interrupted_code
from fluxbase_cli.log_events import LogEvent, about
from fluxbase_cli.printable import lines

if TYPE_CHECKING:
    from fluxbase_cli.keys.create import StoredKey


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `keys`."""
    app.command("generate", epilog=_GENERATE_EXAMPLES)(command(generate))
    app.command("list", epilog=_LIST_EXAMPLES)(command(list_keys, outputs=LIST_OUTPUTS))
    app.command("verify", epilog=_VERIFY_EXAMPLES)(command(verify))
    app.command("rewrap", epilog=_REWRAP_EXAMPLES)(command(rewrap))


_GENERATE_EXAMPLES = """\b
Examples:
  fluxbase-cli keys generate --encoding raw --out /run/secrets/new-key
  export FLUXBASE_SECRET_KEY_2=$(fluxbase-cli keys generate --encoding raw)
  fluxbase-cli keys generate --store
"""


def generate(
    options: Options,
    *,
    encoding: Annotated[
        Encoding | None,
        typer.Option(
            "--encoding",
            help="Write the key in this form: hex or base64 for `security.encryption.keys`, raw (32 characters) for "
            "FLUXBASE_ENCRYPTION_KEY of a released server. [default: raw if the configuration has an encryption_key, "
            "else hex]",
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="Store the key in the key source of the configuration (a file, Vault, AWS) instead of printing it.",
        ),
    ] = False,
    key_version: Annotated[
        int | None,
        typer.Option(
            "--key-version",
            parser=whole_number(least=1),
            metavar="N",
            help="With --store: give the new key this version. [default: the next one]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="Write the key to a new file that only you can read. An existing file is never overwritten.",
        ),
    ] = None,
) -> int:
    """Make a new key, and print or store it.

    hex and base64 have 256 random bits. raw has 32 characters of A-Za-z0-9-_ (192 random bits), which is the only form
    that a released server takes.

    The key goes only to stdout. Store it in your key source before you use it. With --store or --out, the key is
    stored, read back and compared. Then only its source and its fingerprint are printed.
    """
    if out is not None:
        from fluxbase_cli.keys.create import write_key  # noqa: PLC0415  # start-up time

        _print_stored(options, write_key(out, encoding or _default_encoding(options)))
        return ExitCode.DONE
    if store:
        from fluxbase_cli.keys.create import create_key  # noqa: PLC0415  # start-up time

        messages = messages_for(options)
        settings = load(options, messages)
        with tells_waits(settings, messages):
            stored = create_key(
                settings,
                os.environ,
                key_version,
                warn=about(LogEvent.KEY_WARNING, messages.warn_once),
                encoding=encoding,
            )
        _print_stored(options, stored)
        return ExitCode.DONE
    if key_version is not None:
        raise ConfigurationError(
            "--key-version needs --store",
            hint="Add --store, or leave --key-version out: a printed key has no version yet.",
        )
    _print_key(options, encoding or _default_encoding(options))
    # The printed key is all that there is of it. A script must not go on without it.
    return ExitCode.DONE if was_printed() else ExitCode.FAILED


def _default_encoding(options: Options) -> Encoding:
    """The form that the configured server takes. If nothing is configured, tell what the form is for."""
    from fluxbase_cli.config import knows_one_key  # noqa: PLC0415  # start-up time

    one_key = knows_one_key(config=options.config, directory=working_directory(), environ=os.environ)
    if one_key is None:
        messages_for(options).tell(
            LogEvent.KEY_HINT,
            "This key has 64 hex digits, for security.encryption.keys. A released server takes only 32 characters: "
            "`--encoding raw`.",
        )
    return Encoding.RAW if one_key else Encoding.HEX


def _print_key(options: Options, encoding: Encoding) -> None:
    from fluxbase_cli.keyring.material import generate_key, parse_key  # noqa: PLC0415  # start-up time
    from fluxbase_cli.seal import fingerprint  # noqa: PLC0415

    key = generate_key(encoding)
    if options.output in (None, Output.TABLE):
        write(key)
        return
    data = {"key": key, "encoding": encoding.value, "fingerprint": fingerprint(parse_key(key, "the new key"))}
    print_result(options, data, ())


def _print_stored(options: Options, stored: StoredKey) -> None:
    from fluxbase_cli.report.keys import setting_lines, stored_data, stored_lines  # noqa: PLC0415  # start-up time

    print_result(options, stored_data(stored), stored_lines(stored))
    if stored.version is not None and not stored.configured and options.output in (None, Output.TABLE):
        text = (f"      - version: {stored.version}", *setting_lines(stored.setting))
        messages_for(options).tell(
            LogEvent.CONFIGURATION_TO_CHANGE,
            lines(("Now add it to security.encryption.keys in the configuration:", "", *text, "")),
        )


_LIST_EXAMPLES = """\b
Examples:
  fluxbase-cli keys list
  fluxbase-cli keys list --count -o json
  fluxbase-cli keys list --columns version,state,last_rotation
"""


def list_keys(
    options: Options,
    *,
    count: Annotated[
        bool,
        typer.Option(
            "--count",
            help="Open every value, and show how many values are under each key.",
        ),
    ] = False,
    columns: ColumnNames = None,
) -> int:
    """List key versions with source, fingerprint, state and age."""
    from fluxbase_cli.keys.inventory import list_keys as read_keys  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.keys import keys_data, keys_listing  # noqa: PLC0415  # start-up time

    listing = keys_listing(counted=count)
    chosen = chosen_columns(options, listing, columns)
    messages = messages_for(options)
    settings = load(options, messages)
    for warning in settings.warnings:
        messages.warn(LogEvent.CONFIGURATION_WARNING, warning)
    listed = read_keys(settings, os.environ, warn=about(LogEvent.KEY_WARNING, messages.warn_once))
    values = None
    if count:
        from fluxbase_cli.cli.counting import count_values  # noqa: PLC0415  # start-up time
        from fluxbase_cli.engine.stop import Stop  # noqa: PLC0415

        stop = Stop()
        values = count_values(options, settings.database, listed.keyring, messages, stop)
        if stop.requested:
            # An incomplete count would mislead, so none is printed.
            messages.warn(LogEvent.COMMAND_INTERRUPTED, "interrupted; the count is incomplete and is not shown")
            return interrupted_code(stop.signal)
    data = keys_data(listed.keys, values)
    print_list(options, {"keys": data}, listing, data, chosen, listing.table(data))
    if options.output in (None, Output.TABLE):
        for key in data:
            for warning in key["warnings"]:
                messages.warn(LogEvent.KEY_WARNING, f"key version {key['version']}: {warning}")
    return ExitCode.DONE


_VERIFY_EXAMPLES = """\b
Example:
  fluxbase-cli keys verify && echo "every key is where it should be"
"""


def verify(options: Options) -> int:
    """Fetch every key and test it.

    A key is good if it can be read, has the right length, differs from all other keys, and opens what it seals. Exit
    code 0: all keys are good. 2: a key is not.
    """
    from fluxbase_cli.keys.verify import verify_keys  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.keys import verification_data, verification_lines  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    verification = verify_keys(
        load(options, messages), os.environ, warn=about(LogEvent.KEY_WARNING, messages.warn_once)
    )
    print_result(options, verification_data(verification), verification_lines(verification))
    return verification.exit_code


_REWRAP_EXAMPLES = """\b
Examples:
  fluxbase-cli keys rewrap --kms-key-id alias/fluxbase-secrets-2027
  fluxbase-cli keys rewrap --kms-key-id transit/fluxbase
"""


def rewrap(
    options: Options,
    *,
    kms_key_id: Annotated[
        str,
        typer.Option(
            "--kms-key-id",
            metavar="KEY",
            help="Wrap with this key of the key service: id, ARN or alias in AWS KMS, MOUNT/NAME in Vault's transit.",
        ),
    ],
) -> int:
    """Wrap the keys with another key of the key service.

    The keys, their fingerprints and all values stay the same. Only the key that wraps the keys changes.
    """
    from fluxbase_cli.keys.rewrap import rewrap_keys  # noqa: PLC0415  # start-up time
    from fluxbase_cli.report.keys import rewrapped_data, rewrapped_lines, setting_lines  # noqa: PLC0415  # start-up time

    messages = messages_for(options)
    settings = load(options, messages)
    with tells_waits(settings, messages):
        rewrapped = rewrap_keys(settings, os.environ, kms_key_id, warn=about(LogEvent.KEY_WARNING, messages.warn_once))
    print_result(options, rewrapped_data(rewrapped), rewrapped_lines(rewrapped))
    for key in rewrapped:
        if key.setting and options.output in (None, Output.TABLE):
            messages.tell(
                LogEvent.CONFIGURATION_TO_CHANGE,
                lines((f"Now set at {key.source}:", "", *setting_lines(key.setting), "")),
            )
    # A wrapped key of the database is opened only if the configuration names the key that wraps it.
    if any(not key.setting for key in rewrapped) and settings.encryption.kms_key_id != kms_key_id:
        named = ("    security:", "      encryption:", f"        kms_key_id: {kms_key_id}", "")
        messages.tell(
            LogEvent.CONFIGURATION_TO_CHANGE,
            lines(("Now set in the configuration, or these keys are not opened:", "", *named)),
        )
    return ExitCode.DONE
