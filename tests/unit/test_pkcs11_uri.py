"""URIs of keys in tokens: each part read as RFC 7512 has it, and nothing passed over."""

from __future__ import annotations

import pytest

from gateway.pkcs11_uri import KeyUri

QUERY = "?module-path=/usr/lib/m.so&pin-source=file:pin"
PLAIN = f"pkcs11:token=clinic;object=log{QUERY}"


@pytest.mark.parametrize(
    ("uri", "read"),
    [
        (PLAIN, KeyUri("/usr/lib/m.so", "file:pin", "clinic", None, "log", None)),
        (
            "pkcs11:id=%00%ff;serial=0a1;type=private?pin-source=env:PIN&module-path=m.so",
            KeyUri("m.so", "env:PIN", None, "0a1", None, b"\0\xff"),
        ),
        (
            "pkcs11:token=The%20Clinic%3B;object=%C3%A9t%C3%A9"
            "?module-path=/a%20b.so&pin-source=file:/run/a%26b",
            KeyUri("/a b.so", "file:/run/a&b", "The Clinic;", None, "été", None),
        ),
        (
            f"pkcs11:token=a=b;object=(log)%25{QUERY}",
            KeyUri("/usr/lib/m.so", "file:pin", "a=b", None, "(log)%", None),
        ),
    ],
)
def test_a_uri_is_read(uri: str, read: KeyUri) -> None:
    assert KeyUri.parse(uri) == read


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (7, "write pkcs11:token="),
        ("", "write pkcs11:token="),
        ("file:state/log/key", "write pkcs11:token="),
        (PLAIN.replace("pkcs11", "PKCS11"), "write pkcs11:token="),
        (f"pkcs11:object=log{QUERY}", "name the token"),
        (f"pkcs11:token=clinic{QUERY}", "name the key in the token"),
        ("pkcs11:token=clinic;object=log?pin-source=file:pin", "name the module's file"),
        ("pkcs11:token=clinic;object=log?module-path=m.so", "say where the PIN is"),
        (PLAIN.replace("file:pin", "|cat pin"), "not"),
        (PLAIN.replace("file:pin", "1234"), "say where the PIN is"),
        (PLAIN.replace("file:pin", "file:"), "say where the PIN is"),
        (f"{PLAIN}&pin-value=1234", "a PIN does not belong here"),
        (f"pkcs11:token=clinic;object=log;pin-value=1234{QUERY}", "a PIN does not belong here"),
        (f"pkcs11:token=clinic;object=log;slot-id=3{QUERY}", "nothing but token, serial"),
        (f"pkcs11:token=clinic;object=log;x-vendor=1{QUERY}", "nothing but token, serial"),
        (f"{PLAIN}&module-name=m", "nothing but module-path, pin-source"),
        (f"{PLAIN}&token=other", "nothing but module-path, pin-source"),
        (f"pkcs11:token=clinic;object=log;object=log2{QUERY}", "object stands there twice"),
        (f"{PLAIN}&module-path=n.so", "module-path stands there twice"),
        (f"pkcs11:token=;object=log{QUERY}", "token is empty"),
        (f"pkcs11:token=clinic;object=log;{QUERY}", "nothing but token"),
        (f"pkcs11:token=my clinic;object=log{QUERY}", "percent-encoded"),
        (f"pkcs11:token=clinic;object=été{QUERY}", "percent-encoded"),
        (f"pkcs11:token=clinic;object=log%2{QUERY}", "percent-encoded"),
        (f"pkcs11:token=clinic;object=%ff{QUERY}", "UTF-8"),
        (f"pkcs11:token=clinic;object=log;type=public{QUERY}", "type=private"),
    ],
)
def test_what_is_not_understood_is_refused(uri: object, said: str) -> None:
    with pytest.raises(ValueError, match=said) as wrong:
        KeyUri.parse(uri)
    assert "1234" not in str(wrong.value)
