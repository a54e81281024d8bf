-- The life of keys, in a schema of its own. What is in fluxbase_rotation is progress and may be dropped. What is here
-- may not: it has the wrapped keys. No key, plaintext or sealed value is stored here.

CREATE SCHEMA IF NOT EXISTS fluxbase_keys;
COMMENT ON SCHEMA fluxbase_keys IS
    'fluxbase-cli: wrapped keys and the history of all keys. Dropping this schema loses keys. Keep it in every backup.';

-- One key of a version, as it is known by its fingerprint. A version has one pinned key: the first one that was used.
CREATE TABLE IF NOT EXISTS fluxbase_keys.key (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version       integer NOT NULL CHECK (version > 0),
    fingerprint   text NOT NULL,
    pinned_at     timestamptz,                    -- since when no other key is accepted for this version
    UNIQUE (version, fingerprint)
);
CREATE UNIQUE INDEX IF NOT EXISTS key_one_pinned ON fluxbase_keys.key (version) WHERE pinned_at IS NOT NULL;

-- What happened to a key: who did what, when, from where and why. Append-only, enforced below.
CREATE TABLE IF NOT EXISTS fluxbase_keys.event (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    key           bigint NOT NULL REFERENCES fluxbase_keys.key,
    db_user       text NOT NULL DEFAULT session_user,
    os_user       text NOT NULL,
    host          text NOT NULL,
    what          text NOT NULL,
    reason        text,
    detail        jsonb NOT NULL DEFAULT '{}'
);

CREATE OR REPLACE FUNCTION fluxbase_keys.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'fluxbase_keys.event is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE OR REPLACE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fluxbase_keys.event
    FOR EACH STATEMENT EXECUTE FUNCTION fluxbase_keys.refuse_change();
ALTER TABLE fluxbase_keys.event ENABLE ALWAYS TRIGGER event_is_append_only;

-- The wrapped keys move here. If fluxbase_rotation was dropped or restored, there may be both tables. Then the rows of
-- this schema are the newer ones; a row of another key is never dropped.
DO $$
BEGIN
    IF to_regclass('fluxbase_keys.wrapped_key') IS NULL THEN
        ALTER TABLE fluxbase_rotation.wrapped_key SET SCHEMA fluxbase_keys;
    ELSIF to_regclass('fluxbase_rotation.wrapped_key') IS NOT NULL THEN
        INSERT INTO fluxbase_keys.wrapped_key SELECT * FROM fluxbase_rotation.wrapped_key ON CONFLICT DO NOTHING;
        IF EXISTS (
            SELECT FROM fluxbase_rotation.wrapped_key AS old JOIN fluxbase_keys.wrapped_key AS new USING (version)
            WHERE old.fingerprint <> new.fingerprint
        ) THEN
            RAISE EXCEPTION 'fluxbase_rotation.wrapped_key and fluxbase_keys.wrapped_key hold different keys'
                USING ERRCODE = 'unique_violation';
        END IF;
        DROP TABLE fluxbase_rotation.wrapped_key;
    END IF;
END
$$;

-- The events of keys move here.
INSERT INTO fluxbase_keys.key (version, fingerprint)
SELECT DISTINCT (detail ->> 'version')::integer, detail ->> 'fingerprint'
FROM fluxbase_rotation.event
WHERE what LIKE 'key-%' AND detail ? 'version' AND detail ? 'fingerprint'
ON CONFLICT DO NOTHING;
INSERT INTO fluxbase_keys.event (at, key, db_user, os_user, host, what, reason, detail)
SELECT e.at, k.id, e.db_user, e.os_user, e.host, e.what, e.reason, e.detail - 'version' - 'fingerprint'
FROM fluxbase_rotation.event AS e
JOIN fluxbase_keys.key AS k ON k.version::text = e.detail ->> 'version' AND k.fingerprint = e.detail ->> 'fingerprint'
WHERE e.what LIKE 'key-%'
ORDER BY e.id;
ALTER TABLE fluxbase_rotation.event DISABLE TRIGGER event_is_append_only;
DELETE FROM fluxbase_rotation.event WHERE what LIKE 'key-%' AND detail ? 'version' AND detail ? 'fingerprint';
ALTER TABLE fluxbase_rotation.event ENABLE ALWAYS TRIGGER event_is_append_only;
