-- The part of a Fluxbase database that this tool has to do with (FLUXBASE.md): the eight tables with sealed values,
-- what they lean on, the columns that only look sealed, and the places where old seals linger.
-- Facts from Fluxbase 2026.3; names, types, indexes, triggers and row-level security are the server's.

-- Roles belong to the cluster, databases are many: the roles may exist, or be made by somebody else this very moment.
DO $$
DECLARE
    command text;
BEGIN
    FOREACH command IN ARRAY ARRAY[
        'CREATE ROLE anon NOLOGIN',
        'CREATE ROLE authenticated NOLOGIN',
        'CREATE ROLE service_role NOLOGIN BYPASSRLS'
    ] LOOP
        BEGIN
            EXECUTE command;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

CREATE SCHEMA platform;
CREATE SCHEMA auth;
CREATE SCHEMA functions;
CREATE SCHEMA app;
CREATE SCHEMA branching;
CREATE SCHEMA ai;

-- Who asks, as the row-level security policies know it -----------------------------------------------------------

CREATE FUNCTION auth.current_user_id() RETURNS uuid LANGUAGE sql STABLE
RETURN (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;

CREATE FUNCTION auth.current_user_role() RETURNS text LANGUAGE sql STABLE
RETURN coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', 'anon');

CREATE FUNCTION auth.has_tenant_access(tenant uuid) RETURNS boolean LANGUAGE sql STABLE
RETURN tenant IS NOT DISTINCT FROM nullif(current_setting('app.current_tenant_id', true), '')::uuid;

CREATE FUNCTION platform.update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

-- platform --------------------------------------------------------------------------------------------------------

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

CREATE TABLE platform.oauth_providers (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    provider_name text NOT NULL UNIQUE,
    display_name text DEFAULT '' NOT NULL,
    client_id text NOT NULL,
    client_secret text NOT NULL,
    redirect_url text NOT NULL,
    scopes text[] DEFAULT ARRAY[]::text[],
    enabled boolean DEFAULT true,
    is_custom boolean DEFAULT false,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_encrypted boolean DEFAULT false,
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE
);
CREATE INDEX idx_dashboard_oauth_providers_enabled ON platform.oauth_providers (enabled);
CREATE TRIGGER update_platform_oauth_providers_updated_at BEFORE UPDATE ON platform.oauth_providers
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();

CREATE TABLE platform.instance_settings (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    settings jsonb DEFAULT '{}' NOT NULL,
    overridable_settings jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    tenant_id uuid UNIQUE REFERENCES platform.tenants (id) ON DELETE CASCADE
);
CREATE INDEX idx_instance_settings_settings ON platform.instance_settings USING gin (settings);
CREATE TRIGGER instance_settings_updated_at BEFORE UPDATE ON platform.instance_settings
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();

-- Too narrow for a seal: `totp_secret` here is plain base32.
CREATE TABLE platform.users (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    totp_secret varchar(32),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

-- Old seals can linger in `response_body`.
CREATE TABLE platform.idempotency_keys (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    key text NOT NULL UNIQUE,
    response_body bytea,
    created_at timestamptz DEFAULT now() NOT NULL
);

-- auth ------------------------------------------------------------------------------------------------------------

CREATE TABLE auth.users (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    email text NOT NULL,
    password_hash text,
    email_verified boolean DEFAULT false,
    role text DEFAULT 'authenticated',
    user_metadata jsonb DEFAULT '{}',
    app_metadata jsonb DEFAULT '{}',
    totp_secret varchar(255),
    totp_enabled boolean DEFAULT false,
    backup_codes text[],
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX auth_users_email_tenant_null_unique ON auth.users (email) WHERE tenant_id IS NULL;
CREATE UNIQUE INDEX auth_users_email_tenant_unique ON auth.users (tenant_id, email) WHERE tenant_id IS NOT NULL;
CREATE INDEX idx_auth_users_email ON auth.users (email);
CREATE INDEX idx_auth_users_tenant_id ON auth.users (tenant_id);
CREATE INDEX idx_auth_users_totp_enabled ON auth.users (totp_enabled) WHERE totp_enabled;
CREATE TRIGGER update_auth_users_updated_at BEFORE UPDATE ON auth.users
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();

CREATE TABLE auth.oauth_tokens (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    provider varchar(50) NOT NULL,
    access_token text NOT NULL,
    refresh_token text,
    token_expiry timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    id_token text,
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE,
    UNIQUE (user_id, provider)
);
CREATE INDEX idx_oauth_tokens_user ON auth.oauth_tokens (user_id);
CREATE INDEX idx_oauth_tokens_tenant_id ON auth.oauth_tokens (tenant_id);
CREATE TRIGGER update_auth_oauth_tokens_updated_at BEFORE UPDATE ON auth.oauth_tokens
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();

-- None of the secrets in the next four tables is sealed with the instance's key.
CREATE TABLE auth.mfa_factors (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    factor_type text NOT NULL CHECK (factor_type IN ('totp', 'phone')),
    status text DEFAULT 'unverified' NOT NULL,
    secret text
);

CREATE TABLE auth.two_factor_setups (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL UNIQUE REFERENCES auth.users (id) ON DELETE CASCADE,
    secret varchar(32) NOT NULL
);

CREATE TABLE auth.saml_providers (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL UNIQUE,
    entity_id text NOT NULL,
    acs_url text NOT NULL,
    private_key text,
    sp_private_key_encrypted bytea
);

CREATE TABLE auth.webhooks (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    url text NOT NULL,
    events jsonb DEFAULT '[]',
    secret text,
    enabled boolean DEFAULT true
);

-- Old seals linger in these two.
CREATE TABLE auth.webhook_events (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    webhook_id uuid REFERENCES auth.webhooks (id) ON DELETE CASCADE,
    event_type varchar(50) NOT NULL,
    table_schema varchar(255) NOT NULL,
    table_name varchar(255) NOT NULL,
    record_id text,
    old_data jsonb,
    new_data jsonb,
    processed boolean DEFAULT false,
    attempts integer DEFAULT 0,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE auth.webhook_deliveries (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES auth.webhooks (id) ON DELETE CASCADE,
    event text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL,
    created_at timestamptz DEFAULT now()
);

-- What the triggers `webhook_trigger_<schema>_<table>` call, which the server makes while it runs.
CREATE FUNCTION auth.queue_webhook_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    INSERT INTO auth.webhook_events (webhook_id, event_type, table_schema, table_name, record_id, old_data, new_data)
    SELECT id, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, coalesce(after, before) ->> 'id', before, after
    FROM auth.webhooks WHERE enabled;
    PERFORM pg_notify('webhook_event', TG_TABLE_NAME);
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE FUNCTION auth.create_webhook_trigger(schema_name text, table_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %I.%I FOR EACH ROW'
        ' EXECUTE FUNCTION auth.queue_webhook_event()',
        'webhook_trigger_' || schema_name || '_' || table_name, schema_name, table_name
    );
END
$$;

-- functions -------------------------------------------------------------------------------------------------------

CREATE TABLE functions.secrets (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    scope text DEFAULT 'global' NOT NULL CHECK (scope IN ('global', 'namespace')),
    namespace text,
    encrypted_value text NOT NULL,
    description text,
    version integer DEFAULT 1 NOT NULL,
    expires_at timestamptz,
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    created_by uuid REFERENCES auth.users (id) ON DELETE SET NULL,
    updated_by uuid REFERENCES auth.users (id) ON DELETE SET NULL
);
CREATE INDEX idx_secrets_expires_at ON functions.secrets (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX idx_secrets_name ON functions.secrets (name);
CREATE INDEX idx_secrets_namespace ON functions.secrets (namespace) WHERE namespace IS NOT NULL;
CREATE INDEX idx_secrets_scope ON functions.secrets (scope);
CREATE INDEX idx_secrets_tenant_id ON functions.secrets (tenant_id) WHERE tenant_id IS NOT NULL;
CREATE UNIQUE INDEX unique_secrets_global_name ON functions.secrets (name)
    WHERE scope = 'global' AND namespace IS NULL;
CREATE UNIQUE INDEX unique_secrets_namespace_name ON functions.secrets (name, namespace)
    WHERE scope = 'namespace' AND namespace IS NOT NULL;

CREATE TABLE functions.secret_versions (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    secret_id uuid NOT NULL REFERENCES functions.secrets (id) ON DELETE CASCADE,
    version integer NOT NULL,
    encrypted_value text NOT NULL,
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE,
    created_at timestamptz DEFAULT now() NOT NULL,
    created_by uuid REFERENCES auth.users (id) ON DELETE SET NULL,
    CONSTRAINT unique_secret_version UNIQUE (secret_id, version)
);
CREATE INDEX idx_secret_versions_secret_id ON functions.secret_versions (secret_id);
CREATE INDEX idx_secret_versions_tenant_id ON functions.secret_versions (tenant_id) WHERE tenant_id IS NOT NULL;

-- app -------------------------------------------------------------------------------------------------------------

CREATE TABLE app.settings (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    key text NOT NULL,
    value jsonb NOT NULL,
    value_type text DEFAULT 'string' NOT NULL CHECK (value_type IN ('string', 'number', 'boolean', 'json', 'array')),
    category text DEFAULT 'custom' NOT NULL
        CHECK (category IN ('auth', 'system', 'storage', 'functions', 'realtime', 'custom')),
    description text,
    is_public boolean DEFAULT false,
    is_secret boolean DEFAULT false,
    editable_by text[] DEFAULT ARRAY['instance_admin'] NOT NULL,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    encrypted_value text,
    user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
    tenant_id uuid REFERENCES platform.tenants (id) ON DELETE CASCADE
);
CREATE INDEX idx_app_settings_category ON app.settings (category);
CREATE INDEX idx_app_settings_encrypted ON app.settings (is_secret) WHERE is_secret AND encrypted_value IS NOT NULL;
CREATE INDEX idx_app_settings_key ON app.settings (key);
CREATE UNIQUE INDEX idx_app_settings_key_user
    ON app.settings (key, coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid));
CREATE INDEX idx_app_settings_user_id ON app.settings (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX idx_app_settings_tenant_id ON app.settings (tenant_id);

-- branching -------------------------------------------------------------------------------------------------------

CREATE TABLE branching.branches (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL,
    database_name text NOT NULL,
    status text DEFAULT 'creating'
        CHECK (status IN ('creating', 'ready', 'migrating', 'error', 'deleting', 'deleted')),
    type text DEFAULT 'preview',
    tenant_id uuid REFERENCES platform.tenants (id),
    parent_branch_id uuid REFERENCES branching.branches (id),
    data_clone_mode text DEFAULT 'schema_only',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    expires_at timestamptz,
    UNIQUE (slug, tenant_id)
);

CREATE TABLE branching.github_config (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    repository text NOT NULL,
    tenant_id uuid REFERENCES platform.tenants (id),
    auto_create_on_pr boolean DEFAULT true,
    auto_delete_on_merge boolean DEFAULT true,
    default_data_clone_mode text DEFAULT 'schema_only',
    webhook_secret text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (repository, tenant_id)
);
CREATE TRIGGER github_config_updated_at BEFORE UPDATE ON branching.github_config
    FOR EACH ROW EXECUTE FUNCTION platform.update_updated_at_column();

-- ai: neither of these is sealed with the instance's key ----------------------------------------------------------

CREATE TABLE ai.providers (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL UNIQUE,
    config jsonb DEFAULT '{}' NOT NULL
);

CREATE TABLE ai.user_provider_preferences (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL,
    provider_id uuid REFERENCES ai.providers (id) ON DELETE CASCADE,
    api_key_encrypted text
);

-- Row-level security: enabled and forced, so that even the tables' owner sees only what a policy shows ------------

DO $$
DECLARE
    sealed text;
BEGIN
    FOREACH sealed IN ARRAY ARRAY[
        'functions.secrets', 'functions.secret_versions', 'app.settings', 'platform.oauth_providers',
        'platform.instance_settings', 'auth.oauth_tokens', 'auth.users', 'branching.github_config'
    ] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', sealed);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', sealed);
    END LOOP;
END
$$;

CREATE POLICY secrets_service_and_admin_policy ON functions.secrets
    USING (auth.current_user_role() IN ('service_role', 'dashboard_admin'));
CREATE POLICY secret_versions_service_and_admin_policy ON functions.secret_versions
    USING (auth.current_user_role() IN ('service_role', 'dashboard_admin'));
CREATE POLICY "Authenticated users can read non-secret settings" ON app.settings
    FOR SELECT TO authenticated USING (NOT is_secret);
CREATE POLICY settings_tenant ON app.settings USING (auth.has_tenant_access(tenant_id));
CREATE POLICY platform_oauth_providers_read ON platform.oauth_providers FOR SELECT TO authenticated USING (enabled);
CREATE POLICY platform_oauth_providers_tenant ON platform.oauth_providers USING (auth.has_tenant_access(tenant_id));
CREATE POLICY instance_settings_select ON platform.instance_settings FOR SELECT
    USING (tenant_id IS NOT NULL AND auth.has_tenant_access(tenant_id));
CREATE POLICY auth_oauth_tokens_select ON auth.oauth_tokens FOR SELECT
    USING (user_id = auth.current_user_id() OR auth.current_user_role() = 'service_role');
CREATE POLICY auth_users_select_own ON auth.users FOR SELECT
    USING (id = auth.current_user_id() OR auth.current_user_role() = 'service_role');
CREATE POLICY github_config_service ON branching.github_config
    USING (auth.current_user_role() = 'service_role');

GRANT USAGE ON SCHEMA platform, auth, functions, app, branching, ai TO anon, authenticated, service_role;
GRANT SELECT ON app.settings TO anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA platform, auth, functions, app TO authenticated;
GRANT ALL ON ALL TABLES IN SCHEMA platform, auth, functions, app, branching, ai TO service_role;
