"""`secrets list`: what is stored where and under which key, told by the audit's own reading. Never a value."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import yaml

from fluxbase_cli.engine.events import NullObserver
from fluxbase_cli.engine.read.stored_values import StoredValue, ValueFilter, ValueList, ValueVisitor
from fluxbase_cli.engine.stop import Stop
from fluxbase_cli.errors import ExitCode
from fluxbase_cli.printable import to_printable_json
from fluxbase_cli.proof.proof import ProofRequest, take_proof
from tests.fixtures.command import Outcome
from tests.fixtures.embedded import on_both_releases
from tests.fixtures.fluxbase import (
    DOCUMENTS,
    FEW,
    KEYS,
    NEW,
    OLD,
    SECRETS,
    STRANGER,
    Fluxbase,
    Role,
    Spot,
    ring_of,
    seal,
)
from tests.fixtures.further import SecondaryDatabase
from tests.fixtures.in_process import InProcess

_EVIL = '=1+1\x1b[2J\n"x",\u202e'
_TENANT = UUID(int=7)


@pytest.fixture
def command(flux: Fluxbase, tmp_path: Path) -> InProcess:
    """The command for the database, with both keys."""
    keys = {f"FLUXBASE_SECRET_KEY_{version}": key.hex() for version, key in KEYS.items()}
    return InProcess(tmp_path, {"FLUXBASE_DATABASE_URL": flux.url, **keys})


def listed(command: InProcess, *arguments: str) -> Any:
    outcome = command("secrets", "list", "-o", "json", *arguments)
    assert outcome.code in (ExitCode.DONE, ExitCode.UNDECRYPTABLE_LEFT), outcome.stderr
    # It is printed piece by piece, and looks as if it were printed as a whole.
    assert outcome.stdout == to_printable_json(outcome.json, indent=2) + "\n"
    return outcome.json


def spot(value: dict[str, Any], spots: Sequence[Spot]) -> Spot:
    """The place of a value. JSON has a path with dots, which stands for one path of these."""
    return next(
        each
        for each in spots
        if (each.location, str(each.id), ".".join(each.path) or None) == (value["location"], value["id"], value["path"])
    )


@on_both_releases
def test_every_value_is_listed_once_with_the_keys_that_it_needs_and_no_text_of_it(
    full: Fluxbase, command: InProcess
) -> None:
    everything, before = full.everything(KEYS), full.places()
    data = listed(command)
    found = {spot(value, tuple(everything)): value for value in data["values"]}
    assert len(found) == len(data["values"]) == data["listed"]
    assert {each: value["key_versions"] for each, value in found.items() if value["state"] == "sealed"} == {
        each: list(dict.fromkeys(opened.versions)) for each, opened in everything.items() if opened.versions
    }
    assert {each for each, value in found.items() if value["state"] == "undecryptable"} == full.bad
    expected = [full.expected[location] for location in full.columns]
    assert data["plaintext"] == sum(each.plaintext for each in expected)
    assert data["undecryptable"] == sum(each.undecryptable for each in expected)
    assert data["sealed"] == sum(each.scanned - each.undecryptable for each in expected)
    stored = full.stored()
    assert all(value["size"] == len(stored[each][0].encode()) for each, value in found.items())
    assert full.places() == before


def test_no_value_is_printed_in_any_form(full: Fluxbase, command: InProcess) -> None:
    """Neither a sealed value, nor the secret in it, nor a secret that is stored as plaintext."""
    texts = {text for text, _ in full.stored().values()}
    texts |= {opened.text.decode("utf-8", "replace") for opened in full.everything(KEYS).values()}
    # Names, and words of the output such as `true`, may be the text of a string of a document too.
    secret = {text for text in texts if len(text) > 9 and text != "not.a.secret"}
    assert len(secret) > 50
    for output in ("table", "json", "yaml", "csv", "name"):
        outcome = command("secrets", "list", "-o", output, "--debug")
        assert outcome.code == ExitCode.UNDECRYPTABLE_LEFT
        printed = outcome.all.replace("\n", "")
        assert [text for text in secret if text.replace("\n", "") in printed] == [], output


def test_one_command_says_which_secrets_a_leaked_key_concerns(flux: Fluxbase, command: InProcess) -> None:
    leaked = flux.secret(seal(OLD, "a"), name="STRIPE_KEY")
    inner = flux.secret(seal(NEW, seal(OLD, "twice")), name="TWICE")
    flux.secret(seal(NEW, "b"), name="OTHER")
    token = flux.token(seal(OLD, "t1"), seal(NEW, "t2"), seal(OLD, "t3"))
    outcome = command("secrets", "list", "--key-version", "1", "--columns", "location,name,key_versions")
    assert outcome.stdout.splitlines() == [
        "LOCATION                           NAME        KEY VERSIONS",
        "functions.secrets.encrypted_value  STRIPE_KEY  1",
        "functions.secrets.encrypted_value  TWICE       2 1",
        "auth.oauth_tokens.access_token     google      1",
        "auth.oauth_tokens.id_token         google      1",
    ]
    assert outcome.code == ExitCode.DONE
    assert "secrets audit --key-version 1` proves" in outcome.stderr
    assert "moved to another key" not in outcome.stderr
    ids = command("secrets", "list", "--key-version", "1", "-o", "name").stdout.split()
    assert ids == [str(leaked), str(inner), str(token)]


def test_an_undecryptable_value_may_need_the_key_so_the_exit_code_is_4(flux: Fluxbase, command: InProcess) -> None:
    flux.secret(seal(NEW, "b"))
    damaged = flux.secret(seal(STRANGER, "a"), name="LOST")
    outcome = command("secrets", "list", "--key-version", "1")
    assert (outcome.code, outcome.stdout) == (ExitCode.UNDECRYPTABLE_LEFT, "Listed no values\n")
    assert "Values that were under key version 1 and were moved to another key are not listed." in outcome.stderr
    assert "1 value opens under no configured key, so it is unknown whether it needs version 1;" in outcome.stderr
    data = listed(command, "--undecryptable")
    assert [(value["id"], value["name"], value["state"]) for value in data["values"]] == [
        (str(damaged), "LOST", "undecryptable")
    ]
    assert "no configured key opens it" in data["values"][0]["reason"]
    # In a table the reason stands below the value.
    below = command("secrets", "list", "--undecryptable").stdout.partition("LOST\n")[2]
    assert below.startswith("      no configured key opens it")
    # Where there is none, nothing is unknown.
    assert command("secrets", "list", "--key-version", "1", "--location", "app.settings").code == ExitCode.DONE


def test_filters_choose_by_place_name_age_and_tenant(flux: Fluxbase, command: InProcess) -> None:
    day = timedelta(days=1)
    now: datetime = flux.value("SELECT now()")
    flux.rows("INSERT INTO platform.tenants (id, slug, name) VALUES (%s, 't', 't')", _TENANT)
    flux.secret(seal(OLD, "a"), name="STRIPE_KEY", updated_at=now - 400 * day, tenant_id=_TENANT)
    flux.secret(seal(OLD, "b"), name="STRIPE_HOOK", updated_at=now - 10 * day)
    flux.secret(seal(OLD, "c"), name="MAIL_KEY", updated_at=now - 400 * day)
    flux.token(seal(OLD, "d"), seal(OLD, "e"))
    flux.document(json.dumps({"email": {"smtp_password": seal(OLD, "f")}}))

    def names(*arguments: str) -> list[str]:
        return sorted(value["name"] or value["path"] for value in listed(command, *arguments)["values"])

    assert names("--name", "STRIPE_*") == ["STRIPE_HOOK", "STRIPE_KEY"]
    assert names("--name", "*_KEY", "--older-than", "365d") == ["MAIL_KEY", "STRIPE_KEY"]
    assert names("--older-than", "365d", "--tenant", str(_TENANT)) == ["STRIPE_KEY"]
    assert names("--newer-than", "30d", "--location", "functions.secrets") == ["STRIPE_HOOK"]
    assert names("--location", "auth.oauth_tokens.refresh_token") == ["google"]
    assert names("--location", DOCUMENTS) == ["email.smtp_password"]
    value = listed(command, "--tenant", str(_TENANT))["values"][0]
    assert value["tenant"] == str(_TENANT)
    assert abs(value["age_seconds"] - 400 * 86_400) < 3600


def test_a_history_row_has_the_name_of_its_secret_and_a_token_its_user(flux: Fluxbase, command: InProcess) -> None:
    parent = flux.secret(seal(OLD, "a"), name="API_KEY", scope="namespace", namespace="billing")
    flux.insert("functions.secret_versions", secret_id=parent, version=1, encrypted_value=seal(OLD, "b"))
    flux.token(seal(OLD, "d"))
    history, token = (
        listed(command, "--location", each)["values"][0] for each in ("functions.secret_versions", "auth.oauth_tokens")
    )
    assert (history["name"], history["namespace"], history["updated_at"]) == ("API_KEY", "billing", None)
    # Its age is that of the day when it was made.
    assert history["age_seconds"] >= 0
    assert token["user"] == str(flux.value("SELECT user_id FROM auth.oauth_tokens"))
    text = command("secrets", "list", "--location", "functions.secret_versions").stdout
    assert "billing/API_KEY" in text


def test_hostile_names_reach_neither_the_terminal_nor_a_spreadsheet(flux: Fluxbase, command: InProcess) -> None:
    flux.secret(seal(OLD, "a"), name=_EVIL)
    assert listed(command)["values"][0]["name"] == _EVIL
    for output in ("table", "json", "yaml", "csv", "name"):
        printed = command("secrets", "list", "-o", output).stdout
        assert all(character == "\n" or character.isprintable() for character in printed), output
    rows = list(csv.DictReader(command("secrets", "list", "-o", "csv").stdout.splitlines()))
    assert [row["name"] for row in rows] == ['\'=1+1\\x1b[2J\\n"x",\\u202e']


def test_the_table_fits_80_columns_and_cuts_nothing(full: Fluxbase, command: InProcess) -> None:
    full.secret(seal(STRANGER, "a"), name="A_" + "LONG_" * 10 + "NAME")
    full.close()
    outcome = command("secrets", "list")
    assert max(map(len, outcome.stdout.splitlines())) <= 80
    assert "A_" + "LONG_" * 10 + "NAME" in outcome.stdout
    count = outcome.stdout.splitlines()[-1]
    assert count.startswith("Listed ")
    assert " undecryptable" in count


def test_the_limit_ends_the_list_and_says_so(flux: Fluxbase, command: InProcess) -> None:
    flux.secrets(5)
    outcome = command("secrets", "list", "-o", "json", "--limit", "3", "--batch-size", "2")
    assert (outcome.code, len(outcome.json["values"]), outcome.json["complete"]) == (ExitCode.DONE, 3, False)
    assert "The list ends after 3 values; there are more." in outcome.stderr
    whole = listed(command, "--limit", "5")
    assert (whole["listed"], whole["complete"]) == (5, True)


@pytest.mark.parametrize("output", ["json", "yaml", "csv", "name", "table"])
def test_an_empty_list_is_a_whole_document_too(flux: Fluxbase, command: InProcess, output: str) -> None:
    outcome = command("secrets", "list", "-o", output)
    assert outcome.code == ExitCode.DONE
    match output:
        case "json" | "yaml":
            data = yaml.safe_load(outcome.stdout)
            assert (data["values"], data["listed"], data["complete"]) == ([], 0, True)
        case "csv":
            assert outcome.stdout.startswith("database,location,id,path,name,")
            assert outcome.stdout.count("\n") == 1
        case _:
            assert outcome.stdout == ("" if output == "name" else "Listed no values\n")


def test_yaml_and_csv_have_the_values_of_json(full: Fluxbase, command: InProcess) -> None:
    data = listed(command, "--batch-size", "3")
    strip = {"age_seconds"}
    values = [{name: each for name, each in value.items() if name not in strip} for value in data["values"]]
    again = yaml.safe_load(command("secrets", "list", "-o", "yaml", "--batch-size", "3").stdout)
    assert [{name: each for name, each in value.items() if name not in strip} for value in again["values"]] == values
    rows = list(csv.DictReader(command("secrets", "list", "-o", "csv").stdout.splitlines()))
    assert [(row["location"], row["id"], row["path"] or None, int(row["size"])) for row in rows] == [
        (value["location"], value["id"], value["path"], value["size"]) for value in values
    ]


def test_a_role_that_may_only_read_and_sees_all_rows_is_enough(flux: Fluxbase, role: Role, command: InProcess) -> None:
    flux.secret(seal(OLD, "a"), name="READ_ONLY")
    flux.rows(f"ALTER ROLE {role.name} BYPASSRLS")
    flux.rows(f"ALTER ROLE {role.name} SET default_transaction_read_only = on")
    flux.rows(f"GRANT USAGE ON SCHEMA functions, app, platform, auth, branching TO {role.name}")
    flux.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA functions, app, platform, auth, branching TO {role.name}")
    url = str(role.database.connection_parameters()["conninfo"])
    data = listed(command.having(FLUXBASE_DATABASE_URL=url))
    assert [(value["location"], value["name"]) for value in data["values"]] == [(SECRETS, "READ_ONLY")]


def test_branches_are_listed_with_their_database_and_what_could_not_be_read_is_told(
    flux: Fluxbase, further: SecondaryDatabase, command: InProcess
) -> None:
    flux.secret(seal(OLD, "a"), name="EVERYWHERE")
    flux.close()
    branch, closed = further.branch("one"), further.branch("closed")
    further.rows(None, f"ALTER DATABASE {closed} ALLOW_CONNECTIONS false")
    outcome = command("secrets", "list", "--databases", "all", "-o", "json")
    assert outcome.code == ExitCode.UNDECRYPTABLE_LEFT
    assert [(value["database"], value["name"]) for value in outcome.json["values"]] == [
        (further.main, "EVERYWHERE"),
        (branch, "EVERYWHERE"),
    ]
    assert [each["where"] for each in outcome.json["unexamined"]] == [closed]
    text = command("secrets", "list", "--databases", "all").stdout
    assert f"{branch}: functions.secrets.encrypted_value" in text


def test_a_table_of_the_operator_is_listed_too_and_its_sealed_column_is_never_its_name(
    flux: Fluxbase, command: InProcess
) -> None:
    flux.rows("CREATE TABLE public.crm (id bigint PRIMARY KEY, name text, label text, created_at timestamptz)")
    flux.rows("INSERT INTO public.crm VALUES (1, %s, 'x', now())", seal(OLD, "a"))
    places = command.write("places.yaml", "locations:\n  - {table: public.crm, columns: [name], key: id}\n")
    data = listed(command, "--locations", str(places), "--location", "public.crm")
    assert [(value["location"], value["name"]) for value in data["values"]] == [("public.crm.name", None)]
    flux.rows("DROP TABLE public.crm")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--key-version", "7"), "key version 7 is not configured"),
        (("--key-version", "1", "--undecryptable"), "--key-version and --undecryptable can't go together"),
        (("--location", "functions.secret"), "there is no location 'functions.secret'"),
        (("--tenant", "x"), "--tenant is no UUID"),
        (("--columns", "id,value"), "there is no column 'value'"),
        (("--columns", "id", "-o", "json"), "--columns and -o json can't go together"),
        (("-o", "sarif"), "--output sarif is for `security check`"),
    ],
)
def test_what_makes_no_sense_is_refused_with_one_line(
    command: InProcess, arguments: tuple[str, ...], words: str
) -> None:
    outcome = command("secrets", "list", *arguments)
    assert (outcome.code, outcome.stdout) == (ExitCode.USAGE, "")
    assert words in outcome.stderr


def test_a_list_that_breaks_off_is_a_whole_document_that_says_so(
    flux: Fluxbase, command: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    flux.secrets(4)
    seen: list[StoredValue] = []

    def add(self: ValueList, values: Any, real: Any = ValueList.add) -> None:
        real(self, values)
        seen.append(values)
        if len(seen) > 1:
            raise psycopg.errors.DataCorrupted("it broke")

    monkeypatch.setattr(ValueList, "add", add)
    outcome: Outcome = command("secrets", "list", "-o", "json", "--batch-size", "1")
    assert outcome.code == ExitCode.FAILED
    assert (outcome.json["listed"], outcome.json["complete"]) == (2, False)
    assert "DataCorrupted" in outcome.json["error"]
    assert "DataCorrupted" in outcome.stderr


def test_memory_does_not_grow_with_the_values(flux: Fluxbase) -> None:
    def peak() -> int:
        stop = Stop()
        values = ValueList(ValueFilter(), None, lambda _values: True, stop.request)
        request = ProofRequest(limits=FEW, workers=1, visitor_for=lambda name: ValueVisitor(name, values))
        tracemalloc.start()
        take_proof(flux.database, ring_of(KEYS), request, stop=stop, observer=NullObserver())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    flux.secrets(200)
    # Modules are imported, and statements prepared, the first time.
    peak()
    few = peak()
    flux.secrets(2_000)
    assert peak() < few + 2_000 * 600
