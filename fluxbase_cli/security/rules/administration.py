"""Rules on the first setup and on single sign-on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from psycopg import sql

from fluxbase_cli.config.document import Value
from fluxbase_cli.security.configuration.known import MAIN
from fluxbase_cli.security.configuration.published import SETUP_TOKENS, is_published
from fluxbase_cli.security.configuration.reading import setting_place, text_of
from fluxbase_cli.security.configuration.secrets import is_reference, sample_reason
from fluxbase_cli.security.configuration.values import go_bool
from fluxbase_cli.security.database.app_settings import read_app_settings
from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.sso import read_dashboard_providers, read_saml_providers
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, NotCheckedError, Place, Severity, Unchecked
from fluxbase_cli.security.rule import Point, rule

_SHORT, _LEAST = 16, 32
#: Providers at which anybody can have an account.
_PUBLIC_ISSUERS = ("google", "apple", "microsoft", "github", "facebook", "linkedin", "gitlab")
_PUBLIC_ADDRESSES = ("accounts.google.com", "appleid.apple.com", "login.microsoftonline.com/common")


@rule(
    "FB-ADM-001",
    "Setup is open with a weak token",
    severity=Severity.HIGH,
    point=Point.ENVIRONMENT,
    quote=None,
    explanation="""
    Until the setup is done, the setup token makes the first administrator. It is critical if the token is a published
    sample or has fewer than 16 characters; high if it has fewer than 32 or looks
    like a sample. After the setup it is low: the server still needs some token to show the dashboard.
    """,
    remedy="FLUXBASE_SECURITY_SETUP_TOKEN=…    # from: openssl rand -base64 48. Then finish the setup.",
)
def setup_token_is_weak(facts: Facts) -> Iterator[Found]:
    """The setup token is known or short."""
    configuration = facts.configuration
    token = configuration.get("security.setup_token")
    if token is None:
        if not configuration.complete and configuration.flag("admin.enabled"):
            raise NotCheckedError(
                "the setup token is neither in the file nor in a variable that this check sees; "
                "give it as FLUXBASE_SECURITY_SETUP_TOKEN"
            )
        return
    if not configuration.flag("admin.enabled") or is_reference(token.text):
        # FB-CFG-002 tells of a reference.
        return
    length = len(token.text)
    if is_published(token.text, SETUP_TOKENS):
        severity, text = Severity.CRITICAL, "it is a sample that anybody can look up"
    elif length < _SHORT:
        severity, text = Severity.CRITICAL, f"it has {length} characters"
    elif (reason := sample_reason(token.text)) is not None:
        severity, text = Severity.HIGH, reason
    elif length < _LEAST:
        severity, text = Severity.HIGH, f"it has {length} characters"
    else:
        return
    try:
        done = "setup_completed" in facts.database.read(read_app_settings)
    except NotCheckedError:
        done = False
    yield Found(token.place, f"{text}; the setup is done" if done else text, Severity.LOW if done else severity)


@rule(
    "FB-SSO-001",
    "SAML is weakened",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    Metadata over http can be replaced on the way, and with them the certificate that signs all sign-ins: high. The same
    for sign-outs without a signature. A sign-in that begins at the provider can be started by another page, and without
    a list of hosts it may lead anywhere afterwards: medium. Providers that are switched off are left out.
    """,
    remedy="""
    # In auth.saml_providers:
    idp_metadata_url: https://…
    allow_insecure_metadata_url: false
    allow_idp_initiated: false
    allowed_redirect_hosts: [app.example.com]
    """,
)
def saml_is_weakened(facts: Facts) -> Iterator[Found | Unchecked]:
    """A SAML provider of the file or of the database is weakened."""
    yield from _both(facts, _weak_saml_of_file, _weak_saml_of_database)


def _weak_saml_of_file(facts: Facts) -> Iterator[Found]:
    configuration = facts.configuration
    for provider in configuration.entries("auth.saml_providers"):
        if not _is_on(provider, "enabled"):
            continue
        metadata = provider.get("idp_metadata_url")
        if metadata is not None and text_of(metadata).startswith("http://"):
            yield Found(_place(metadata, provider), "the metadata come over http")
        elif _is_on(provider, "allow_insecure_metadata_url"):
            yield Found(_place(provider["allow_insecure_metadata_url"], provider), "metadata over http are allowed")
        signature = provider.get("require_logout_signature")
        if signature is not None and configuration.release == MAIN and go_bool(text_of(signature)) is False:
            yield Found(_place(signature, provider), "sign-outs need no signature")
        if _is_on(provider, "allow_idp_initiated"):
            listed = "allowed_redirect_hosts" in provider and text_of(provider["allowed_redirect_hosts"])
            text = "a sign-in may begin at the provider" + ("" if listed else ", and may lead to any host afterwards")
            yield Found(_place(provider["allow_idp_initiated"], provider), text, Severity.MEDIUM)


@rule(
    "FB-SSO-002",
    "Every account of the provider reaches the dashboard",
    severity=Severity.HIGH,
    point=Point.AUDITS,
    quote=None,
    explanation="""
    A provider with `allow_dashboard_login` and without required claims or groups lets every account of that provider
    into the dashboard. It is high for providers at which anybody can have an account, medium for a provider of your
    own.
    """,
    remedy="""
    # In the provider's entry:
    required_claims: {roles: [fluxbase-admin]}    # SAML: required_groups: [fluxbase-admins]
    """,
)
def everybody_reaches_the_dashboard(facts: Facts) -> Iterator[Found | Unchecked]:
    """A provider of the file or of the database opens the dashboard to all its accounts."""
    yield from _both(facts, _open_providers_of_file, _open_providers_of_database)


def _both(facts: Facts, *checks: Callable[[Facts], Iterator[Found]]) -> Iterator[Found | Unchecked]:
    """What checks of parts of a rule find. The rule is not checked if none of them can be done."""
    reasons: list[str] = []
    for check in checks:
        try:
            yield from check(facts)
        except NotCheckedError as error:
            reasons.append(error.reason)
    if len(reasons) == len(checks):
        raise NotCheckedError(reasons[0])
    for reason in reasons:
        yield Unchecked(reason)


def _weak_saml_of_database(facts: Facts) -> Iterator[Found]:
    for provider in fluxbase_database(facts).read(read_saml_providers):
        place = Place("SAML provider", provider.name, f"SAML provider {provider.name} in auth.saml_providers")
        where = sql.Literal(provider.name).as_string(None)
        if provider.plain_metadata:
            yield Found(
                place,
                "the metadata come over http",
                remedy=f"UPDATE auth.saml_providers SET idp_metadata_url = 'https://…'\nWHERE name = {where};",  # noqa: S608  # to be read
            )
        if provider.idp_initiated:
            text = "a sign-in may begin at the provider"
            yield Found(
                place,
                text + ("" if provider.has_redirect_hosts else ", and may lead to any host afterwards"),
                Severity.MEDIUM,
                f"UPDATE auth.saml_providers SET allow_idp_initiated = false\nWHERE name = {where};",  # noqa: S608  # to be read
            )


def _open_providers_of_database(facts: Facts) -> Iterator[Found]:
    for provider in fluxbase_database(facts).read(read_dashboard_providers):
        public = provider.name.lower() in _PUBLIC_ISSUERS or any(
            each in (provider.address or "") for each in _PUBLIC_ADDRESSES
        )
        column = "required_groups" if provider.is_saml else "required_claims"
        yield Found(
            Place("provider", f"{provider.table} {provider.name}", f"provider {provider.name} in {provider.table}"),
            f"{column} is empty",
            Severity.HIGH if public and not provider.is_saml else Severity.MEDIUM,
            f"-- In the dashboard, set {column} of {provider.name}, or switch its sign-in to the dashboard off.",
        )


def _open_providers_of_file(facts: Facts) -> Iterator[Found]:
    configuration = facts.configuration
    for path, required in (
        ("auth.oauth_providers", ("required_claims",)),
        ("auth.saml_providers", ("required_groups", "required_groups_all")),
    ):
        for provider in configuration.entries(path):
            switched_off = "enabled" in provider and not _is_on(provider, "enabled")
            if switched_off or not _is_on(provider, "allow_dashboard_login"):
                continue
            if any(_has_content(provider.get(each)) for each in required):
                continue
            severity = Severity.HIGH if path == "auth.oauth_providers" and _is_public(provider) else Severity.MEDIUM
            place = _place(provider["allow_dashboard_login"], provider)
            yield Found(place, f"{required[0]} is empty", severity)


def _is_public(provider: Mapping[str, Value]) -> bool:
    name = text_of(provider["name"]).lower() if "name" in provider else ""
    issuer = text_of(provider["issuer_url"]) if "issuer_url" in provider else ""
    if issuer:
        return any(each in issuer for each in _PUBLIC_ADDRESSES)
    return name in _PUBLIC_ISSUERS


def _is_on(provider: Mapping[str, Value], name: str) -> bool:
    value = provider.get(name)
    return value is not None and bool(go_bool(text_of(value)))


def _has_content(value: Value | None) -> bool:
    if value is None:
        return False
    return bool(value.members()) if value.is_mapping else bool(text_of(value))


def _place(value: Value, provider: Mapping[str, Value]) -> Place:
    """The place of a member of a provider, named by the provider and not by its number in the list."""
    found = setting_place(value)
    name = text_of(provider["name"]) if "name" in provider else ""
    section, _, member = found.name.rpartition(".")
    return Place("setting", f"{section.partition('[')[0]}.{name}.{member}", found.shown, found.file, found.line)
