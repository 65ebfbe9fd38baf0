-- A narrower scope: columns, one statement, bytes, statements at once and a minute; and the counters
-- that quotas of the configuration share.

ALTER TABLE maskgate.grants
    ADD COLUMN columns        jsonb NOT NULL DEFAULT '{}'     -- "schema.table": [column, …]
        CHECK (jsonb_typeof(columns) = 'object'),
    ADD COLUMN statement      text,                           -- no other text is run
    ADD COLUMN parameters     text,                           -- nor with others: JSON, compared as text
    ADD COLUMN max_bytes      bigint CHECK (max_bytes >= 1),
    ADD COLUMN bytes_released bigint NOT NULL DEFAULT 0 CHECK (bytes_released >= 0),
    ADD COLUMN max_concurrent integer CHECK (max_concurrent >= 1),
    ADD COLUMN max_per_minute integer CHECK (max_per_minute >= 1),
    ADD CONSTRAINT bytes_limit_holds CHECK (bytes_released <= max_bytes),
    ADD CONSTRAINT parameters_of_a_statement CHECK (parameters IS NULL OR statement IS NOT NULL);

-- As in 0004, with bytes beside rows.
CREATE OR REPLACE FUNCTION maskgate.guard_grant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    changing CONSTANT text[] := ARRAY['state', 'rows_released', 'bytes_released', 'decided_by',
                                      'decided_at', 'reason', 'not_before', 'expires_at',
                                      'approvals'];
    given text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' OR NEW.rows_released <> 0 OR NEW.bytes_released <> 0
           OR NEW.approvals <> '{}' THEN
            RAISE EXCEPTION 'grant %: begins as pending, with nothing approved or released', NEW.id;
        END IF;
        RETURN NEW;
    END IF;
    IF to_jsonb(NEW) - changing IS DISTINCT FROM to_jsonb(OLD) - changing THEN
        RAISE EXCEPTION 'grant %: what was asked for does not change', OLD.id;
    END IF;
    IF (OLD.state, NEW.state) NOT IN
       (('pending', 'pending'), ('pending', 'active'), ('pending', 'denied'), ('active', 'active'),
        ('active', 'expired'), ('active', 'revoked')) THEN
        RAISE EXCEPTION 'grant %: no way from % to %', OLD.id, OLD.state, NEW.state;
    END IF;
    IF OLD.state = 'active' AND (NEW.not_before, NEW.expires_at)
                                IS DISTINCT FROM (OLD.not_before, OLD.expires_at) THEN
        RAISE EXCEPTION 'grant %: its time does not change', OLD.id;
    END IF;
    IF NEW.rows_released < OLD.rows_released OR NEW.bytes_released < OLD.bytes_released
       OR ((NEW.rows_released, NEW.bytes_released) <> (OLD.rows_released, OLD.bytes_released)
           AND NEW.state <> 'active') THEN
        RAISE EXCEPTION 'grant %: rows are counted upwards, while it is active', OLD.id;
    END IF;
    IF NEW.approvals <> OLD.approvals THEN
        SELECT coalesce(array_agg(identity ORDER BY seq), '{}') INTO given
          FROM maskgate.grant_approvals WHERE grant_id = OLD.id;
        IF NEW.state <> 'pending' OR NEW.approvals <> given THEN
            RAISE EXCEPTION 'grant %: approvals are those of grant_approvals', OLD.id;
        END IF;
    END IF;
    IF OLD.state = 'pending' AND NEW.state = 'active' THEN
        -- An identity has a '#': these are rules of the configuration.
        IF NEW.decided_by LIKE 'auto:%' AND NEW.decided_by NOT LIKE '%#%'
           AND NOT NEW.break_glass THEN
            NULL;
        ELSIF NEW.decided_by LIKE 'break-glass:%' AND NEW.decided_by NOT LIKE '%#%'
              AND NEW.break_glass THEN
            NULL;
        ELSIF cardinality(NEW.approvals) < NEW.approvals_needed
              OR NOT NEW.decided_by = ANY (NEW.approvals) OR NEW.break_glass THEN
            RAISE EXCEPTION 'grant %: % of % approvals', OLD.id,
                cardinality(NEW.approvals), NEW.approvals_needed;
        END IF;
    END IF;
    RETURN NEW;
END $$;

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
