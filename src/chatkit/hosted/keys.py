"""API keys of the tenants' servers, known by their hashes alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Final, cast

from chatkit._checks import check_instance, shown
from chatkit.errors import AuthenticationError, ConfigurationError

__all__ = ["NAME", "ApiKeys", "hash_key", "is_of_openai", "new_key", "refuse_openai_key"]

NAME: Final = re.compile(r"(?!\.\.?\Z)[0-9A-Za-z_.-]{1,100}")
"""What tenants and workflows may be called: part of the owner's name, which databases bound, and of paths."""

_PREFIX: Final = "ck-"
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_LEAST_CHARS: Final = 20
_OF_OPENAI: Final = (
    "This is a key of OpenAI's. Nobody here needs it, and it was not kept; replace it if this server is not yours. "
    "Use a key of this server's, made with 'chatkit hosted key'."
)


class OpenAIKeyError(AuthenticationError):
    """A request that carries a key of OpenAI's."""

    code = "openai_key_refused"


def new_key() -> str:
    """Returns a fresh API key, of 256 random bits."""
    return f"{_PREFIX}{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """Returns the hash that stands for an API key: ``sha256:`` and 64 hexadecimal digits.

    A key has as many random bits as its hash, so that a slow hash would protect nothing.
    """
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def is_of_openai(text: str) -> bool:
    """Returns whether a text looks like a key of OpenAI's."""
    return text.strip().lower().startswith("sk-")


def refuse_openai_key(token: str) -> None:
    """Raises AuthenticationError, without the key in it, if a token looks like a key of OpenAI's."""
    if is_of_openai(token):
        raise OpenAIKeyError(_OF_OPENAI)


class ApiKeys:
    """The tenants by the hashes of their servers' keys.

    Args:
        keys: The tenant of each key, or of its ``hash_key``; several keys may be of one tenant.

    Raises:
        ConfigurationError: There is none, or one that is no key, or a key of OpenAI's, or without a tenant.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        check_instance("api_keys", keys, Mapping, "a mapping of API keys, or their hashes, to tenants")
        if not keys:
            raise ConfigurationError("api_keys: there is no key, so that no server could open a session.")
        for key, tenant in keys.items():
            # A key is a secret: it is in no message.
            if not isinstance(cast("object", tenant), str) or not NAME.fullmatch(tenant):
                raise ConfigurationError(
                    f"api_keys: one key has the tenant {shown(tenant)}; a tenant's name is 1 to 100 of 0-9A-Za-z_.-, "
                    "not '.' or '..'."
                )
            if not isinstance(cast("object", key), str) or is_of_openai(key):
                raise ConfigurationError(
                    f"api_keys: the key of {shown(tenant)} is a key of OpenAI's, or no text. Make one with 'chatkit "
                    "hosted key'."
                )
            if not _HASH.fullmatch(key) and (not key.startswith(_PREFIX) or len(key) < _LEAST_CHARS):
                raise ConfigurationError(
                    f"api_keys: the key of {shown(tenant)} is neither a key, which begins with {_PREFIX!r} and has at "
                    f"least {_LEAST_CHARS} characters, nor the hash of one. Make one with 'chatkit hosted key'."
                )
        self._tenants = {
            key if _HASH.fullmatch(key) else hash_key(key): tenant for key, tenant in keys.items()
        }

    def tenant(self, key: str) -> str | None:
        """Returns the tenant of a key, None if it is not known. The hash of a key is no key."""
        return self._tenants.get(hash_key(key))
