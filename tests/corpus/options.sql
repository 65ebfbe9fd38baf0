-- The tables that the statements of options.toml are about; for the roles of schema.sql.

-- A type with an equality of its own, as citext is.
CREATE TYPE public.folded;
CREATE FUNCTION public.folded_in(cstring) RETURNS public.folded
  LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION public.folded_out(public.folded) RETURNS cstring
  LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE FUNCTION public.folded_send(public.folded) RETURNS bytea
  LANGUAGE internal IMMUTABLE STRICT AS 'textsend';
CREATE TYPE public.folded (INPUT = public.folded_in, OUTPUT = public.folded_out,
  SEND = public.folded_send, INTERNALLENGTH = variable, STORAGE = extended, COLLATABLE = true);
CREATE FUNCTION public.same(public.folded, public.folded) RETURNS boolean
  LANGUAGE internal IMMUTABLE STRICT AS 'texteq';
CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = public.folded, RIGHTARG = public.folded);
CREATE COLLATION public.mine FROM "C";
CREATE DOMAIN public.code AS text CHECK (VALUE <> '');

CREATE TABLE public.patient (
  id int PRIMARY KEY, full_name text NOT NULL, mrn text, other_mrn varchar(20), ssn char(11),
  account int8, folded public.folded, named text COLLATE public.mine, badge public.code, city text,
  balance numeric(10, 2), weight float8, notes text, sex char(1)
);
INSERT INTO public.patient VALUES
  (1, 'Zebediah Quillfeather', 'MRN-771001', 'MRN-771001', '900-11-0001', 55001, 'Fold-1', 'Nick-1', 'B-1', 'Aarhus', 10, 61, 'Quillfeather called from 555-0101', 'm'),
  (2, 'Ottoline Vantongeren', 'MRN-771002', 'MRN-771002', '900-11-0002', 55002, 'Fold-2', 'Nick-2', 'B-2', 'Aarhus', 20, 62, NULL, 'f'),
  (3, 'Marmaduke Oxenthwaite', 'MRN-771003', NULL, '900-11-0003', 55003, 'Fold-3', 'Nick-3', 'B-3', 'Aarhus', 30, 63, NULL, 'm'),
  (4, 'Philippa Drakemoor', 'MRN-771004', 'MRN-771001', '900-11-0004', 55004, 'Fold-4', 'Nick-4', 'B-4', 'Aarhus', 40, 64, NULL, 'f'),
  (5, 'Cornelius Hartwhistle', 'MRN-771005', NULL, '900-11-0005', 55005, 'Fold-5', 'Nick-5', 'B-5', 'Aarhus', 50, 65, NULL, 'm'),
  (6, 'Drakemoor', 'MRN-771006', NULL, '900-11-0006', 55006, 'Fold-6', 'Nick-6', 'B-6', 'Bergen', 60, 66, NULL, 'f'),
  (7, 'Quillfeather', 'MRN-771007', NULL, '900-11-0007', 55007, 'Fold-7', 'Nick-7', 'B-7', 'Bergen', 70, 67, NULL, 'm'),
  (8, 'Vantongeren', 'MRN-771008', NULL, NULL, 55008, 'Fold-8', 'Nick-8', 'B-8', 'Bergen', NULL, 68, NULL, 'f'),
  (9, 'Vantongeren', 'MRN-771009', NULL, NULL, 55009, 'Fold-9', 'Nick-9', 'B-9', 'Bergen', 90, 69, NULL, 'm'),
  (10, 'Vantongeren', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'Bergen', 100, NULL, NULL, 'f');
CREATE INDEX ON public.patient (mrn);

CREATE TABLE public.claim (id int PRIMARY KEY, patient_mrn text, account int4, amount numeric, kind text);
INSERT INTO public.claim VALUES
  (1, 'MRN-771006', 55006, 100, 'lab'), (2, 'MRN-771001', 55001, 200, 'lab'),
  (3, 'MRN-771001', 55001, 300, 'visit'), (4, 'MRN-770000', NULL, 400, 'visit'),
  (5, NULL, 55002, 500, 'lab');
CREATE TABLE public.guess (id int, mrn text, city text);
INSERT INTO public.guess VALUES (1, 'MRN-771001', 'Aarhus'), (2, 'MRN-771002', 'Bergen');

CREATE TABLE public.event (id int, day date NOT NULL, mrn text) PARTITION BY RANGE (day);
CREATE TABLE public.event_2024 PARTITION OF public.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE public.event_2025 PARTITION OF public.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO public.event VALUES (1, '2024-05-01', 'MRN-771001'), (2, '2025-05-01', 'MRN-771002');

-- What is compared lies in another order than the rows.
CREATE TABLE public.ledger AS SELECT n AS id, md5(n::text) AS mrn FROM generate_series(1, 500) n;
CREATE TABLE public.entry AS SELECT n AS id, md5(n::text) AS mrn FROM generate_series(1, 2000) n;
CREATE INDEX ON public.ledger (mrn);
CREATE INDEX ON public.entry (mrn);

-- An index that is smaller than its table, whose pages are all visible.
CREATE TABLE public.wide AS
  SELECT left(md5(n::text), 6) || n AS number, repeat('x', 400) AS rest FROM generate_series(1, 2000) n;
CREATE INDEX ON public.wide (number);

CREATE VIEW public.patient_code AS SELECT id, mrn AS code, city FROM public.patient;
CREATE VIEW public.patient_known AS SELECT id FROM public.patient WHERE mrn = 'MRN-771001';
CREATE MATERIALIZED VIEW public.patient_copy AS SELECT id, mrn AS code, balance FROM public.patient;

GRANT CONNECT ON DATABASE @database@ TO corpus_login;
GRANT USAGE ON SCHEMA public TO corpus_login, corpus_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO corpus_reader;
ANALYZE;
