"""The database behind `DATABASE_URL`, reached so that it survives what Lambda does to connections.

Between two requests Lambda freezes the process, for minutes or hours. Meanwhile servers close idle
connections, and gateways on the way forget them, a NAT gateway after 350 idle seconds
(https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html).
"""

import queue
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

CONNECT_SECONDS = 2  # libpq's smallest connect_timeout
POOL: dict[str, Any] = {
    # Lambda gives a process one request at a time; the second connection is for when the first one hangs.
    "pool_size": 1,
    "max_overflow": 1,
    "pool_timeout": CONNECT_SECONDS,
    "pool_recycle": 300,
    "connect_args": {
        "connect_timeout": CONNECT_SECONDS,
        # A forgotten connection swallows what is sent; by itself the kernel tries for a quarter of an hour.
        "tcp_user_timeout": 1500,  # milliseconds
    },
}


@cache
def engine(url: str) -> "Engine":
    """The SQLAlchemy engine for `url`, made once. Checks each connection before use (`pool_pre_ping`).

    `postgres://` and `postgresql://` mean PostgreSQL by psycopg, the driver in the image.
    """
    # Imported here: a service without a database does not pay for it at every cold start.
    from sqlalchemy import create_engine  # noqa: PLC0415

    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        scheme = "postgresql+psycopg"
    pool = POOL if scheme == "postgresql+psycopg" else {}
    return create_engine(f"{scheme}{separator}{rest}", pool_pre_ping=True, **pool)


def failure(url: str, seconds: float = 5.0) -> str | None:
    """Why the database at `url` does not answer, as the name of the exception's class; None when it does.

    Only the class, because drivers quote hosts, users and pieces of a mistyped URL in their messages.
    Takes at most `seconds`, also where drivers know no timeout: name resolution, a query that never returns.
    """
    outcome: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: outcome.put(_ask(url)), name="database-check", daemon=True).start()
    try:
        return outcome.get(timeout=seconds)
    except queue.Empty:
        return TimeoutError.__name__


def _ask(url: str) -> str | None:
    try:
        with engine(url).connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except Exception as error:  # noqa: BLE001  whatever goes wrong on the way to the database is the answer
        cause = (
            getattr(error, "orig", None) or error
        )  # the driver's own exception says more than SQLAlchemy's wrapper
        return type(cause).__name__
    return None
