"""`fluxbase-cli keys`: generate, list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fluxbase_cli.cli.loading import load, messages_for
from fluxbase_cli.cli.options import Options, Output, command, group_options
from fluxbase_cli.cli.printing import print_result, write
from fluxbase_cli.encoding import Encoding
from fluxbase_cli.errors import ExitCode

if TYPE_CHECKING:
    from fluxbase_cli.keyring import Keyring

_GROUP_HELP = "Make a key, and see which are configured."


def make_app() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(help=_GROUP_HELP, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(group_options(_group))
    app.command("generate", epilog=_GENERATE_EXAMPLES)(command(generate))
    app.command("list", epilog=_LIST_EXAMPLES)(command(list_keys))
    return app


def _group() -> None:
    """The keys."""


_GENERATE_EXAMPLES = """\b
Examples:
  export FLUXBASE_SECRET_KEY_2=$(fluxbase-cli keys generate)
  fluxbase-cli keys generate --encoding raw
"""


def generate(
    options: Options,
    *,
    encoding: Annotated[
        Encoding,
        typer.Option(
            "--encoding",
            envvar="FLUXBASE_CLI_ENCODING",
            show_envvar=False,
            help="hex and base64 are for `security.encryption.keys`; raw is 32 characters for the server's "
            "`encryption_key`.",
        ),
    ] = Encoding.HEX,
) -> int:
    """Make a new 256-bit key and print it, like `openssl rand -hex 32`.

    The key goes to stdout and nowhere else: store it where your other keys are before you use it.
    """
    from fluxbase_cli.keyring.material import generate_key, parse_key  # noqa: PLC0415  # start-up time
    from fluxbase_cli.seal import fingerprint  # noqa: PLC0415

    key = generate_key(encoding)
    if options.output in (None, Output.TABLE):
        write(key)
        return ExitCode.DONE
    data = {"key": key, "encoding": encoding.value, "fingerprint": fingerprint(parse_key(key, "the new key"))}
    print_result(options, data, ())
    return ExitCode.DONE


_LIST_EXAMPLES = """\b
Example:
  fluxbase-cli keys list -o json
"""


def list_keys(options: Options) -> int:
    """Show the configured key versions by their fingerprints, never the keys."""
    import os  # noqa: PLC0415  # start-up time

    from fluxbase_cli.keyring import load_keyring  # noqa: PLC0415
    from fluxbase_cli.report.text import table  # noqa: PLC0415

    messages = messages_for(options)
    settings = load(options)
    keyring = load_keyring(settings.encryption, os.environ)
    for warning in settings.warnings:
        messages.warn(warning)
    data = keys_data(keyring)
    rows = [
        (
            f"{key['version']}{' (active)' if key['active'] else ''}",
            key["provider"],
            key["fingerprint"],
            key["state"],
            key["source"],
        )
        for key in data
    ]
    print_result(options, {"keys": data}, table(("VERSION", "PROVIDER", "FINGERPRINT", "STATE", "SOURCE"), rows))
    if options.output in (None, Output.TABLE):
        for key in data:
            for warning in key["warnings"]:
                messages.warn(f"key version {key['version']}: {warning}")
    return ExitCode.DONE


def keys_data(keyring: Keyring) -> list[dict[str, Any]]:
    """The keys as DESIGN.md section 2 lists them, oldest first."""
    return [
        {
            "version": key.version,
            "provider": key.provider,
            "source": key.source,
            "fingerprint": key.fingerprint,
            "active": key.version == keyring.active,
            "state": "enabled",
            "warnings": list(key.warnings),
        }
        for key in sorted(keyring.keys, key=lambda key: key.version)
    ]
