"""The clinic's generated notes with what is in them.

Where each identifier stands follows from the sentence that `clinic.sql` puts it into: every note
must be one of the forms below, to the letter. Refuses to go on (ValueError) when one is not: then the
clinic has changed and the forms must.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import asyncpg

import servers
from accuracy.labelled import date
from accuracy.texts import Duty, Text, Wanted
from gateway.demo import clinic

PATIENTS = 1_000

#: Entity of each group in the forms; a number behind the name tells groups apart.
_ENTITIES = {
    "name": "person",
    "mrn": "mrn",
    "phone": "phone",
    "date": "date",
    "email": "e-mail",
    "ssn": "ssn",
    "member": "member",
    "street": "address",
    "city": "place",
}

_PARTS = {
    "MRN": r"(?:MRN[ #]|MRN: |mrn |medical record number |Medical Record No\. )(?P<mrn>(?:ST-)?\d+)",
    "NAME": r"(?P<name>\D+?)",
    "PHONE": r"(?P<phone>\+?[\d().,-]+[ext\d() .-]*\d)",
    "DATE": r"(?P<date>(?:\d+ )?(?:[A-Z][a-z]+ )?[\d/-]+(?:th|st|nd|rd)?(?:, \d{4}| \d{4})?)",
    "MAIL": r"(?P<email>[^ ]+@[a-z.]+[a-z])",
    "WORD": r"[^.;]+",
}

_PATIENT = [
    r"{NAME} \({MRN}\) called from {PHONE} about the appointment of {DATE}\. Asked to be called back\.",
    r"Pt {NAME}, {MRN}, seen {DATE}\. Crohn's disease in remission, continue azathioprine 100 mg daily\.",
    r"Results sent to (?:{MAIL}|{PHONE}) on {DATE}\. {NAME} understands the plan\.",
    r"Chart of {NAME} merged with the old one\. {MRN}, DOB {DATE}, SSN (?P<ssn>[\d-]+)\.",
    r"Foley catheter removed\. Graves disease known since \d{4}; TSH 0\.4 mIU/L, BP 128/82, pulse 74\.",
    r"Daughter of {NAME} reachable at {PHONE} after 6 pm\. No known allergies\.",
    r"{MRN}: consent signed {DATE}\. Insurance (?P<member>HX\d+) verified, group 4411\.",
    r"Patient will march daily, 30 minutes\. Weight 82\.5 kg, BMI 27\.1\. Follow-up in 3 months\.",
    r"Dear M[rs]s?\. {NAME}, your results of {DATE} are ready\. Questions: {PHONE} or {MAIL}\.",
    r"Transferred from St\. Thomas, old number (?P<mrn2>ST-\d+), new {MRN}\. {NAME} agrees\.",
    r"Lives at (?P<street>\d+ .+), (?P<city>[^,]+), [A-Z]{2}\. Mail: (?:none|{MAIL})\. Phone: {PHONE}\.",
    r"No acute distress\. Metformin 500 mg twice daily\. HbA1c 6\.9 %, glucose 110 mg/dL\.",
]

_ENCOUNTER = [
    r"Cancelled by telephone from {PHONE}; {MRN} checked\. Wants a date after {DATE}\.",
    r"Cancelled by mail from (?:an unknown address|{MAIL}) on {DATE}\.",
    r"{MRN} did not come; nobody answers at {PHONE}\.",
    r"Clinic closed for the afternoon, {WORD} moved\.",
    r"Seen today, {MRN}\. {WORD}, stable\. Next visit {DATE}\.",
    r"Reminder sent to {PHONE} for {DATE}\.",
    r"Asks for a copy of the letter by mail: (?:no address|{MAIL}), chart {MRN}\.",
    r"Lungs clear, heart regular, no oedema\. Continue current medication, review in 12 weeks\.",
    r"BP 132/84, pulse 71, temp 36\.8\. Advised on diet and exercise; {WORD} improving\.",
    r"Ordered CBC, BMP, lipid panel\. Parkinson's ruled out\. Return if symptoms worsen\.",
    r"Vaccinated, lot 8841-A, left deltoid\. No reaction after 15 minutes\.",
    r"Late because of traffic on Route 66\. {WORD} unchanged since last time\.",
    r"Discussed results\. Hodgkin lymphoma in remission\. Plan unchanged\.",
]


def _compiled(forms: list[str]) -> list[re.Pattern[str]]:
    named = re.compile(r"\{([A-Z]+)\}")
    return [re.compile(named.sub(lambda part: _PARTS[part[1]], form)) for form in forms]


FORMS = {"patient": _compiled(_PATIENT), "encounter": _compiled(_ENCOUNTER)}


def labelled(table: str, note: str) -> Text:
    """The note with its labels. Raises ValueError when it has none of the forms."""
    for form in FORMS[table]:
        found = form.fullmatch(note)
        if found is not None:
            return Text(note, tuple(sorted(_wanted(found), key=lambda wanted: wanted.start)))
    raise ValueError(f"{table}: a note in no known form; bring FORMS in step with clinic.sql")


def _wanted(found: re.Match[str]) -> Iterator[Wanted]:
    for group, value in found.groupdict().items():
        if value is None:
            continue
        entity = _ENTITIES[group.rstrip("0123456789")]
        if entity == "date":
            yield from date(found.start(group), value)
        else:
            yield Wanted(*found.span(group), entity, Duty.MASK)


#: The columns of a patient that come with the note, with their treatments in the demo's policy.
ROW = {
    "mrn": {"name": "token", "domain": "clinic", "key_id": "k1"},
    "full_name": {"name": "redact", "label": "[REDACTED]"},
    "ssn": {"name": "redact", "label": "[REDACTED]"},
    "phone": {"name": "redact", "label": "[REDACTED]"},
    "email": {"name": "redact", "label": "[REDACTED]"},
    "street": {"name": "redact", "label": "[REDACTED]"},
    "city": {"name": "redact", "label": "[REDACTED]"},
    "insurance_id": {"name": "redact", "label": "[REDACTED]"},
    "notes": {"name": "scan"},
}
#: Those whose values are masked in it, as the demo's policy has it.
BESIDE = frozenset(ROW) - {"notes", "city"}


async def _load(dsn: str) -> tuple[list[Text], list[Text], bytes]:
    made = await clinic.prepare(dsn, patients=PATIENTS)
    connection = await asyncpg.connect(made.superuser_dsn)
    try:
        notes = await connection.fetch("SELECT notes FROM patient ORDER BY id")
        visits = await connection.fetch(
            "SELECT note FROM encounter WHERE note IS NOT NULL ORDER BY id"
        )
        pieces: list[bytes] = []

        async def sink(data: bytes) -> None:
            pieces.append(bytes(data))

        query = f"SELECT {', '.join(ROW)} FROM patient ORDER BY id"
        await connection.copy_from_query(query, output=sink, format="binary")
    finally:
        await connection.close()
    return (
        [labelled("patient", row["notes"]) for row in notes],
        [labelled("encounter", row["note"]) for row in visits],
        b"".join(pieces),
    )


def load() -> tuple[list[Text], list[Text], bytes]:
    """Notes of patients, notes of visits, and the patients' rows as COPY BINARY bytes of `ROW`."""
    with servers.running(18) as server:
        return asyncio.run(_load(server.dsn()))
