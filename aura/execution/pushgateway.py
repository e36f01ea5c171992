"""A Prometheus push gateway: stages push groups of metrics there, and delete groups that are outdated.

https://github.com/prometheus/pushgateway
"""

import json
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

ADDRESS = "AURA_PUSHGATEWAY"
# Short, since after SIGTERM four seconds are left for all of the cleanup.
TIMEOUT_S = 1.5
RUNNING, SUCCEEDED, FAILED, STOPPED = "running", "succeeded", "failed", "stopped"
# Errors of a gateway that does not answer, and of another server that answers in its place.
GATEWAY_ERRORS = (OSError, HTTPException, ValueError, KeyError, TypeError)


@dataclass
class Gateway:
    """A push gateway; if it does not answer, one warning is printed and the stage continues."""

    url: str
    _has_warned: bool = field(default=False, init=False)

    def push(self, registry: "CollectorRegistry", group: Mapping[str, str]) -> bool:
        """Replace a group, and return whether the gateway accepted it."""
        from prometheus_client import push_to_gateway

        key = dict(group)
        try:
            push_to_gateway(self.url, key.pop("job"), registry, grouping_key=key, timeout=TIMEOUT_S)
        except GATEWAY_ERRORS as error:
            self._warn(error)
            return False
        return True

    def delete_outdated(self, own: Mapping[str, str], began_s: float) -> None:
        """Delete the groups that are outdated now that a stage has ended.

        `prometheus_client` deletes a group by its key; the keys of processes that were killed are known to the gateway
        alone. They are read by urllib, as `prometheus_client` pushes, so that the same proxies and certificates apply.
        """
        from prometheus_client import delete_from_gateway

        address = self.url if "://" in self.url else f"http://{self.url}"
        try:
            with urllib.request.urlopen(f"{address.rstrip('/')}/api/v1/metrics", timeout=TIMEOUT_S) as answer:  # noqa: S310
                groups = json.load(answer)["data"]
            for group in groups:
                key = {name: value for name, value in group["labels"].items() if value}
                pushed_s = float(group["push_time_seconds"]["metrics"][0]["value"])
                if is_outdated(key, pushed_s, own, began_s):
                    delete_from_gateway(self.url, key.pop("job"), grouping_key=key, timeout=TIMEOUT_S)
        except GATEWAY_ERRORS as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        parts = urlsplit(self.url if "://" in self.url else f"//{self.url}")
        # Without user and password.
        host = parts.netloc.rpartition("@")[2]
        reason = getattr(error, "reason", error)
        print(f"aura: no metrics pushed to {host} ({ADDRESS}): {reason}; the stage continues", file=sys.stderr)


def is_outdated(key: Mapping[str, str], pushed_s: float, own: Mapping[str, str], began_s: float) -> bool:
    """Whether a group is outdated now that a stage has ended.

    Parameters
    ----------
    key
        Key of the group.
    pushed_s
        Unix time at which the group was pushed.
    own
        Key of the group of the stage that has ended.
    began_s
        Unix time at which that stage began.
    """

    def agree(*names: str) -> bool:
        return all(key.get(name) == own.get(name) for name in names)

    if not agree("job", "dataset") or key == own:
        return False
    if agree("instance", "partition") and key.get("state") == RUNNING:
        return True
    # A group that was pushed since then belongs to a stage that is still running.
    if pushed_s >= began_s:
        return False
    if key.get("state") == SUCCEEDED:
        # The success of a share stays beside that of the whole.
        return agree("partition") and own["state"] == SUCCEEDED
    return agree("partition") or ("partition" not in own and own["state"] == SUCCEEDED)
