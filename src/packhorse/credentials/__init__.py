"""Where credentials come from and where they are kept. Never speaks to the network (DESIGN §3)."""

from packhorse.credentials.keeping import Kept, forget_stored, keep, stored_username
from packhorse.credentials.ladder import Answer, Attempt, Credential, Source, climb
from packhorse.credentials.single import Single
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.credentials.tokens import TokenKeeper, Tokens, expiry

__all__ = [
    "Answer",
    "Attempt",
    "Credential",
    "Kept",
    "Single",
    "Source",
    "StoredTokens",
    "TokenKeeper",
    "TokenStore",
    "Tokens",
    "climb",
    "expiry",
    "forget_stored",
    "keep",
    "stored_username",
]
