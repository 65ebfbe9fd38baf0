"""Other ways to a pyarrow table from PostgreSQL, without a gateway and without masking.

Each is given the address of a superuser and the statement, opens its own connection as the gateway
does not have to, and answers with every row.
"""

from __future__ import annotations

import pyarrow as pa


class Adbc:
    """Arrow's own driver: COPY BINARY through libpq, decoded in C++."""

    name = "ADBC → pyarrow, unmasked"

    def __init__(self) -> None:
        import adbc_driver_postgresql.dbapi as driver

        self._driver = driver

    def table(self, dsn: str, query: str) -> pa.Table:
        with self._driver.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetch_arrow_table()


class ConnectorX:
    """connectorx over one connection."""

    name = "connectorx → pyarrow, unmasked"

    def __init__(self) -> None:
        import connectorx

        self._read = connectorx.read_sql

    def table(self, dsn: str, query: str) -> pa.Table:
        got = self._read(dsn, query, return_type="arrow", protocol="binary")
        return got if isinstance(got, pa.Table) else got.read_all()


PEERS = (Adbc, ConnectorX)
