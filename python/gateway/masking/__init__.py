"""The compiled kernel as the corridor uses it: a decision becomes masked, encoded chunks.

Refuses at construction what a treatment cannot do to a type, so that no row is read for it.
"""

from gateway.masking.ahead import masked
from gateway.masking.plan import TokenKey, load_token_key, open_stream

__all__ = ["TokenKey", "load_token_key", "masked", "open_stream"]
