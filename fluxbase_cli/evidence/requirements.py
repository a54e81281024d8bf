"""What standards ask about changes of keys, and which record of a report answers that.

Sources: PCI DSS v4.0.1, requirements 3.7.4 and 3.7.5 (PCI Security Standards Council, June 2024); NIST SP 800-57 Part 1
Revision 5, sections 5.3, 5.5, 7 and 8 (May 2020); Trust Services Criteria 2017 with the points of focus of 2022, CC6.1
and CC8.1 (AICPA). Texts in quotation marks are theirs. The others say in our words what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement.

    Attributes:
        standard, number: where it is.
        asks: what it asks.
        records: the parts of the report that answer it.
        not_known: what this tool can't know. Somebody must add it.
    """

    standard: str
    number: str
    asks: str
    records: tuple[str, ...]
    not_known: str


_REQUIREMENTS = (
    Requirement(
        "PCI DSS v4.0.1",
        "3.7.4",
        "Key changes at the end of the cryptoperiod, including “A defined cryptoperiod for each key type in use” and "
        "“A process for key changes at the end of the defined cryptoperiod”.",
        ("keys: in_use_since, values_moved_away_at, in_use_days", "rotation: due_at, why"),
        "Which cryptoperiod is defined, and whether this key kept to it. Compare the days in use with your policy.",
    ),
    Requirement(
        "PCI DSS v4.0.1",
        "3.7.5",
        "“retirement, replacement, or destruction of keys” when a key has reached the end of its cryptoperiod, is "
        "weakened, or is suspected of or known to be compromised. “Retired or replaced keys are not used for "
        "encryption operations.”",
        ("job: reason", "keys: state, disabled_at, destroyed_at, events", "closing_audit", "locations: after"),
        "Whether a key was weakened or compromised, unless the reason says so. Copies of a key outside its source, and "
        "values in backups and exports. What the server seals after this report.",
    ),
    Requirement(
        "NIST SP 800-57 Part 1 Rev. 5",
        "5.3",
        "A cryptoperiod: “the time span during which a specific key is authorized for use by legitimate entities, or "
        "the keys for a given system will remain in effect”.",
        ("keys: created_at, in_use_since, values_moved_away_at, in_use_days",),
        "Who authorised the key, and for how long. A key that this tool did not make has no date of creation here.",
    ),
    Requirement(
        "NIST SP 800-57 Part 1 Rev. 5",
        "5.5, 7, 8.3 and 8.4",
        "What is done after a compromise, the states of a key (active, deactivated, compromised, destroyed), and its "
        "destruction when it is no longer needed.",
        ("job: reason", "keys: state, events", "rotation: retired"),
        "Whether a key is compromised. This tool has the states enabled, disabled and destroyed. A disabled key is not "
        "used as a target by this tool; another program that has the key could still use it.",
    ),
    Requirement(
        "SOC 2 (Trust Services Criteria)",
        "CC6.1",
        "Logical access to protected information; one point of focus is the protection of cryptographic keys during "
        "generation, storage, use and destruction.",
        ("keys: fingerprint, events: source, gone_from_source, left_to_do", "locations", "quarantine"),
        "Who has access to the key sources and to the server.",
    ),
    Requirement(
        "SOC 2 (Trust Services Criteria)",
        "CC8.1",
        "Changes are authorised, documented, tested, approved and implemented.",
        ("job: began_by, reason, events", "rotation: why, steps, server", "closing_audit"),
        "Who approved the change. It is recorded who ran the command, as the operating system and the database name "
        "them. The option --reason can name a change ticket.",
    ),
)


def requirements() -> list[dict[str, Any]]:
    """The requirements as JSON."""
    return [
        {
            "standard": each.standard,
            "number": each.number,
            "asks": each.asks,
            "records": list(each.records),
            "not_known": each.not_known,
        }
        for each in _REQUIREMENTS
    ]
