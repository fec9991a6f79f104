// A round trip with the Go client of openapi-generator, using only its functions.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"

	latchkey "example/latchkey"
)

const secret = "staple under glass"

func must[T any](value T, response *http.Response, err error) T {
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

func client(origin string, httpClient *http.Client) *latchkey.APIClient {
	configuration := latchkey.NewConfiguration()
	configuration.Servers = latchkey.ServerConfigurations{{URL: origin}}
	configuration.HTTPClient = httpClient
	return latchkey.NewAPIClient(configuration)
}

func main() {
	ctx := context.Background()
	origin, notFound := os.Getenv("BASE"), os.Getenv("NOT_FOUND")

	// The jar stores the session cookie and sends it with later requests.
	jar, _ := cookiejar.New(nil)
	person := client(origin, &http.Client{Jar: jar})
	session := must(person.SessionAPI.CreateSession(ctx).
		SignIn(*latchkey.NewSignIn(os.Getenv("EMAIL"), os.Getenv("PASSWORD"))).Execute())
	check(session.User.Email == os.Getenv("EMAIL"), "signed in")

	field := latchkey.NewCredentialTypeFieldCreate("apiKey", "API key", latchkey.FIELDTYPE_PASSWORD)
	must(person.CredentialTypesAPI.CreateCredentialType(ctx).CredentialTypeCreate(
		*latchkey.NewCredentialTypeCreate("Go", []latchkey.CredentialTypeFieldCreate{*field})).Execute())
	project := must(person.ProjectsAPI.CreateProject(ctx).ProjectCreate(*latchkey.NewProjectCreate("Go")).Execute())

	wanted := latchkey.NewAppCredentialCreate("From Go")
	wanted.SetCredentialType("Go")
	wanted.SetValues(map[string]any{"apiKey": secret})
	wanted.SetDescription("For the round trip")
	wanted.SetProjects([]string{"Go"})
	made := must(person.AppCredentialsAPI.CreateAppCredential(ctx).
		AppCredentialCreate(*wanted).IdempotencyKey("go-1").Execute())
	check(made.Revision == 1 && *made.Description.Get() == "For the round trip", "a credential")

	page := must(person.AppCredentialsAPI.ListAppCredentials(ctx).Search("from go").Execute())
	check(page.Total == 1 && page.Data[0].Id == made.Id, "it is in the list")

	change := latchkey.NewAppCredentialUpdate()
	change.SetDescriptionNil()
	changed := must(person.AppCredentialsAPI.UpdateAppCredential(ctx, made.Id).AppCredentialUpdate(*change).Execute())
	check(changed.Description.Get() == nil && changed.Revision == 2, "the description is cleared")

	ask := latchkey.NewAccessTokenCreate("Go", []string{"credentials:resolve"})
	ask.SetProjectId(project.Id)
	token := must(person.AccessTokensAPI.CreateAccessToken(ctx).AccessTokenCreate(*ask).Execute())
	machine := client(origin, http.DefaultClient)
	asked, unknown := latchkey.NewAskedCredential(), latchkey.NewAskedCredential()
	asked.SetName("From Go")
	unknown.SetName("No such credential")
	answer := must(machine.AppCredentialsAPI.ResolveCredentials(
		context.WithValue(ctx, latchkey.ContextAccessToken, token.Token), project.Id).
		ResolveRequest(*latchkey.NewResolveRequest([]latchkey.AskedCredential{*asked, *unknown})).Execute())
	check(answer.Results[0].ResolvedCredential.Values["apiKey"] == secret, "the value is what was stored")
	check(string(answer.Results[1].UnresolvedCredential.Error.Code) == notFound, "the error code")

	gone := must(person.AppCredentialsAPI.DeleteAppCredential(ctx, made.Id).Execute())
	check(gone.Success, "it is deleted")
	_, response, err := person.AppCredentialsAPI.GetAppCredential(ctx, made.Id).Execute()
	var failure *latchkey.GenericOpenAPIError
	check(response.StatusCode == http.StatusNotFound && errors.As(err, &failure), "404")
	check(failure.Model().(latchkey.Problem).Code == notFound, "a problem")

	fmt.Println("round trip done")
}
