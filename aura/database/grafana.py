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
# Kind of an event by the meaning of its tag, whatever the word.
KINDS = {
    Meaning.SEIZURE: "seiz",
    Meaning.SEIZURE_START: "seiz",
    Meaning.BACKGROUND: "bckg",
    Meaning.NON_EPILEPTIC: "bckg",
}
# Prefix of a tag that names the recording, needed if several were made at the same time.
OF = "recording:"
# Kind of a mark with tags of both kinds.
BOTH = "both"
# Limit of one query; Grafana returns the newest, so that with more, older ones would be missing.
LIMIT = 50_000
TIMEOUT_S = 30.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of time that a person marked in a dashboard; ``kind`` is seiz, bckg or both."""

    number: int
    annotator: str
    kind: str
    onset_at: datetime
    end_at: datetime
    made_at: datetime
    # The recording that a tag names.
    recording: str | None


def query_regions(url: str, token: str, words: Words = NO_WORDS) -> list[Region]:
    """Query Grafana for all marks with a tag that means seizure or background, such as ``seiz`` and ``bckg``.

    Parameters
    ----------
    url
        Address of Grafana.
    token
        Token of a service account that may read annotations.
    words
        The clinic's own words for tags.

    Raises
    ------
    AuraError
        If Grafana does not answer, or not with annotations.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise AuraError(f"grafana={url}; allowed are addresses such as https://grafana.example.org")
    regions = [region for mark in _query(url, token) if (region := _read_region(mark, words)) is not None]
    return sorted(regions, key=lambda region: (region.made_at, region.number))


def assign_regions(
    regions: Sequence[Region], recordings: Sequence[Recording]
) -> tuple[dict[int, list[Annotation]], list[str]]:
    """Assign each region to a recording: the one its tag names, or the only one made at that time.

    Parameters
    ----------
    regions
        Marks of people.
    recordings
        All recordings of the database, since only among all of them one is known to be the only one.

    Returns
    -------
    by_recording
        Annotations by the id of the recording.
    left
        A sentence for each region without a recording, with several, or tagged as both seizure and background.
    """
    by_recording: dict[int, list[Annotation]] = {}
    left = []
    for region in regions:
        matches = [
            recording
            for recording in recordings
            if region.recording in (None, recording.name, f"{recording.dataset}/{recording.name}")
            and recording.start_at <= region.onset_at
            and region.end_at <= recording.start_at + timedelta(seconds=recording.duration_s + 1)
        ]
        what = f"annotation {region.number} of {region.annotator}, {region.onset_at:%Y-%m-%d %H:%M:%S}, is"
        if region.kind == BOTH:
            left.append(f"{what} tagged seiz and bckg; allowed is one of them")
            continue
        if len(matches) != 1:
            where = f"{len(matches)} recordings" if matches else "no recording"
            named = f" named {region.recording}" if region.recording else ""
            which = f"; a tag {OF}DATASET/NAME says which" if matches or not named else ""
            left.append(f"{what} of {where}{named}{which}")
            continue
        onset_s = (region.onset_at - matches[0].start_at).total_seconds()
        event = Event(onset_s, (region.end_at - region.onset_at).total_seconds(), region.kind)
        by_recording.setdefault(matches[0].recording_id, []).append(Annotation(region.annotator, event, region.made_at))
    return by_recording, left


def _query(url: str, token: str) -> list[dict[str, Any]]:
    """Query all annotations, those of alerts excepted.

    By urllib, not requests, so that certificates of the system's own store are trusted, as of a hospital's authority.
    """
    query = urlencode({"type": "annotation", "limit": LIMIT})
    request = urllib.request.Request(  # noqa: S310
        f"{url.rstrip('/')}/api/annotations?{query}",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            marks = json.load(answer)
    except urllib.error.HTTPError as error:
        hint = f"; {TOKEN_VARIABLE} has to be the token of a service account" if error.code in (401, 403) else ""
        raise AuraError(f"grafana={url} answers {error.code} {error.reason}{hint}") from error
    except (OSError, ValueError) as error:
        raise AuraError(f"grafana={url} cannot be reached: {error}") from error
    if not isinstance(marks, list) or not all(isinstance(mark, dict) for mark in marks):
        raise AuraError(f"grafana={url} does not answer with a list of annotations")
    if len(marks) >= LIMIT:
        raise AuraError(f"grafana={url} has {LIMIT} annotations or more; remove those that were exported")
    return marks


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: it would hand the token to another server."""

    def redirect_request(self, *_: object) -> None:
        """Return no request."""


def _read_region(mark: dict[str, Any], words: Words) -> Region | None:
    """Read a mark; None without a tag of seizure or background, for an alert, or for background without a length."""
    kinds = sorted({KINDS[sense] for tag in mark.get("tags") or () if (sense := meaning(str(tag), words)) in KINDS})
    if not kinds or mark.get("alertId"):
        return None
    try:
        onset_ms, end_ms = int(mark["time"]), int(mark.get("timeEnd") or mark["time"])
        if end_ms <= onset_ms and kinds == ["bckg"]:
            return None
        annotator = str(mark.get("login") or f"grafana user {mark.get('userId', 'unknown')}")
        names = [tag[len(OF) :] for tag in mark["tags"] if tag.startswith(OF)]
        return Region(
            number=int(mark["id"]),
            # A person called like the corpus's own annotations is told apart from them.
            annotator=f"{annotator}@grafana" if annotator == REFERENCE else annotator,
            kind=kinds[0] if len(kinds) == 1 else BOTH,
            onset_at=EPOCH + timedelta(milliseconds=onset_ms),
            end_at=EPOCH + timedelta(milliseconds=max(onset_ms, end_ms)),
            made_at=EPOCH + timedelta(milliseconds=int(mark.get("updated") or mark.get("created") or onset_ms)),
            recording=names[0] if names else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise AuraError(f"Grafana has an annotation that cannot be read ({error})") from error
