"""The whole of a stack as one text, held against the copy in `inventories/`.

A change of any type, name, parent, grant or property shows in that copy, which `make inventory` renews.
"""

import json
import re
from typing import Any, Final

import yaml

from tests.infra.generated import ROOT
from tests.infra.recorder import Declared, Recorder, bootstrap, deploy
from tests.infra.stacks import DELIVERY, DEV, LOCAL, PROD

FOLDER: Final = ROOT / "tests" / "infra" / "inventories"
STACKS: Final = {"dev": DEV, "prod": PROD, "local": LOCAL}


def inventory(stack: str) -> str:
    """Return the inventory of a stack of the tests."""
    return described(deploy(STACKS[stack], stack=stack))


def delivery_inventory() -> str:
    """Return the inventory of the bootstrap stack."""
    return described(bootstrap(DELIVERY))


def described(recorder: Recorder) -> str:
    """Return everything that was declared, in an order that does not depend on timing."""
    resources = sorted(recorder.declared, key=lambda resource: (resource.parent, resource.type, resource.name))
    listed = {"resources": [_entry(resource) for resource in resources], "outputs": sorted(recorder.outputs)}
    text = yaml.safe_dump(listed, sort_keys=False, width=120, allow_unicode=True)
    # What follows from the content of runtime/ changes with every change there and is tested elsewhere.
    text = re.sub(r"(qdrant[a-z-]*):[0-9a-f]{12}\b", r"\1:SOURCES", text)
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:DIGEST", text)


def _entry(resource: Declared) -> dict[str, Any]:
    """Return one resource without what is secret."""
    entry: dict[str, Any] = {"type": resource.type, "name": resource.name, "parent": resource.parent}
    if resource.protect or resource.retain:
        entry |= {"protect": resource.protect, "retain": resource.retain}
    if resource.ignored:
        entry["ignored"] = list(resource.ignored)
    inputs = {key: "SECRET" if key in resource.secret else value for key, value in resource.inputs.items()}
    if "dashboardJson" in inputs:
        tiles = json.loads(inputs["dashboardJson"])["mosaicLayout"]["tiles"]
        inputs["dashboardJson"] = [tile["widget"]["title"] for tile in tiles]
    # Sorted at every depth: the order on the wire is nobody's promise.
    return entry | {"inputs": json.loads(json.dumps(inputs, sort_keys=True))} if inputs else entry
