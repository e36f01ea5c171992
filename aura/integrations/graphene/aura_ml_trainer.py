"""The third node of the pipeline: train and register a detector."""

from pathlib import Path
from typing import Any

import mlflow

from aura.assembly import features_folder, open_prepared
from aura.config.schema import Config
from aura.integrations.graphene.messages import check_place, check_same, relative_path
from aura.stages import main
from aura.tracking import versions


class Trainer:
    """Counts batches of features, and trains after the last one, as the stage main does.

    Parameters
    ----------
    config
        The corpus and the settings.
    shared
        Folder shared by all nodes.
    """

    def __init__(self, config: Config, shared: Path) -> None:
        self._config, self._shared = config, shared
        self._listing, self._numbers = "", set[int]()

    def __call__(self, request: Any, reply: Any) -> None:
        """Count a batch; batches arrive in any order, and the last one starts the training.

        Raises
        ------
        RequestError
            If the features belong to another corpus or other settings.
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
            # Reset first: the next batch starts a new count even if training fails.
            self._numbers = set()
            self._train(reply)

    def _train(self, reply: Any) -> None:
        """Run the stage main, which finds the files of all recordings, and fill in the reply."""
        config = self._config
        main.STAGE.run(config)
        main_run = mlflow.get_run(mlflow.last_active_run().info.run_id)
        children = mlflow.search_runs(
            [main_run.info.experiment_id],
            filter_string=f"tags.mlflow.parentRunId = '{main_run.info.run_id}' and tags.`aura.stage` = 'train'",
            output_format="list",
        )
        # If nothing has changed, train refers to the run that exists.
        run = children[0] if children else mlflow.get_run(main_run.data.tags["aura.upstream.train"])
        version = versions.find(config.tracking.model_name, run.data.tags[versions.FINGERPRINT])
        reply.state, reply.run_id = "trained", run.info.run_id
        # Models for single subjects are not registered.
        if version is not None:
            reply.model, reply.version = version.name, str(version.version)
        for name in ("event_f1", "event_sensitivity"):
            setattr(reply, name, run.data.metrics[name])
        reply.false_alarms_per_24h = run.data.metrics["event_false_alarms_per_24h"]
        corpus = open_prepared(config)
        reply.recordings, reply.failures = len(corpus.recordings), len(corpus.failures)
