-- Every role has the rights of PUBLIC: to create temporary tables, large objects and, before PostgreSQL 15, tables in
-- public. Only the owner of the database or a superuser can revoke them.
DO $$
DECLARE
    makes_large_objects CONSTANT text := 'FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)';
    wanted CONSTANT text[] := ARRAY[
        format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()),
        format('GRANT TEMPORARY ON DATABASE %I TO aura_writer', current_database()),
        'REVOKE CREATE ON SCHEMA public FROM PUBLIC',
        format('REVOKE EXECUTE ON %s FROM PUBLIC', makes_large_objects)
    ];
    statement text;
BEGIN
    FOREACH statement IN ARRAY wanted LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION
            -- The result is checked below, since an administrator may have done it before.
            WHEN insufficient_privilege THEN NULL;
        END;
    END LOOP;
    IF has_database_privilege('aura_reader', current_database(), 'TEMPORARY')
        OR has_schema_privilege('aura_reader', 'public', 'CREATE')
        OR has_function_privilege('aura_reader', 'lo_creat(integer)', 'EXECUTE')
        OR has_function_privilege('aura_reader', 'lo_create(oid)', 'EXECUTE')
        OR has_function_privilege('aura_reader', 'lo_from_bytea(oid, bytea)', 'EXECUTE')
    THEN
        RAISE EXCEPTION 'the role aura_reader can create tables or large objects, and this user may not change that; have '
            'an administrator run in the database % the statements %;', current_database(),
            array_to_string(wanted, '; ');
    END IF;
END
$$;
