-- Which rows of a table a grant covers: a predicate, written by the requester or by an approver, who
-- may only narrow what was asked for.

ALTER TABLE maskgate.grants
    ADD COLUMN filters jsonb NOT NULL DEFAULT '{}'            -- "schema.table": predicate
        CHECK (jsonb_typeof(filters) = 'object');

-- As in 0005, with the filters.
CREATE OR REPLACE FUNCTION maskgate.guard_grant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    changing CONSTANT text[] := ARRAY['state', 'rows_released', 'bytes_released', 'decided_by',
                                      'decided_at', 'reason', 'not_before', 'expires_at',
                                      'approvals', 'filters'];
    given text[];
    part record;
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
    IF NEW.filters <> OLD.filters THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'grant %: its filters change while it is pending', OLD.id;
        END IF;
        FOR part IN SELECT key, value FROM jsonb_each_text(OLD.filters) LOOP
            IF NEW.filters ->> part.key <> part.value
               AND NOT starts_with(NEW.filters ->> part.key, '(' || part.value || ') AND (')
               OR NOT NEW.filters ? part.key THEN
                RAISE EXCEPTION 'grant %: a filter lets fewer rows through, never more', OLD.id;
            END IF;
        END LOOP;
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
