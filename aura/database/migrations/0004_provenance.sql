ALTER TABLE model
    ADD COLUMN training_corpus text CHECK (octet_length(training_corpus) <= 1000),
    ADD COLUMN synthetic_training boolean,
    ADD COLUMN software text CHECK (octet_length(software) <= 1000),
    ADD COLUMN imported_on date;
COMMENT ON COLUMN model.name IS 'Its address, such as models:/aura-seizure-detector-ours/3.';
COMMENT ON COLUMN model.training_corpus IS 'Name of the corpus it was trained on; null if unknown.';
COMMENT ON COLUMN model.synthetic_training IS 'Whether that corpus is synthetic; null if unknown.';
COMMENT ON COLUMN model.software IS 'Version of Aura that last imported detections of it.';
COMMENT ON COLUMN model.imported_on IS 'Day on which detections of it were last imported, in UTC.';
