"""Terraform's configuration read from its files, for tests that run without terraform and without a provider."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

TERRAFORM = Path(__file__).parents[2] / "terraform"
ENVIRONMENTS = ("dev", "staging", "prod")

_OPTIONS = hcl2.SerializationOptions(strip_string_quotes=True)
_REFERENCE = re.compile(r"\b(azurerm_\w+\.\w+)")
_PARENT_ATTRIBUTES = ("storage_account_id", "container_registry_id", "virtual_network_name", "resource_group_name")
"""Attributes that name the resource above a resource in Azure's hierarchy."""

_GRANTS = (
    "merge([for workload, {settings} in local.{table} : {{for scope, role in {roles} :"
    ' "${{workload}}/${{scope}}" => {{workload = workload, role = role, scope = scope}}}}] ...)'
)
_WORKLOAD_GRANTS = _GRANTS.format(settings="settings", table="workloads", roles="settings.roles")
_EXPERIMENT_GRANTS = _GRANTS.format(settings="roles", table="experiment_roles", roles="roles")
_ADMINS = (
    '{for pair in setproduct(var.admin_group_ids, keys(local.admin_roles)) : join("/", pair)'
    " => {group = pair[0], scope = pair[1]}}"
)
_COMMAND_RUNNERS = (
    "length(var.api_server_authorized_ip_ranges) > 0 ? {} : {for pair in setproduct(var.admin_group_ids,"
    ' keys(local.locations)) : join("/", pair) => {group = pair[0], region = pair[1]}}'
)
_CLUSTER_ADMINS = (
    "{for each in setproduct(var.admin_group_ids, keys(local.locations), keys(local.admin_cluster_roles)) :"
    ' join("/", each) => {group = each[0], region = each[1], purpose = each[2]}}'
)

Block = Mapping[str, Any]


@dataclass(frozen=True)
class TerraformModule:
    """Blocks of the .tf files in a folder, by address."""

    resources: dict[str, Block] = field(default_factory=dict)
    local_values: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Block] = field(default_factory=dict)
    modules: dict[str, Block] = field(default_factory=dict)
    outputs: dict[str, Block] = field(default_factory=dict)

    def of_type(self, kind: str) -> dict[str, Block]:
        """Return the resources of a type, by name."""
        return {
            address.split(".")[1]: body for address, body in self.resources.items() if address.startswith(f"{kind}.")
        }


@dataclass(frozen=True, order=True)
class RoleGrant:
    """A role of a principal on a scope. `option` is the condition under which the assignment exists."""

    principal: str
    role: str
    scope: str
    option: str = ""


@cache
def read_module(folder: str) -> TerraformModule:
    """Return the configuration of a folder of terraform/."""
    return parse_module("\n".join(path.read_text() for path in sorted((TERRAFORM / folder).glob("*.tf"))))


def parse_module(text: str) -> TerraformModule:
    """Return the configuration of a text in Terraform's language."""
    parsed, module = hcl2.loads(text, serialization_options=_OPTIONS), TerraformModule()
    for block in parsed.get("resource", ()):
        module.resources.update(
            {f"{kind}.{name}": body for kind, named in _entries(block) for name, body in _entries(named)}
        )
    for block in parsed.get("locals", ()):
        module.local_values.update(_entries(block))
    for kind, found in (("variable", module.variables), ("module", module.modules), ("output", module.outputs)):
        for block in parsed.get(kind, ()):
            found.update(_entries(block))
    return module


def read_tfvars(environment: str) -> Mapping[str, Any]:
    """Return the variables of an environment's file."""
    path = TERRAFORM / "environments" / f"{environment}.tfvars"
    values: Mapping[str, Any] = hcl2.loads(path.read_text(), serialization_options=_OPTIONS)
    return values


def expression(value: Any) -> str:
    """Return an expression without the parser's marker."""
    text = str(value)
    return text[2:-1] if text.startswith("${") and text.endswith("}") else text


def references(value: Any) -> set[str]:
    """Return the addresses of the resources that a value refers to."""
    return set(_REFERENCE.findall(str(value)))


def role_grants(module: TerraformModule) -> list[RoleGrant]:
    """Return the rows of all role assignments of a folder.

    Raises:
        ValueError: If an expression has a form that this function does not know. Extend it together with the table of
            roles, so that no assignment escapes the table.
    """
    rows = []
    for body in module.of_type("azurerm_role_assignment").values():
        option, instances = _instances(module, body)
        for each in instances:
            role = _resolve(module, body.get("role_definition_name", body.get("role_definition_id")), each)
            scope, principal = (_resolve(module, body[name], each) for name in ("scope", "principal_id"))
            kind = body["principal_type"]
            rows.append(RoleGrant(f"{kind} {principal}", role, scope.removesuffix(".id"), option))
    return rows


def ancestors(module: TerraformModule, address: str) -> set[str]:
    """Return the address and the addresses of all resources above it, as far as the configuration creates them."""
    found, pending = set(), {address.split("[")[0]}
    while pending:
        current = pending.pop()
        found.add(current)
        body = module.resources.get(current, {})
        parents = {parent for name in _PARENT_ATTRIBUTES for parent in references(body.get(name, ""))}
        pending |= parents - found
    return found


def _entries(block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a block without the parser's own."""
    for name, value in block.items():
        if not name.startswith("__"):
            yield name.strip('"'), value


def _instances(module: TerraformModule, body: Block) -> tuple[str, list[Mapping[str, str]]]:
    """Return the option and the values of `each` of a role assignment."""
    repetition = body.get("for_each", body.get("count", ""))
    if isinstance(repetition, dict):
        return "", [{"each.value": expression(value)} for _, value in _entries(repetition)]
    text = expression(repetition)
    if text in ("", "var.environments"):
        return "", [{}]
    if match := re.fullmatch(r"var\.(\w+) == null \? 0 : 1", text):
        return match[1], [{}]
    text = expression(module.local_values.get(text.removeprefix("local."), repetition))
    if text == _WORKLOAD_GRANTS:
        table = {name: settings["roles"] for name, settings in _entries(module.local_values["workloads"])}
        return "", _grants(table)
    if text == f"var.experiments_enabled ? {_EXPERIMENT_GRANTS} : {{}}":
        return "experiments_enabled", _grants(dict(_entries(module.local_values["experiment_roles"])))
    if text == _ADMINS:
        scopes = [name for name, _ in _entries(module.local_values["admin_roles"])]
        return "", [{"each.value.group": "var.admin_group_ids", "each.value.scope": f'"{name}"'} for name in scopes]
    if text == _CLUSTER_ADMINS:
        purposes = [name for name, _ in _entries(module.local_values["admin_cluster_roles"])]
        group = {"each.value.group": "var.admin_group_ids", "each.value.region": "*"}
        return "", [{**group, "each.value.purpose": f'"{purpose}"'} for purpose in purposes]
    if text == _COMMAND_RUNNERS:
        return "", [{"each.value.group": "var.admin_group_ids", "each.value.region": "*"}]
    raise ValueError(f"unknown repetition of a role assignment: {text}")


def _grants(table: Mapping[str, Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [
        {"each.value.workload": f'"{workload}"', "each.value.scope": f'"{scope}"', "each.value.role": role}
        for workload, roles in table.items()
        for scope, role in _entries(roles)
    ]


def _resolve(module: TerraformModule, value: Any, each: Mapping[str, str]) -> str:
    """Return an expression with the values of `each` and of tables in `locals`."""
    text = expression(value)
    for name in sorted(each, key=len, reverse=True):
        text = re.sub(rf"{re.escape(name)}(?!\.)\b", lambda _, name=name: each[name], text)
    if match := re.fullmatch(r'local\.(\w+)\["([^"]+)"\]', text):
        table = {key.strip('"'): entry for key, entry in module.local_values[match[1]].items()}
        text = expression(table[match[2]])
    if match := re.fullmatch(r"try\((.+), null\)", text):
        text = match[1]
    if (
        re.search(r"\b(local|each)\.", text)
        and text not in ("local.subscription", "local.command_role_id")
        and "each.value]" not in text
    ):
        raise ValueError(f"unknown expression of a role assignment: {text}")
    return text.removesuffix(".principal_id")
