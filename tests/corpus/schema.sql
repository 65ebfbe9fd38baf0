-- The small clinic that the statements of this folder are about. The corpus runs as the login
-- `corpus_login`, which has USAGE on the schemas, under the role `corpus_reader`, which may read every table:
-- what a statement may show is the analysis's to say here, with no wall behind it.

CREATE SCHEMA archive;
CREATE TYPE public.risk AS ENUM ('low', 'medium', 'high');
CREATE TYPE public.address AS (street text, city text);
CREATE DOMAIN public.zip_code AS text CHECK (VALUE ~ '^[0-9]{5}$');

CREATE TABLE public.patient (
  id int PRIMARY KEY,
  full_name text NOT NULL,
  mrn text NOT NULL,
  ssn text,
  dob date,
  city text,
  sex char(1),
  zip public.zip_code,
  risk public.risk,
  tags text[],
  profile jsonb,
  balance numeric(10, 2),
  registered timestamptz,
  home public.address,
  notes text,
  initial text GENERATED ALWAYS AS (left(full_name, 1)) STORED
);
INSERT INTO public.patient VALUES
  (1, 'Zebediah Quillfeather', 'MRN-771001', '900-11-0001', '1950-01-02', 'Aarhus', 'm', '10001',
   'low', '{a,b}', '{"plan": "gold", "visits": 3}', 12.50, '2024-01-05 10:00+00',
   ROW('Elm 1', 'Aarhus'), 'Quillfeather called from 555-0101'),
  (2, 'Ottoline Vantongeren', 'MRN-771002', '900-11-0002', '1961-03-04', 'Bergen', 'f', '10002',
   'high', '{b}', '{"plan": "silver", "visits": 1}', 0.00, '2024-02-06 11:30+00',
   ROW('Oak 2', 'Bergen'), 'Vantongeren prefers mornings'),
  (3, 'Marmaduke Oxenthwaite', 'MRN-771003', '900-11-0003', '1972-05-06', 'Aarhus', 'm', '10001',
   'medium', '{}', '{"plan": "gold", "visits": 7}', -3.25, '2024-03-07 12:00+00',
   ROW('Ash 3', 'Aarhus'), NULL),
  (4, 'Philippa Drakemoor', 'MRN-771004', NULL, '1983-07-08', NULL, 'f', NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, 'Drakemoor moved');

CREATE TABLE public.encounter (
  id int PRIMARY KEY,
  patient_id int REFERENCES public.patient,
  at timestamptz NOT NULL,
  kind text NOT NULL,
  department text,
  cost numeric(8, 2),
  duration interval,
  open boolean DEFAULT false
);
INSERT INTO public.encounter VALUES
  (10, 1, '2024-01-10 09:00+00', 'visit', 'cardiology', 100.00, '30 minutes', false),
  (11, 1, '2024-02-10 09:30+00', 'visit', 'cardiology', 150.50, '45 minutes', false),
  (12, 2, '2024-02-11 14:00+00', 'surgery', 'orthopedics', 5000.00, '3 hours', false),
  (13, 3, '2024-03-01 08:15+00', 'visit', 'radiology', 80.25, '15 minutes', true),
  (14, 3, '2024-03-02 16:45+00', 'phone', NULL, NULL, '5 minutes', true);

CREATE TABLE public.medication (
  id int PRIMARY KEY,
  encounter_id int REFERENCES public.encounter,
  name text NOT NULL,
  dose numeric,
  unit text,
  given date
);
INSERT INTO public.medication VALUES
  (100, 10, 'aspirin', 81, 'mg', '2024-01-10'),
  (101, 11, 'aspirin', 162, 'mg', '2024-02-10'),
  (102, 12, 'morphine', 2.5, 'mg', '2024-02-11'),
  (103, 13, 'contrast', 50, 'ml', '2024-03-01');

CREATE TABLE public.measure (
  id int PRIMARY KEY, small int2, big int8, single float4, double float8, exact numeric, flag bool,
  raw bytea, day date, clock time, clock_tz timetz, stamp timestamp, gap interval, key uuid,
  doc json, host inet, net cidr, mac macaddr, paid money, bits bit(3), span int4range,
  grid int[][], series int[], place point, words tsvector, fixed char(4), short varchar(8)
);
INSERT INTO public.measure VALUES
  (1, 2, 9000000000, 1.5, 2.25, 3.125, true, '\x0102', '2024-05-06', '07:08:09', '07:08:09+02',
   '2024-05-06 07:08:09', '1 day 2 hours', '00000000-0000-4000-8000-000000000001', '{"a": [1]}',
   '192.0.2.1', '192.0.2.0/24', '08:00:2b:01:02:03', 12.34, B'101', '[1,5)', '{{1,2},{3,4}}',
   '{5,6}', '(1,2)', 'two words', 'ab', 'cd');

CREATE VIEW public.patient_city AS SELECT id, city, risk FROM public.patient;
CREATE VIEW public.patient_label AS SELECT id, full_name AS label FROM public.patient;
CREATE VIEW public.patient_risk AS SELECT id, full_name, risk, home FROM public.patient;
CREATE VIEW public.patient_by_ssn AS SELECT id, city FROM public.patient WHERE ssn LIKE '900%';
CREATE VIEW public.catalog_peek AS SELECT tablename, attname, most_common_vals::text AS vals FROM pg_stats;
CREATE MATERIALIZED VIEW public.patient_copy AS
  SELECT id, full_name AS who, city, upper(mrn) AS number FROM public.patient;
CREATE MATERIALIZED VIEW public.city_count AS
  SELECT city, count(*) AS n FROM public.patient GROUP BY city;
CREATE MATERIALIZED VIEW public.deep_copy AS SELECT who AS renamed FROM public.patient_copy;
CREATE MATERIALIZED VIEW public.chosen AS SELECT id FROM public.patient WHERE ssn = '900-11-0002';

CREATE TABLE public.visit (id int, day date NOT NULL, patient_ssn text, room text)
  PARTITION BY RANGE (day);
CREATE TABLE public.visit_2024 PARTITION OF public.visit
  FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE public.visit_2025 PARTITION OF public.visit
  FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO public.visit VALUES
  (1, '2024-06-01', '900-11-0001', 'A1'), (2, '2025-06-01', '900-11-0002', 'B2');

CREATE TABLE public.person (id int, full_name text);
CREATE TABLE public.employee (badge text) INHERITS (public.person);
INSERT INTO public.employee VALUES (7, 'Cornelius Hartwhistle', 'badge-7');

CREATE TABLE archive.patient_2019 AS SELECT * FROM public.patient;
CREATE TABLE public.consent (patient_id int, given bool);
ALTER TABLE public.consent ENABLE ROW LEVEL SECURITY;
CREATE TABLE public."odd }name" (id int);
CREATE TABLE public.holder (id int, "a :resno 7" text);
CREATE SEQUENCE public.counter;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE public.remote (id int) SERVER elsewhere;

CREATE FUNCTION public.peek(int) RETURNS text LANGUAGE sql SECURITY DEFINER STABLE
  AS 'SELECT ssn FROM public.patient WHERE id = $1';
CREATE FUNCTION public.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION public.same(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
CREATE OPERATOR public.=== (FUNCTION = public.same, LEFTARG = text, RIGHTARG = text);
CREATE AGGREGATE public.glue(text) (SFUNC = textcat, STYPE = text, INITCOND = '');

CREATE ROLE corpus_reader;
CREATE ROLE corpus_login LOGIN NOINHERIT IN ROLE corpus_reader;
REVOKE ALL ON DATABASE clinic FROM PUBLIC;
GRANT CONNECT ON DATABASE clinic TO corpus_login;
GRANT USAGE ON SCHEMA public, archive TO corpus_login, corpus_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public, archive TO corpus_reader;
ANALYZE;
