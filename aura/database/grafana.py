"""Annotations that people made in Grafana, by its HTTP API.

https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
"""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from aura.core.errors import AuraError
from aura.core.events import Event
from aura.database.annotations import Annotation, Recording
from aura.database.recordings import REFERENCE
from aura.formats.vocabulary import NO_WORDS, Meaning, Words, meaning

TOKEN_VARIABLE = "AURA_GRAFANA_TOKEN"  # noqa: S105
# What tags mean here; any word for it will do.
KINDS = {
    Meaning.SEIZURE: "seiz",
    Meaning.SEIZURE_START: "seiz",
    Meaning.BACKGROUND: "bckg",
    Meaning.NON_EPILEPTIC: "bckg",
}
# A tag that says of which recording it is, where others were at the same time.
OF = "recording:"
# What a person marked as both.
BOTH = "both"
# At once; Grafana gives the newest, so more could hide others.
LIMIT = 50_000
TIMEOUT_S = 30.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of time that a person marked in a dashboard; ``kind`` is seiz, bckg, or both."""

    number: int
    annotator: str
    kind: str
    onset_at: datetime
    end_at: datetime
    said_at: datetime
    # Where the tags say so.
    recording: str | None


def regions(url: str, token: str, words: Words = NO_WORDS) -> list[Region]:
    """Query a Grafana for all marks with a tag that means a seizure or background, such as ``seiz`` and ``bckg``.

    Parameters
    ----------
    url
        Of Grafana.
    token
        Of a service account that may read annotations.
    words
        Words of the clinic for tags.

    Raises
    ------
    AuraError
        Where it does not answer, or with something else.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise AuraError(f"grafana={url}; allowed are addresses such as https://grafana.example.org")
    found = [region for one in _query(url, token) if (region := _region(one, words)) is not None]
    return sorted(found, key=lambda one: (one.said_at, one.number))


def assign(found: Sequence[Region], recordings: Sequence[Recording]) -> tuple[dict[int, list[Annotation]], list[str]]:
    """Find the recording of each region: the one its tag names, or the only one that was made at that time.

    Parameters
    ----------
    found
        Regions.
    recordings
        All there are, as what is the only one is to be told among all.

    Returns
    -------
    by_recording
        What was said, by the id of the recording.
    left
        A sentence for each region that is of none or several, or both a seizure and background.
    """
    by_recording: dict[int, list[Annotation]] = {}
    left = []
    for region in found:
        of = [
            one
            for one in recordings
            if region.recording in (None, one.name, f"{one.dataset}/{one.name}")
            and one.start_at <= region.onset_at
            and region.end_at <= one.start_at + timedelta(seconds=one.duration_s + 1)
        ]
        what = f"annotation {region.number} of {region.annotator}, {region.onset_at:%Y-%m-%d %H:%M:%S}, is"
        if region.kind == BOTH:
            left.append(f"{what} tagged seiz and bckg; allowed is one of them")
            continue
        if len(of) != 1:
            where = f"{len(of)} recordings" if of else "no recording"
            named = f" named {region.recording}" if region.recording else ""
            which = f"; a tag {OF}DATASET/NAME says which" if of or not named else ""
            left.append(f"{what} of {where}{named}{which}")
            continue
        onset_s = (region.onset_at - of[0].start_at).total_seconds()
        event = Event(onset_s, (region.end_at - region.onset_at).total_seconds(), region.kind)
        by_recording.setdefault(of[0].recording_id, []).append(Annotation(region.annotator, event, region.said_at))
    return by_recording, left


def _query(url: str, token: str) -> list[dict[str, Any]]:
    """Return all annotations but those of alerts."""
    query = urlencode({"type": "annotation", "limit": LIMIT})
    request = urllib.request.Request(  # noqa: S310
        f"{url.rstrip('/')}/api/annotations?{query}",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    )
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_S) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        hint = f"; {TOKEN_VARIABLE} has to be the token of a service account" if error.code in (401, 403) else ""
        raise AuraError(f"grafana={url} answers {error.code} {error.reason}{hint}") from error
    except (OSError, ValueError) as error:
        raise AuraError(f"grafana={url} cannot be asked: {error}") from error
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise AuraError(f"grafana={url} does not answer with a list of annotations")
    if len(said) >= LIMIT:
        raise AuraError(f"grafana={url} has {LIMIT} annotations or more; remove those that were exported")
    return said


class _Stay(urllib.request.HTTPRedirectHandler):
    """To follow where an answer sends would hand the token to whoever is there."""

    def redirect_request(self, *_: object) -> None:
        """Go nowhere."""


def _region(one: dict[str, Any], words: Words) -> Region | None:
    """Read an annotation; None for one that is about something else, of an alert, or background without a length."""
    kinds = sorted({KINDS[said] for tag in one.get("tags") or () if (said := meaning(str(tag), words)) in KINDS})
    if not kinds or one.get("alertId"):
        return None
    try:
        onset_ms, end_ms = int(one["time"]), int(one.get("timeEnd") or one["time"])
        if end_ms <= onset_ms and kinds == ["bckg"]:
            return None
        annotator = str(one.get("login") or f"grafana user {one.get('userId', 'unknown')}")
        names = [tag[len(OF) :] for tag in one["tags"] if tag.startswith(OF)]
        return Region(
            number=int(one["id"]),
            # The corpus is no person, and what a person says is not the corpus's.
            annotator=f"{annotator}@grafana" if annotator == REFERENCE else annotator,
            kind=kinds[0] if len(kinds) == 1 else BOTH,
            onset_at=EPOCH + timedelta(milliseconds=onset_ms),
            end_at=EPOCH + timedelta(milliseconds=max(onset_ms, end_ms)),
            said_at=EPOCH + timedelta(milliseconds=int(one.get("updated") or one.get("created") or onset_ms)),
            recording=names[0] if names else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise AuraError(f"Grafana says an annotation that cannot be read ({error})") from error
