-- What release 2026.3.6, the newest stable one, has beyond the tables of every release. The stable releases since
-- 2026.2.3 make the same database. There is no schema `platform` and there are no tenants.

ALTER TABLE dashboard.oauth_providers ADD UNIQUE (provider_name);
ALTER TABLE auth.users ADD UNIQUE (email);
ALTER TABLE branching.branches
    ADD CONSTRAINT branches_name_unique UNIQUE (name),
    ADD UNIQUE (slug),
    ADD CONSTRAINT branches_type_check CHECK (type IN ('main', 'preview', 'persistent')),
    ADD CONSTRAINT branches_data_clone_mode_check CHECK (data_clone_mode IN ('schema_only', 'full_clone', 'seed_data'));
ALTER TABLE branching.github_config ADD UNIQUE (repository);

-- Triggers --------------------------------------------------------------------------------------------------------

CREATE FUNCTION public.update_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER update_dashboard_oauth_providers_updated_at BEFORE UPDATE ON dashboard.oauth_providers
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();
CREATE TRIGGER update_dashboard_users_updated_at BEFORE UPDATE ON dashboard.users
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();
CREATE TRIGGER validate_app_metadata_trigger BEFORE UPDATE ON dashboard.users
    FOR EACH ROW EXECUTE FUNCTION auth.validate_app_metadata_update();
CREATE TRIGGER update_auth_users_updated_at BEFORE UPDATE ON auth.users
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();
CREATE TRIGGER update_oauth_tokens_updated_at BEFORE UPDATE ON auth.oauth_tokens
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();

-- The list of branches begins with the main database.
INSERT INTO branching.branches (name, slug, database_name, status, type)
VALUES ('Main', 'main', current_database(), 'ready', 'main');

-- The newest of the server's numbered migrations -------------------------------------------------------------------

CREATE SCHEMA migrations;
CREATE TABLE migrations.fluxbase (
    version bigint NOT NULL PRIMARY KEY,
    dirty boolean NOT NULL
);
INSERT INTO migrations.fluxbase VALUES (96, false);

-- Row-level security: `app.settings` and `auth.users` show their owner everything, `branching.*` has none -----------

CREATE POLICY secrets_service_and_admin_policy ON functions.secrets
    USING (auth.current_user_role() IN ('service_role', 'dashboard_admin'));
CREATE POLICY secret_versions_service_and_admin_policy ON functions.secret_versions
    USING (auth.current_user_role() IN ('service_role', 'dashboard_admin'));
CREATE POLICY oauth_providers_dashboard_admin_only ON dashboard.oauth_providers
    USING (auth.current_user_role() IN ('service_role', 'dashboard_admin'));
CREATE POLICY "Service role has full access to app settings" ON app.settings
    TO service_role USING (true) WITH CHECK (true);

CREATE POLICY auth_users_select_own ON auth.users FOR SELECT TO authenticated
    USING (id = auth.current_user_id() OR auth.is_admin() OR auth.current_user_role() = 'dashboard_admin');
CREATE POLICY auth_users_update_own ON auth.users FOR UPDATE TO authenticated
    USING (id = auth.current_user_id() OR auth.is_admin() OR auth.current_user_role() = 'dashboard_admin');
CREATE POLICY auth_users_delete_admin ON auth.users FOR DELETE TO authenticated
    USING (auth.is_admin() OR auth.current_user_role() = 'dashboard_admin');
CREATE POLICY auth_users_service_role_all ON auth.users TO service_role USING (true) WITH CHECK (true);

CREATE POLICY dashboard_users_select_policy ON dashboard.users FOR SELECT
    USING (auth.current_user_role() = 'dashboard_admin' OR id = auth.current_user_id());
CREATE POLICY dashboard_users_update_policy ON dashboard.users FOR UPDATE
    USING (auth.current_user_role() = 'dashboard_admin' OR id = auth.current_user_id());
CREATE POLICY dashboard_users_delete_policy ON dashboard.users FOR DELETE
    USING (auth.current_user_role() = 'dashboard_admin');

GRANT USAGE ON SCHEMA dashboard TO anon, authenticated, service_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dashboard TO authenticated;
GRANT USAGE ON SCHEMA migrations, api TO service_role;
GRANT ALL ON ALL TABLES IN SCHEMA dashboard, migrations, api TO service_role;
