"""Make the synthetic corpus."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from hydra.utils import instantiate

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import read_json, write_json
from aura.core.wording import counted
from aura.execution import telemetry
from aura.execution.run_all import run_all
from aura.synthetic.corpus import Plan, plan, write_subject
from aura.synthetic.synthesis import MANIFEST


def run(config: Config) -> None:
    """Write the recordings of the synthetic corpus that are missing."""
    if config.dataset.synthesis is None:
        raise AuraError(f"dataset={config.dataset.name} cannot be made; allowed is dataset=synthetic")
    synthesis = config.dataset.synthesis
    root = Path(config.dataset.root)
    manifest = root / MANIFEST
    saved = read_json(manifest)
    if saved is not None and saved != asdict(synthesis):
        differing = " ".join(f"{key}={value}" for key, value in saved.items() if asdict(synthesis).get(key) != value)
        raise AuraError(f"{root} holds a corpus made with {differing}; choose another dataset.root, or delete it")
    write_json(manifest, asdict(synthesis))
    subjects = list(plan(synthesis))
    work = partial(write_subject, synthesis=synthesis, root=root)
    written = run_all(subjects, work, compute=instantiate(config.compute), title="synthesize", on_death=_report_death)
    n_recordings = sum(map(len, subjects))
    telemetry.count(recordings=n_recordings)
    seizures = sum(recording.n_seizures for plans in subjects for recording in plans)
    print(
        f"synthesize: {counted(synthesis.subjects, 'subject')}, {counted(n_recordings, 'recording')}, "
        f"{counted(seizures, 'seizure')} in {root} "
        f"({sum(written)} written, {n_recordings - sum(written)} already there)"
    )


def _report_death(plans: Sequence[Plan]) -> int:
    """Raise for a subject whose recordings killed the worker process twice."""
    raise AuraError(f"writing the recordings of subject {plans[0].subject + 1} killed the worker process twice")
