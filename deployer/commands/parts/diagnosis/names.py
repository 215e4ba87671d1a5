"""What the parts of a stack are called: pure, from its outputs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

# Without one of these nothing but the stack itself can be looked at.
NEEDED = (
    "RepositoryUri",
    "ReleaseTag",
    "Platform",
    "ServiceFunctionName",
    "LiveAliasArn",
    "ApiId",
    "DeployerName",
    "DashboardFunctionName",
    "LedgerName",
    "TopicArn",
    "ChatTopicArn",
    "RuleDeadLettersUrl",
    "DeployerDeadLettersUrl",
)
# Newer than the others: a stack that is not up to date has none.
RULES = {"push rule": "PushRuleName", "sweep rule": "SweepRuleName", "alarm rule": "AlarmRuleName"}
QUEUES = {"RuleDeadLetters": "RuleDeadLettersUrl", "DeployerDeadLetters": "DeployerDeadLettersUrl"}
# Each is the service's name and this: template.yaml, "Alarms".
ALARMS = (
    "errors",
    "throttles",
    "server-errors",
    "deployer-errors",
    "sweeps-missing",
    "sweeps-failing",
    "live-unprotected",
    "messages-undelivered",
    "rule-dead-letters",
    "deployer-dead-letters",
)
_ARCHITECTURES = {"linux/amd64": "x86_64", "linux/arm64": "arm64"}  # Docker's name: Lambda's


@dataclass(frozen=True)
class Names:
    """A stack's name and its outputs, all of `NEEDED` among them. `place`: the options that lead to its
    account, as they were given and as both commands take them: `--profile`, `--region`."""

    stack: str
    outputs: Mapping[str, str]
    place: tuple[str, ...] = ()

    @property
    def service(self) -> str:
        """The service's function."""
        return self.outputs["ServiceFunctionName"]

    @property
    def deployer(self) -> str:
        """The function that deploys."""
        return self.outputs["DeployerName"]

    @property
    def dashboard(self) -> str:
        """The function that only reads."""
        return self.outputs["DashboardFunctionName"]

    @property
    def repository(self) -> str:
        """The repository's name."""
        return self.outputs["RepositoryUri"].partition("/")[2]

    @property
    def release_tag(self) -> str:
        """The tag whose push means "deploy this"."""
        return self.outputs["ReleaseTag"]

    @property
    def platform(self) -> str:
        """As Docker names it."""
        return self.outputs["Platform"]

    @property
    def architecture(self) -> str:
        """As Lambda names it."""
        return _ARCHITECTURES.get(self.platform, self.platform)

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` ..."""
        return self._alias[1]

    @property
    def region(self) -> str:
        """The stack's Region."""
        return self._alias[3]

    @property
    def account(self) -> str:
        """The stack's account."""
        return self._alias[4]

    def function_arn(self, name: str) -> str:
        """A function's ARN, without a qualifier."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{name}"

    @property
    def api_arn(self) -> str:
        """What API Gateway invokes the alias for: a stage and method of the API; any stands for all."""
        return (
            f"arn:{self.partition}:execute-api:{self.region}:{self.account}:{self.outputs['ApiId']}/api/GET/"
        )

    def rule_arn(self, rule: str) -> str | None:
        """The ARN of one of `RULES`; None when the stack is too old to name it."""
        name = self.outputs.get(RULES[rule])
        return f"arn:{self.partition}:events:{self.region}:{self.account}:rule/{name}" if name else None

    def queue_arn(self, queue: str) -> str:
        """The ARN of one of `QUEUES`."""
        name = self.outputs[QUEUES[queue]].rpartition("/")[2]
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{name}"

    def command(self, *words: str) -> str:
        """A line of the `deployer` command, to paste."""
        return shlex.join(["deployer", "--stack", self.stack, *self.place, *words])

    def aws(self, *words: str) -> str:
        """A line of the AWS CLI, to paste."""
        return shlex.join(["aws", *words, *self.place])

    @property
    def alarms(self) -> list[str]:
        """The stack's alarms."""
        return [f"{self.service}-{alarm}" for alarm in ALARMS]

    @property
    def _alias(self) -> list[str]:
        # arn:aws:lambda:us-east-1:123456789012:function:shuking-prod:live
        return (self.outputs["LiveAliasArn"].split(":") + [""] * 8)[:8]
