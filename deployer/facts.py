"""A deployment as JSON for programs: the same fields in every event and in every `--json`. Pure.

What others wrote (labels, reasons, answers, logs) stands in it as it is kept: bounded, and not escaped.
Fields are added; none changes its meaning.
"""

from __future__ import annotations

from datetime import datetime

from deployer.model import Deployment, Hold, Image, Moment, Origin, Verdict, Version

Facts = dict[str, object]


def of_deployment(deployment: Deployment) -> Facts:
    """What is known of a deployment. Times are ISO 8601 in UTC; what is not known is null."""
    return {
        "deployment": deployment.id,
        "phase": deployment.phase.value,
        "because": deployment.because,
        "failure": deployment.failure,
        "source": deployment.source.value,
        "by": deployment.by,
        "why": deployment.why,
        "requested_at": _time(deployment.requested_at),
        "in_phase_since": _time(deployment.since),
        "image": _image(deployment.image),
        "version": deployment.version,
        "origin": _origin(deployment.origin),
        "previous": of_version(deployment.previous) if deployment.previous else None,
        "previous_origin": _origin(deployment.before),
        "live": of_version(deployment.live) if deployment.live else None,
        "warnings": list(deployment.warnings),
        "holds_deployments": deployment.trips is not None,
        "checks": {
            "before_users": of_verdict(deployment.verification),
            "through_live": of_verdict(deployment.confirmation),
            "after_revert": of_verdict(deployment.restoration),
        },
        "timeline": [_moment(moment) for moment in deployment.timeline],
    }


def of_version(version: Version) -> Facts:
    """A version and its image."""
    return {"version": version.number, "image": _image(version.image)}


def of_hold(hold: Hold | None) -> Facts | None:
    """Who holds deployments, and why; null: nobody."""
    if hold is None:
        return None
    return {"id": hold.id, "by": hold.by, "because": hold.because, "since": _time(hold.since)}


def _image(image: Image) -> Facts:
    return {"repository": image.repository, "digest": image.digest}


def _origin(origin: Origin) -> Facts:
    return {
        "revision": origin.revision,
        "url": origin.url,
        "committed_at": _time(origin.committed_at) if origin.committed_at else None,
        "built_by": origin.built_by,
    }


def of_verdict(verdict: Verdict | None) -> Facts | None:
    """The outcome of the checks; null: none were run."""
    if verdict is None:
        return None
    return {
        "healthy": verdict.healthy,
        "results": [
            {
                "name": result.name,
                "passed": result.passed,
                "expected": result.expected,
                "actual": result.actual,
                "seconds": result.seconds,
                "tries": result.tries,
            }
            for result in verdict.results
        ],
        "log_tail": verdict.log_tail,
    }


def _moment(moment: Moment) -> Facts:
    return {"at": _time(moment.at), "phase": moment.phase.value, "because": moment.because}


def _time(at: datetime) -> str:
    return at.isoformat()
