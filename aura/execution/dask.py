"""A Dask cluster."""

import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from aura.core.errors import AuraError, OutageError
from aura.execution.executors import count_cores

WORKERS_WITHIN_S = 120


@dataclass(frozen=True)
class Dask:
    """Work on a Dask cluster, whose workers see the same files under the same paths.

    Parameters
    ----------
    address
        Address of the scheduler, such as ``tcp://10.0.0.5:8786``; None starts a cluster on this machine.
    workers
        Number of workers of a cluster started here; None means one per core.
    """

    address: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        """Raise if the number of workers is not allowed."""
        if self.workers is None:
            return
        if self.address is not None or not (isinstance(self.workers, int) and self.workers >= 1):
            raise AuraError(
                f"compute.workers={self.workers}; allowed is 1 or more for a cluster that is started here, "
                "and null with compute.address"
            )

    @property
    def n_workers(self) -> int:
        """Number of threads of all workers."""
        threads: dict[str, int] = _client(self.address, self.workers).nthreads()
        return max(sum(threads.values()), 1)

    @property
    def deaths(self) -> tuple[type[BaseException], ...]:
        """Errors of a task that killed its worker."""
        from distributed.scheduler import KilledWorker

        return (KilledWorker,)

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Open an executor; the cluster stays when it is closed."""
        with _client(self.address, self.workers).get_executor(pure=False) as executor:
            yield executor

    def forest(self) -> AbstractContextManager[Any]:
        """Let joblib grow trees on the cluster."""
        import joblib

        _client(self.address, self.workers)
        manager: AbstractContextManager[Any] = joblib.parallel_config("dask")
        return manager


@cache
def _client(address: str | None, workers: int | None) -> Any:
    """Connect to a cluster, once per process."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise AuraError("compute=dask needs dask and distributed: pip install 'aura-ecg[dask]'") from error

    if address is not None:
        client = Client(address)
        try:
            client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
        except TimeoutError as error:
            raise OutageError(f"compute.address={address}: no worker connected within {WORKERS_WITHIN_S} s") from error
        return client
    # `run_all` tries a recording that killed its worker again, alone; the scheduler would do so beside others.
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    cluster = LocalCluster(
        n_workers=workers or count_cores(),
        threads_per_worker=1,
        # Any free port, since another cluster may use the default one; for this machine only.
        dashboard_address="127.0.0.1:0",
        # `run_all` reports the items of a dead worker.
        silence_logs=logging.CRITICAL,
    )
    return Client(cluster)
