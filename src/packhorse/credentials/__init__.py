"""Where credentials come from and where they are kept. Never speaks to the network (DESIGN §3)."""

from packhorse.credentials.ladder import Answer, Attempt, Credential, Source, climb
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.credentials.tokens import TokenKeeper, Tokens, expiry

__all__ = [
    "Answer",
    "Attempt",
    "Credential",
    "Source",
    "StoredTokens",
    "TokenKeeper",
    "TokenStore",
    "Tokens",
    "climb",
    "expiry",
]
