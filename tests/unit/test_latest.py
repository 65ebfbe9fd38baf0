"""What is kept of the latest: as a list says it that is searched from end to end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.latest import Latest

KEYS = st.integers(0, 7)
STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("put"), KEYS),
    st.tuples(st.just("drop"), KEYS),
)


class Naive:
    """Pairs, the least recently used first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.pairs: list[tuple[int, str]] = []

    def get(self, key: int) -> str | None:
        found = [pair for pair in self.pairs if pair[0] == key]
        self.drop(key)
        self.pairs += found
        return found[0][1] if found else None

    def put(self, key: int, value: str) -> str:
        self.drop(key)
        self.pairs = [*self.pairs, (key, value)][-self.most :]
        return value

    def drop(self, key: int) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != key]


@given(st.integers(1, 5), st.lists(STEPS, max_size=60))
def test_it_keeps_what_a_list_would(most: int, steps: list[tuple[str, int]]) -> None:
    latest: Latest[int, str] = Latest(most)
    naive = Naive(most)
    for number, (verb, key) in enumerate(steps):
        value = [f"value {number}"] if verb == "put" else []
        said = getattr(latest, verb)(key, *value)
        assert said == getattr(naive, verb)(key, *value)
        assert list(latest) == [key for key, _ in naive.pairs]
        assert len(latest) == len(naive.pairs) <= most
    assert {key: latest.get(key) for key in list(latest)} == dict(naive.pairs)


def test_what_is_looked_up_stays_and_the_least_recently_used_goes() -> None:
    latest: Latest[str, int] = Latest(2)
    latest.put("first", 1)
    latest.put("second", 2)
    assert latest.get("first") == 1
    latest.put("third", 3)
    assert latest.get("second") is None
    assert list(latest) == ["first", "third"]


def test_a_value_that_is_false_is_a_value() -> None:
    latest: Latest[str, frozenset[int]] = Latest(2)
    latest.put("nothing", frozenset())
    latest.put("other", frozenset({1}))
    assert latest.get("nothing") == frozenset()
    assert list(latest) == ["other", "nothing"]
