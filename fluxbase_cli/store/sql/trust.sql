-- Whether our schemas may be used. These queries read system catalogues only, and run nothing of the schemas.
-- The session's search_path is pg_catalog. Each statement has a name; `store/trust.py` is the only place where a name
-- meets a method.

-- name: schemas
SELECT oid::bigint FROM pg_namespace WHERE nspname = ANY (%(schemas)s) ORDER BY oid;

-- name: faults
-- What in our schemas somebody else made or could make. An object in pg_depend without a row of its own is one of
-- PostgreSQL itself: those are pinned and not recorded.
WITH ours AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = ANY (%(schemas)s)
), trusted AS (
    SELECT oid FROM pg_roles WHERE rolsuper OR rolname = current_user
), tables AS (
    SELECT c.oid, c.relowner, c.relacl, c.relkind, c.relnamespace, format('%%I.%%I', o.nspname, c.relname) AS name, o.nspname
    FROM pg_class AS c JOIN ours AS o ON o.oid = c.relnamespace
), parts AS (
    -- What belongs to our tables and may call a function.
    SELECT 'pg_class'::regclass AS class, oid, name, nspname FROM tables
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid, t.name, t.nspname FROM pg_index AS i JOIN tables AS t ON t.oid = i.indrelid
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid, t.name, t.nspname FROM pg_constraint AS k JOIN tables AS t ON t.oid = k.conrelid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, t.name, t.nspname FROM pg_attrdef AS d JOIN tables AS t ON t.oid = d.adrelid
    UNION ALL
    SELECT 'pg_trigger'::regclass, g.oid, t.name, t.nspname FROM pg_trigger AS g JOIN tables AS t ON t.oid = g.tgrelid
), found (rank, schema, fault) AS (
    SELECT 1, o.nspname, format('its owner is %%s', pg_get_userbyid(o.nspowner)) FROM ours AS o
    WHERE o.nspowner NOT IN (SELECT oid FROM trusted)
    UNION ALL
    SELECT 2, t.nspname, format('the owner of %%s is %%s', t.name, pg_get_userbyid(t.relowner)) FROM tables AS t
    WHERE t.relkind <> 'i' AND t.relowner NOT IN (SELECT oid FROM trusted)
    UNION ALL
    SELECT 3, o.nspname, format('the owner of %%s is %%s', p.oid::regprocedure, pg_get_userbyid(p.proowner))
    FROM pg_proc AS p JOIN ours AS o ON o.oid = p.pronamespace
    WHERE p.proowner NOT IN (SELECT oid FROM trusted)
    UNION ALL
    -- Everything that is in the schema, without what our migrations make.
    SELECT 4, o.nspname, format('it has the %%s', pg_describe_object(d.classid, d.objid, 0))
    FROM ours AS o JOIN pg_depend AS d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = o.oid
    WHERE NOT CASE d.classid
        WHEN 'pg_class'::regclass THEN EXISTS (SELECT FROM tables AS t WHERE t.oid = d.objid AND t.relkind IN ('r', 'S', 'i'))
        WHEN 'pg_proc'::regclass THEN EXISTS (
            SELECT FROM pg_proc AS p WHERE p.oid = d.objid AND p.proname = 'refuse_change' AND p.pronargs = 0)
        ELSE false
    END
    UNION ALL
    SELECT 5, t.nspname, format('there is the trigger %%I on %%s', g.tgname, t.name)
    FROM pg_trigger AS g JOIN tables AS t ON t.oid = g.tgrelid JOIN pg_proc AS p ON p.oid = g.tgfoid
    WHERE NOT g.tgisinternal
      AND NOT (g.tgname = 'event_is_append_only' AND p.proname = 'refuse_change' AND p.pronamespace = t.relnamespace)
    UNION ALL
    SELECT 6, t.nspname, format('there is the rule %%I on %%s', r.rulename, t.name)
    FROM pg_rewrite AS r JOIN tables AS t ON t.oid = r.ev_class WHERE t.relkind = 'r'
    UNION ALL
    SELECT 7, t.nspname, format('there is the policy %%I on %%s', p.polname, t.name)
    FROM pg_policy AS p JOIN tables AS t ON t.oid = p.polrelid
    UNION ALL
    SELECT 8, t.nspname, format('%%s inherits or is inherited from', t.name)
    FROM tables AS t
    WHERE t.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE t.oid IN (i.inhparent, i.inhrelid))
    UNION ALL
    SELECT 9, t.nspname, format('%%s refers to %%s', k.conrelid::regclass, t.name)
    FROM pg_constraint AS k JOIN tables AS t ON t.oid = k.confrelid
    WHERE k.conrelid NOT IN (SELECT oid FROM tables)
    UNION ALL
    -- A CHECK, a default, a generated column, an index or the type of a column that needs something of somebody else.
    SELECT 10, p.nspname, format('%%s uses the %%s', p.name, pg_describe_object(d.refclassid, d.refobjid, 0))
    FROM parts AS p JOIN pg_depend AS d ON d.classid = p.class AND d.objid = p.oid
    WHERE NOT CASE d.refclassid
        WHEN 'pg_class'::regclass THEN d.refobjid IN (SELECT oid FROM tables)
        WHEN 'pg_proc'::regclass THEN EXISTS (
            SELECT FROM pg_proc AS f WHERE f.oid = d.refobjid AND f.pronamespace IN (SELECT oid FROM ours))
        WHEN 'pg_constraint'::regclass THEN EXISTS (
            SELECT FROM pg_constraint AS f WHERE f.oid = d.refobjid AND f.conrelid IN (SELECT oid FROM tables))
        WHEN 'pg_namespace'::regclass THEN d.refobjid IN (SELECT oid FROM ours)
        ELSE false
    END
    UNION ALL
    SELECT DISTINCT 11, o.nspname, format('%%s has the privilege %%s on it', coalesce(r.rolname, 'PUBLIC'), a.privilege_type)
    FROM ours AS o CROSS JOIN LATERAL aclexplode(o.nspacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE a.grantee <> o.nspowner AND a.grantee NOT IN (SELECT oid FROM trusted)
      AND (a.grantee = 0 OR a.privilege_type = 'CREATE')
    UNION ALL
    SELECT DISTINCT 12, t.nspname,
           format('%%s has the privilege %%s on %%s', coalesce(r.rolname, 'PUBLIC'), a.privilege_type, t.name)
    FROM tables AS t CROSS JOIN LATERAL aclexplode(t.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE a.grantee <> t.relowner AND a.grantee NOT IN (SELECT oid FROM trusted)
      AND (a.grantee = 0 OR a.privilege_type = 'TRIGGER')
)
SELECT schema, fault, rank <= 3 AS by_owner, rank >= 11 AS by_privilege FROM found ORDER BY rank, schema, fault;

-- name: event_triggers
-- The event triggers that would run when tables are made, and run as our role what a weaker role can change.
SELECT e.evtname AS name, pg_get_userbyid(p.proowner) AS owner
FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid JOIN pg_roles AS r ON r.oid = p.proowner
WHERE e.evtenabled <> 'D' AND NOT r.rolsuper AND r.rolname <> current_user
ORDER BY e.evtname;
