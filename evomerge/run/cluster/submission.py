"""A search that is handed to a batch system: checked here, written down, and driven by its own workers."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge.candidate import ModelSettings, resolve_device, resolve_home
from evomerge.errors import InputError
from evomerge.lease import is_held
from evomerge.recipe import AdapterRef
from evomerge.run import paths
from evomerge.run.assemble import Assembly, assemble, with_fingerprints
from evomerge.run.attach import DATA_KEYS, absolute, device_of, write_config
from evomerge.run.cluster import sharing
from evomerge.run.cluster.scripts import Job, kubernetes_job, slurm_job
from evomerge.run.cluster.settings import SubmitSettings
from evomerge.run.description.identity import run_identity, worded
from evomerge.run.run_config import RunConfig
from evomerge.run.runtime import tuned, worker_settings
from evomerge.store import identity, read_manifest
from evomerge.texts import write_text

__all__ = ["Submission", "submit"]

_SBATCH, _YAML = "job.sbatch", "job.yaml"


@dataclass(frozen=True)
class Submission:
    """The files of a submission.

    Attributes:
        folder: The run's folder.
        sbatch: The array job.
        yaml: The indexed Job.
        notes: What people should know of it.
    """

    folder: Path
    sbatch: Path
    yaml: Path
    notes: tuple[str, ...]


def submit(config: RunConfig, settings: SubmitSettings, say: Callable[[str], None] = lambda _: None) -> Submission:
    """Checks a search as it is checked before it starts, and writes the run's folder with the files of its job.

    How models run is not measured here, but by the first worker that drives the run: this may be another kind of
    machine, and the device that models are to live on need not be here.

    Args:
        config: The search; it has a ``run_dir``.
        settings: What the batch system is asked for.
        say: Told what is being done.

    Raises:
        InputError: With everything that is wrong; nothing is written then.
    """
    assert config.run_dir is not None
    config = absolute(config)
    folder = Path(str(config.run_dir))
    if is_held(folder / "records"):
        raise InputError(f"{folder} is being driven just now; more workers join it with evomerge worker run={folder}")
    config, notes = _settled(config, settings, folder)
    here, more = _model_here(config)
    notes += more
    assembly = with_fingerprints(assemble(replace(config, model=here)), say)
    if (folder / "manifest.json").exists():
        _refuse_other(assembly, folder, config.model)
    named = replace(config, models=assembly.config.models, base=assembly.config.base)  # adapters with what they are on
    job = _job(named, folder, settings)
    notes += [note for note in (_mount_note(job, named),) if note]
    folder.mkdir(parents=True, exist_ok=True)
    sharing.reopen(folder)
    write_config(folder, config)
    for name, text in ((_SBATCH, slurm_job(job)), (_YAML, kubernetes_job(job))):
        if _put(folder / name, text):
            notes.append(f"{folder / name} is written anew; as it was before, it is kept as {name}~")
    return Submission(folder, folder / _SBATCH, folder / _YAML, (*assembly.warnings, *notes))


def _settled(config: RunConfig, settings: SubmitSettings, folder: Path) -> tuple[RunConfig, list[str]]:
    """A search whose device is known where it was left to us: that of the run, else what workers are asked for with.

    The first machine that drives the run would choose for all else, and it may be one without a GPU.
    """
    if config.model.device != "auto" or config.model.device_map:
        return config, []
    if (began := device_of(folder)) is not None:
        return replace(config, model=replace(config.model, device=began)), []
    device = "cpu" if settings.gpus == 0 else "cuda"
    notes = []
    if device != "cpu" and resolve_device("auto") == "cpu":
        notes.append("model.device is cuda, as each worker is asked for with a GPU; without GPUs, write submit.gpus=0")
    return replace(config, model=replace(config.model, device=device)), notes


def _model_here(config: RunConfig) -> tuple[ModelSettings, list[str]]:
    """How models are checked: on the CPU where a device that was asked for is another machine's."""
    model = config.model
    if model.device_map:
        resolve_home(model, elsewhere=True)  # finds all other problems
    for device in model.device_map or (model.device,):
        if not re.fullmatch(r"cuda(:\d+)?", device):
            continue
        try:
            resolve_device(device)
        except InputError:
            named = f"device_map has {device}, which" if model.device_map else f"device={device}"
            note = f"model.{named} is not on this machine, so it was not tried; workers need it"
            return replace(model, device="cpu", device_map=(), max_memory=()), [note]
    return model, []


def _refuse_other(assembly: Assembly, folder: Path, model: ModelSettings) -> None:
    """Makes sure that the run in the folder is the one that is submitted, for a device that need not be here.

    Raises:
        InputError: If it is another one, naming the differences.
    """
    settings, _ = tuned(worker_settings(assembly, 1), assembly, folder, lambda _: None)
    settings = replace(settings, device_map=model.device_map)
    stored: dict[str, Any] = read_manifest(folder).get("identity", {})
    now: dict[str, Any] = json.loads(
        json.dumps(worded(run_identity(assembly, settings), settings.fitness.tasks, stored))
    )
    if model.device_map == ("auto",):
        now["model"]["device"] = device_of(folder) or "cuda"
    elif model.device_map:
        now["model"]["device"] = model.device_map[0].partition(":")[0]
    elif assembly.config.model.device != model.device:  # which was checked on the CPU
        now["model"]["device"] = model.device.partition(":")[0]
    identity.refuse_other(str(folder), stored, now)


def _job(config: RunConfig, folder: Path, settings: SubmitSettings) -> Job:
    gpus = settings.gpus if settings.gpus is not None else _gpus(config)
    mount = settings.mount or os.path.commonpath([str(folder.parent), *_places(config)])
    mount = str(folder.parent) if mount == os.sep else mount
    return Job(folder, Path.cwd(), sys.executable, gpus, mount, settings)


def _gpus(config: RunConfig) -> int:
    """GPUs of each worker where nobody said how many."""
    names = config.model.device_map
    if names and names != ("auto",):
        return sum(name.startswith("cuda") for name in names)
    return 0 if config.model.device == "cpu" else int(config.executor.options.get("gpus") or 1)


def _places(config: RunConfig) -> Iterable[str]:
    """All folders and files that the configuration names by their path."""
    refs = [*config.models, *([config.base] if config.base is not None else [])]
    refs += [ref.on for ref in refs if isinstance(ref, AdapterRef)]
    named = [ref.source for ref in refs] + list(config.fitness.task_path)
    for task in config.fitness.tasks:
        named += [task] if isinstance(task, str) else [str(task[key]) for key in DATA_KEYS if key in task]
    named += [entry.rpartition(":")[0] for entry in config.functions]
    named += [path for path in (config.recipe, config.start_from) if path is not None]
    return [place for place in named if Path(place).is_absolute()]


def _mount_note(job: Job, config: RunConfig) -> str | None:
    outside = [place for place in _places(config) if not Path(place).is_relative_to(job.mount)]
    if not outside:
        return None
    return f"pods see {job.mount} alone, and {outside[0]} lies elsewhere: name a folder above both, submit.mount=FOLDER"


def _put(path: Path, text: str) -> bool:
    """Writes a file; what was there, if it is another text, is kept beside it."""
    before = path.read_text(encoding="utf-8") if paths.is_file(path) else text
    if before != text:
        path.replace(path.with_name(f"{path.name}~"))
    write_text(path, text)
    return before != text
