-- A front desk with one of everything that a client's look at the catalog meets. Definitions hold
-- values in the places where somebody might have put one: each has PLANTED in it, or a number of
-- 771001 and up, and must never be shown.

CREATE SCHEMA desk;
CREATE TYPE desk.state AS ENUM ('open', 'closed');
CREATE TYPE desk.address AS (street text, city text);
CREATE DOMAIN desk.zip AS text DEFAULT 'PLANTED-77' CONSTRAINT five_digits CHECK (VALUE <> 'PLANTED-ZIP');

CREATE TABLE desk.practice (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text CONSTRAINT practice_name UNIQUE,
  zip desk.zip,
  opened timestamptz DEFAULT now()
);
COMMENT ON TABLE desk.practice IS 'where people are seen';
COMMENT ON COLUMN desk.practice.name IS 'as on the door';

CREATE TABLE desk.patient (
  id serial PRIMARY KEY,
  practice_id int CONSTRAINT patient_practice REFERENCES desk.practice ON DELETE CASCADE,
  full_name text NOT NULL,
  ssn text DEFAULT 'PLANTED-DEFAULT',
  state desk.state DEFAULT 'open',
  since int CHECK (since > 0),
  until int,
  initial text GENERATED ALWAYS AS (left(full_name, 1)) STORED,
  CONSTRAINT in_order CHECK (since < until),
  CONSTRAINT not_him CHECK (ssn <> 'PLANTED-CHECK'),
  CONSTRAINT not_her CHECK (id <> 771001),
  CONSTRAINT once_each UNIQUE (practice_id, ssn)
);
CREATE INDEX patient_name ON desk.patient (lower(full_name) text_pattern_ops DESC)
  INCLUDE (practice_id);
CREATE INDEX patient_but_one ON desk.patient (practice_id) WHERE ssn <> 'PLANTED-PREDICATE';
CREATE INDEX patient_marked ON desk.patient ((full_name || 'PLANTED-EXPRESSION'));
INSERT INTO desk.practice (name, zip) VALUES ('North', '10001');
INSERT INTO desk.patient (practice_id, full_name, ssn, since)
  SELECT 1, 'PLANTED-NAME-' || n, 'PLANTED-SSN-' || n, n FROM generate_series(1, 40) n;

CREATE VIEW desk.open_patient AS
  SELECT id, practice_id FROM desk.patient WHERE ssn <> 'PLANTED-VIEW';
CREATE VIEW desk.checks AS
  SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_catalog.pg_constraint;
CREATE MATERIALIZED VIEW desk.patient_copy AS SELECT id, practice_id FROM desk.patient;

CREATE TABLE desk.visit (id int, day date NOT NULL, ssn text NOT NULL, PRIMARY KEY (id, ssn))
  PARTITION BY LIST (ssn);
CREATE TABLE desk.visit_one PARTITION OF desk.visit FOR VALUES IN ('PLANTED-BOUND');
CREATE TABLE desk.visit_rest PARTITION OF desk.visit DEFAULT;
CREATE TABLE desk.staff (badge text) INHERITS (desk.practice);

CREATE SEQUENCE desk.counter;
CREATE STATISTICS desk.by_practice ON practice_id, state FROM desk.patient;
CREATE FUNCTION desk.twice(n int DEFAULT 771002) RETURNS int LANGUAGE sql
  AS $$ SELECT n * 2 + length('PLANTED-BODY') $$;
CREATE FUNCTION desk.stamp() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER stamped BEFORE INSERT ON desk.patient
  FOR EACH ROW EXECUTE FUNCTION desk.stamp();
CREATE TRIGGER marked BEFORE UPDATE ON desk.patient
  FOR EACH ROW WHEN (new.ssn <> 'PLANTED-WHEN') EXECUTE FUNCTION desk.stamp('PLANTED-ARGUMENT');
CREATE TABLE desk.consent (patient_id int, given bool);
ALTER TABLE desk.consent ENABLE ROW LEVEL SECURITY;
CREATE POLICY not_one ON desk.consent USING (patient_id <> 771003);
CREATE POLICY given ON desk.consent FOR INSERT WITH CHECK (given);
CREATE PUBLICATION feed FOR TABLE desk.patient WHERE (id <> 771004);

CREATE ROLE desk_reader;
CREATE ROLE desk_login LOGIN NOINHERIT IN ROLE desk_reader;
ALTER ROLE desk_reader SET application_name = 'PLANTED-SETTING';
GRANT USAGE ON SCHEMA desk TO desk_login, desk_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA desk TO desk_reader;
ANALYZE;
