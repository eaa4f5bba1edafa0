"""Builds the images that are not built yet, where the cluster finds them, and leaves their names: images.json.

On Azure the registry is closed, and its task `build` (terraform/azure/registry.tf) builds and pushes in it. What the
task has built, Azure Resource Manager tells: the registry itself answers inside the network alone. On a laptop, docker
builds, and the image is loaded into kind or pushed to the registry that was named.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from deploy import cluster, terraform
from deploy.commands import run as run_program
from deploy.commands import show
from deploy.context import Job
from deploy.errors import CommandError, DeployError, UnexpectedOutputError
from deploy.image_context import IMAGES, Image, context_of, tag_of
from deploy.subscription import az

MADE = "images.json"
_KIND = "kind-"
"""What kind calls its contexts, before the cluster's name."""


class Named(BaseModel):
    """Where an image is: by digest, or by tag where no registry has given it a digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """As manifests call it."""
    repository: str
    tag: str
    digest: str | None = None

    @property
    def reference(self) -> str:
        """What a pod asks for."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


class _Pushed(BaseModel):
    repository: str
    tag: str
    digest: str


class _Run(BaseModel):
    runId: str
    status: str
    createTime: datetime
    outputImages: tuple[_Pushed, ...] | None = None


_NAMED = TypeAdapter(tuple[Named, ...])


def inputs(job: Job) -> Mapping[str, object]:
    """Return what the images are made from, and where they go."""
    if job.environment.on_azure:
        where = terraform.facts(job)["registry"]
    else:
        where = job.settings.registry or _kind_cluster(job)
    return {"tags": {image.name: tag_of(job, image) for image in IMAGES}, "where": where}


def run(job: Job) -> None:
    """Have every image where the cluster finds it.

    Raises:
        CommandError: If one cannot be built.
    """
    have = _in_azures_registry if job.environment.on_azure else _at_hand
    named = [have(job, image, tag_of(job, image)) for image in IMAGES]
    (job.folder / MADE).write_bytes(_NAMED.dump_json(tuple(named), indent=2))


def images(job: Job) -> Sequence[Named]:
    """Return where the images are.

    Raises:
        NotYetError: If they have not been built.
    """
    try:
        return _NAMED.validate_json(job.made(MADE, "images").read_bytes())
    except ValidationError as error:
        raise DeployError(f"{job.folder / MADE} cannot be read; delete it and build again: {error}") from error


def _in_azures_registry(job: Job, image: Image, tag: str) -> Named:
    registry: str = terraform.facts(job)["registry"]
    pushed = _pushed(job, registry, image, tag)
    if pushed is None:
        job.say(f"{image.name} {tag} is being built in {registry}; this takes minutes")
        _build(job, registry, image, tag)
        pushed = _pushed(job, registry, image, tag)
    else:
        job.say(f"{image.name} {tag} is there")
    if pushed is None:
        raise UnexpectedOutputError(f"{registry} has built {image.repository}:{tag}, and tells no digest of it")
    return Named(name=image.name, repository=f"{registry}/{image.repository}", tag=tag, digest=pushed.digest)


def _pushed(job: Job, registry: str, image: Image, tag: str) -> _Pushed | None:
    """Return what the latest run of the task has pushed under this tag, None where none has."""
    wanted = ("--registry", _name(registry), "--image", f"{image.repository}:{tag}", "--run-status", "Succeeded")
    runs = TypeAdapter(list[_Run]).validate_python(az(job.settings, "acr", "task", "list-runs", *wanted))
    for found in sorted(runs, key=lambda found: found.createTime, reverse=True):
        for pushed in found.outputImages or ():
            if (pushed.repository, pushed.tag) == (image.repository, tag):
                return pushed
    return None


def _build(job: Job, registry: str, image: Image, tag: str) -> None:
    """Have the task build; its log is asked for only where it fails, since a log is no JSON."""
    values = ("--set", f"image={image.repository}:{tag}", "--set", f"dockerfile={image.dockerfile}")
    where = ("--registry", _name(registry), "--name", "build")
    with context_of(job, image) as context, job.console.status(f"building {image.name}"):
        try:
            told = az(job.settings, "acr", "task", "run", *where, "--context", str(context), *values, "--no-logs")
        except CommandError as error:
            raise _with_log(job, where, error) from error
    if (ended := _Run.model_validate(told)).status != "Succeeded":
        raise _with_log(job, where, DeployError(f"the run {ended.runId} ended as {ended.status}"))


def _with_log(job: Job, where: Sequence[str], error: DeployError) -> DeployError:
    subscription = ["--subscription", str(job.settings.subscription_id)]
    try:
        log = run_program(["az", "acr", "task", "logs", *where, *subscription]).stdout
    except CommandError as unknown:
        log = str(unknown)
    tail = "\n".join(log.strip().splitlines()[-30:])
    return DeployError(f"the image was not built: {error}\n{tail}")


def _name(registry: str) -> str:
    return registry.partition(".")[0]


def _at_hand(job: Job, image: Image, tag: str) -> Named:
    """Build with docker, and push to the registry that was named, or load into kind."""
    registry = job.settings.registry
    repository = f"{registry}/{image.repository}" if registry else image.name
    reference = f"{repository}:{tag}"
    if run_program(["docker", "image", "inspect", reference], fine=(0, 1)).returncode != 0:
        with context_of(job, image) as context:
            show(["docker", "build", "--tag", reference, "--file", str(context / image.dockerfile), str(context)])
    if registry is None:
        show(["kind", "load", "docker-image", reference, "--name", _kind_cluster(job)])
        return Named(name=image.name, repository=repository, tag=tag)
    show(["docker", "push", reference])
    told = json.loads(run_program(["docker", "image", "inspect", reference]).stdout)
    digests = [each.rpartition("@")[2] for each in told[0]["RepoDigests"] if each.startswith(f"{repository}@")]
    if not digests:
        raise UnexpectedOutputError(f"docker has pushed {reference}, and tells no digest of it")
    return Named(name=image.name, repository=repository, tag=tag, digest=digests[0])


def _kind_cluster(job: Job) -> str:
    """Return the name of the kind cluster that the job goes to."""
    context = cluster.connect(job).kubectl("config", "current-context").strip()
    if not context.startswith(_KIND):
        raise DeployError(
            f"the context {context} is no cluster of kind, into which images could be loaded: say with `registry = …` "
            "in the settings from where this cluster pulls, as localhost:5001"
        )
    return context.removeprefix(_KIND)
