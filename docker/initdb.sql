-- Run once by the postgres image, as its superuser, while the data volume is empty.
-- One role owns the database and its tables; the service gives the other one the rights to serve requests.
\getenv password POSTGRES_PASSWORD
\getenv service_password POSTGRES_SERVICE_PASSWORD
create role latchkey login password :'password';
create role latchkey_service login password :'service_password';
create database latchkey owner latchkey;

-- Without a password the superuser cannot sign in over the network; inside the container the socket still lets it in.
alter role postgres password null;
