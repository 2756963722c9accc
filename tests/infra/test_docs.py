import re

import pytest

from components.delivery_config import OPTIONS
from components.options import every_option
from tests.infra.generated import ROOT, between_marks, bootstrap_yaml, option_tables, pulumi_yaml
from tests.infra.recorder import Recorder, run_under_mocks
from tests.infra.stacks import DEV, parse

CONFIGURATION = ROOT / "docs" / "configuration.md"
DEPLOY = ROOT / "docs" / "deploy.md"
SETTING = re.compile(r"pulumi config set (--secret )?(\w+)(?: (.+))?")

# What a key makes sense beside; the page sets it in the same place.
NEEDED = {
    "alertEmails": {"monitoring": "true"},
    "readerInvokers": {"readers": "3"},
    "syncSourceKey": {"syncSource": "https://source.example.com:6333"},
}


def test_the_schema_in_pulumi_yaml_is_the_table_of_options() -> None:
    """Pulumi.yaml is what `make inventory` writes from the options."""
    assert (ROOT / "Pulumi.yaml").read_text() == pulumi_yaml(), "make inventory renews it"
    assert (ROOT / "bootstrap" / "Pulumi.yaml").read_text() == bootstrap_yaml(), "make inventory renews it"


def test_the_documented_keys_are_the_table_of_options() -> None:
    """docs/configuration.md tells every key, its default and its meaning, as `make inventory` writes them."""
    text = CONFIGURATION.read_text()

    assert text == between_marks(text, "stack", option_tables()), "make inventory renews it"
    assert all(f"| `{option.name}` |" in text for option in every_option())


def settings(text: str) -> list[tuple[str, str, str]]:
    """Return the `pulumi config set` commands in a text."""
    return [(flag, key, value or "k" * 32) for flag, key, value in SETTING.findall(text)]


@pytest.mark.parametrize(("flag", "key", "value"), settings(DEPLOY.read_text()))
def test_every_documented_command_sets_a_key_to_an_accepted_value(flag: str, key: str, value: str) -> None:
    """What docs/deploy.md tells to type is accepted by the configuration, and secrets are set as secrets."""
    option = {option.name: option for option in every_option()}[key]

    assert bool(flag) == option.secret
    assert parse({**DEV, **NEEDED.get(key, {}), key: value.replace("OWNER", "acme")}).project


def test_every_fix_that_is_a_command_sets_a_key_there_is() -> None:
    """The fixes in messages name keys of the table."""
    sources = [path.read_text() for path in (ROOT / "components").glob("*.py")]
    keys = {key for text in sources for key in re.findall(r"pulumi config (?:set|rm)(?: --secret)? (\w+)", text)}

    assert keys
    assert keys <= {option.name for option in (*every_option(), *OPTIONS)}


def test_the_components_readme_runs() -> None:
    """The examples of components/README.md, one after the other, declare what providers and cloud accept."""
    text = (ROOT / "components" / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)

    def program() -> None:
        exec("\n".join(blocks), {})  # noqa: S102 - the repository's own documentation

    recorder: Recorder = run_under_mocks(program, {}, stack="dev")
    kinds = {resource.type.rpartition(":")[2] for resource in recorder.declared if "qdrant:" in resource.type}
    assert len(blocks) == 13
    assert len(kinds) == 13
