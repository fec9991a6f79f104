-- Run once by the postgres image, as its superuser, while the data volume is empty.
-- One role owns the database and its tables; the service gives the other one the rights to serve requests.
\getenv password POSTGRES_PASSWORD
-- The image has read POSTGRES_PASSWORD_FILE already; this one it does not know.
\set service_password `printf %s "${POSTGRES_SERVICE_PASSWORD:-$(cat "$POSTGRES_SERVICE_PASSWORD_FILE")}"`
select :'service_password' = '' as is_missing \gset
\if :is_missing
  do $$ begin raise 'POSTGRES_SERVICE_PASSWORD is empty'; end $$;
\endif
create role latchkey login password :'password';
create role latchkey_service login password :'service_password';
create database latchkey owner latchkey;

-- Without a password the superuser cannot sign in over the network; inside the container the socket still lets it in.
alter role postgres password null;
