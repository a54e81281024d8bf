-- The last step of every migration: nobody but the owner has a right on what was made, also where default privileges
-- (ALTER DEFAULT PRIVILEGES) give rights on every new table to other roles.
DO $$
DECLARE
    place text;
    other text;
BEGIN
    FOR place, other IN
        SELECT s.name, g.name
        FROM unnest(ARRAY['fluxbase_rotation', 'fluxbase_keys']) AS s (name)
        CROSS JOIN (
            SELECT 'PUBLIC' AS name
            UNION
            SELECT quote_ident(r.rolname)
            FROM pg_catalog.pg_default_acl AS d
            CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS a
            JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
            WHERE r.rolname <> current_user AND NOT r.rolsuper
        ) AS g
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s', place, other);
        EXECUTE pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %s', place, other);
        EXECUTE pg_catalog.format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %s', place, other);
        EXECUTE pg_catalog.format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM %s', place, other);
    END LOOP;
END
$$;
