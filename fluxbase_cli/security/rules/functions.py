"""Rules on functions, and on the SQL that is put together."""

from __future__ import annotations

from collections.abc import Iterator

from fluxbase_cli.security.database.dynamic_sql import unquoted_lines
from fluxbase_cli.security.database.fluxbase import fluxbase_database
from fluxbase_cli.security.database.functions import Function, read_functions
from fluxbase_cli.security.database.names import joined, quoted
from fluxbase_cli.security.database.placeholders import caller_placeholders, misplaced
from fluxbase_cli.security.database.procedures import read_procedures
from fluxbase_cli.security.database.roles import read_creatable
from fluxbase_cli.security.database.version import read_string_settings
from fluxbase_cli.security.facts import Facts
from fluxbase_cli.security.finding import Found, Place, Severity
from fluxbase_cli.security.generation import Generation
from fluxbase_cli.security.rule import Point, rule


@rule(
    "FB-FN-001",
    "SECURITY DEFINER function without a fixed search_path",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote=None,
    explanation="""
    The function runs with the rights of its owner and looks up names in the search_path of its caller. Who may create
    objects in a schema of that path can put others in their place. It is high if a role of the API may call the
    function and create objects in a schema of its search_path (FB-ROLE-004); otherwise low, as for functions of
    triggers. Functions of the server are one finding: their search_path comes with a release.
    """,
    remedy="ALTER FUNCTION schema.name(arguments) SET search_path = '';  -- and write schemas before all names in it",
)
def definer_without_search_path(facts: Facts) -> Iterator[Found]:
    """A function with SECURITY DEFINER has no search_path."""
    database = fluxbase_database(facts)
    writable = frozenset[str]().union(*(each.roles for each in database.read(read_creatable) if each.on_path))
    of_server: list[Function] = []
    for function in database.read(read_functions):
        if not function.definer or function.fixed_path:
            continue
        if not function.is_users:
            of_server.append(function)
            continue
        may = function.callers & writable
        high = bool(may) and not function.is_trigger
        text = "it runs with the rights of its owner and takes the search_path of its caller"
        if high:
            text += f"; {joined(may)} may call it, and create objects in that path"
        name = f"{quoted(function.schema, function.name)}({function.arguments})"
        yield Found(
            _place(function),
            text,
            Severity.HIGH if high else Severity.LOW,
            f"ALTER {function.kind} {name} SET search_path = '';  -- and write schemas before all names in it",
        )
    if of_server:
        names = ", ".join(each.signature.partition("(")[0] for each in of_server)
        yield Found(
            Place("functions", "server", "the server's own functions"),
            f"{len(of_server)} run with the rights of their owner and take the search_path of the caller: {names}",
            Severity.LOW,
            "Nothing, as long as FB-ROLE-004 finds nothing.",
        )


@rule(
    "FB-FN-002",
    "SQL put together from text",
    severity=Severity.MEDIUM,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Never concatenate user input into SQL",
    explanation="""
    A function in PL/pgSQL runs text as SQL, and a part of the text is neither a constant, nor quoted, nor passed with
    USING. It is high if the function has SECURITY DEFINER and a role of the API may call it. The check reads the text
    of the function, so it may err: look at the line. Functions of the server are left out.
    """,
    remedy="EXECUTE format('SELECT … FROM %I WHERE id = $1', table_name) USING id;",
)
def sql_from_text(facts: Facts) -> Iterator[Found]:
    """A function runs text with unquoted parts."""
    for function in fluxbase_database(facts).read(read_functions):
        if not function.is_users or function.source is None:
            continue
        line = next(unquoted_lines(function.source, function.arguments), None)
        if line is not None:
            high = function.definer and function.callers
            yield Found(
                _place(function),
                f"look at line {line} of its body: it runs text with a part that is not quoted",
                Severity.HIGH if high else Severity.MEDIUM,
            )


@rule(
    "FB-FN-003",
    "RPC procedure with a parameter that is not a value",
    severity=Severity.HIGH,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Always use parameterized queries",
    explanation="""
    A placeholder of an RPC procedure must stand where a value stands, without quotes. Up to 2026.3.6 the server writes
    the value into the SQL with quotes, so a placeholder inside quotes ends them: high. Later releases bind values, and
    such a placeholder does not work: low. `$caller_id`, `$caller_role` and `$caller_email` are medium in every release:
    a parameter of that name in the request counts before the caller. Procedures that are switched off are left out.
    """,
    remedy="""
    -- '%$term%' becomes '%' || $term || '%'; $caller_id becomes auth.current_user_id()
    """,
)
def procedure_parameters(facts: Facts) -> Iterator[Found]:
    """A placeholder of a procedure is inside quotes, in the place of a name, or for the caller."""
    stable = facts.generation is not Generation.MAIN
    for procedure in fluxbase_database(facts).read(read_procedures):
        place = Place("procedure", f"{procedure.namespace}.{procedure.name}")
        wrong = next(misplaced(procedure.query), None)
        if wrong is not None:
            yield Found(place, f"${wrong[0]} is {wrong[1]}", Severity.HIGH if stable else Severity.LOW)
            continue
        caller = caller_placeholders(procedure.query)
        if caller:
            yield Found(
                place,
                f"it uses ${caller[0]}, which a parameter of that name replaces",
                Severity.MEDIUM,
                "-- Use auth.current_user_id() or auth.current_user_role() instead.",
            )


@rule(
    "FB-SQL-001",
    "standard_conforming_strings is off",
    severity=Severity.CRITICAL,
    point=Point.ROW_LEVEL_SECURITY,
    quote="Fluxbase prevents SQL injection",
    explanation="""
    With this setting a backslash in quotes is not a plain character. Up to 2026.3.6 the server writes values of RPC
    procedures into SQL and doubles the quotes in them, which is not enough then: critical. Later releases bind
    values: medium.
    """,
    remedy="ALTER DATABASE name RESET standard_conforming_strings;",
)
def strings_do_not_conform(facts: Facts) -> Iterator[Found]:
    """`standard_conforming_strings` is off somewhere."""
    severity = Severity.MEDIUM if facts.generation is Generation.MAIN else Severity.CRITICAL
    for each in fluxbase_database(facts).read(read_string_settings):
        if each.role is not None:
            where = "" if each.database is None else f" IN DATABASE {quoted(each.database)}"
            place = Place("role", each.role if each.database is None else f"{each.role} in {each.database}")
            remedy = f"ALTER ROLE {quoted(each.role)}{where} RESET standard_conforming_strings;"
        elif each.database is not None:
            place = Place("database", each.database)
            remedy = f"ALTER DATABASE {quoted(each.database)} RESET standard_conforming_strings;"
        else:
            place = Place("setting", "standard_conforming_strings")
            remedy = (
                "ALTER SYSTEM RESET standard_conforming_strings;  -- or in postgresql.conf\nSELECT pg_reload_conf();"
            )
        yield Found(place, "standard_conforming_strings is off for it", severity, remedy)


def _place(function: Function) -> Place:
    return Place("function", function.signature)
