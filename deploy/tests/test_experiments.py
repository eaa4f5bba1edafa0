"""Facts of the experiment store: written with the component, and refused if only one of both exists."""

import json
from pathlib import Path

import pytest

from deploy.context import DeployContext
from deploy.errors import SettingsError
from deploy.experiments import COMPONENT, experiment_facts
from deploy.facts import azure_facts
from deploy.settings import Environment
from tests.support.deploy_environment import DeployEnvironment

STORE = {
    "database_url": "postgresql://id-thale-dev-facade@psql.postgres.database.azure.com:5432/thale",
    "blob_url": "https://st.blob.core.windows.net/experiments",
}
OUTPUTS = Path(__file__).parent / "data" / "outputs.json"


pytestmark = pytest.mark.integration


def add_component(context: DeployContext) -> None:
    path = context.overlay / "kustomization.yaml"
    path.write_text(path.read_text().replace("components:\n", f"components:\n  - {COMPONENT}\n"))


def test_facts_have_the_addresses_of_the_store(env: DeployEnvironment) -> None:
    context = env.context(Environment.DEV)
    outputs = json.loads(OUTPUTS.read_text())
    outputs["facts"]["value"]["experiments"] = STORE
    context.folder.mkdir(parents=True, exist_ok=True)
    (context.folder / "outputs.json").write_text(json.dumps(outputs))
    add_component(context)
    facts = azure_facts(env.context(Environment.DEV))
    assert {name: url for name, url in facts.items() if name.startswith("experiments_")} == {
        f"experiments_{name}": url for name, url in STORE.items()
    }


def test_component_without_a_store_is_reported(env: DeployEnvironment) -> None:
    context = env.context(Environment.DEV)
    assert experiment_facts(context, {"experiments": None}) == {}
    add_component(context)
    with pytest.raises(SettingsError, match=r"experiments_enabled = true` in terraform/environments/dev\.tfvars"):
        experiment_facts(env.context(Environment.DEV), {"experiments": None})


def test_store_that_no_overlay_uses_is_reported(env: DeployEnvironment) -> None:
    with pytest.raises(SettingsError, match=r"that nothing uses: add `- .*azure-experiments`"):
        experiment_facts(env.context(Environment.DEV), {"experiments": STORE})
