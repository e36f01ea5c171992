-- Roles belong to the whole server. A user without the right to create roles gets the SQL for an administrator.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aura_writer') THEN
        CREATE ROLE aura_writer NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aura_reader') THEN
        CREATE ROLE aura_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the roles aura_writer and aura_reader are missing, and this user may not create them; have an '
            'administrator run CREATE ROLE aura_writer NOLOGIN; CREATE ROLE aura_reader NOLOGIN;';
    WHEN duplicate_object OR unique_violation THEN
        NULL;  -- Another process has just created them.
END
$$;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO aura_reader, aura_writer;
GRANT INSERT, UPDATE, DELETE ON recording, rr, ecg, quality, annotation, model, prediction, detection, failure
    TO aura_writer;
