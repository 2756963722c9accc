"""What a preview says to a reviewer, in Markdown.

Pure functions over the engine's plan. Owns the wording; shows names of properties and never their values, which are
in the plan and may be somebody's secret.
"""

from typing import Any, Final

from deployment.pulumi import Plan

MARK: Final = "<!-- previews of qdrant-cloud-run -->"
# GitHub takes 65,536 characters in a comment; several stacks have to fit.
_LONGEST: Final = 12_000
_ROWS: Final = 60


def described(stack: str, plan: Plan) -> str:
    """Return one stack's part of the comment."""
    if not plan.worked:
        return f"### {stack}: the preview failed\n\n```\n{_cut(plan.complaint)}\n```\n"
    changed = [step for step in plan.plan.get("steps", []) if step["op"] not in ("same", "read", "refresh")]
    counts = {op: sum(step["op"] == op for step in changed) for op in sorted({step["op"] for step in changed})}
    if not changed:
        return f"### {stack}: nothing changes\n"
    title = ", ".join(f"{count} to {op}" for op, count in counts.items())
    rows = [f"| {step['op']} | {_resource(step)} | {_properties(step)} |" for step in changed[:_ROWS]]
    more = [f"\n… and {len(changed) - _ROWS} more.\n"] if len(changed) > _ROWS else []
    return "\n".join([f"### {stack}: {title}\n", "| | Resource | Properties |", "|---|---|---|", *rows, *more]) + "\n"


def comment(parts: list[str]) -> str:
    """Return the whole comment of several stacks; its mark is how it is found again."""
    note = "Names only: values are in `make preview STACK=…`."
    return "\n".join([MARK, "## What a deployment would change\n", *parts, note])


def _resource(step: dict[str, Any]) -> str:
    kind, _, name = step["urn"].rpartition("::")
    return f"`{name}` ({kind.rpartition('::')[2].rpartition('$')[2]})"


def _properties(step: dict[str, Any]) -> str:
    detailed = step.get("detailedDiff") or {}
    names = sorted(detailed) or sorted(step.get("diffReasons") or [])
    return ", ".join(f"`{name}`" for name in names[:12]) + (" …" if len(names) > 12 else "")


def _cut(text: str) -> str:
    fenced = text.strip().replace("```", "'''")
    return fenced if len(fenced) <= _LONGEST else f"…\n{fenced[-_LONGEST:]}"
