"""A Prometheus push gateway: groups of metrics are pushed there, and deleted when they are no longer true.

https://github.com/prometheus/pushgateway
"""

import json
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

ADDRESS = "AURA_PUSHGATEWAY"
# SIGTERM leaves four seconds.
TIMEOUT_S = 1.5
RUNNING, SUCCEEDED, FAILED, STOPPED = "running", "succeeded", "failed", "stopped"
# What a gateway that is away, or something else that answers there, can raise.
AWAY = (OSError, HTTPException, ValueError, KeyError, TypeError)


@dataclass
class Gateway:
    """A push gateway, which may be away: the work goes on."""

    url: str
    _warned: bool = field(default=False, init=False)

    def push(self, registry: "CollectorRegistry", group: Mapping[str, str]) -> bool:
        """Replace a group; gives whether the gateway took it."""
        from prometheus_client import push_to_gateway

        key = dict(group)
        try:
            push_to_gateway(self.url, key.pop("job"), registry, grouping_key=key, timeout=TIMEOUT_S)
        except AWAY as error:
            self._warn(error)
            return False
        return True

    def tidy(self, own: Mapping[str, str], began_s: float) -> None:
        """Delete the groups that a new one makes untrue."""
        from prometheus_client import delete_from_gateway

        address = self.url if "://" in self.url else f"http://{self.url}"
        try:
            with urllib.request.urlopen(f"{address.rstrip('/')}/api/v1/metrics", timeout=TIMEOUT_S) as answer:  # noqa: S310
                groups = json.load(answer)["data"]
            for group in groups:
                key = {name: value for name, value in group["labels"].items() if value}
                pushed_s = float(group["push_time_seconds"]["metrics"][0]["value"])
                if is_untrue(key, pushed_s, own, began_s):
                    delete_from_gateway(self.url, key.pop("job"), grouping_key=key, timeout=TIMEOUT_S)
        except AWAY as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        parts = urlsplit(self.url if "://" in self.url else f"//{self.url}")
        # Without a password that may stand before it.
        where = parts.netloc.rpartition("@")[2]
        reason = getattr(error, "reason", error)
        print(f"aura: {ADDRESS}, {where}, does not take the metrics ({reason}); the work goes on", file=sys.stderr)


def is_untrue(key: Mapping[str, str], pushed_s: float, own: Mapping[str, Any], began_s: float) -> bool:
    """Whether what a group says is over, now that a stage has ended.

    Parameters
    ----------
    key
        Of the group.
    pushed_s
        When it was pushed.
    own
        Key of the group of the stage that has ended.
    began_s
        When that had begun.
    """

    def same(*names: str) -> bool:
        return all(key.get(name) == own.get(name) for name in names)

    if not same("job", "dataset") or key == own:
        return False
    if same("instance", "partition") and key.get("state") == RUNNING:
        return True
    # Whoever pushed since is at work beside it.
    if pushed_s >= began_s:
        return False
    if key.get("state") == SUCCEEDED:
        # What a share has cost stands beside what the whole did.
        return same("partition") and own["state"] == SUCCEEDED
    return same("partition") or ("partition" not in own and own["state"] == SUCCEEDED)
