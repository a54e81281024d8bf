-- What the development state (2026.3.7-rc.13) changes and adds. The schema `platform` takes in `dashboard` and `api`,
-- as it does when the server is upgraded; numbered migrations give way to fingerprints; rows can belong to tenants.
-- Left out: the roles of tenants, and the triggers that set `tenant_id` when a row is inserted.

ALTER SCHEMA dashboard RENAME TO platform;
ALTER TABLE api.idempotency_keys SET SCHEMA platform;
DROP SCHEMA api;

-- Tenants and settings --------------------------------------------------------------------------------------------

CREATE TABLE platform.tenants (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    name text NOT NULL,
    is_default boolean DEFAULT false,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    db_name text,
    status text DEFAULT 'active' NOT NULL
);

CREATE TABLE platform.instance_settings (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE,
    settings jsonb DEFAULT '{}' NOT NULL,
    overridable_settings jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT instance_settings_tenant_unique UNIQUE (tenant_id)
);
CREATE INDEX idx_instance_settings_settings ON platform.instance_settings USING gin (settings);
CREATE INDEX idx_instance_settings_tenant_id ON platform.instance_settings (tenant_id);

ALTER TABLE platform.oauth_providers
    ADD COLUMN tenant_id uuid,
    ADD UNIQUE (provider_name, tenant_id);
CREATE INDEX idx_oauth_providers_tenant_id ON platform.oauth_providers (tenant_id);

ALTER TABLE platform.users
    ADD CONSTRAINT platform_users_role_check CHECK (role IN ('instance_admin', 'tenant_admin', 'dashboard_user'));

ALTER TABLE auth.users
    ADD COLUMN tenant_id uuid,
    ADD CONSTRAINT fk_auth_users_tenant FOREIGN KEY (tenant_id) REFERENCES platform.tenants (id)
        ON DELETE SET NULL DEFERRABLE;
CREATE UNIQUE INDEX auth_users_email_tenant_null_unique ON auth.users (email) WHERE tenant_id IS NULL;
CREATE UNIQUE INDEX auth_users_email_tenant_unique ON auth.users (tenant_id, email) WHERE tenant_id IS NOT NULL;
CREATE INDEX idx_auth_users_tenant_id ON auth.users (tenant_id);

ALTER TABLE auth.oauth_tokens ADD COLUMN tenant_id uuid;
CREATE INDEX idx_oauth_tokens_tenant_id ON auth.oauth_tokens (tenant_id);

ALTER TABLE functions.secrets ADD COLUMN tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE;
CREATE INDEX idx_secrets_tenant_id ON functions.secrets (tenant_id) WHERE tenant_id IS NOT NULL;

ALTER TABLE functions.secret_versions ADD COLUMN tenant_id uuid;
CREATE INDEX idx_secret_versions_tenant_id ON functions.secret_versions (tenant_id) WHERE tenant_id IS NOT NULL;

ALTER TABLE app.settings
    ADD COLUMN tenant_id uuid,
    ALTER COLUMN editable_by SET DEFAULT ARRAY['instance_admin'];
CREATE INDEX idx_app_settings_tenant_id ON app.settings (tenant_id);

ALTER TABLE branching.branches
    ADD COLUMN tenant_id uuid REFERENCES platform.tenants (id),
    ADD CONSTRAINT branches_name_tenant_unique UNIQUE (name, tenant_id),
    ADD CONSTRAINT branches_slug_tenant_unique UNIQUE (slug, tenant_id),
    ADD CONSTRAINT branches_type_check CHECK (type IN ('main', 'preview', 'production', 'persistent')),
    ADD CONSTRAINT branches_data_clone_mode_check
        CHECK (data_clone_mode IN ('schema_only', 'full_clone', 'seed_data', 'full'));
CREATE INDEX idx_branches_tenant_id ON branching.branches (tenant_id);

ALTER TABLE branching.github_config
    ADD COLUMN tenant_id uuid REFERENCES platform.tenants (id),
    ADD CONSTRAINT github_config_repository_tenant_unique UNIQUE (repository, tenant_id);

-- Triggers --------------------------------------------------------------------------------------------------------

CREATE FUNCTION platform.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER update_platform_oauth_providers_updated_at BEFORE UPDATE ON platform.oauth_providers
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();
CREATE TRIGGER update_platform_users_updated_at BEFORE UPDATE ON platform.users
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();
CREATE TRIGGER instance_settings_updated_at BEFORE UPDATE ON platform.instance_settings
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();
CREATE TRIGGER platform_tenants_updated_at BEFORE UPDATE ON platform.tenants
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();
CREATE TRIGGER update_auth_users_updated_at BEFORE UPDATE ON auth.users
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();
CREATE TRIGGER update_oauth_tokens_updated_at BEFORE UPDATE ON auth.oauth_tokens
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();

-- What the server keeps of its schema's state ----------------------------------------------------------------------

-- Numbered migrations of an upgraded database; empty in one that a later release has made.
CREATE TABLE platform.fluxbase_migrations (
    version bigint NOT NULL PRIMARY KEY,
    dirty boolean NOT NULL
);
CREATE TABLE platform.declarative_state (
    id serial PRIMARY KEY,
    schema_fingerprint text NOT NULL,
    applied_at timestamptz DEFAULT now(),
    applied_by text,
    source text CHECK (source IN ('fresh_install', 'transitioned', 'schema_apply'))
);
INSERT INTO platform.declarative_state (schema_fingerprint, applied_by, source)
VALUES ('66e24c5a9481e44d1e0af1277df65365ada4f28fe3eef8ca09d990b885ab6bfd', 'fluxbase', 'fresh_install');

-- Row-level security: forced on every sealed table, so that even the owner sees only what a policy shows ------------

ALTER TABLE app.settings FORCE ROW LEVEL SECURITY;
ALTER TABLE auth.users FORCE ROW LEVEL SECURITY;
ALTER TABLE platform.instance_settings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE platform.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE branching.branches ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE branching.github_config ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- A session without a tenant sees the rows without one.
CREATE FUNCTION auth.has_tenant_access(tenant uuid) RETURNS boolean LANGUAGE sql STABLE
RETURN tenant::text IS NOT DISTINCT FROM nullif(current_setting('app.current_tenant_id', true), '');

CREATE FUNCTION platform.is_instance_admin(asked uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
RETURN EXISTS (SELECT FROM platform.users WHERE id = asked AND role = 'instance_admin');

CREATE FUNCTION platform.manages_settings() RETURNS boolean LANGUAGE sql STABLE
RETURN current_user = 'service_role' OR platform.is_instance_admin(auth.current_user_id());

CREATE POLICY secrets_tenant ON functions.secrets USING (auth.has_tenant_access(tenant_id));
CREATE POLICY secret_versions_tenant ON functions.secret_versions USING (auth.has_tenant_access(tenant_id));
CREATE POLICY settings_tenant ON app.settings FOR SELECT
    USING (auth.has_tenant_access(tenant_id) AND (NOT is_secret OR user_id = auth.current_user_id()));
CREATE POLICY platform_oauth_providers_read ON platform.oauth_providers FOR SELECT TO authenticated
    USING (auth.current_user_role() = 'instance_admin');
CREATE POLICY platform_oauth_providers_tenant ON platform.oauth_providers
    USING (auth.is_admin() AND auth.has_tenant_access(tenant_id));
CREATE POLICY oauth_tokens_tenant ON auth.oauth_tokens USING (auth.has_tenant_access(tenant_id));
CREATE POLICY branching_branches_tenant ON branching.branches USING (auth.has_tenant_access(tenant_id));
CREATE POLICY branching_github_config_tenant ON branching.github_config USING (auth.has_tenant_access(tenant_id));

CREATE POLICY instance_settings_select ON platform.instance_settings FOR SELECT USING (
    platform.manages_settings()
    OR (nullif(current_setting('app.current_tenant_id', true), '') IS NOT NULL AND tenant_id IS NULL)
    OR (tenant_id IS NOT NULL AND auth.has_tenant_access(tenant_id)));
CREATE POLICY instance_settings_insert_tenant ON platform.instance_settings FOR INSERT
    WITH CHECK (platform.manages_settings() OR (tenant_id IS NOT NULL AND auth.has_tenant_access(tenant_id)));
CREATE POLICY instance_settings_update ON platform.instance_settings FOR UPDATE
    USING (platform.manages_settings() OR (tenant_id IS NOT NULL AND auth.has_tenant_access(tenant_id)));
CREATE POLICY instance_settings_delete_tenant ON platform.instance_settings FOR DELETE
    USING (platform.manages_settings() OR (tenant_id IS NOT NULL AND auth.has_tenant_access(tenant_id)));

CREATE POLICY auth_users_select ON auth.users FOR SELECT USING (
    current_user = 'service_role' OR id = auth.current_user_id() OR auth.has_tenant_access(tenant_id));
CREATE POLICY auth_users_select_own ON auth.users FOR SELECT TO authenticated
    USING (id = auth.current_user_id() OR auth.is_admin() OR auth.current_user_role() = 'instance_admin');
CREATE POLICY auth_users_insert ON auth.users FOR INSERT
    WITH CHECK (current_user = 'service_role' OR auth.has_tenant_access(tenant_id));
CREATE POLICY auth_users_update ON auth.users FOR UPDATE USING (
    current_user = 'service_role' OR id = auth.current_user_id() OR auth.has_tenant_access(tenant_id));
CREATE POLICY auth_users_update_own ON auth.users FOR UPDATE TO authenticated
    USING (id = auth.current_user_id() OR auth.is_admin() OR auth.current_user_role() = 'instance_admin');
CREATE POLICY auth_users_delete ON auth.users FOR DELETE
    USING (current_user = 'service_role' OR auth.has_tenant_access(tenant_id));
CREATE POLICY auth_users_delete_admin ON auth.users FOR DELETE TO authenticated
    USING (auth.is_admin() OR auth.current_user_role() = 'instance_admin');

CREATE POLICY platform_users_all ON platform.users TO authenticated
    USING (platform.is_instance_admin(auth.current_user_id()));
CREATE POLICY platform_users_self ON platform.users FOR SELECT TO authenticated USING (id = auth.current_user_id());
CREATE POLICY platform_tenants_instance_admin ON platform.tenants TO authenticated
    USING (platform.is_instance_admin(auth.current_user_id()));

GRANT USAGE ON SCHEMA platform TO authenticated, service_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON platform.oauth_providers, platform.instance_settings, platform.users
    TO authenticated;
GRANT ALL ON platform.oauth_providers, platform.instance_settings, platform.users, platform.tenants,
    platform.idempotency_keys, platform.fluxbase_migrations TO service_role;
GRANT SELECT, INSERT, UPDATE ON platform.declarative_state TO service_role;
