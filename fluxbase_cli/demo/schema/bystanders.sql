-- Columns that look sealed and are not, and columns where old seals linger. Only the columns that matter here; the
-- server's other columns, indexes and policies of these tables are left out.

-- None of the secrets in the next four tables is sealed with the instance's key.
CREATE TABLE auth.mfa_factors (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    factor_type text NOT NULL CHECK (factor_type IN ('totp', 'phone')),
    status text DEFAULT 'unverified' NOT NULL CHECK (status IN ('verified', 'unverified')),
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

-- Neither of the next two is sealed with the instance's key.
CREATE TABLE ai.providers (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    name text NOT NULL UNIQUE,
    config jsonb DEFAULT '{}' NOT NULL
);

CREATE TABLE ai.user_provider_preferences (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    user_id uuid NOT NULL UNIQUE REFERENCES auth.users (id) ON DELETE CASCADE,
    provider_id uuid REFERENCES ai.providers (id) ON DELETE SET NULL,
    api_key_encrypted text
);

-- Old seals linger in the next three: in `old_data` and `new_data`, `payload`, and `response_body`.
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
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE auth.webhook_deliveries (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES auth.webhooks (id) ON DELETE CASCADE,
    event text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL,
    created_at timestamptz DEFAULT now()
);

-- In the schema `api` up to 2026.3.6; `main.sql` moves it, as the upgrade does.
CREATE SCHEMA api;
CREATE TABLE api.idempotency_keys (
    key text PRIMARY KEY,
    method text NOT NULL,
    path text NOT NULL,
    user_id uuid,
    request_hash text,
    status text DEFAULT 'processing' NOT NULL CHECK (status IN ('processing', 'completed', 'failed')),
    response_status integer,
    response_headers jsonb,
    response_body bytea,
    created_at timestamptz DEFAULT now() NOT NULL,
    completed_at timestamptz,
    expires_at timestamptz DEFAULT now() + interval '24 hours' NOT NULL
);
