-- What tells the gateways of this store from those of another on the same PostgreSQL server, which
-- may make roles there too (upstream/roles.py). Not secret.

CREATE TABLE maskgate.installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  text NOT NULL CHECK (id ~ '^[0-9a-f]{32}$')
);
INSERT INTO maskgate.installation VALUES (true, replace(gen_random_uuid()::text, '-', ''));
