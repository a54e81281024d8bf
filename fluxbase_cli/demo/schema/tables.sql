-- The tables with sealed values that every release has, and what they refer to. Where releases differ (columns for
-- tenants, unique keys, triggers, row-level security), `2026.3.6.sql` and `main.sql` say so. Names, types, keys and
-- indexes of the sealed tables are the server's; of the others only what matters here is made.

-- Operators and OAuth providers: in the schema `dashboard` up to 2026.3.6; `main.sql` renames it, as the upgrade does.
CREATE SCHEMA dashboard;

-- Too narrow for a seal: `totp_secret` here is plain base32.
CREATE TABLE dashboard.users (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    full_name text,
    avatar_url text,
    role text DEFAULT 'dashboard_user',
    user_metadata jsonb DEFAULT '{}',
    app_metadata jsonb DEFAULT '{}',
    email_verified boolean DEFAULT false,
    email_verified_at timestamptz,
    totp_enabled boolean DEFAULT false,
    totp_secret varchar(32),
    backup_codes text[],
    is_active boolean DEFAULT true,
    is_locked boolean DEFAULT false,
    failed_login_attempts integer DEFAULT 0,
    last_login_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    locked_until timestamptz
);

CREATE TABLE dashboard.oauth_providers (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    provider_name text NOT NULL,
    display_name text DEFAULT '' NOT NULL,
    client_id text NOT NULL,
    client_secret text NOT NULL,
    redirect_url text NOT NULL,
    scopes text[] DEFAULT ARRAY[]::text[],
    enabled boolean DEFAULT true,
    is_custom boolean DEFAULT false,
    authorization_url text,
    token_url text,
    user_info_url text,
    metadata jsonb DEFAULT '{}',
    created_by uuid,
    updated_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    allow_dashboard_login boolean DEFAULT false,
    allow_app_login boolean DEFAULT true,
    required_claims jsonb,
    denied_claims jsonb,
    is_encrypted boolean DEFAULT false,
    revocation_endpoint text,
    end_session_endpoint text
);
CREATE INDEX idx_dashboard_oauth_providers_enabled ON dashboard.oauth_providers (enabled);
CREATE INDEX idx_dashboard_oauth_providers_provider_name ON dashboard.oauth_providers (provider_name);
CREATE INDEX idx_oauth_providers_denied_claims ON dashboard.oauth_providers USING gin (denied_claims);
CREATE INDEX idx_oauth_providers_required_claims ON dashboard.oauth_providers USING gin (required_claims);

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
    failed_login_attempts integer DEFAULT 0,
    is_locked boolean DEFAULT false,
    locked_until timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX idx_auth_users_app_metadata ON auth.users USING gin (app_metadata);
CREATE INDEX idx_auth_users_email ON auth.users (email);
CREATE INDEX idx_auth_users_is_locked ON auth.users (is_locked) WHERE is_locked = true;
CREATE INDEX idx_auth_users_totp_enabled ON auth.users (totp_enabled) WHERE totp_enabled = true;
CREATE INDEX idx_auth_users_user_metadata ON auth.users USING gin (user_metadata);

-- Only administrators may change `app_metadata`.
CREATE FUNCTION auth.validate_app_metadata_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.app_metadata IS DISTINCT FROM OLD.app_metadata
        AND auth.current_user_role() NOT IN ('admin', 'dashboard_admin', 'instance_admin')
    THEN
        RAISE insufficient_privilege USING MESSAGE = 'app_metadata is for administrators';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER validate_app_metadata_trigger BEFORE UPDATE ON auth.users
    FOR EACH ROW EXECUTE FUNCTION auth.validate_app_metadata_update();

CREATE TABLE auth.oauth_tokens (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    provider varchar(50) NOT NULL,
    access_token text NOT NULL,
    refresh_token text,
    token_expiry timestamptz,
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    id_token text,
    -- The server declares this key twice.
    CONSTRAINT fk_oauth_tokens_user FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE,
    UNIQUE (user_id, provider)
);
CREATE INDEX idx_oauth_tokens_provider ON auth.oauth_tokens (user_id, provider);
CREATE INDEX idx_oauth_tokens_user ON auth.oauth_tokens (user_id);

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
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    created_by uuid REFERENCES dashboard.users (id) ON DELETE SET NULL,
    updated_by uuid REFERENCES dashboard.users (id) ON DELETE SET NULL
);
CREATE INDEX idx_secrets_expires_at ON functions.secrets (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX idx_secrets_name ON functions.secrets (name);
CREATE INDEX idx_secrets_namespace ON functions.secrets (namespace) WHERE namespace IS NOT NULL;
CREATE INDEX idx_secrets_scope ON functions.secrets (scope);
CREATE UNIQUE INDEX unique_secrets_global_name ON functions.secrets (name)
    WHERE scope = 'global' AND namespace IS NULL;
CREATE UNIQUE INDEX unique_secrets_namespace_name ON functions.secrets (name, namespace)
    WHERE scope = 'namespace' AND namespace IS NOT NULL;

CREATE TABLE functions.secret_versions (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    secret_id uuid NOT NULL REFERENCES functions.secrets (id) ON DELETE CASCADE,
    version integer NOT NULL,
    encrypted_value text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    created_by uuid REFERENCES dashboard.users (id) ON DELETE SET NULL,
    CONSTRAINT unique_secret_version UNIQUE (secret_id, version)
);
CREATE INDEX idx_secret_versions_secret_id ON functions.secret_versions (secret_id);

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
    editable_by text[] DEFAULT ARRAY['dashboard_admin'] NOT NULL,
    metadata jsonb DEFAULT '{}',
    created_by uuid,
    updated_by uuid,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    encrypted_value text,
    user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE
);
CREATE INDEX idx_app_settings_category ON app.settings (category);
CREATE INDEX idx_app_settings_editable_by ON app.settings USING gin (editable_by);
CREATE INDEX idx_app_settings_encrypted ON app.settings (is_secret)
    WHERE is_secret = true AND encrypted_value IS NOT NULL;
CREATE INDEX idx_app_settings_is_public ON app.settings (is_public);
CREATE INDEX idx_app_settings_key ON app.settings (key);
CREATE INDEX idx_app_settings_user_id ON app.settings (user_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX idx_app_settings_key_user
    ON app.settings (key, coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid));
CREATE UNIQUE INDEX idx_app_settings_system_key ON app.settings (key) WHERE user_id IS NULL;

-- branching -------------------------------------------------------------------------------------------------------

CREATE FUNCTION branching.update_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE branching.branches (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL,
    database_name text NOT NULL,
    status text DEFAULT 'creating'
        CHECK (status IN ('creating', 'ready', 'migrating', 'error', 'deleting', 'deleted')),
    type text DEFAULT 'preview',
    parent_branch_id uuid REFERENCES branching.branches (id),
    data_clone_mode text DEFAULT 'schema_only',
    github_pr_number integer,
    github_pr_url text,
    github_repo text,
    error_message text,
    created_by uuid REFERENCES auth.users (id),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    expires_at timestamptz,
    seeds_path text
);
CREATE INDEX idx_branches_created_by ON branching.branches (created_by);
CREATE INDEX idx_branches_expires_at ON branching.branches (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX idx_branches_github_pr ON branching.branches (github_repo, github_pr_number)
    WHERE github_pr_number IS NOT NULL;
CREATE INDEX idx_branches_status ON branching.branches (status);
CREATE INDEX idx_branches_type ON branching.branches (type);
CREATE TRIGGER branches_updated_at BEFORE UPDATE ON branching.branches
    FOR EACH ROW EXECUTE FUNCTION branching.update_updated_at();

CREATE TABLE branching.github_config (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    repository text NOT NULL,
    auto_create_on_pr boolean DEFAULT true,
    auto_delete_on_merge boolean DEFAULT true,
    default_data_clone_mode text DEFAULT 'schema_only'
        CHECK (default_data_clone_mode IN ('schema_only', 'full_clone', 'seed_data')),
    webhook_secret text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE TRIGGER github_config_updated_at BEFORE UPDATE ON branching.github_config
    FOR EACH ROW EXECUTE FUNCTION branching.update_updated_at();
