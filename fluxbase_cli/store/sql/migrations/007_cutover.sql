-- The steps of a rotation of a server that knows one key: it is stopped, gets the new key, and is started.
ALTER TABLE fluxbase_rotation.rotation_step
    DROP CONSTRAINT IF EXISTS rotation_step_step_check,
    ADD CONSTRAINT rotation_step_step_check CHECK (step IN (
        'check', 'key', 'activate', 'reload', 'stop', 're-encrypt', 'census', 'install', 'start', 'prove', 'retention',
        'return'));
