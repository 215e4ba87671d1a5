"""Which pages of other origins may read our answers: `CORS_ALLOW_ORIGIN`, decided request by request.

Chalice's own `CORSConfig` writes one fixed origin into every answer. Browsers accept exactly one there, so a
list of origins has to be answered with the one that asked.
"""


def headers(origin: str | None, allowed: str) -> dict[str, str]:
    """The headers that let a page of `origin` read an answer.

    `origin` is the request's `Origin` header. `allowed` is a comma-separated list of origins as browsers send
    them (`https://app.example.com`; a last slash is forgiven), or `*` for every origin, or blank for none.
    With a list, every answer says `Vary: Origin`, so that no cache gives a page the answer made for another.
    """
    origins = [entry.strip().rstrip("/").lower() for entry in allowed.split(",") if entry.strip()]
    if not origins:
        return {}
    if "*" in origins:
        return {"Access-Control-Allow-Origin": "*"}
    if origin in origins:
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    return {"Vary": "Origin"}
