"""One round trip by the client that openapi-generator makes for Python, with its functions alone."""

import os

from latchkey import (
    AccessTokenCreate,
    AccessTokensApi,
    ApiClient,
    AppCredentialCreate,
    AppCredentialUpdate,
    AppCredentialsApi,
    AskedCredential,
    Configuration,
    CredentialTypeCreate,
    CredentialTypeFieldCreate,
    CredentialTypesApi,
    FieldType,
    ProjectCreate,
    ProjectsApi,
    ResolvedCredential,
    ResolveRequest,
    SessionApi,
    SignIn,
    UnresolvedCredential,
)
from latchkey.exceptions import NotFoundException

SECRET = "staple under glass"
NOT_FOUND = os.environ["NOT_FOUND"]
NAMES = ["From Python", "No such credential"]
origin = os.environ["BASE"]

signed_in = SessionApi(ApiClient(Configuration(host=origin))).create_session_with_http_info(
    SignIn(email=os.environ["EMAIL"], password=os.environ["PASSWORD"])
)
assert signed_in.data.user.email == os.environ["EMAIL"]
cookie = signed_in.headers["set-cookie"].split(";")[0]
person = ApiClient(Configuration(host=origin), cookie=cookie)
credentials = AppCredentialsApi(person)

field = CredentialTypeFieldCreate(field_name="apiKey", field_label="API key", field_type=FieldType.PASSWORD)
CredentialTypesApi(person).create_credential_type(CredentialTypeCreate(type_name="Python", fields=[field]))
project = ProjectsApi(person).create_project(ProjectCreate(name="Python"))
wanted = AppCredentialCreate(
    credential_name="From Python",
    credential_type="Python",
    values={"apiKey": SECRET},
    description="For the round trip",
    projects=["Python"],
)
made = credentials.create_app_credential(wanted, idempotency_key="python-1")
assert made.revision == 1 and made.description == "For the round trip"

page = credentials.list_app_credentials(search="from py")
assert [one.id for one in page.data] == [made.id] and page.total == 1

changed = credentials.update_app_credential(made.id, AppCredentialUpdate(description=None))
assert changed.description is None and changed.revision == 2

token = AccessTokensApi(person).create_access_token(
    AccessTokenCreate(name="Python", scopes=["credentials:resolve"], project_id=project.id)
)
machine = ApiClient(Configuration(host=origin, access_token=token.token))
answer = AppCredentialsApi(machine).resolve_credentials(
    project.id, ResolveRequest(credentials=[AskedCredential(name=name) for name in NAMES])
)
[found, missing] = [result.actual_instance for result in answer.results]
assert isinstance(found, ResolvedCredential) and found.values["apiKey"] == SECRET
assert isinstance(missing, UnresolvedCredential) and missing.error.code == NOT_FOUND

assert credentials.delete_app_credential(made.id).success
try:
    credentials.get_app_credential(made.id)
    raise AssertionError("it is still there")
except NotFoundException as error:
    assert error.status == 404 and error.data.code == NOT_FOUND

print("round trip done")
