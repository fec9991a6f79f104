"""One round trip by the client that openapi-python-client makes from openapi.yaml, with its functions alone."""

import os
from uuid import UUID

from latchkey_client import AuthenticatedClient, Client
from latchkey_client.api.access_tokens import create_access_token
from latchkey_client.api.app_credentials import (
    create_app_credential,
    delete_app_credential,
    get_app_credential,
    list_app_credentials,
    resolve_credentials,
    update_app_credential,
)
from latchkey_client.api.credential_types import create_credential_type
from latchkey_client.api.projects import create_project
from latchkey_client.api.session import create_session
from latchkey_client.models import (
    AccessTokenCreate,
    AppCredentialCreate,
    AppCredentialCreateValues,
    AppCredentialUpdate,
    AskedCredential,
    CredentialTypeCreate,
    CredentialTypeFieldCreate,
    FieldType,
    Problem,
    ProjectCreate,
    ResolvedCredential,
    ResolveRequest,
    SignIn,
    UnresolvedCredential,
)

SECRET = "staple under glass"
NOT_FOUND = os.environ["NOT_FOUND"]
NAMES = ["From Python", "No such credential"]
origin = os.environ["BASE"]

# The client stores the session cookie and sends it with later requests.
person = Client(base_url=origin)
session = create_session.sync(client=person, body=SignIn(os.environ["EMAIL"], os.environ["PASSWORD"]))
assert session.user.email == os.environ["EMAIL"]

field = CredentialTypeFieldCreate(field_name="apiKey", field_label="API key", field_type=FieldType.PASSWORD)
create_credential_type.sync(client=person, body=CredentialTypeCreate("attrs", [field]))
project = create_project.sync(client=person, body=ProjectCreate("Python"))
wanted = AppCredentialCreate(
    credential_name="From Python",
    credential_type="attrs",
    values=AppCredentialCreateValues.from_dict({"apiKey": SECRET}),
    description="For the round trip",
    projects=["Python"],
)
made = create_app_credential.sync(client=person, body=wanted, idempotency_key="python-1")
assert isinstance(made.id, UUID) and made.revision == 1 and made.description == "For the round trip"

page = list_app_credentials.sync(client=person, search="from py")
assert [one.id for one in page.data] == [made.id] and page.total == 1

changed = update_app_credential.sync(id=made.id, client=person, body=AppCredentialUpdate(description=None))
assert changed.description is None and changed.revision == 2

token = create_access_token.sync(
    client=person, body=AccessTokenCreate("Python", ["credentials:resolve"], project_id=project.id)
)
machine = AuthenticatedClient(base_url=origin, token=token.token)
answer = resolve_credentials.sync(
    id=project.id, client=machine, body=ResolveRequest([AskedCredential(name=name) for name in NAMES])
)
[found, failed] = answer.results
assert isinstance(found, ResolvedCredential) and found.values["apiKey"] == SECRET
assert isinstance(failed, UnresolvedCredential) and failed.error.code == NOT_FOUND

assert delete_app_credential.sync(id=made.id, client=person).success
missing = get_app_credential.sync_detailed(id=made.id, client=person)
assert missing.status_code == 404
assert isinstance(missing.parsed, Problem) and missing.parsed.code == NOT_FOUND

print("round trip done")
