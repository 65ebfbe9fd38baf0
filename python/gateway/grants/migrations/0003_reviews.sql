-- Which sessions have been reviewed: where the review stands in the session log, which has its words.
-- A row that no leaf of the ledger bears out counts for nothing (flows/review.py looks).

CREATE TABLE maskgate.reviews (
    session_id  text NOT NULL REFERENCES maskgate.sessions (id),
    leaf        bigint NOT NULL CHECK (leaf >= 0),      -- of the ledger
    log_session text NOT NULL,                          -- the gateway's own session with the record
    record      bigint NOT NULL CHECK (record >= 0),
    reviewed_at timestamptz NOT NULL,
    PRIMARY KEY (session_id, leaf)
);
CREATE TRIGGER keep BEFORE UPDATE OR DELETE OR TRUNCATE ON maskgate.reviews
    FOR EACH STATEMENT EXECUTE FUNCTION maskgate.refuse_change();
