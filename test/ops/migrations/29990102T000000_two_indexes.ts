export const indexes = [
  'create index concurrently credentials_label on credentials (owner_id, label)',
  'create index concurrently audit_events_recent on audit_events (occurred_at desc, id)'
]
