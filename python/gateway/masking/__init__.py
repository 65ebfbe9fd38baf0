"""The compiled kernel as the corridor uses it: a decision becomes masked, encoded chunks.

Refuses at construction what a treatment cannot do to a type, so that no row is read for it.
`Masker` is the same kernel for tables that come from no database.
"""

from gateway.masking.ahead import masked
from gateway.masking.masker import Masker
from gateway.masking.plan import TokenKey, load_token_key, open_stream, read_token_key

__all__ = ["Masker", "TokenKey", "load_token_key", "masked", "open_stream", "read_token_key"]
