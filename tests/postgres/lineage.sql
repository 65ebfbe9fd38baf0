-- The schema of the lineage statements, with a few rows to run them on.
create table patient(
    id int primary key, ssn text, name varchar(40), dob date, weight numeric(6, 2), clinic int,
    tags text[], doc jsonb, code char(5));
create table visit(id int primary key, patient_id int, at timestamptz, cost numeric(8, 2), kind text);
create table clinic(id int primary key, city text);
create domain ssn_d as text check (value <> '-');
create table dom(id int, s ssn_d);
create table dropped(a int, b text, c int);
alter table dropped drop column b;
create type comp as (x int, y text);
create table comps(id int, c comp, cs comp[]);
create table odd(id int, "first name" text, "Größe" int);
create table weird(id int, "p:q) {" text);
create table parent(a int, b text);
create table child(c int) inherits (parent);
create table parted(a int, b text) partition by range (a);
create table parted_1 partition of parted for values from (0) to (10);

create view v_patient as select id, ssn, upper(name) as uname from patient where clinic = 1;
create view v_outer as select uname, ssn, id as id2 from v_patient where id > 3;
create view v_union as select ssn as s from patient union all select city from clinic;
create materialized view mv as select id, ssn from patient;

create table acl(who text, id int);
create table rls(id int, owner text, secret text);
alter table rls enable row level security;
alter table rls force row level security;
create policy own_rows on rls
    using (owner = current_user or exists (select from acl where acl.id = rls.id and who = current_user));

insert into clinic select g, (array['Bern', 'Basel', 'Chur'])[g] from generate_series(1, 3) g;
insert into patient
    select g, lpad((g * 117)::text, 4, '0'), 'name' || (g % 5), date '1980-01-01' + g * 37, 50 + g * 1.25, 1 + g % 3,
           array['t' || g, 'u'], jsonb_build_object('a', g, 'b', jsonb_build_array(g, g + 1)), 'c' || g
    from generate_series(1, 9) g;
insert into visit
    select g, 1 + g % 9, timestamptz '2024-01-01 00:00+00' + g * interval '1 day', g * 3.5, 'k' || (g % 2)
    from generate_series(1, 15) g;
insert into dom values (1, '123'), (2, '456');
insert into dropped values (1, 2), (3, 4);
insert into comps values (1, row(1, 'a'), array[row(2, 'b')::comp]);
insert into odd values (1, 'x', 2);
insert into parent values (1, 'p');
insert into child values (2, 'c', 3);
insert into parted values (1, 'x'), (2, 'y');
refresh materialized view mv;
