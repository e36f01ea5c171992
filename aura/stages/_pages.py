"""Pages of recordings, with ECG, heart rate, alarms and annotations."""

from pathlib import Path
from tempfile import TemporaryDirectory

from aura.core.errors import RecordingError
from aura.core.provenance import Provenance
from aura.core.recordings import Ecg
from aura.detection.alarms import Alarms, Detections
from aura.evaluation.results import Evaluation, ScoredRecording, describe_alarms
from aura.reports.page_content import Recording, describe_doubt
from aura.tracking import logs
from aura.workspace.prepared import PreparedCorpus, PreparedRecording

# Number of recordings whose pages are logged.
N_PAGES = 3


def log_pages(
    corpus: PreparedCorpus,
    evaluation: Evaluation,
    alarms: Alarms,
    provenance: Provenance,
    *,
    synthetic_data: bool,
) -> None:
    """Log the pages of the recordings with the most missed events and false alarms.

    Parameters
    ----------
    corpus
        The prepared recordings.
    evaluation
        Alarms and errors of scored recordings.
    alarms
        Rules by which alarms are raised.
    provenance
        Provenance of the detector.
    synthetic_data
        Whether the corpus is synthetic.
    """
    with TemporaryDirectory() as folder:
        worst = sorted(range(len(evaluation.recordings)), key=lambda i: -_count_errors(evaluation, i))[:N_PAGES]
        for number in worst:
            scored = evaluation.recordings[number]
            path = Path(folder) / f"{scored.recording}.html"
            html = draw_page(
                corpus[scored.recording],
                scored,
                describe_alarms(alarms, scored),
                provenance,
                synthetic_data=synthetic_data,
            )
            path.write_text(html, encoding="utf-8")
            logs.log_files([path], "pages")


def draw_page(
    recording: PreparedRecording,
    scored: ScoredRecording,
    detections: Detections,
    provenance: Provenance,
    *,
    synthetic_data: bool,
) -> str:
    """Draw the page of a prepared recording, as HTML.

    Parameters
    ----------
    recording
        The prepared recording.
    scored
        Scores of its windows.
    detections
        Alarms of the recording, and the stretches that were not assessed.
    provenance
        Provenance of the detector.
    synthetic_data
        Whether the recording is synthetic.
    """
    # Bokeh takes half a second, and train needs it only once it has a result.
    from aura.reports import page

    normal_share = recording.row["normal_share"]
    return page.draw_page(
        Recording(
            name=recording.name,
            duration_s=scored.duration_s,
            start=recording.start,
            rr=recording.rr,
            step_s=scored.step_s,
            score=scored.score,
            threshold=scored.threshold,
            detected=detections.alarms,
            not_assessed=detections.not_assessed,
            reference=recording.seizures if recording.is_annotated else None,
            faults=recording.unusable,
            normal_share=normal_share,
            doubt=describe_doubt(normal_share, recording.row["remarks"]),
            ecg=_read_ecg(recording),
            model=provenance.name,
            provenance=str(provenance),
            warning=provenance.warning(synthetic_data=synthetic_data),
        )
    )


def _count_errors(evaluation: Evaluation, number: int) -> int:
    """Count the missed events and the false alarms of a recording."""
    return evaluation.hits(number).count(False) + evaluation.correct_alarms(number).count(False)


def _read_ecg(recording: PreparedRecording) -> Ecg | None:
    """Read the ECG; None if its file is missing, has changed, or has a pseudonym."""
    try:
        return recording.ecg()
    except RecordingError:
        return None
