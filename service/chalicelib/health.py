"""Whether the service has what it needs: its configuration and, when it uses one, its database."""

from collections.abc import Mapping
from typing import Any

from chalicelib import database

ON_A_LAPTOP = {"local", "development"}


def missing(environ: Mapping[str, str]) -> list[str]:
    """The names of the variables that must be set and are not (blank counts as not set).

    `ENVIRONMENT` always; `GEMINI_API_KEY` everywhere but in the environments `local` and `development`.
    `DATABASE_URL` and `CORS_ALLOW_ORIGIN` may be missing: no database, no pages of other origins.
    """
    required = ["ENVIRONMENT"]
    if environ.get("ENVIRONMENT", "").strip().lower() not in ON_A_LAPTOP:
        required.append("GEMINI_API_KEY")
    return [name for name in required if not environ.get(name, "").strip()]


def checks(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Each check by name, with `status` (`ok` or `failing`) and, when failing, where to look; never a value.

    The database is checked only when `DATABASE_URL` is set, in a few seconds at most.
    """
    names = missing(environ)
    results: dict[str, dict[str, Any]] = {
        "configuration": {"status": "failing", "missing": names} if names else {"status": "ok"}
    }
    if url := environ.get("DATABASE_URL", "").strip():
        error = database.failure(url)
        results["database"] = {"status": "failing", "error": error} if error else {"status": "ok"}
    return results
