"""What an analysis says of a statement, and how it says no, on real servers."""

from __future__ import annotations

import dataclasses

import asyncpg
import pytest

import servers
from corpus import clinic as corpus
from gateway.errors import InvalidRequest, NotUnderstood, Refusal, StatementRefused
from gateway.model import Analysis, Shape
from gateway.sql import Settings, analyse, functions, outputs, relations, standins
from gateway.sql.catalogs import COLUMNS, VIEWS
from gateway.upstream import Database, UpstreamSettings

pytestmark = pytest.mark.pg15


async def of(
    clinic: Database, sql: str, *params: object, settings: Settings | None = None
) -> Analysis:
    async with clinic.transaction("analysis") as transaction:
        return await analyse(sql, params, transaction, settings)


def related(analysis: Analysis) -> dict[str, set[str]]:
    return {str(c): {str(o) for o in others} for c, others in analysis.related.items()}


async def test_outputs_control_and_tables(clinic: Database) -> None:
    sql = (
        "select p.full_name as name, upper(p.city), e.cost from patient p"
        " join encounter e on e.patient_id = p.id where e.kind = 'visit' order by p.mrn"
    )
    found = await of(clinic, sql)
    assert [(o.name, o.shape, [str(c) for c in o.columns]) for o in found.outputs] == [
        ("name", Shape.BARE, ["public.patient.full_name"]),
        ("upper", Shape.COMPUTED, ["public.patient.city"]),
        ("cost", Shape.BARE, ["public.encounter.cost"]),
    ]
    assert found.outputs[2].type == {"kind": "numeric", "precision": 8, "scale": 2}
    assert {str(use.column): use.where for use in found.control} == {
        "public.encounter.patient_id": "JOIN",
        "public.patient.id": "JOIN",
        "public.encounter.kind": "WHERE",
        "public.patient.mrn": "ORDER BY",
    }
    assert found.tables == ("public.encounter", "public.patient")
    assert (found.text, found.server_text, found.notes) == (sql, sql, ())


async def test_a_shape_is_that_of_statements_that_differ_in_their_texts_alone(
    clinic: Database, admin: asyncpg.Connection
) -> None:
    one, other = [
        await of(clinic, f"select full_name from patient where city = '{city}'")
        for city in ("Oslo", "Bergen")
    ]
    assert one.server_text != other.server_text
    assert one.server_tree != other.server_tree
    assert one.shape is not None
    assert one.shape == other.shape
    texts = {"text": "", "server_text": "", "server_tree": "", "filled_text": ""}
    assert dataclasses.replace(one, **texts) == dataclasses.replace(other, **texts)
    assert dataclasses.replace(one).shape is None
    different = [
        await of(clinic, "select full_name from patient where city <> 'Oslo'"),
        await of(clinic, "select full_name as name from patient where city = 'Oslo'"),
        await of(clinic, "select full_name from patient where city = $1", "Oslo"),
        await of(clinic, "select full_name from patient p where city = 'Oslo'"),
    ]
    await admin.execute("alter table patient rename column full_name to whole_name")
    try:
        different.append(await of(clinic, "select whole_name from patient where city = 'Oslo'"))
    finally:
        await admin.execute("alter table patient rename column whole_name to full_name")
    shapes = [one.shape, *(analysis.shape for analysis in different)]
    assert len(set(shapes)) == len(shapes)


async def test_nothing_is_remembered_of_a_wide_statement(clinic: Database) -> None:
    """A few hundred of them, each a little different, would fill the memory with what follows."""
    wide = ", ".join(["full_name"] * 1600)
    before = outputs.known.cache_info(), len(relations._known)
    for alias in ("a", "b"):
        assert (await of(clinic, f"select {wide} from patient as {alias}")).shape is None
    assert (outputs.known.cache_info(), len(relations._known)) == before
    assert (await of(clinic, "select full_name from patient as a")).shape is not None


@pytest.mark.parametrize(
    ("output", "free"),
    [
        ("to_char(e.at, 'YYYY-MM-DD HH24:MI')", False),
        ("e.at::text || ' for ' || e.cost", False),
        ("json_build_object('at', e.at, 'open', e.open)", False),
        ("string_agg(distinct e.at::date::text, ', ')", False),
        ("array_agg(e.duration::text)", False),
        ("to_char(now(), 'YYYY-MM-DD')", False),
        ("'2024-01-01'", False),
        ("(select m.span::text || m.series::text from measure m where host is not null)", False),
        ("e.kind", True),
        ("e.at::text || e.kind", True),
        ("case when e.kind = 'visit' then e.at::text end", True),
        ("to_jsonb(e)", True),
        ("(select convert_from(m.raw, 'utf8') from measure m)", True),
        ("(select m.doc from measure m)", True),
        ("(select p.risk::text from patient p limit 1)", True),
        ("(select p.zip from patient p limit 1)", True),
        ("obj_description(1, 'pg_class') || e.cost", True),
        ("(select relname::text from pg_class limit 1)", True),
    ],
)
async def test_text_that_somebody_else_may_have_written(
    clinic: Database, output: str, free: bool
) -> None:
    aggregate = "_agg" in output
    found = await of(clinic, f"select {output} from encounter e {'' if aggregate else 'limit 1'}")
    assert [o.free_text for o in found.outputs] == [free]


async def test_a_view_is_what_the_text_names(clinic: Database) -> None:
    found = await of(clinic, "select id from patient_by_ssn")
    assert found.tables == ("public.patient_by_ssn",)
    assert [(str(u.column), u.where) for u in found.control] == [
        ("public.patient.ssn", "WHERE of the view public.patient_by_ssn")
    ]


async def test_a_materialised_view_has_its_query_s_columns(clinic: Database) -> None:
    found = await of(clinic, "select who, number from patient_copy")
    assert related(found) == {
        "public.patient_copy.who": {"public.patient.full_name"},
        "public.patient_copy.number": {"public.patient.mrn"},
    }
    deep = await of(clinic, "select renamed from deep_copy")
    assert related(deep) == {
        "public.deep_copy.renamed": {"public.patient_copy.who", "public.patient.full_name"}
    }
    chosen = await of(clinic, "select count(*) from chosen")
    assert [(str(u.column), u.where) for u in chosen.control] == [
        ("public.patient.ssn", "WHERE of the materialised view public.chosen")
    ]


async def test_partitions_and_children_share_both_ways(clinic: Database) -> None:
    ways = {
        "visit": {"public.visit_2024.room", "public.visit_2025.room"},
        "visit_2024": {"public.visit.room", "public.visit_2025.room"},
    }
    for table, others in ways.items():
        found = await of(clinic, f"select room from {table}")
        assert related(found)[f"public.{table}.room"] == others
        assert found.tables == (f"public.{table}",)
    bounds = [(str(use.column), use.where) for use in found.control]
    assert bounds == [("public.visit.day", "the bounds of the partition public.visit_2024")]
    parent = await of(clinic, "select full_name from person")
    assert related(parent) == {"public.person.full_name": {"public.employee.full_name"}}
    assert related(await of(clinic, "select badge from employee")) == {}


async def test_generated_columns_share_with_their_expression(clinic: Database) -> None:
    found = await of(clinic, "select initial from patient")
    assert related(found) == {"public.patient.initial": {"public.patient.full_name"}}


async def test_types_without_a_decoder_are_cast(clinic: Database) -> None:
    found = await of(clinic, "select id, home as id, ssn from patient limit 1")
    assert [o.name for o in found.outputs] == ["id", "id", "ssn"]
    assert [o.shape for o in found.outputs] == [Shape.BARE, Shape.TEXT, Shape.BARE]
    assert found.outputs[1].type == {"kind": "text"}
    assert found.notes == ("sent in their text form: id",)
    assert found.server_text.startswith('SELECT q."c1", q."c2"::pg_catalog.text, q."c3" FROM (\n')


async def test_parameters_are_in_the_server_text(clinic: Database) -> None:
    found = await of(
        clinic, "select id from encounter where kind = $1 and id = any($2)", "it's", [1]
    )
    assert found.server_text == (
        "select id from encounter where kind = ('it''s'::\"pg_catalog\".\"text\")"
        ' and id = any((\'{"1"}\'::"pg_catalog"."_int4"))'
    )


async def test_catalogs_are_beside_the_tables(clinic: Database) -> None:
    found = await of(
        clinic, "select c.relname, e.kind from pg_class c, encounter e where c.relkind = 'r'"
    )
    assert found.catalogs == ("pg_catalog.pg_class",)
    assert found.tables == ("public.encounter",)
    assert found.outputs[0].columns == ()
    assert found.control == ()


async def test_no_unlisted_catalog_can_be_read(clinic: Database, server: servers.Server) -> None:
    admin = await asyncpg.connect(server.dsn(database="clinic"))
    try:
        names = await admin.fetch(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('pg_catalog', 'information_schema')"
            " AND c.relkind IN ('r', 'v') ORDER BY 1"
        )
    finally:
        await admin.close()
    known = {*COLUMNS, *VIEWS, *standins.NAMES}
    others = [name for (name,) in names if name not in known]
    assert len(others) > 150
    for name in others:
        with pytest.raises(Refusal):
            await of(clinic, f"select count(*) from {name}")


DANGEROUS = """
    query_to_xml table_to_xml ts_stat set_config lo_get lo_import pg_sleep
    pg_sleep_for pg_notify nextval currval setval pg_advisory_lock pg_try_advisory_lock
    pg_get_viewdef pg_get_functiondef pg_stat_get_activity pg_read_file
    pg_read_binary_file pg_ls_dir pg_stat_file pg_terminate_backend pg_cancel_backend
    pg_relation_size pg_export_snapshot txid_current pg_input_is_valid
    array_fill pg_logical_emit_message pg_reload_conf has_largeobject_privilege
    pg_show_all_settings inet_server_addr pg_backend_pid pg_postmaster_start_time
    setseed pg_nextoid pg_partition_root satisfies_hash_partition
"""


async def test_the_list_of_functions(clinic: Database) -> None:
    async with clinic.transaction("functions") as transaction:
        allowed = await transaction.once(functions.load)
        rows = await transaction.fetch(
            "SELECT p.oid, p.proname, p.provolatile::text AS volatility FROM pg_proc p"
            " WHERE p.oid < 16384"
        )
        assert await transaction.once(functions.load) is allowed
    named = {row["proname"] for row in rows if row["oid"] in allowed.allowed}
    assert named >= {"lower", "now", "count", "jsonb_path_query", "row_number", "to_char", "like"}
    assert not named.intersection(DANGEROUS.split())
    volatile = {
        r["proname"] for r in rows if r["oid"] in allowed.allowed and r["volatility"] == "v"
    }
    assert volatile <= {
        "array_sample", "array_shuffle", "clock_timestamp", "gen_random_uuid", "random",
        "random_normal", "uuidv4", "uuidv7", "bernoulli", "system", "pg_partition_ancestors",
    }  # fmt: skip


async def test_users_functions_run_when_declared_pure(clinic: Database) -> None:
    with pytest.raises(StatementRefused, match=r"twice\(integer\) did not come with PostgreSQL"):
        await of(clinic, "select twice(id) from encounter")
    pure = Settings(pure_functions=frozenset({"public.twice"}))
    found = await of(clinic, "select twice(id) from encounter", settings=pure)
    assert [str(c) for c in found.outputs[0].columns] == ["public.encounter.id"]
    with pytest.raises(StatementRefused, match="peek"):
        await of(clinic, "select peek(1)", settings=pure)


async def test_tables_with_row_security_are_named(clinic_dsn: str) -> None:
    settings = Settings(row_security=frozenset({"public.consent"}))
    database = Database(UpstreamSettings(clinic_dsn, role=corpus.READER, role_before_parse=True))
    await database.open()
    try:
        async with database.transaction("rls") as transaction:
            found = await analyse("select given from consent", [], transaction, settings)
            pieces = transaction.stream(found.server_text, found.server_tree, found.relations)
            assert corpus.rows(b"".join([piece async for piece in pieces])) == []
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select reltuples from pg_class", "column reltuples of the system catalog"),
        ("select attname from pg_stats", "the system catalog pg_catalog.pg_stats may not be read"),
        ("select pg_sleep(1)", r"the function pg_sleep\(double precision\) is not on the list"),
        ("select id from remote", "public.remote is a foreign table"),
        ("select last_value from counter", "public.counter is a sequence"),
        ("select patient_id from consent", "public.consent has row security"),
        ("select from patient", "returns no columns"),
    ],
)
async def test_refusals_name_the_thing(clinic: Database, sql: str, says: str) -> None:
    with pytest.raises(StatementRefused, match=says):
        await of(clinic, sql)


async def test_large_and_deep_statements(clinic: Database) -> None:
    long_list = ", ".join(str(n) for n in range(20_000))
    found = await of(clinic, f"select id from encounter where id in ({long_list})")
    assert [str(c) for c in found.outputs[0].columns] == ["public.encounter.id"]
    with pytest.raises(Refusal):
        await of(clinic, "select " + "(" * 100_000 + "1" + ")" * 100_000)
    with pytest.raises(Refusal):
        await of(clinic, "select " + "abs(" * 20_000 + "1" + ")" * 20_000)
    with pytest.raises(InvalidRequest, match="at most 100 are taken"):
        await of(clinic, "select '" + "x" * 100 + "'", settings=Settings(max_bytes=100))
    assert (await of(clinic, "select 1")).outputs[0].name == "?column?"


async def test_a_tree_too_large_is_not_read(
    clinic: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.sql.size.MAX_TREE", 500)
    with pytest.raises(NotUnderstood, match="at most 500 are read"):
        await of(clinic, "select 15 as never_read_before")


async def test_every_type_of_the_server_is_sent_or_refused(
    clinic: Database, server: servers.Server
) -> None:
    admin = await asyncpg.connect(server.dsn(database="clinic"))
    try:
        names = await admin.fetch(
            "SELECT oid::regtype::text FROM pg_type WHERE oid < 10000 AND typtype <> 'c'"
        )
    finally:
        await admin.close()
    sent, refused = set(), set()
    for (name,) in names:
        try:
            async with clinic.transaction("types") as transaction:
                found = await analyse(f"select null::{name} as x", [], transaction)
                pieces = transaction.stream(found.server_text, found.server_tree, found.relations)
                rows = corpus.rows(b"".join([piece async for piece in pieces]))
                assert rows == [[None]]
            sent.add(name)
        except Refusal:
            refused.add(name)
    assert sent >= {"integer", "text", "jsonb", "inet", "money", "tsvector", "int4range", "point[]"}
    assert refused >= {"pg_node_tree", "regrole", "refcursor", "internal", "trigger", "aclitem"}
