-- What is to be told of grants, and to whom: put here with the change itself, and away when it has
-- been taken (grants/webhooks.py). It holds nothing that anybody has worded.

CREATE TABLE maskgate.webhook_events (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook     text NOT NULL,                 -- its address
    event    text NOT NULL,                 -- the same at every hook and each attempt
    body     text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_events_due ON maskgate.webhook_events (hook, next_at);

-- One gateway at a time sends to one receiver; `until` also tells when one last did that names it.
CREATE TABLE maskgate.webhook_senders (
    hook   text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);
