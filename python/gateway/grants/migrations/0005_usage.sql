-- The counters that quotas of the configuration and the limits of grants share.

-- What grants/usage.py counts, for a key such as "grant g-1" or "identity https://…#agent".
CREATE TABLE maskgate.statement_starts (
    key text NOT NULL,
    at  timestamptz NOT NULL
);
CREATE INDEX statement_starts_lately ON maskgate.statement_starts (key, at DESC);
CREATE TABLE maskgate.statements_running (
    key       text NOT NULL,
    statement text NOT NULL,
    until     timestamptz NOT NULL,         -- what a crash leaves counts no longer than this
    PRIMARY KEY (key, statement)
);
CREATE INDEX statements_running_one ON maskgate.statements_running (statement);
CREATE TABLE maskgate.day_amounts (
    key   text NOT NULL,
    day   date NOT NULL,
    rows  bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (key, day)
);

-- Count a statement under all keys, or under none: then `refused` is the number of the key whose
-- bound it would exceed. Keys come sorted, so that two calls never wait for each other.
CREATE FUNCTION maskgate.begin_statement(
    named text, keys text[], concurrent integer[], per_minute integer[], lasts interval,
    OUT refused integer, OUT bound text, OUT wait integer)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    moment timestamptz;
    earlier timestamptz;
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('usage ' || keys[i], 0));
    END LOOP;
    moment := clock_timestamp();
    FOR i IN 1 .. cardinality(keys) LOOP
        DELETE FROM maskgate.statements_running WHERE key = keys[i] AND until <= moment;
        IF (SELECT count(*) FROM maskgate.statements_running WHERE key = keys[i]) >= concurrent[i]
        THEN
            refused := i; bound := 'concurrent'; wait := 1;
            RETURN;
        END IF;
        DELETE FROM maskgate.statement_starts
         WHERE key = keys[i] AND at <= moment - interval '1 minute';
        SELECT at INTO earlier FROM maskgate.statement_starts WHERE key = keys[i]
         ORDER BY at DESC OFFSET per_minute[i] - 1 LIMIT 1;
        IF per_minute[i] IS NOT NULL AND earlier IS NOT NULL THEN
            refused := i; bound := 'per_minute';
            wait := ceil(extract(epoch FROM earlier + interval '1 minute' - moment));
            RETURN;
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(keys) LOOP
        IF concurrent[i] IS NOT NULL THEN
            INSERT INTO maskgate.statements_running VALUES (keys[i], named, moment + lasts);
        END IF;
        IF per_minute[i] IS NOT NULL THEN
            INSERT INTO maskgate.statement_starts VALUES (keys[i], moment);
        END IF;
    END LOOP;
END $$;

-- Count rows and bytes under all keys for today (UTC), or under none.
CREATE FUNCTION maskgate.charge_day(
    keys text[], most_rows bigint[], most_bytes bigint[], more_rows bigint, more_bytes bigint,
    OUT refused integer, OUT bound text, OUT wait integer)
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    moment timestamp;
    today date;
    so_far maskgate.day_amounts;
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('day ' || keys[i], 0));
    END LOOP;
    moment := clock_timestamp() AT TIME ZONE 'UTC';
    today := moment::date;
    FOR i IN 1 .. cardinality(keys) LOOP
        SELECT * INTO so_far FROM maskgate.day_amounts WHERE key = keys[i] AND day = today;
        IF coalesce(so_far.rows, 0) + more_rows > most_rows[i] THEN
            refused := i; bound := 'rows';
        ELSIF coalesce(so_far.bytes, 0) + more_bytes > most_bytes[i] THEN
            refused := i; bound := 'bytes';
        END IF;
        IF refused IS NOT NULL THEN
            wait := ceil(extract(epoch FROM today + 1 - moment));
            RETURN;
        END IF;
    END LOOP;
    FOR i IN 1 .. cardinality(keys) LOOP
        DELETE FROM maskgate.day_amounts WHERE key = keys[i] AND day < today;
        INSERT INTO maskgate.day_amounts AS d VALUES (keys[i], today, more_rows, more_bytes)
            ON CONFLICT (key, day) DO UPDATE
            SET rows = d.rows + EXCLUDED.rows, bytes = d.bytes + EXCLUDED.bytes;
    END LOOP;
END $$;
