"""Sign-in: signed tokens that name the user. `python accounts.py ada` makes one for Ada."""

import os
import sys
from datetime import UTC, datetime, timedelta

import jwt

# The same secret keeps the threads of users apart in the store: set it to a long random text.
SECRET = os.environ["CHATKIT_SECRET"]


def make_token(user_id: str) -> str:
    """Returns a token that is good for a day."""
    until = datetime.now(UTC) + timedelta(days=1)
    return jwt.encode({"sub": user_id, "exp": until}, SECRET, algorithm="HS256")


def user_of(token: str) -> str | None:
    """Returns the user whom a token names, or None if it is not good."""
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["sub", "exp"]})
    except jwt.InvalidTokenError:
        return None
    return claims["sub"]


if __name__ == "__main__":
    print(make_token(sys.argv[1]))
