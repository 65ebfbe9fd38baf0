-- People who sign in at a SAML provider (grants/sign_ins.py): what was asked, which assertions were
-- taken, and the credentials that came of it. Every secret is here as its hash alone.

CREATE TABLE maskgate.saml_requests (
    id         text PRIMARY KEY,            -- of the request; the answer's InResponseTo
    provider   text NOT NULL,               -- its name in the configuration
    challenge  text NOT NULL,               -- of the secret that the terminal keeps (RFC 7636)
    port       integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    state      text NOT NULL,               -- what the terminal knows its browser by
    browser    text NOT NULL,               -- hash of the cookie of the browser that began
    step       text NOT NULL DEFAULT 'asked'
               CHECK (step IN ('asked', 'answered', 'confirmed', 'taken')),
    expires_at timestamptz NOT NULL,
    handle     text UNIQUE,                 -- hash of what the browser goes on with
    code       text UNIQUE,                 -- hash of what the terminal gets
    issuer     text,
    subject    text,
    groups     text[],
    ends_at    timestamptz,                 -- of the sign-in
    CHECK (step = 'asked' OR (issuer, subject, groups, ends_at) IS NOT NULL)
);
CREATE INDEX saml_requests_due ON maskgate.saml_requests (expires_at);

-- Steps are taken in their order, each once.
CREATE FUNCTION maskgate.guard_saml_request() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF (OLD.step, NEW.step) NOT IN
       (('asked', 'answered'), ('answered', 'confirmed'), ('confirmed', 'taken')) THEN
        RAISE EXCEPTION 'request %: no way from % to %', OLD.id, OLD.step, NEW.step;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON maskgate.saml_requests
    FOR EACH ROW EXECUTE FUNCTION maskgate.guard_saml_request();

CREATE TABLE maskgate.saml_assertions (
    issuer     text NOT NULL,
    id         text NOT NULL,
    expires_at timestamptz NOT NULL,        -- after which nobody takes it anyway
    PRIMARY KEY (issuer, id)
);
CREATE INDEX saml_assertions_due ON maskgate.saml_assertions (expires_at);

CREATE TABLE maskgate.sign_ins (
    fingerprint text PRIMARY KEY,           -- BLAKE3 of the credential
    provider    text NOT NULL,
    issuer      text NOT NULL,
    subject     text NOT NULL,
    groups      text[] NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE INDEX sign_ins_due ON maskgate.sign_ins (expires_at);
