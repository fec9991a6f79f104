// A round trip with the client of ogen, using only its functions.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"example/latchkey"

	"github.com/go-faster/jx"
	"github.com/ogen-go/ogen/ogenerrors"
)

const secret = "staple under glass"

// caller holds a session cookie or a token.
type caller struct{ cookie, token string }

func (c caller) BearerToken(context.Context, latchkey.OperationName) (latchkey.BearerToken, error) {
	if c.token == "" {
		return latchkey.BearerToken{}, ogenerrors.ErrSkipClientSecurity
	}
	return latchkey.BearerToken{Token: c.token}, nil
}

func (c caller) SessionCookie(context.Context, latchkey.OperationName) (latchkey.SessionCookie, error) {
	if c.cookie == "" {
		return latchkey.SessionCookie{}, ogenerrors.ErrSkipClientSecurity
	}
	return latchkey.SessionCookie{APIKey: c.cookie}, nil
}

func client(by caller) *latchkey.Client {
	made, err := latchkey.NewClient(os.Getenv("BASE"), by)
	if err != nil {
		panic(err)
	}
	return made
}

// as returns the response as the expected type.
func as[T any](answer any, err error) T {
	if err != nil {
		panic(err)
	}
	expected, ok := answer.(T)
	check(ok, fmt.Sprintf("not this: %T", answer))
	return expected
}

func check(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func main() {
	notFound := os.Getenv("NOT_FOUND")
	ctx := context.Background()

	session := as[*latchkey.CurrentSessionHeaders](client(caller{}).CreateSession(ctx,
		&latchkey.SignIn{Email: os.Getenv("EMAIL"), Password: os.Getenv("PASSWORD")}))
	check(session.Response.User.Email == os.Getenv("EMAIL"), "signed in")
	cookie, err := http.ParseSetCookie(session.SetCookie.Value)
	check(err == nil, "a cookie")
	person := client(caller{cookie: cookie.Value})

	as[*latchkey.CredentialTypeHeaders](person.CreateCredentialType(ctx, &latchkey.CredentialTypeCreate{
		TypeName: "ogen",
		Fields: []latchkey.CredentialTypeFieldCreate{
			{FieldName: "apiKey", FieldLabel: "API key", FieldType: latchkey.FieldTypePassword},
		},
	}, latchkey.CreateCredentialTypeParams{}))
	project := as[*latchkey.ProjectHeaders](person.CreateProject(ctx,
		&latchkey.ProjectCreate{Name: "ogen"}, latchkey.CreateProjectParams{})).Response

	value, _ := json.Marshal(secret)
	made := as[*latchkey.AppCredentialHeaders](person.CreateAppCredential(ctx, &latchkey.AppCredentialCreate{
		CredentialName: "From ogen",
		CredentialType: latchkey.NewOptString("ogen"),
		Values:         latchkey.NewOptAppCredentialCreateValues(map[string]jx.Raw{"apiKey": value}),
		Description:    latchkey.NewOptNilString("For the round trip"),
		Projects:       []latchkey.ProjectNameOrId{"ogen"},
	}, latchkey.CreateAppCredentialParams{IdempotencyKey: latchkey.NewOptString("ogen-1")})).Response
	check(made.Revision == 1 && made.Description.Value == "For the round trip", "a credential")

	page := as[*latchkey.AppCredentialPage](person.ListAppCredentials(ctx,
		latchkey.ListAppCredentialsParams{Search: latchkey.NewOptString("from ogen")}))
	check(page.Total == 1 && page.Data[0].ID == made.ID, "it is in the list")

	change := latchkey.AppCredentialUpdate{}
	change.Description.SetToNull()
	changed := as[*latchkey.GetAppCredentialOKHeaders](person.UpdateAppCredential(ctx, &change,
		latchkey.UpdateAppCredentialParams{ID: made.ID})).Response
	check(changed.Description.Null && changed.Revision == 2, "the description is cleared")

	token := as[*latchkey.AccessTokenCreatedHeaders](person.CreateAccessToken(ctx, &latchkey.AccessTokenCreate{
		Name:      "ogen",
		Scopes:    []latchkey.Scope{"credentials:resolve"},
		ProjectId: latchkey.NewOptUUID(project.ID),
	}, latchkey.CreateAccessTokenParams{})).Response
	machine := client(caller{token: token.Token})
	answer := as[*latchkey.ResolveAnswer](machine.ResolveCredentials(ctx, &latchkey.ResolveRequest{
		Credentials: []latchkey.AskedCredential{
			{Name: latchkey.NewOptString("From ogen")},
			{Name: latchkey.NewOptString("No such credential")},
		},
	}, latchkey.ResolveCredentialsParams{ID: project.ID}))
	resolved, ok := answer.Results[0].GetResolvedCredential()
	check(ok && string(resolved.Values["apiKey"]) == string(value), "the value is what was stored")
	unresolved, ok := answer.Results[1].GetUnresolvedCredential()
	check(ok && string(unresolved.Error.Code) == notFound, "the error code")

	gone := as[*latchkey.SuccessAnswer](person.DeleteAppCredential(ctx,
		latchkey.DeleteAppCredentialParams{ID: made.ID}))
	check(gone.Success, "it is deleted")
	missing := as[*latchkey.GetAppCredentialNotFound](person.GetAppCredential(ctx,
		latchkey.GetAppCredentialParams{ID: made.ID}))
	check(string(missing.Code) == notFound, "a problem")

	fmt.Println("round trip done")
}
