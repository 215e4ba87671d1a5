"""Who may do what: roles' sessions and their policies.

Roles, policies and sessions themselves live in moto's IAM and STS; this file decides with them. A caller
with a role's temporary credentials may do what the role's policies allow. Every other access key is
the account's administrator, as with the dummy keys that `sandbox up` prints.
"""

import json
from collections import Counter
from collections.abc import Mapping
from urllib.parse import parse_qs

from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, sts_backends

from sandbox.account import ACCOUNT, REGION, AwsError, Credentials
from sandbox.door.calls import (
    Environ,
    UnknownCallError,
    read_operation,
    required_permissions,
    signing_scope,
)
from sandbox.door.policy import (
    Call,
    CannotEvaluateError,
    Document,
    Verdict,
    decide,
    refusal_of_service,
)

# Longer than any sandbox runs: nothing here renews a worker's credentials, as Lambda would.
_SESSION_SECONDS = 7 * 24 * 3600


class Iam:
    """The account's identity and access management. Safe to use from several threads.

    `trail` counts what sessions were let do, by session name (for a function, its name) and action.
    """

    def __init__(self) -> None:
        self.trail: Counter[tuple[str, str]] = Counter()

    def session(self, role_arn: str, name: str = "sandbox") -> Credentials:
        """Temporary credentials of a role, for a function's worker.

        `name` is the session's name, which refusals show; Lambda uses the function's. Raises AwsError
        when there is no such role.
        """
        if not self.role_exists(role_arn):
            raise AwsError("NoSuchEntity", f"The role {role_arn} cannot be found.", 404)
        session = sts_backends[ACCOUNT]["aws"].assume_role(
            region_name=REGION,
            role_session_name=name,
            role_arn=role_arn,
            policy="",
            duration=_SESSION_SECONDS,
            external_id="",
        )
        return Credentials(session.access_key_id, session.secret_access_key, session.session_token)

    def role_exists(self, role_arn: str) -> bool:
        """Whether the account has a role with this ARN."""
        try:
            iam_backends[ACCOUNT]["aws"].get_role_by_arn(role_arn)
        except NotFoundException:
            return False
        return True

    def role_allows(self, role_arn: str, action: str, resource_arn: str) -> bool:
        """Whether a role's policies let it do `action`; for what AWS itself does in a role's name."""
        try:
            return self._decide(role_arn, Call(action, resource_arn, _context(role_arn))) is Verdict.ALLOW
        except CannotEvaluateError:
            return False

    def role_trusts(self, role_arn: str, service: str) -> bool:
        """Whether there is such a role, and its trust policy lets an AWS service take it on."""
        try:
            role = iam_backends[ACCOUNT]["aws"].get_role_by_arn(role_arn)
        except NotFoundException:
            return False
        trust = _document(role.assume_role_policy_document)
        return refusal_of_service(trust, service, "sts:AssumeRole", role_arn, role_arn) is None

    def authorize(self, environ: Environ, action: str, resource_arn: str) -> None:
        """Refuse a request unless its caller may do `action` on `resource_arn`.

        Raises AwsError as AWS would: for a token that is not valid, and for what no policy allows.
        """
        if session := _caller(environ):
            self._check(session, Call(action, resource_arn))

    def authorize_request(self, environ: Environ) -> None:
        """The same for a request to one of moto's services; its action and resources are read from it."""
        session = _caller(environ)
        if session is None:
            return
        _, service = signing_scope(environ)
        try:
            operation = read_operation(environ, service)
            if operation.service == "sts" and operation.name == "GetCallerIdentity":
                return  # no permission is needed, and no policy can take it away
            needed = required_permissions(operation)
        except UnknownCallError as unknown:
            raise _denied(
                session,
                str(unknown),
                "*",
                "because the sandbox does not know which permission this needs; "
                "add it to sandbox/door/calls.py",
            ) from None
        for call in needed:
            self._check(session, call)

    def _check(self, session: AssumedRole, call: Call) -> None:
        context = {**_context(session.role_arn), **call.context}
        try:
            verdict = self._decide(session.role_arn, Call(call.action, call.resource, context))
        except CannotEvaluateError as problem:
            raise _denied(session, call.action, call.resource, str(problem)) from None
        if verdict is Verdict.DENY:
            reason = "with an explicit deny in an identity-based policy"
            raise _denied(session, call.action, call.resource, reason)
        if verdict is Verdict.SILENT:
            reason = f"because no identity-based policy allows the {call.action} action"
            raise _denied(session, call.action, call.resource, reason)
        self.trail[session.session_name, call.action] += 1

    def _decide(self, role_arn: str, call: Call) -> Verdict:
        try:
            role = iam_backends[ACCOUNT]["aws"].get_role_by_arn(role_arn)
        except NotFoundException:
            return Verdict.SILENT  # the role was deleted while its session lived on
        inline = list(role.policies.values())
        attached = [
            version.document
            for policy in role.managed_policies.values()
            for version in policy.versions
            if version.is_default
        ]
        return decide([_document(text) for text in inline + attached], call)


def _caller(environ: Environ) -> AssumedRole | None:
    """The role session whose credentials sign a request; None for the administrator.

    Raises AwsError when a session's key comes with a wrong token, or a token with an unknown key.
    """
    access_key, service = signing_scope(environ)
    session = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(access_key)
    query = parse_qs(environ.get("QUERY_STRING", ""))
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or query.get("X-Amz-Security-Token", [""])[0]
    if token == (session.session_token if session else ""):
        return session
    query_protocol = {"sns", "sts", "monitoring", "cloudformation"}
    code = "InvalidClientTokenId" if service in query_protocol else "UnrecognizedClientException"
    raise AwsError(
        code,
        "The security token included in the request is invalid. (The sandbox knows only the tokens it gave "
        "out itself since it started; unset AWS_SESSION_TOKEN to be its administrator.)",
        403,
    )


def _context(role_arn: str) -> Mapping[str, str]:
    """The condition keys every request has. Plain HTTP on the loopback stands for AWS's TLS."""
    return {
        "aws:PrincipalArn": role_arn,
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalType": "AssumedRole",
        "aws:RequestedRegion": REGION,
        "aws:ResourceAccount": ACCOUNT,
        "aws:SecureTransport": "true",
    }


def _document(policy: str | Document) -> Document:
    """moto keeps some documents as text and some as they came from CloudFormation."""
    loaded: Document = json.loads(policy) if isinstance(policy, str) else policy
    return loaded


def _denied(session: AssumedRole, action: str, resource: str, why: str) -> AwsError:
    """The wording is AWS's (IAM User Guide, "Troubleshoot access denied error messages")."""
    message = f"User: {session.arn} is not authorized to perform: {action} on resource: {resource} {why}"
    service = action.partition(":")[0]
    code = _DENIED_CODES.get(service, "AccessDeniedException")
    return AwsError(code, message, 403 if service in _DENIED_403 else 400)


# How each service names its refusal, and with which HTTP status; the rest answer 400 AccessDeniedException.
_DENIED_CODES = {
    "sns": "AuthorizationError",
    "sqs": "AccessDenied",
    "sts": "AccessDenied",
    "s3": "AccessDenied",
    "cloudwatch": "AccessDenied",
    "cloudformation": "AccessDenied",
}
_DENIED_403 = {"lambda", "xray", *_DENIED_CODES}
