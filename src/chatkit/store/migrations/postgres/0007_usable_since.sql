-- Workers of an earlier version can use a database whose newer migrations they can do without.

ALTER TABLE chatkit.schema_version ADD COLUMN usable_since INTEGER; -- the earliest such version; NULL: the present one
