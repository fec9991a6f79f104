"""One round trip by the models that datamodel-code-generator makes; the requests are of the standard library."""

import json
import os
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, Request, build_opener

import latchkey as models

SECRET = "staple under glass"
NOT_FOUND = os.environ["NOT_FOUND"]
origin = os.environ["BASE"]


def caller(token=None):
    opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def call(method, path, answered, body=None):
        """What is not set is left out; what is set to None is sent as null."""
        content = body.model_dump_json(exclude_unset=True).encode() if body else None
        request = Request(origin + path, content, method=method)
        if content:
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with opener.open(request) as response:
            return answered.model_validate_json(response.read())

    return call


person = caller()
signed_in = models.SignIn(email=os.environ["EMAIL"], password=os.environ["PASSWORD"])
session = person("POST", "/api/v1/session", models.CurrentSession, signed_in)
assert session.user.email == os.environ["EMAIL"]

field = models.CredentialTypeFieldCreate(fieldName="apiKey", fieldLabel="API key", fieldType=models.FieldType.password)
person(
    "POST",
    "/api/v1/credential-types",
    models.CredentialType,
    models.CredentialTypeCreate(typeName="pydantic", fields=[field]),
)
project = person("POST", "/api/v1/projects", models.Project, models.ProjectCreate(name="pydantic"))
wanted = models.AppCredentialCreate(
    credentialName="From pydantic",
    credentialType="pydantic",
    values={"apiKey": SECRET},
    description="For the round trip",
    projects=["pydantic"],
)
made = person("POST", "/api/v1/app-credentials", models.AppCredential, wanted)
assert made.revision == 1 and made.description == "For the round trip"
path = f"/api/v1/app-credentials/{made.id}"

page = person("GET", "/api/v1/app-credentials?search=from%20pydantic", models.AppCredentialPage)
assert [one.id for one in page.data] == [made.id] and page.total == 1

changed = person("PUT", path, models.AppCredential, models.AppCredentialUpdate(description=None))
assert changed.description is None and changed.revision == 2

token = person(
    "POST",
    "/api/v1/access-tokens",
    models.AccessTokenCreated,
    models.AccessTokenCreate(name="pydantic", scopes=["credentials:resolve"], projectId=project.id),
)
machine = caller(token.token)
answer = machine(
    "POST",
    f"/api/v1/projects/{project.id}/resolve",
    models.ResolveAnswer,
    models.ResolveRequest(
        credentials=[models.AskedCredential(name=name) for name in ("From pydantic", "No such credential")]
    ),
)
[found, missing] = answer.results
assert isinstance(found, models.ResolvedCredential) and found.values["apiKey"] == SECRET
assert isinstance(missing, models.UnresolvedCredential) and missing.error.code == NOT_FOUND

assert person("DELETE", path, models.SuccessAnswer).success
try:
    person("GET", path, models.AppCredential)
    raise AssertionError("it is still there")
except HTTPError as error:
    problem = models.Problem.model_validate_json(error.read())
    assert error.code == 404 and problem.code == NOT_FOUND

print("round trip done")
