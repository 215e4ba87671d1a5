"""Foreign text, cut to a size and freed of secrets before it is kept or passed on."""

from __future__ import annotations

import re
import reprlib

# The rest of a URL. One pass: a match takes all it can and never goes back.
_URL_REST = re.compile(r"://([^\s\"'<>]+)")
# What AWS's own refusals quote of a request, word for word: "The Canonical String for this request should
# have been ... x-amz-security-token:...".
_FIELD = re.compile(
    r"(?i)\b(x-amz-(?:security-token|signature|credential)|signature|password|authorization)"
    r"([\"']?\s?[:=]\s?[\"']?)(?:(?:basic|bearer|aws4-hmac-sha256)\s)?[^\s\"',;&<>…]+"
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
_ARN = re.compile(r"arn:[a-z-]+:(?P<service>iam|sts)::(?P<account>[0-9]{12}):(?P<who>[!-~]+)")
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring = 2, 3, 3, 200
# The same where no scheme stands before it; an image's tag before its digest looks like that, too.
_USER = re.compile(r"(?<![\w./+-])[\w.+-]{1,200}:[^\s\"'<>@/]{1,200}@(?!sha256:)")
_CUT = "…"
_CUT_BYTES = len(_CUT.encode())


def first(text: str, size: int) -> str:
    """`text` in at most `size` bytes of UTF-8; what is cut off its end is marked by an ellipsis."""
    raw = text.encode(errors="replace")
    if len(raw) <= size:
        return raw.decode()
    return raw[: max(0, size - _CUT_BYTES)].decode(errors="ignore") + _CUT


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor, hide or turn round what people read; lines and
    tabs stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text
    )


def who(by: str | None) -> str:
    """Whoever gave a command, as people call them: of an ARN the session's or the user's name, and the role.
    What is no ARN of a person is left as it is."""
    found = _ARN.fullmatch(by or "")
    if by is None or found is None:
        return by or "somebody"
    kind, *names = found["who"].split("/")
    match kind, names:
        case "assumed-role", [role, session]:
            return f"{session} ({role})"
        case (("user" | "federated-user"), [*_, name]) if name:
            return name
        case "root", []:
            return f"the root user of {found['account']}"
    return by


def shown(value: object, characters: int = 80) -> str:
    """A foreign value as Python writes it, printable, in at most so many characters. However large or deep it
    is, only its beginning is looked at."""
    return _SHORT.repr(value)[:characters]


def line(text: str, size: int) -> str:
    """Foreign text as one line of at most `size` bytes, with nothing in it that moves a cursor."""
    whole = text.encode(errors="replace").decode()
    return first(printable(" ".join(whole.split())), size)


def discreet(text: str) -> str:
    """`text` without what may be a secret in it: in URLs the user and the query, where passwords and
    signatures are; and the value of fields that hold a signature, a token or a password. Half characters,
    which no log takes, become question marks.

    For words about a request: errors of botocore and urllib quote the address they asked.
    """
    whole = text.encode(errors="replace").decode()
    return _FIELD.sub(r"\1\2…", _USER.sub("…@", _URL_REST.sub(_discreet_url, whole)))


def _discreet_url(found: re.Match[str]) -> str:
    rest, asks, _ = found[1].partition("?")
    authority = re.split(r"[/#]", rest, maxsplit=1)[0]
    user, _, host = authority.rpartition("@")
    port = host.rpartition(":")[2] if ":" in host and not host.endswith("]") else ""
    if user:
        rest = "…@" + rest.removeprefix(f"{user}@")
    elif port and not port.strip(".,;)").isdecimal():
        # Not a port, so a password that has a slash or a question mark in it.
        return "://…"
    return f"://{rest}?…" if asks else f"://{rest}"


def last(text: str, size: int) -> str:
    """As `first`, but the end of `text` is what is kept: in a log the last lines tell most."""
    raw = text.encode(errors="replace")
    if len(raw) <= size:
        return raw.decode()
    return _CUT + raw[len(raw) - max(0, size - _CUT_BYTES) :].decode(errors="ignore")
