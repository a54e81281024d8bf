-- What the triggers `webhook_trigger_<schema>_<table>` call, which the server makes while it runs. They copy the old
-- and the new row, sealed values included.
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
