-- The schemas that every release has, and who asks, as the row-level security policies know it: from the claims of the
-- token that came with the request.

CREATE SCHEMA auth;
CREATE SCHEMA functions;
CREATE SCHEMA app;
CREATE SCHEMA branching;
CREATE SCHEMA ai;

CREATE FUNCTION auth.current_user_id() RETURNS uuid LANGUAGE sql STABLE
RETURN (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;

CREATE FUNCTION auth.current_user_role() RETURNS text LANGUAGE sql STABLE
RETURN coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', 'anon');

CREATE FUNCTION auth.is_admin() RETURNS boolean LANGUAGE sql STABLE
RETURN auth.current_user_role() = 'admin';
