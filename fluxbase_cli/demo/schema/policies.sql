-- The row-level security and the grants that every release has: what each adds to them is in its own file.

ALTER TABLE functions.secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE functions.secret_versions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE auth.oauth_tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE dashboard.oauth_providers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE dashboard.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE app.settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;

CREATE POLICY oauth_tokens_select ON auth.oauth_tokens FOR SELECT USING (user_id = auth.current_user_id());
CREATE POLICY oauth_tokens_service_all ON auth.oauth_tokens USING (auth.current_user_role() = 'service_role');

CREATE POLICY "Authenticated users can read non-secret settings" ON app.settings
    FOR SELECT TO authenticated USING (is_secret = false);
CREATE POLICY "Public settings are readable by anyone" ON app.settings
    FOR SELECT TO anon, authenticated USING (is_public = true AND is_secret = false);
CREATE POLICY "Settings can be created by authorized roles" ON app.settings FOR INSERT TO authenticated
    WITH CHECK (auth.current_user_role() = 'service_role' OR auth.current_user_role() = ANY (editable_by));
CREATE POLICY "Settings can be updated by authorized roles" ON app.settings FOR UPDATE TO authenticated
    USING (auth.current_user_role() = 'service_role' OR auth.current_user_role() = ANY (editable_by));
CREATE POLICY "Settings can be deleted by authorized roles" ON app.settings FOR DELETE TO authenticated
    USING (auth.current_user_role() = 'service_role' OR auth.current_user_role() = ANY (editable_by));
CREATE POLICY "Users can read their own secret settings" ON app.settings
    FOR SELECT TO authenticated USING (user_id = auth.current_user_id());
CREATE POLICY "Users can create their own settings" ON app.settings
    FOR INSERT TO authenticated WITH CHECK (user_id = auth.current_user_id());
CREATE POLICY "Users can update their own settings" ON app.settings
    FOR UPDATE TO authenticated USING (user_id = auth.current_user_id());
CREATE POLICY "Users can delete their own settings" ON app.settings
    FOR DELETE TO authenticated USING (user_id = auth.current_user_id());

GRANT USAGE ON SCHEMA auth, functions, app, ai TO anon, authenticated, service_role;
GRANT USAGE ON SCHEMA branching TO service_role;
GRANT SELECT ON app.settings TO anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA auth, functions, app TO authenticated;
GRANT SELECT ON ai.providers TO authenticated;
GRANT ALL ON ai.user_provider_preferences TO authenticated;
GRANT ALL ON ALL TABLES IN SCHEMA auth, functions, app, branching, ai TO service_role;
