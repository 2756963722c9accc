"""The policy pack: serves the rules to Pulumi.

Owns nothing but that. Has an environment of its own (`policy/requirements.txt`), because pulumi-policy needs
an older protobuf than the rest of the project.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError
from rules import RULES, Declared, Rule


def _known(value: Any) -> Any:
    """Return a value without the parts that a preview does not know yet; reading one of those raises."""
    if isinstance(value, Mapping):
        return {key: _known(value[key]) for key in value if _is_known(value, key)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_known(value[index]) for index in range(len(value)) if _is_known(value, index)]
    return value


def _is_known(container: Any, key: Any) -> bool:
    try:
        container[key]
    except UnknownValueError:
        return False
    return True


def _policy(rule: Rule) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        declared = Declared(args.resource_type, _known(args.props), protect=args.opts.protect)
        for violation in rule.violations(declared):
            report(violation)

    return ResourceValidationPolicy(
        name=rule.name,
        description=rule.demand,
        validate=validate,
        enforcement_level=EnforcementLevel.MANDATORY,
    )


# The constructor serves until Pulumi ends it.
PolicyPack(name="qdrant-cloud-run", policies=[_policy(rule) for rule in RULES])
