-- Times are on the recording's own clock, stored as UTC. A recording without a start begins at 1985-01-01 00:00, by the
-- convention of BIDS.

CREATE TABLE recording (
    recording_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL CHECK (octet_length(dataset) BETWEEN 1 AND 200),
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 1000),
    subject text NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 1000),
    session text NOT NULL CHECK (octet_length(session) <= 1000),
    start_at timestamptz NOT NULL,
    start_known boolean NOT NULL,
    duration_s double precision NOT NULL CHECK (duration_s >= 0),
    end_at timestamptz NOT NULL CHECK (end_at >= start_at),
    channel text NOT NULL,
    fs_hz double precision NOT NULL,
    usable_share double precision NOT NULL CHECK (usable_share BETWEEN 0 AND 1),
    n_beats integer NOT NULL,
    annotated boolean NOT NULL,
    content text NOT NULL,
    ecg_content text NOT NULL DEFAULT '',
    imported_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (dataset, name)
);
CREATE INDEX recording_of_subject ON recording (dataset, subject);

COMMENT ON TABLE recording IS 'A prepared recording.';
COMMENT ON COLUMN recording.recording_id IS 'Stays the same when the recording is imported again.';
COMMENT ON COLUMN recording.dataset IS 'Name of the corpus.';
COMMENT ON COLUMN recording.name IS 'Unique in the corpus.';
COMMENT ON COLUMN recording.subject IS 'The corpus''s own id, or its pseudonym.';
COMMENT ON COLUMN recording.session IS 'The corpus''s own id, or its pseudonym; empty if there is none.';
COMMENT ON COLUMN recording.start_at IS 'Start on the recording''s own clock, stored as UTC.';
COMMENT ON COLUMN recording.start_known IS 'Whether the file has a start; otherwise start_at is 1985-01-01.';
COMMENT ON COLUMN recording.duration_s IS 'Length in seconds.';
COMMENT ON COLUMN recording.end_at IS 'start_at plus duration_s, to the microsecond.';
COMMENT ON COLUMN recording.channel IS 'Label of the ECG channel.';
COMMENT ON COLUMN recording.fs_hz IS 'Sampling rate of the ECG in hertz.';
COMMENT ON COLUMN recording.usable_share IS 'Share of the recording with a usable ECG, 0 to 1.';
COMMENT ON COLUMN recording.n_beats IS 'Number of detected R-peaks.';
COMMENT ON COLUMN recording.annotated IS 'Whether the corpus has annotations of it.';
COMMENT ON COLUMN recording.content IS 'Digest of all that was imported, the ECG excepted, so that nothing is imported twice.';
COMMENT ON COLUMN recording.ecg_content IS 'Digest of the ECG that was imported; empty if there is none.';
COMMENT ON COLUMN recording.imported_at IS 'Time of the last import.';

-- Rows of these tables belong to a recording, without foreign keys, which would double the time of an import.
CREATE TABLE rr (
    recording_id integer NOT NULL,
    ts timestamptz NOT NULL,
    rr_ms double precision NOT NULL,
    PRIMARY KEY (recording_id, ts)
);
COMMENT ON TABLE rr IS 'RR intervals as detected, not cleaned.';
COMMENT ON COLUMN rr.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN rr.ts IS 'Time of the second beat, on the recording''s clock.';
COMMENT ON COLUMN rr.rr_ms IS 'Length of the interval in milliseconds.';

CREATE VIEW heart_rate AS SELECT recording_id, ts, 60000 / rr_ms AS bpm FROM rr;
COMMENT ON VIEW heart_rate IS 'Heart rate from beat to beat.';
COMMENT ON COLUMN heart_rate.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN heart_rate.ts IS 'Time of the second beat, on the recording''s clock.';
COMMENT ON COLUMN heart_rate.bpm IS 'Beats per minute.';

CREATE TABLE ecg (
    recording_id integer NOT NULL,
    ts timestamptz NOT NULL,
    low_mv real NOT NULL,
    high_mv real NOT NULL,
    PRIMARY KEY (recording_id, ts)
);
COMMENT ON TABLE ecg IS 'The ECG, as the lowest and the highest sample of each 40 ms; around events, each sample.';
COMMENT ON COLUMN ecg.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN ecg.ts IS 'Time of the first sample, on the recording''s clock.';
COMMENT ON COLUMN ecg.low_mv IS 'Lowest sample in millivolts.';
COMMENT ON COLUMN ecg.high_mv IS 'Highest sample in millivolts.';

CREATE TABLE quality (
    recording_id integer NOT NULL,
    onset_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL CHECK (end_at >= onset_at),
    kind text NOT NULL,
    PRIMARY KEY (recording_id, onset_at, kind)
);
COMMENT ON TABLE quality IS 'Stretches without a usable ECG.';
COMMENT ON COLUMN quality.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN quality.onset_at IS 'Start on the recording''s clock.';
COMMENT ON COLUMN quality.end_at IS 'End on the recording''s clock.';
COMMENT ON COLUMN quality.kind IS 'Kind of fault: flat, saturated, noise, gap, ...';

CREATE TABLE annotation (
    annotation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id integer NOT NULL REFERENCES recording ON DELETE CASCADE,
    annotator text NOT NULL CHECK (octet_length(annotator) BETWEEN 1 AND 200),
    onset_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL CHECK (end_at > onset_at),
    kind text NOT NULL DEFAULT 'seiz' CHECK (kind IN ('seiz', 'bckg')),
    confidence double precision NOT NULL DEFAULT 1 CHECK (confidence BETWEEN 0 AND 1),
    comment text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX annotation_of_recording ON annotation (recording_id, onset_at);
COMMENT ON TABLE annotation IS 'Events as annotated by people. Those of the annotator ''reference'' are the corpus''s own; each import replaces them.';
COMMENT ON COLUMN annotation.annotation_id IS 'Running number.';
COMMENT ON COLUMN annotation.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN annotation.annotator IS 'Name of the annotator.';
COMMENT ON COLUMN annotation.onset_at IS 'Start on the recording''s clock.';
COMMENT ON COLUMN annotation.end_at IS 'End on the recording''s clock.';
COMMENT ON COLUMN annotation.kind IS 'seiz for a seizure, bckg for background.';
COMMENT ON COLUMN annotation.confidence IS 'Confidence of the annotator, 0 to 1.';
COMMENT ON COLUMN annotation.comment IS 'Free text.';
COMMENT ON COLUMN annotation.created_at IS 'Time at which it was made, on the server''s clock.';

CREATE TABLE model (
    model_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 500),
    run_id text NOT NULL CHECK (octet_length(run_id) <= 100),
    threshold double precision NOT NULL,
    step_s double precision NOT NULL CHECK (step_s > 0),
    UNIQUE (name, run_id, threshold)
);
COMMENT ON TABLE model IS 'A detector.';
COMMENT ON COLUMN model.model_id IS 'Running number.';
COMMENT ON COLUMN model.name IS 'Its address, such as models:/aura-seizure-detector/3.';
COMMENT ON COLUMN model.run_id IS 'The MLflow run that trained it; empty if unknown.';
COMMENT ON COLUMN model.threshold IS 'Score at which an alarm is raised.';
COMMENT ON COLUMN model.step_s IS 'Time from one window to the next in seconds.';

CREATE TABLE prediction (
    recording_id integer NOT NULL,
    model_id integer NOT NULL,
    ts timestamptz NOT NULL,
    probability double precision NOT NULL,
    score double precision,
    PRIMARY KEY (recording_id, model_id, ts)
);
COMMENT ON TABLE prediction IS 'Predictions of a detector, one per window that has a probability.';
COMMENT ON COLUMN prediction.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN prediction.model_id IS 'Id of the model.';
COMMENT ON COLUMN prediction.ts IS 'End of the window, on the recording''s clock.';
COMMENT ON COLUMN prediction.probability IS 'Probability of a seizure, 0 to 1.';
COMMENT ON COLUMN prediction.score IS 'The smoothed probability above its baseline; null before there is a baseline.';

CREATE TABLE detection (
    recording_id integer NOT NULL,
    model_id integer NOT NULL,
    onset_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL CHECK (end_at >= onset_at),
    kind text NOT NULL CHECK (kind IN ('seiz', 'not_assessed')),
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    PRIMARY KEY (recording_id, model_id, onset_at, kind)
);
COMMENT ON TABLE detection IS 'Alarms of a detector, and stretches that it could not assess.';
COMMENT ON COLUMN detection.recording_id IS 'Id of the recording.';
COMMENT ON COLUMN detection.model_id IS 'Id of the model.';
COMMENT ON COLUMN detection.onset_at IS 'Start on the recording''s clock.';
COMMENT ON COLUMN detection.end_at IS 'End on the recording''s clock.';
COMMENT ON COLUMN detection.kind IS 'seiz for a seizure, not_assessed for a stretch with too few beats.';
COMMENT ON COLUMN detection.confidence IS 'Highest probability within the event, 0 to 1.';

CREATE TABLE failure (
    dataset text NOT NULL,
    recording text NOT NULL,
    stage text NOT NULL,
    reason text NOT NULL,
    message text NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataset, recording, stage)
);
COMMENT ON TABLE failure IS 'Recordings that failed, with the reason.';
COMMENT ON COLUMN failure.dataset IS 'Name of the corpus.';
COMMENT ON COLUMN failure.recording IS 'Path or name in the corpus.';
COMMENT ON COLUMN failure.stage IS 'prepare or import.';
COMMENT ON COLUMN failure.reason IS 'A short code to count by.';
COMMENT ON COLUMN failure.message IS 'Explanation in one sentence.';
COMMENT ON COLUMN failure.failed_at IS 'Time of the failure, on the server''s clock.';

CREATE FUNCTION forget_recording() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM rr WHERE recording_id = OLD.recording_id;
    DELETE FROM ecg WHERE recording_id = OLD.recording_id;
    DELETE FROM quality WHERE recording_id = OLD.recording_id;
    DELETE FROM prediction WHERE recording_id = OLD.recording_id;
    DELETE FROM detection WHERE recording_id = OLD.recording_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_recording AFTER DELETE ON recording FOR EACH ROW EXECUTE FUNCTION forget_recording();
