"""Make the synthetic corpus."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from aura.compute import over
from aura.config import Config
from aura.errors import AuraError
from aura.synthetic.corpus import Synthesis, plan, write_recording
from aura.table import read_json, write_json


def run(config: Config) -> None:
    """Write the recordings that are not there yet."""
    if config.dataset.synthesis is None:
        raise AuraError(f"dataset={config.dataset.name} cannot be made; allowed is dataset=synthetic")
    synthesis = Synthesis(**asdict(config.dataset.synthesis))
    root = Path(config.dataset.root)
    manifest = root / "synthesis.json"
    made = read_json(manifest)
    if made is not None and made != asdict(synthesis):
        others = " ".join(f"{key}={value}" for key, value in made.items() if asdict(synthesis).get(key) != value)
        raise AuraError(f"{root} holds a corpus made with {others}; choose another dataset.root, or delete it")
    write_json(manifest, asdict(synthesis))
    plans = list(plan(synthesis))
    work = partial(write_recording, synthesis=synthesis, root=root)
    written = over(plans, work, workers=config.compute.workers, title="synthesize")
    seizures = sum(p.n_seizures for p in plans)
    print(
        f"synthesize: {synthesis.subjects} subjects, {len(plans)} recordings, {seizures} seizures in {root} "
        f"({sum(written)} written, {len(plans) - sum(written)} already there)"
    )
