-- Several approvers, a later beginning, weekly hours, renewal, break-glass; and a narrower scope:
-- columns, rows, one statement, bytes, statements at once and a minute. As before, the rules are written
-- twice: in lifecycle.py, which explains refusals, and here.

ALTER TABLE maskgate.grants
    ADD COLUMN ticket           text CHECK (char_length(ticket) BETWEEN 1 AND 200),
    ADD COLUMN begins_at        timestamptz,            -- asked for: not before this
    ADD COLUMN hours            text[] NOT NULL DEFAULT '{}',   -- see grants/hours.py
    ADD COLUMN approvals_needed integer NOT NULL DEFAULT 1 CHECK (approvals_needed >= 1),
    ADD COLUMN approvals        text[] NOT NULL DEFAULT '{}',   -- by whom; grant_approvals has it all
    ADD COLUMN break_glass      boolean NOT NULL DEFAULT false,
    ADD COLUMN renews           text REFERENCES maskgate.grants (id),
    ADD CONSTRAINT not_before_it_begins CHECK (not_before >= begins_at);

ALTER TABLE maskgate.grants
    ADD COLUMN columns        jsonb NOT NULL DEFAULT '{}'     -- "schema.table": [column, …]
        CHECK (jsonb_typeof(columns) = 'object'),
    -- "schema.table": [condition, …], all of which a row has to meet; an approver may add to them
    ADD COLUMN filters        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(filters) = 'object'),
    ADD COLUMN statement      text,                           -- no other text is run
    ADD COLUMN parameters     text,                           -- nor with others: JSON, compared as text
    ADD COLUMN max_bytes      bigint CHECK (max_bytes >= 1),
    ADD COLUMN bytes_released bigint NOT NULL DEFAULT 0 CHECK (bytes_released >= 0),
    ADD COLUMN max_concurrent integer CHECK (max_concurrent >= 1),
    ADD COLUMN max_per_minute integer CHECK (max_per_minute >= 1),
    ADD CONSTRAINT bytes_limit_holds CHECK (bytes_released <= max_bytes),
    ADD CONSTRAINT parameters_of_a_statement CHECK (parameters IS NULL OR statement IS NOT NULL);

-- Grants that were decided before this migration had one approver, who is in decided_by.
ALTER TABLE maskgate.grants DISABLE TRIGGER guard;
UPDATE maskgate.grants SET approvals = ARRAY[decided_by]
 WHERE state IN ('active', 'expired') AND decided_by NOT LIKE 'auto:%';
ALTER TABLE maskgate.grants ENABLE TRIGGER guard;

ALTER TABLE maskgate.sessions ADD COLUMN break_glass boolean NOT NULL DEFAULT false;

ALTER TABLE maskgate.grant_events DROP CONSTRAINT grant_events_event_check;
ALTER TABLE maskgate.grant_events ADD CONSTRAINT grant_events_event_check
    CHECK (event IN ('requested', 'endorsed', 'approved', 'break_glass', 'denied', 'revoked',
                     'expired'));

CREATE TABLE maskgate.grant_approvals (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grant_id text NOT NULL REFERENCES maskgate.grants (id),
    identity text NOT NULL,
    actor    text,
    at       timestamptz NOT NULL,
    reason   text NOT NULL,
    UNIQUE (grant_id, identity)
);

CREATE FUNCTION maskgate.guard_approval() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    asked maskgate.grants;
BEGIN
    SELECT * INTO asked FROM maskgate.grants WHERE id = NEW.grant_id FOR UPDATE;
    IF asked.state IS DISTINCT FROM 'pending' THEN
        RAISE EXCEPTION 'grant %: only what is pending is approved', NEW.grant_id;
    END IF;
    IF ARRAY[asked.identity, asked.actor] && array_remove(ARRAY[NEW.identity, NEW.actor], NULL) THEN
        RAISE EXCEPTION 'grant %: a party to the request does not approve it', NEW.grant_id;
    END IF;
    IF EXISTS (SELECT FROM maskgate.grant_approvals a WHERE a.grant_id = NEW.grant_id
                  AND ARRAY[a.identity, a.actor]
                      && array_remove(ARRAY[NEW.identity, NEW.actor], NULL)) THEN
        RAISE EXCEPTION 'grant %: one person approves once', NEW.grant_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON maskgate.grant_approvals
    FOR EACH ROW EXECUTE FUNCTION maskgate.guard_approval();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON maskgate.grant_approvals
    FOR EACH STATEMENT EXECUTE FUNCTION maskgate.refuse_change();

CREATE FUNCTION maskgate.count_approval() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE maskgate.grants SET approvals = approvals || NEW.identity WHERE id = NEW.grant_id;
    RETURN NULL;
END $$;
CREATE TRIGGER count AFTER INSERT ON maskgate.grant_approvals
    FOR EACH ROW EXECUTE FUNCTION maskgate.count_approval();

-- What was asked for never changes: everything that is not named here, columns to come included.
CREATE OR REPLACE FUNCTION maskgate.guard_grant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    changing CONSTANT text[] := ARRAY['state', 'rows_released', 'bytes_released', 'decided_by',
                                      'decided_at', 'reason', 'not_before', 'expires_at',
                                      'approvals', 'filters'];
    given text[];
BEGIN
    IF EXISTS (SELECT FROM jsonb_each(NEW.filters) f
                WHERE NOT jsonb_path_exists(f.value, 'strict $ ? (@.type() == "array"
                      && @.size() > 0 && !exists (@[*] ? (@.type() != "string")))')) THEN
        RAISE EXCEPTION 'grant %: a filter is a list of conditions', NEW.id;
    END IF;
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
    IF NEW.filters <> OLD.filters THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'grant %: its filters change while it is pending', OLD.id;
        END IF;
        IF EXISTS (SELECT FROM jsonb_each(OLD.filters) f,
                               jsonb_array_elements(f.value) WITH ORDINALITY c (condition, number)
                    WHERE NEW.filters -> f.key -> (c.number::integer - 1)
                          IS DISTINCT FROM c.condition) THEN
            RAISE EXCEPTION 'grant %: a filter lets fewer rows through, never more', OLD.id;
        END IF;
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
