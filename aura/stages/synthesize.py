"""Make the synthetic corpus."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from hydra.utils import instantiate

from aura.config.schema import Config
from aura.core.errors import AuraError
from aura.core.files import read_json, write_json
from aura.execution import telemetry
from aura.execution.run_all import run_all
from aura.synthetic.corpus import MANIFEST, Plan, Synthesis, plan, write_subject


@telemetry.measured("synthesize")
def run(config: Config) -> None:
    """Write the recordings that are not there yet."""
    if config.dataset.synthesis is None:
        raise AuraError(f"dataset={config.dataset.name} cannot be made; allowed is dataset=synthetic")
    synthesis = Synthesis(**asdict(config.dataset.synthesis))
    root = Path(config.dataset.root)
    manifest = root / MANIFEST
    made = read_json(manifest)
    if made is not None and made != asdict(synthesis):
        others = " ".join(f"{key}={value}" for key, value in made.items() if asdict(synthesis).get(key) != value)
        raise AuraError(f"{root} holds a corpus made with {others}; choose another dataset.root, or delete it")
    write_json(manifest, asdict(synthesis))
    subjects = list(plan(synthesis))
    work = partial(write_subject, synthesis=synthesis, root=root)
    written = run_all(subjects, work, compute=instantiate(config.compute), title="synthesize", on_death=_lost)
    n_recordings = sum(map(len, subjects))
    telemetry.count(recordings=n_recordings)
    seizures = sum(one.n_seizures for plans in subjects for one in plans)
    print(
        f"synthesize: {synthesis.subjects} subjects, {n_recordings} recordings, {seizures} seizures in {root} "
        f"({sum(written)} written, {n_recordings - sum(written)} already there)"
    )


def _lost(plans: Sequence[Plan]) -> int:
    raise AuraError(f"the recordings of subject {plans[0].subject + 1} killed the process that drew them, twice")
