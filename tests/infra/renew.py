"""Renews what is generated from the program: `make inventory`."""

from tests.infra.generated import ROOT, between_marks, bootstrap_yaml, option_tables, pulumi_yaml
from tests.infra.inventory import FOLDER, STACKS, delivery_inventory, inventory


def main() -> None:
    """Write both Pulumi.yaml, the tables of docs/configuration.md and the inventories."""
    (ROOT / "Pulumi.yaml").write_text(pulumi_yaml())
    page = ROOT / "docs" / "configuration.md"
    page.write_text(between_marks(page.read_text(), "stack", option_tables()))
    (ROOT / "bootstrap" / "Pulumi.yaml").write_text(bootstrap_yaml())
    (FOLDER / "delivery.yaml").write_text(delivery_inventory())
    for stack in STACKS:
        (FOLDER / f"{stack}.yaml").write_text(inventory(stack))


if __name__ == "__main__":
    main()
