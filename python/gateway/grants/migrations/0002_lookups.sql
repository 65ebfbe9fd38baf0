-- Which lookups of protected values were answered lately: what grants/lookups.py counts. Who looked
-- up which value is in the session log; here stands no value.

CREATE TABLE maskgate.lookups (
    identity   text NOT NULL,
    connection text NOT NULL,
    rule       text NOT NULL,               -- the pattern of the policy that allows the lookup
    at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX lookups_lately ON maskgate.lookups (identity, connection, rule, at);
