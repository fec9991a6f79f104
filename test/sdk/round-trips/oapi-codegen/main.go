// A round trip with the client of oapi-codegen, using only its functions.
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"

	"example/latchkey"

	"github.com/oapi-codegen/nullable"
	openapi "github.com/oapi-codegen/runtime/types"
)

const secret = "staple under glass"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func main() {
	ctx := context.Background()
	origin, notFound := os.Getenv("BASE"), os.Getenv("NOT_FOUND")

	// The jar stores the session cookie and sends it with later requests.
	jar := must(cookiejar.New(nil))
	person := must(latchkey.NewClientWithResponses(origin, latchkey.WithHTTPClient(&http.Client{Jar: jar})))
	session := must(person.CreateSessionWithResponse(ctx, latchkey.SignIn{
		Email:    openapi.Email(os.Getenv("EMAIL")),
		Password: os.Getenv("PASSWORD"),
	}))
	check(session.JSON200 != nil, "signed in")

	kind := must(person.CreateCredentialTypeWithResponse(ctx, nil, latchkey.CredentialTypeCreate{
		TypeName: "oapi-codegen",
		Fields: []latchkey.CredentialTypeFieldCreate{
			{FieldName: "apiKey", FieldLabel: "API key", FieldType: latchkey.Password},
		},
	})).JSON201
	check(kind != nil, "a type")
	project := must(person.CreateProjectWithResponse(ctx, nil, latchkey.ProjectCreate{Name: "oapi-codegen"})).JSON201
	check(project != nil, "a project")

	retry := "oapi-codegen-1"
	made := must(person.CreateAppCredentialWithResponse(ctx,
		&latchkey.CreateAppCredentialParams{IdempotencyKey: &retry},
		latchkey.AppCredentialCreate{
			CredentialName: "From oapi-codegen",
			CredentialType: &kind.TypeName,
			Values:         &map[string]any{"apiKey": secret},
			Description:    nullable.NewNullableWithValue("For the round trip"),
			Projects:       &[]string{project.Name},
		})).JSON201
	check(made != nil && made.Revision == 1, "a credential")
	check(made.Description.MustGet() == "For the round trip", "with a description")

	search := "from oapi"
	page := must(person.ListAppCredentialsWithResponse(ctx, &latchkey.ListAppCredentialsParams{Search: &search})).JSON200
	check(page != nil && page.Total == 1 && page.Data[0].Id == made.Id, "it is in the list")

	changed := must(person.UpdateAppCredentialWithResponse(ctx, made.Id, nil,
		latchkey.AppCredentialUpdate{Description: nullable.NewNullNullable[string]()})).JSON200
	check(changed != nil && changed.Description.IsNull() && changed.Revision == 2, "the description is cleared")

	token := must(person.CreateAccessTokenWithResponse(ctx, nil, latchkey.AccessTokenCreate{
		Name:      "oapi-codegen",
		Scopes:    []latchkey.Scope{"credentials:resolve"},
		ProjectId: &project.Id,
	})).JSON201
	check(token != nil, "a token")
	machine := must(latchkey.NewClientWithResponses(origin, latchkey.WithRequestEditorFn(
		func(_ context.Context, request *http.Request) error {
			request.Header.Set("Authorization", "Bearer "+token.Token)
			return nil
		})))
	name, unknown := "From oapi-codegen", "No such credential"
	answer := must(machine.ResolveCredentialsWithResponse(ctx, project.Id, latchkey.ResolveRequest{
		Credentials: []latchkey.AskedCredential{{Name: &name}, {Name: &unknown}},
	})).JSON200
	check(answer != nil, "an answer")
	resolved := must(answer.Results[0].ValueByDiscriminator()).(latchkey.ResolvedCredential)
	check(resolved.Values["apiKey"] == secret, "the value is what was stored")
	unresolved := must(answer.Results[1].ValueByDiscriminator()).(latchkey.UnresolvedCredential)
	check(string(unresolved.Error.Code) == notFound, "the error code")

	gone := must(person.DeleteAppCredentialWithResponse(ctx, made.Id, nil)).JSON200
	check(gone != nil && gone.Success, "it is deleted")
	missing := must(person.GetAppCredentialWithResponse(ctx, made.Id, nil))
	check(missing.StatusCode() == http.StatusNotFound, "404")
	check(missing.ApplicationproblemJSON404 != nil && missing.ApplicationproblemJSON404.Code == latchkey.ProblemCode(notFound), "a problem")

	fmt.Println("round trip done")
}
