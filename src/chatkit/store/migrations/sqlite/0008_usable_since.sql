-- Workers of an earlier version can use a file whose newer migrations they can do without.

CREATE TABLE usable_since (
    version INTEGER NOT NULL -- the earliest such version; no row: the present one, user_version
);
