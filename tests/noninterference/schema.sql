-- What the statements of this folder are about: every kind of column, once clear and once protected,
-- and every structure that can carry a value from one relation into another. Rows come from twins.py.

CREATE TYPE risk AS ENUM ('low', 'medium', 'high');
CREATE TYPE address AS (street text, city text);
CREATE DOMAIN zip_code AS text CHECK (VALUE ~ '^[0-9]{5}$');

CREATE TABLE person (
  id int PRIMARY KEY,
  -- clear
  city text, label varchar(12), sex char(1), zip zip_code, level risk, n int, big bigint,
  amount numeric(10, 2), ratio float8, active bool, day date, at timestamptz, uid uuid, info jsonb,
  tags text[], nums int[], place address, raw bytea, gap interval,
  -- protected
  name text, mrn text NOT NULL UNIQUE, ssn varchar(11), pin char(4), code text, mood risk,
  home_zip zip_code, age int, account bigint UNIQUE, score numeric(8, 2), weight float8, alive bool,
  dob date, born timestamptz, key uuid, doc jsonb, aliases text[], marks int[], home address,
  photo bytea, notes text, wait interval, diary text, moved date,
  initial text GENERATED ALWAYS AS (left(name, 1)) STORED,
  next_n int GENERATED ALWAYS AS (n + 1) STORED
);
CREATE INDEX ON person (name);
CREATE INDEX ON person (ssn);
CREATE INDEX ON person (age, dob);
CREATE INDEX ON person (city);
CREATE INDEX ON person (id) WHERE age > 40;

CREATE TABLE visit (
  id int PRIMARY KEY, person_id int REFERENCES person, kind text, cost numeric(8, 2), at timestamptz,
  room int, ok bool,
  mrn text REFERENCES person (mrn), fee numeric(8, 2), reason text, seen date, grade int
);
CREATE INDEX ON visit (fee);
CREATE INDEX ON visit (mrn);

CREATE TABLE event (id int, day date NOT NULL, level int, secret text, points int)
  PARTITION BY RANGE (day);
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON event (points);

CREATE TABLE staff (id int, rank int, alias text, pay int);
CREATE TABLE doctor (badge text, licence text) INHERITS (staff);

CREATE VIEW v_clear AS SELECT id, city, n, day FROM person;
CREATE VIEW v_pass AS SELECT id, name AS title, mrn AS number, city, dob FROM person;
CREATE VIEW v_calc AS SELECT id, upper(name) AS loud, age + 1 AS older, n * 2 AS twice FROM person;
CREATE VIEW v_pick AS SELECT id, city FROM person WHERE name < 'm' OR age > 40;
CREATE VIEW v_join AS SELECT v.id, v.kind, p.city, v.reason
  FROM visit v JOIN person p ON p.mrn = v.mrn;
CREATE VIEW v_sum AS SELECT person_id, count(*) AS visits, sum(cost) AS total FROM visit GROUP BY 1;
CREATE MATERIALIZED VIEW m_copy AS SELECT id, name AS who, mrn AS number, city FROM person;
CREATE MATERIALIZED VIEW m_calc AS SELECT city, count(*) AS n, max(name) AS top FROM person GROUP BY 1;
CREATE MATERIALIZED VIEW m_pick AS SELECT id, city FROM person WHERE age > 40;

GRANT USAGE ON SCHEMA public TO twin_login, twin_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO twin_reader;
