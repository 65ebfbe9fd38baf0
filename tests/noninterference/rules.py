"""What the generator may write, as data: which expression gives which type out of which others.

One rule a line: the type it gives, the first major version that has it where not 16, a mark,
and a template. The mark is `~` when the value depends on the order in which rows come, `!` when it
often fails (such rules are chosen less often), else `=`. `{int}` stands for an
expression of that type, `{any}` for one of any type, `{row}` for a whole row, `{q}` for a query,
`{q:int}` for a query of one column, `{s:int}` for one of at most one row, `{win}` for a window.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The generator's types: PostgreSQL's name, and literals, the simplest first.
TYPES = {
    "int": ("int", "1", "0", "2", "(-1)", "7", "40"),
    "big": ("bigint", "1::bigint", "40::bigint", "(-10000000000)"),
    "num": ("numeric", "1.0", "0.0", "2.5", "100"),
    "float": ("float8", "1::float8", "0::float8", "0.25::float8"),
    "text": ("text", "'a'::text", "''::text", "'1'::text", "'Cork'::text", "'m'::text"),
    "bool": ("boolean", "true", "false"),
    "date": ("date", "date '2024-05-06'", "date '1961-03-04'"),
    "ts": ("timestamptz", "timestamptz '2024-05-06 07:08:09+00'"),
    "gap": ("interval", "interval '1 hour'", "interval '40 days'"),
    "uuid": ("uuid", "uuid '00000000-0000-4000-8000-000000000001'"),
    "json": ("jsonb", "jsonb '{\"k\": 1}'", "jsonb '[1, 2]'", "jsonb 'null'"),
    "texts": ("text[]", "array['a']", "array['b', null]", "'{}'::text[]"),
    "ints": ("int[]", "array[1]", "array[0, 2]", "'{}'::int[]"),
    "risk": ("risk", "'low'::risk", "'high'::risk"),
    "bytes": ("bytea", "'\\x0102'::bytea", "'ab'::bytea"),
    "addr": ("address", "row('Elm 1', 'Cork')::address"),
}
#: Types without an order of their own, or not for GROUP BY here.
UNORDERED = frozenset({"addr"})

_SCALAR = r"""
int = ({int} + {int})
int = ({int} - {int})
int = ({int} * {int})
int ! ({int} / {int})
int ! ({int} % {int})
int = (- {int})
int = abs({int})
int = length({text})
int = octet_length({bytes})
int = ascii({text})
int = position({text} in {text})
int ! {text}::int
int ! {big}::int
int = {num}::int
int = {bool}::int
int = cardinality({ints})
int = array_length({texts}, 1)
int = ({ints})[{int}]
int = array_position({texts}, {text})
int = extract(year from {date})::int
int = extract(day from {ts})::int
int ! ({json} ->> 'k')::int
int = ({date} - {date})
int = width_bucket({num}, 0, 100, 4)
int = coalesce({int}, {int})
int = greatest({int}, {int})
int = nullif({int}, {int})
int = (case when {bool} then {int} else {int} end)
int = (case {text} when {text} then {int} when {text} then {int} end)
int = ({s:int})
int ! jsonb_array_length({json})
int 17 = json_value({json}, '$.k' returning int)
int = num_nulls({text}, {int})
int ! get_bit({bytes}, 3)
big = {int}::bigint
big = ({big} + {big})
big ! ({big} / {big})
big = ({s:big})
big = coalesce({big}, {big})
big = hashtextextended({text}, 0)
num = ({num} + {num})
num ! ({num} / {num})
num = ({num} * {int})
num = round({num}, 1)
num = {int}::numeric
num ! {text}::numeric
num = {float}::numeric(8, 2)
num ! sqrt({num})
num ! ln({num})
num = power({num}, 2)
num = extract(epoch from {ts})
num ! ({json} ->> 'k')::numeric
num ! to_number({text}, '9999')
num = ({s:num})
num = (case when {bool} then {num} end)
float = {num}::float8
float ! ({float} / {float})
float = ({float} - {float})
float = sin({float})
float = ({s:float})
text = upper({text})
text = lower({text})
text = reverse({text})
text = initcap({text})
text = left({text}, {int})
text = right({text}, 2)
text ! substr({text}, {int}, 2)
text ! substring({text} from 1 for {int})
text = substring({text} from '[a-m]+')
text = ({text} || {text})
text = ({text} || {int})
text = {int}::text
text = {num}::text
text = {date}::text
text = {ts}::text
text = {uuid}::text
text = {risk}::text
text = {bool}::text
text = {json}::text
text = {texts}::text
text = {addr}::text
text = {row}::text
text = md5({text})
text = repeat({text}, {int})
text = ({text} || {date})
text = replace({text}, 'a', {text})
text = translate({text}, 'aeiou', 'xyz')
text ! split_part({text}, ' ', {int})
text = lpad({text}, least({int}, 30), 'x')
text = btrim({text}, 'ax')
text = to_char({date}, 'YYYY-MM')
text = to_char({ts}, 'HH24')
text = to_char({num}, '999.9')
text = format('%s/%s', {text}, {int})
text = format('%L', {any})
text = concat({text}, {int}, {bool})
text = concat_ws('-', {text}, {text})
text = regexp_replace({text}, '[aeiou]', '', 'g')
text = array_to_string({texts}, ',')
text = ({texts})[{int}]
text = encode({bytes}, 'hex')
text ! convert_from({bytes}, 'UTF8')
text = ({json} ->> 'plan')
text = ({json} #>> '{l,0}')
text = ({addr}).city
text = ({addr}).street
text = ({text} collate "C")
text ! {text}::zip_code::text
text = {text}::varchar(3)
text = {text}::char(2)::text
text ! chr({int})
text = coalesce({text}, {text})
text = nullif({text}, {text})
text = least({text}, {text})
text = (case when {bool} then {text} else {text} end)
text = ({s:text})
text = quote_literal({text})
text = pg_typeof({any})::text
text 17 = json_value({json}, '$.plan')
text = json_object('a': {text}, 'b': {int})::text
bool = ({int} = {int})
bool = ({int} < {int})
bool = ({num} > {num})
bool = ({big} >= {big})
bool = ({float} < {float})
bool = ({text} = {text})
bool = ({text} < {text})
bool = ({text} <> {text} collate "C")
bool = ({date} < {date})
bool = ({ts} >= {ts})
bool = ({gap} > {gap})
bool = ({uuid} = {uuid})
bool = ({risk} > {risk})
bool = ({texts} && {texts})
bool = ({texts} @> {texts})
bool = ({ints} = {ints})
bool = ({bytes} < {bytes})
bool = ({json} @> {json})
bool = ({json} ? 'k')
bool = ({json} @? '$.k')
bool = ({addr} = {addr})
bool = ({text} like 'a%')
bool = ({text} ilike {text})
bool = ({text} ~ '^[a-m]')
bool ! ({text} ~ {text})
bool = ({text} similar to '%(a|b)%')
bool = starts_with({text}, {text})
bool = ({bool} and {bool})
bool = ({bool} or {bool})
bool = (not {bool})
bool = ({any} is null)
bool = ({any} is not null)
bool = ({row} is not null)
bool = ({bool} is true)
bool = ({int} is distinct from {int})
bool = ({text} is not distinct from {text})
bool = ({int} between {int} and {int})
bool = ({int} in ({int}, {int}, {int}))
bool = ({text} in ({text}, {text}))
bool = ({int} in ({q:int}))
bool = ({text} not in ({q:text}))
bool = ({int} > all ({q:int}))
bool = ({text} = any ({q:text}))
bool = (({int}, {text}) in ({q:int,text}))
bool = exists ({q})
bool = (not exists ({q}))
bool = ({text} = any ({texts}))
bool = ({int} <> all ({ints}))
bool = (({int}, {text}) < ({int}, {text}))
bool = (row({text}, {int}) is distinct from row({text}, {int}))
bool ! {text}::boolean
bool = (({date}, {date}) overlaps ({date}, {date}))
bool = jsonb_path_exists({json}, '$.k ? (@ > 1)')
bool = ({text} is json)
bool 17 = json_exists({json}, '$.k')
bool ! (1 / {int} > 0)
bool = ({s:bool})
bool = (case when {bool} then {bool} end)
date = {ts}::date
date ! ({date} + {int})
date = date_trunc('month', {date})::date
date ! to_date({text}, 'YYYY')
date ! {text}::date
date ! make_date({int}, 1, 1)
date = greatest({date}, {date})
date = coalesce({date}, {date})
date = ({s:date})
ts = date_trunc('day', {ts})
ts = ({ts} + {gap})
ts = {date}::timestamptz
ts = to_timestamp({int})
ts = ({s:ts})
ts = least({ts}, {ts})
gap = ({ts} - {ts})
gap = make_interval(mins => {int})
gap = age({ts}, {ts})
gap ! {text}::interval
gap = justify_hours({gap})
gap ! ({gap} * {int})
uuid ! {text}::uuid
uuid = md5({text})::uuid
uuid = coalesce({uuid}, {uuid})
json = jsonb_build_object('a', {int}, 'b', {text})
json = jsonb_build_array({any}, {text})
json = to_jsonb({any})
json = to_jsonb({row})
json = row_to_json({row})::jsonb
json = ({json} -> 'k')
json = ({json} || {json})
json ! jsonb_set({json}, array['k'], {json})
json ! {text}::jsonb
json = jsonb_path_query_first({json}, '$.k')
json = jsonb_strip_nulls({json})
json = json_object('a': {text}, 'b': {int} returning jsonb)
json = json_array({int}, {text} returning jsonb)
json = ({s:json})
json 17 = json_query({json}, '$.l')
json 17 = json_query({json}, '$.*' with wrapper)
json = to_jsonb(array({q:int}))
texts = array[{text}, {text}]
texts = string_to_array({text}, 'a')
texts = ({texts} || {text})
texts = array_remove({texts}, {text})
texts = ({texts})[1:2]
texts = regexp_split_to_array({text}, '-')
texts ~ array({q:text})
texts = regexp_match({text}, '([a-m])')
ints = array[{int}, {int}]
ints = ({ints} || {int})
ints ~ array({q:int})
risk ! {text}::risk
risk = greatest({risk}, {risk})
risk = (case when {bool} then {risk} else {risk} end)
bytes = convert_to({text}, 'UTF8')
bytes = sha256({bytes})
bytes ! decode({text}, 'base64')
bytes ! substring({bytes} from 1 for {int})
addr = row({text}, {text})::address
addr = ({s:addr})
addr ! jsonb_populate_record({addr}, {json})
"""

_AGGREGATE = r"""
big = count(*)
big = count({any})
big = count(distinct {text})
big = count(*) filter (where {bool})
big = sum({int})
big = rank({int}) within group (order by {int})
int = max({int})
int = min({int}) filter (where {bool})
int = bit_or({int})
num = sum({num})
num = avg({num})
num = avg({int})
num = stddev({num})
num = sum(distinct {num})
float = percentile_cont(0.5) within group (order by {float})
float = max({float})
float ~ sum({float})
text = max({text})
text = min({text})
text = mode() within group (order by {text})
text = percentile_disc(0.5) within group (order by {text})
text ~ string_agg({text}, ',')
text ~ string_agg({text}, ',' order by {text}, {int} desc)
text ~ string_agg(distinct {text}, ',')
bool = bool_or({bool})
bool = every({bool})
date = max({date})
ts = min({ts})
gap = sum({gap})
json ~ jsonb_agg({any})
json ~ jsonb_agg({any} order by {int})
json ~ jsonb_object_agg({text}, {int})
json ~ jsonb_agg({row})
json ~ json_arrayagg({text} order by {int} returning jsonb)
json ~ json_objectagg({text} : {int} returning jsonb)
texts ~ array_agg({text})
texts ~ array_agg({text} order by {text} desc)
ints ~ array_agg({int})
ints ~ array_agg(distinct {int})
risk = max({risk})
uuid = (array_agg({uuid} order by {uuid}))[1]
bytes ~ string_agg({bytes}, '\x00'::bytea)
"""

_WINDOW = r"""
big ~ row_number() over ({win})
big ~ rank() over ({win})
big ~ dense_rank() over ({win})
big ~ count(*) over ({win})
big ~ count(*) filter (where {bool}) over ({win})
big ~ sum({int}) over ({win})
int ~ ntile(3) over ({win})
int ~ lag({int}) over ({win})
int ~ max({int}) over ({win} rows between 1 preceding and current row)
float ~ percent_rank() over ({win})
float ~ cume_dist() over ({win})
num ~ sum({num}) over ({win})
num ~ avg({num}) over ({win} rows between unbounded preceding and 1 following exclude current row)
text ~ lag({text}, {int}) over ({win})
text ~ lead({text}, 1, {text}) over ({win})
text ~ first_value({text}) over ({win})
text ~ nth_value({text}, 2) over ({win} groups between 1 preceding and 1 following)
text ~ string_agg({text}, ',') over ({win})
date ~ last_value({date}) over ({win})
"""

_ROWS = r"""
int = generate_series(1, least({int}, 5))
int = unnest({ints})
text = unnest({texts})
text = regexp_split_to_table({text}, 'a')
text ! jsonb_object_keys({json})
text ! jsonb_array_elements_text({json})
json = jsonb_path_query({json}, '$.*')
json ! jsonb_array_elements({json})
date = generate_series({date}, {date} + 2, interval '1 day')::date
"""


@dataclass(frozen=True)
class Rule:
    gives: str
    since: int
    sensitive: bool
    fails: bool
    template: tuple[str, ...]  # text and placeholders in turn, as re.split gives them


_LINE = re.compile(r"(\w+) (\d+ )?([=!~]) (.*)")
_PLACE = re.compile(r"\{((?:[qs]:)?[a-z]+(?:,[a-z]+)*)\}")
_PLACES = frozenset({*TYPES, "any", "row", "q", "win"})


def _read(text: str) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {name: [] for name in TYPES}
    for line in text.strip().splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a rule: {line}")
        gives, since, mark, template = match.groups()
        parts = tuple(_PLACE.split(template))
        for place in parts[1::2]:
            if not _PLACES.issuperset(place.split(":")[-1].split(",")):
                raise ValueError(f"no such place: {line}")
        rule = Rule(gives, int(since or 16), mark == "~", mark == "!", parts)
        found[gives] += [rule] if rule.fails else [rule] * 2
    return found


SCALAR = _read(_SCALAR)
AGGREGATE = _read(_AGGREGATE)
WINDOW = _read(_WINDOW)
ROWS = _read(_ROWS)
#: Rules that make one type of one other and seldom fail.
CONVERSION = {
    gives: [
        rule
        for rule in rules
        if len(rule.template) == 3 and rule.template[1] in TYPES
        if rule.template[1] != gives and not rule.fails
    ]
    for gives, rules in SCALAR.items()
}
