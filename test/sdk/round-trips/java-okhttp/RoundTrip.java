import java.util.List;
import java.util.Set;
import okhttp3.Cookie;
import okhttp3.CookieJar;
import okhttp3.HttpUrl;
import okhttp3.OkHttpClient;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.JSON;
import org.openapitools.client.api.*;
import org.openapitools.client.model.*;

/** One round trip by the client that openapi-generator makes for Java with okhttp-gson. */
public class RoundTrip {
  static final String SECRET = "staple under glass";

  /** Keeps the cookie that signing in sets. */
  static class Jar implements CookieJar {
    private List<Cookie> cookies = List.of();

    public List<Cookie> loadForRequest(HttpUrl url) {
      return cookies;
    }

    public void saveFromResponse(HttpUrl url, List<Cookie> set) {
      cookies = set;
    }
  }

  static ApiClient client(CookieJar jar) {
    return new ApiClient(new OkHttpClient.Builder().cookieJar(jar).build()).setBasePath(System.getenv("BASE"));
  }

  static void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  public static void main(String[] args) throws ApiException {
    var person = client(new Jar());
    var email = System.getenv("EMAIL");
    var session =
        new SessionApi(person).createSession(new SignIn().email(email).password(System.getenv("PASSWORD")));
    check(session.getUser().getEmail().equals(email), "signed in");
    var credentials = new AppCredentialsApi(person);

    var field =
        new CredentialTypeFieldCreate().fieldName("apiKey").fieldLabel("API key").fieldType(FieldType.PASSWORD);
    var kind =
        new CredentialTypesApi(person)
            .createCredentialType(new CredentialTypeCreate().typeName("Java").fields(List.of(field)), null);
    var project = new ProjectsApi(person).createProject(new ProjectCreate().name("Java"), null);
    var made =
        credentials.createAppCredential(
            new AppCredentialCreate()
                .credentialName("From Java")
                .credentialTypeId(kind.getId())
                .addKeysItem(new AppCredentialKeyInput().fieldId(kind.getFields().get(0).getId()).keyValue(SECRET))
                .description("For the round trip")
                .projectIds(List.of(project.getId())),
            "java-1");
    check(made.getRevision() == 1 && made.getDescription().equals("For the round trip"), "a credential");

    var page = credentials.listAppCredentials(null, "from java", null, null);
    check(page.getTotal() == 1 && page.getData().get(0).getId().equals(made.getId()), "it is in the list");

    var id = made.getId().toString();
    // Gson writes every null or none, so that this update gives all that is to stay.
    var gson = JSON.getGson();
    JSON.setGson(gson.newBuilder().serializeNulls().create());
    var change =
        new AppCredentialUpdate()
            .credentialName("From Java")
            .keys(List.of())
            .projectIds(List.of(project.getId()))
            .description(null);
    var changed = credentials.updateAppCredential(id, change, null);
    JSON.setGson(gson);
    check(changed.getDescription() == null && changed.getRevision() == 2, "the description is cleared");

    var token =
        new AccessTokensApi(person)
            .createAccessToken(
                new AccessTokenCreate()
                    .name("Java")
                    .scopes(Set.of(Scope.CREDENTIALS_RESOLVE))
                    .projectId(project.getId()),
                null);
    var machine = client(CookieJar.NO_COOKIES);
    machine.setBearerToken(token.getToken());
    var answer =
        new AppCredentialsApi(machine)
            .resolveCredentials(
                project.getId().toString(),
                new ResolveRequest().addCredentialsItem(new AskedCredential().name("From Java")));
    check(SECRET.equals(answer.getResults().get(0).getValues().get("apiKey")), "the value is what was stored");

    check(credentials.deleteAppCredential(id, null).getSuccess(), "it is deleted");
    try {
      credentials.getAppCredential(id);
      throw new AssertionError("it is still there");
    } catch (ApiException error) {
      check(error.getCode() == 404 && error.getResponseBody().contains("\"not-found\""), "a problem");
    }
    System.out.println("round trip done");
  }
}
