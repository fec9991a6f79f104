-- Run once by the postgres image, as its superuser, while the data volume is empty.
-- The service gets a role that owns its own database and nothing else.
\getenv password POSTGRES_PASSWORD
create role latchkey login password :'password';
create database latchkey owner latchkey;

-- Without a password the superuser cannot sign in over the network; inside the container the socket still lets it in.
alter role postgres password null;
