-- Grants, their history, and sessions. The state machine is written twice on purpose: in
-- grants/lifecycle.py, which explains refusals, and here, where no program can go around it.

CREATE TABLE maskgate.grants (
    id            text PRIMARY KEY,
    identity      text NOT NULL,
    actor         text,                     -- ISSUER#SUBJECT of the person an agent works for
    connection    text NOT NULL,
    tables        text[] NOT NULL CHECK (cardinality(tables) > 0),
    purpose       text NOT NULL CHECK (char_length(purpose) BETWEEN 1 AND 1000),
    state         text NOT NULL
                  CHECK (state IN ('pending', 'active', 'expired', 'revoked', 'denied')),
    requested_at  timestamptz NOT NULL,
    duration_s    bigint NOT NULL CHECK (duration_s >= 1),
    not_before    timestamptz,
    expires_at    timestamptz,
    max_rows      bigint CHECK (max_rows >= 1),
    rows_released bigint NOT NULL DEFAULT 0 CHECK (rows_released >= 0),
    decided_by    text,
    decided_at    timestamptz,
    reason        text,
    CONSTRAINT limit_holds CHECK (max_rows IS NULL OR rows_released <= max_rows),
    CONSTRAINT decided_unless_pending
        CHECK ((state = 'pending') = (decided_by IS NULL)
           AND (state = 'pending') = (decided_at IS NULL)),
    CONSTRAINT bounded_once_active
        CHECK ((state IN ('pending', 'denied')) = (expires_at IS NULL)
           AND (expires_at IS NULL) = (not_before IS NULL)),
    CONSTRAINT lasts_as_requested
        CHECK (expires_at IS NULL OR expires_at = not_before + make_interval(secs => duration_s)),
    CONSTRAINT not_approved_by_its_requester
        CHECK (state NOT IN ('active', 'expired')
               OR (decided_by <> identity AND decided_by IS DISTINCT FROM actor))
);
CREATE INDEX grants_of_identity ON maskgate.grants (identity, connection, state);
CREATE INDEX grants_due ON maskgate.grants (expires_at) WHERE state = 'active';
CREATE INDEX grants_by_request ON maskgate.grants (requested_at DESC, id);

CREATE TABLE maskgate.grant_events (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    grant_id   text NOT NULL REFERENCES maskgate.grants (id),
    at         timestamptz NOT NULL,
    event      text NOT NULL
               CHECK (event IN ('requested', 'approved', 'denied', 'revoked', 'expired')),
    by         text NOT NULL,               -- an identity, auto:RULE, or "clock"
    reason     text
);
CREATE INDEX grant_events_of_grant ON maskgate.grant_events (grant_id, seq);

CREATE TABLE maskgate.sessions (
    id         text PRIMARY KEY,
    identity   text NOT NULL,
    actor      text,
    connection text NOT NULL,
    grant_id   text NOT NULL REFERENCES maskgate.grants (id),
    opened_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    closed_at  timestamptz,
    statements bigint NOT NULL DEFAULT 0 CHECK (statements >= 0)
);
CREATE INDEX sessions_of_identity ON maskgate.sessions (identity, opened_at DESC);
CREATE INDEX sessions_by_opening ON maskgate.sessions (opened_at DESC, id);

CREATE FUNCTION maskgate.guard_grant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' OR NEW.rows_released <> 0 THEN
            RAISE EXCEPTION 'grant %: begins as pending, with no rows released', NEW.id;
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.identity, NEW.connection, NEW.tables, NEW.purpose, NEW.requested_at,
        NEW.duration_s) IS DISTINCT FROM
       (OLD.id, OLD.identity, OLD.connection, OLD.tables, OLD.purpose, OLD.requested_at,
        OLD.duration_s)
       OR NEW.actor IS DISTINCT FROM OLD.actor OR NEW.max_rows IS DISTINCT FROM OLD.max_rows THEN
        RAISE EXCEPTION 'grant %: what was asked for does not change', OLD.id;
    END IF;
    IF (OLD.state, NEW.state) NOT IN
       (('pending', 'active'), ('pending', 'denied'), ('active', 'active'),
        ('active', 'expired'), ('active', 'revoked')) THEN
        RAISE EXCEPTION 'grant %: no way from % to %', OLD.id, OLD.state, NEW.state;
    END IF;
    IF OLD.state = 'active' AND (NEW.not_before, NEW.expires_at)
                                IS DISTINCT FROM (OLD.not_before, OLD.expires_at) THEN
        RAISE EXCEPTION 'grant %: its time does not change', OLD.id;
    END IF;
    IF NEW.rows_released < OLD.rows_released
       OR (NEW.rows_released <> OLD.rows_released AND NEW.state <> 'active') THEN
        RAISE EXCEPTION 'grant %: rows are counted upwards, while it is active', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON maskgate.grants
    FOR EACH ROW EXECUTE FUNCTION maskgate.guard_grant();

CREATE FUNCTION maskgate.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '%.%: % is refused, history stays', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP;
END $$;
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON maskgate.grants
    FOR EACH STATEMENT EXECUTE FUNCTION maskgate.refuse_change();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON maskgate.grant_events
    FOR EACH STATEMENT EXECUTE FUNCTION maskgate.refuse_change();
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON maskgate.sessions
    FOR EACH STATEMENT EXECUTE FUNCTION maskgate.refuse_change();

-- Every gateway hears of every change of state, whoever made it (grants/watch.py listens).
CREATE FUNCTION maskgate.tell_grant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.state <> OLD.state THEN
        PERFORM pg_notify('maskgate_grants', NEW.id || ' ' || NEW.state);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON maskgate.grants
    FOR EACH ROW EXECUTE FUNCTION maskgate.tell_grant();
