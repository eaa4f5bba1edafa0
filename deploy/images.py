"""Builds missing images where the cluster can pull them, and writes their references to images.json.

On Azure the registry is private, and its task `build` (terraform/azure/registry.tf) builds and pushes inside it. Azure
Resource Manager lists the task's results, because the registry is reachable only inside the network. On a laptop,
docker builds the image, which is then loaded into kind or pushed to the configured registry.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from deploy import cluster, terraform
from deploy.commands import run as run_program
from deploy.commands import run_streaming
from deploy.container_engine import find_engine
from deploy.context import DeployContext
from deploy.errors import CommandError, DeployError, UnexpectedOutputError
from deploy.image_context import IMAGES, Image, build_context, image_tag
from deploy.subscription import az

ARTIFACT = "images.json"
_PODMAN_VARIABLES = {"BUILDAH_FORMAT": "docker"}
"""podman stores health checks only in docker's image format."""
_KIND_PREFIX = "kind-"
"""The prefix of kind's kubeconfig contexts, before the name of the cluster."""


class ContainerImage(BaseModel):
    """Reference to an image: by digest, or by tag if no registry has assigned a digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The name in the manifests."""
    repository: str
    tag: str
    digest: str | None = None

    @property
    def reference(self) -> str:
        """The image field of a container."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


class _Pushed(BaseModel):
    repository: str
    tag: str
    digest: str


class _TaskRun(BaseModel):
    runId: str
    status: str
    createTime: datetime
    outputImages: tuple[_Pushed, ...] | None = None


_IMAGE_REFERENCES = TypeAdapter(tuple[ContainerImage, ...])


def cache_inputs(context: DeployContext) -> Mapping[str, object]:
    """Return the content tags of the images and their destination."""
    if context.environment.on_azure:
        destination = terraform.facts(context)["registry"]
    else:
        destination = context.settings.registry or _kind_cluster(context)
    return {"tags": {image.name: image_tag(context, image) for image in IMAGES}, "destination": destination}


def run(context: DeployContext) -> None:
    """Build every missing image.

    Raises:
        CommandError: If a build fails.
    """
    ensure_image = _ensure_in_registry if context.environment.on_azure else _ensure_locally
    references = [ensure_image(context, image, image_tag(context, image)) for image in IMAGES]
    (context.folder / ARTIFACT).write_bytes(_IMAGE_REFERENCES.dump_json(tuple(references), indent=2))


def load_image_references(context: DeployContext) -> Sequence[ContainerImage]:
    """Return the references of the images.

    Raises:
        StepOrderError: If they have not been built.
        DeployError: If the artifact is invalid.
    """
    try:
        return _IMAGE_REFERENCES.validate_json(context.artifact(ARTIFACT, "images").read_bytes())
    except ValidationError as error:
        raise DeployError(f"{context.folder / ARTIFACT} is invalid: delete it and build again: {error}") from error


def _ensure_in_registry(context: DeployContext, image: Image, tag: str) -> ContainerImage:
    registry: str = terraform.facts(context)["registry"]
    pushed = _find_pushed(context, registry, image, tag)
    if pushed is None:
        context.log(f"building {image.name} {tag} in {registry}; this takes minutes")
        _build_in_registry(context, registry, image, tag)
        pushed = _find_pushed(context, registry, image, tag)
    else:
        context.log(f"{image.name} {tag} is already built")
    if pushed is None:
        raise UnexpectedOutputError(f"{registry} built {image.repository}:{tag} but lists no digest for it")
    return ContainerImage(name=image.name, repository=f"{registry}/{image.repository}", tag=tag, digest=pushed.digest)


def _find_pushed(context: DeployContext, registry: str, image: Image, tag: str) -> _Pushed | None:
    """Return the image that the latest run of the task pushed with this tag, or None."""
    filters = (
        "--registry",
        _registry_name(registry),
        "--image",
        f"{image.repository}:{tag}",
        "--run-status",
        "Succeeded",
    )
    runs = TypeAdapter(list[_TaskRun]).validate_python(az(context.settings, "acr", "task", "list-runs", *filters))
    for run in sorted(runs, key=lambda run: run.createTime, reverse=True):
        for pushed in run.outputImages or ():
            if (pushed.repository, pushed.tag) == (image.repository, tag):
                return pushed
    return None


def _build_in_registry(context: DeployContext, registry: str, image: Image, tag: str) -> None:
    """Run the build task. Its log is fetched only after a failure, because with a log `az` prints no JSON."""
    values = ("--set", f"image={image.repository}:{tag}", "--set", f"dockerfile={image.dockerfile}")
    task_options = ("--registry", _registry_name(registry), "--name", "build")
    with build_context(context, image) as context_dir, context.console.status(f"building {image.name}"):
        try:
            result = az(
                context.settings,
                "acr",
                "task",
                "run",
                *task_options,
                "--context",
                str(context_dir),
                *values,
                "--no-logs",
            )
        except CommandError as error:
            raise _error_with_log(context, task_options, error) from error
    if (task_run := _TaskRun.model_validate(result)).status != "Succeeded":
        raise _error_with_log(
            context, task_options, DeployError(f"run {task_run.runId} ended with status {task_run.status}")
        )


def _error_with_log(context: DeployContext, task_options: Sequence[str], error: DeployError) -> DeployError:
    subscription = ["--subscription", str(context.settings.subscription_id)]
    try:
        log = run_program(["az", "acr", "task", "logs", *task_options, *subscription]).stdout
    except CommandError as log_error:
        log = str(log_error)
    tail = "\n".join(log.strip().splitlines()[-30:])
    return DeployError(f"image build failed: {error}\n{tail}")


def _registry_name(registry: str) -> str:
    return registry.partition(".")[0]


def _ensure_locally(context: DeployContext, image: Image, tag: str) -> ContainerImage:
    """Build with docker or podman, and push to the configured registry or load into kind."""
    registry, engine = context.settings.registry, find_engine()
    repository = f"{registry}/{image.repository}" if registry else f"{engine.prefix}{image.name}"
    reference = f"{repository}:{tag}"
    inspect = [engine.program, "image", "inspect", reference]
    if run_program(inspect, ok_statuses=None).returncode != 0:
        with build_context(context, image) as context_dir:
            dockerfile = str(context_dir / image.dockerfile)
            command = [engine.program, "build", "--tag", reference, "--file", dockerfile, str(context_dir)]
            run_streaming(command, variables=_PODMAN_VARIABLES)
    if registry is None:
        engine.load_into_kind(reference, _kind_cluster(context))
        return ContainerImage(name=image.name, repository=repository, tag=tag)
    run_streaming([engine.program, "push", reference])
    inspected = json.loads(run_program(inspect).stdout)
    digests = [each.rpartition("@")[2] for each in inspected[0]["RepoDigests"] if each.startswith(f"{repository}@")]
    if not digests:
        raise UnexpectedOutputError(f"{engine.program} pushed {reference} but lists no digest for it")
    return ContainerImage(name=image.name, repository=repository, tag=tag, digest=digests[0])


def _kind_cluster(context: DeployContext) -> str:
    """Return the name of the kind cluster of the kubeconfig's context."""
    kube_context = cluster.connect(context).kubectl("config", "current-context").strip()
    if not kube_context.startswith(_KIND_PREFIX):
        raise DeployError(
            f"the context {kube_context} is not a kind cluster, so images cannot be loaded into it: set `registry = …` "
            "in the settings to a registry that the cluster pulls from, such as localhost:5001"
        )
    return kube_context.removeprefix(_KIND_PREFIX)
