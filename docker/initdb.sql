-- The postgres image runs this once, as its superuser, while the data volume is empty.
-- One role owns the database and its tables. The service grants the other role the rights to serve requests.
\getenv password POSTGRES_PASSWORD
-- The image reads POSTGRES_PASSWORD_FILE itself, but does not know POSTGRES_SERVICE_PASSWORD_FILE.
\set service_password `printf %s "${POSTGRES_SERVICE_PASSWORD:-$(cat "$POSTGRES_SERVICE_PASSWORD_FILE")}"`
select :'service_password' = '' as is_missing \gset
\if :is_missing
  do $$ begin raise 'POSTGRES_SERVICE_PASSWORD is empty'; end $$;
\endif
create role latchkey login password :'password';
create role latchkey_service login password :'service_password';
create database latchkey owner latchkey;

-- Without a password, the superuser can connect only by the socket inside the container.
alter role postgres password null;
