import java.net.CookieManager;
import java.net.http.HttpClient;
import java.util.List;
import java.util.Set;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.*;
import org.openapitools.client.model.*;

/** A round trip with the Java client of openapi-generator, using only its functions. */
public class RoundTrip {
  static final String SECRET = "staple under glass";
  static final String NOT_FOUND = System.getenv("NOT_FOUND");

  static ApiClient client() {
    var client = new ApiClient();
    client.updateBaseUri(System.getenv("BASE"));
    return client;
  }

  static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  public static void main(String[] args) throws ApiException {
    // The cookie manager stores the session cookie and sends it with later requests.
    var person = client();
    person.setHttpClientBuilder(HttpClient.newBuilder().cookieHandler(new CookieManager()));
    var email = System.getenv("EMAIL");
    var session =
        new SessionApi(person).createSession(new SignIn().email(email).password(System.getenv("PASSWORD")));
    check(session.getUser().getEmail().equals(email), "signed in");
    var credentials = new AppCredentialsApi(person);

    var field =
        new CredentialTypeFieldCreate().fieldName("apiKey").fieldLabel("API key").fieldType(FieldType.PASSWORD);
    new CredentialTypesApi(person)
        .createCredentialType(new CredentialTypeCreate().typeName("Java").fields(List.of(field)), null);
    var project = new ProjectsApi(person).createProject(new ProjectCreate().name("Java"), null);
    var made =
        credentials.createAppCredential(
            new AppCredentialCreate()
                .credentialName("From Java")
                .credentialType("Java")
                .putValuesItem("apiKey", SECRET)
                .description("For the round trip")
                .projects(List.of("Java")),
            "java-1");
    check(made.getRevision() == 1 && made.getDescription().equals("For the round trip"), "a credential");

    var page = credentials.listAppCredentials(null, "from java", null, null, null, null, null, null, null, null);
    check(page.getTotal() == 1 && page.getData().get(0).getId().equals(made.getId()), "it is in the list");

    var id = made.getId();
    var changed = credentials.updateAppCredential(id, new AppCredentialUpdate().description(null), null);
    check(changed.getDescription() == null && changed.getRevision() == 2, "the description is cleared");

    var token =
        new AccessTokensApi(person)
            .createAccessToken(
                new AccessTokenCreate()
                    .name("Java")
                    .scopes(Set.of("credentials:resolve"))
                    .projectId(project.getId()),
                null);
    var machine = client();
    machine.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token.getToken()));
    var answer =
        new AppCredentialsApi(machine)
            .resolveCredentials(
                project.getId(),
                new ResolveRequest()
                    .addCredentialsItem(new AskedCredential().name("From Java"))
                    .addCredentialsItem(new AskedCredential().name("No such credential")));
    var resolved = answer.getResults().get(0).getResolvedCredential();
    check(SECRET.equals(resolved.getValues().get("apiKey")), "the value is what was stored");
    var unresolved = answer.getResults().get(1).getUnresolvedCredential();
    check(NOT_FOUND.equals(unresolved.getError().getCode()), "the error code");

    check(credentials.deleteAppCredential(id, null).getSuccess(), "it is deleted");
    try {
      credentials.getAppCredential(id, null);
      throw new AssertionError("it is still there");
    } catch (ApiException error) {
      check(error.getCode() == 404 && error.getResponseBody().contains("\"" + NOT_FOUND + "\""), "a problem");
    }
    System.out.println("round trip done");
  }
}
