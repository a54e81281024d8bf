"""How the services of AWS are called: credentials, region, time limits and attempts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config

_C = TypeVar("_C")

#: The maximum number of attempts of a call, with the first, if neither AWS_MAX_ATTEMPTS nor the profile sets it. The
#: waits add up to about eight seconds, which is longer than a burst of calls by others.
_MAX_ATTEMPTS = 5
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True)
class Configured:
    """What a client of a service is made with.

    Attributes:
        session: finds credentials, profiles and roles in the environment of the process and in `~/.aws`.
        region: the region. None: the service has one region only, or none is known.
        config: the time limits and the attempts.
    """

    session: Session
    region: str | None
    config: Config


class Clients(Generic[_C]):
    """The clients of one service, one for each region.

    Args:
        environ: our environment, for AWS_REGION.
        make: makes a client.
    """

    def __init__(self, environ: Mapping[str, str], make: Callable[[Configured], _C]) -> None:
        self._environ = environ
        self._make = make
        self._made: dict[str | None, _C] = {}

    def of(self, region: str | None) -> _C:
        """The client of a region. None: that of the environment."""
        if region not in self._made:
            self._made[region] = self._make(configure(region, self._environ))
        return self._made[region]


def configure(region: str | None, environ: Mapping[str, str]) -> Configured:
    """Read the configuration of AWS.

    Args:
        region: the region of the entry or the ARN. None: that of the environment.
        environ: our environment, for AWS_REGION.
    """
    import boto3  # noqa: PLC0415  # start-up time
    import botocore.session  # noqa: PLC0415  # start-up time
    from botocore.config import Config  # noqa: PLC0415  # start-up time

    # At debug level botocore logs every response. The responses of Decrypt contain keys.
    for name in ("boto3", "botocore"):
        logging.getLogger(name).setLevel(logging.INFO)
    core = botocore.session.get_session()
    configured: Callable[[str], object] = core.get_config_variable
    attempts = configured("max_attempts")
    config = Config(
        retries={
            # boto3's default is an older mode. It retries neither all throttling nor all failures of KMS.
            "mode": "adaptive" if configured("retry_mode") == "adaptive" else "standard",
            "total_max_attempts": attempts if isinstance(attempts, int) else _MAX_ATTEMPTS,
        },
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
    )
    session = boto3.session.Session(botocore_session=core)
    return Configured(session, region or session.region_name or environ.get("AWS_REGION") or None, config)
