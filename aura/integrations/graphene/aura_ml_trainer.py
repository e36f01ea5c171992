"""The third node: from features to a registered detector."""

from pathlib import Path
from typing import Any

import mlflow

from aura.assembly import features_folder, open_prepared
from aura.config.schema import Config
from aura.integrations.graphene.messages import check_place, check_same, relative_path
from aura.stages import main


class Trainer:
    """Collects batches of features, and trains when all are there, as the stage train does.

    Parameters
    ----------
    config
        The corpus and the settings.
    shared
        Folder that the nodes share.
    """

    def __init__(self, config: Config, shared: Path) -> None:
        self._config, self._shared = config, shared
        self._listing, self._numbers = "", set[int]()

    def __call__(self, request: Any, reply: Any) -> None:
        """Note a batch, in any order; after the last one, train.

        Raises
        ------
        RequestError
            If the features are of another corpus or other settings.
        """
        check_place(request)
        check_same("dataset", request.dataset, self._config.dataset.name)
        check_same("folder", request.folder, relative_path(features_folder(self._config), self._shared))
        if request.listing != self._listing:
            self._listing, self._numbers = request.listing, set()
        self._numbers.add(request.number)
        reply.batches, reply.count = len(self._numbers), request.count
        reply.recordings, reply.failures = len(request.recordings), len(request.failures)
        reply.state = "waiting"
        if len(self._numbers) == request.count:
            # Even if training fails, the next batch starts again.
            self._numbers = set()
            self._train(reply)

    def _train(self, reply: Any) -> None:
        """Write the tables of all recordings, whose files exist, and train on them."""
        config = self._config
        main.STAGE.run(config)
        whole = mlflow.last_active_run()
        (run,) = mlflow.search_runs(
            [whole.info.experiment_id],
            filter_string=f"tags.mlflow.parentRunId = '{whole.info.run_id}' and tags.`aura.stage` = 'train'",
            output_format="list",
        )
        versions = mlflow.search_model_versions(filter_string=f"run_id = '{run.info.run_id}'")
        reply.state, reply.run_id = "trained", run.info.run_id
        # There is none if each model is for one subject.
        for version in versions:
            reply.model, reply.version = version.name, str(version.version)
        for name in ("event_f1", "event_sensitivity"):
            setattr(reply, name, run.data.metrics[name])
        reply.false_alarms_per_24h = run.data.metrics["event_false_alarms_per_24h"]
        corpus = open_prepared(config)
        reply.recordings, reply.failures = len(corpus.recordings), len(corpus.failures)
