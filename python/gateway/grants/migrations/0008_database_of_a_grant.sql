-- Which database the connection led to when a grant was asked for: another one of that name, at another
-- gateway, is not meant. Grants from before have none and are not held to it.

ALTER TABLE maskgate.grants ADD COLUMN database text;
