// A round trip with the Kotlin client of openapi-generator, using only its functions.
import okhttp3.Cookie
import okhttp3.CookieJar
import okhttp3.HttpUrl
import okhttp3.OkHttpClient
import org.openapitools.client.apis.AccessTokensApi
import org.openapitools.client.apis.AppCredentialsApi
import org.openapitools.client.apis.CredentialTypesApi
import org.openapitools.client.apis.ProjectsApi
import org.openapitools.client.apis.SessionApi
import org.openapitools.client.infrastructure.ClientError
import org.openapitools.client.infrastructure.ClientException
import org.openapitools.client.infrastructure.Serializer
import org.openapitools.client.models.AccessTokenCreate
import org.openapitools.client.models.AppCredentialCreate
import org.openapitools.client.models.AppCredentialUpdate
import org.openapitools.client.models.AskedCredential
import org.openapitools.client.models.CredentialTypeCreate
import org.openapitools.client.models.CredentialTypeFieldCreate
import org.openapitools.client.models.FieldType
import org.openapitools.client.models.Problem
import org.openapitools.client.models.ProjectCreate
import org.openapitools.client.models.ResolveRequest
import org.openapitools.client.models.ResolvedCredential
import org.openapitools.client.models.SignIn
import org.openapitools.client.models.UnresolvedCredential

const val SECRET = "staple under glass"

/** Stores the session cookie. */
class Jar : CookieJar {
    private var cookies = listOf<Cookie>()

    override fun loadForRequest(url: HttpUrl) = cookies

    override fun saveFromResponse(url: HttpUrl, cookies: List<Cookie>) {
        this.cookies = cookies
    }
}

fun main() {
    val origin = System.getenv("BASE")
    val notFound = System.getenv("NOT_FOUND")
    val http = OkHttpClient.Builder().cookieJar(Jar()).build()
    val session = SessionApi(origin, http).createSession(SignIn(System.getenv("EMAIL"), System.getenv("PASSWORD")))
    check(session.user.email == System.getenv("EMAIL")) { "signed in" }
    val credentials = AppCredentialsApi(origin, http)

    val field = CredentialTypeFieldCreate("apiKey", "API key", FieldType.PASSWORD)
    CredentialTypesApi(origin, http).createCredentialType(CredentialTypeCreate("Kotlin", listOf(field)))
    val project = ProjectsApi(origin, http).createProject(ProjectCreate("Kotlin"))
    val wanted = AppCredentialCreate(
        credentialName = "From Kotlin",
        credentialType = "Kotlin",
        propertyValues = mapOf("apiKey" to SECRET),
        description = "For the round trip",
        projects = listOf("Kotlin")
    )
    val made = credentials.createAppCredential(wanted, "kotlin-1")
    check(made.revision == 1 && made.description == "For the round trip") { "a credential" }

    val page = credentials.listAppCredentials(search = "from kotlin")
    check(page.total == 1L && page.`data`[0].id == made.id) { "it is in the list" }

    val id = made.id
    // Moshi omits null, so the client cannot clear properties.
    val changed = credentials.updateAppCredential(id, AppCredentialUpdate(description = "Changed"))
    check(changed.description == "Changed" && changed.revision == 2) { "the description is changed" }

    val token = AccessTokensApi(origin, http).createAccessToken(
        AccessTokenCreate("Kotlin", setOf("credentials:resolve"), projectId = project.id)
    )
    val machine = AppCredentialsApi(origin, OkHttpClient())
    machine.accessTokenProvider = { token.token }
    val answer = machine.resolveCredentials(
        project.id,
        ResolveRequest(listOf(AskedCredential(name = "From Kotlin"), AskedCredential(name = "No such credential")))
    )
    val result = Serializer.moshi.adapter(ResolvedCredential::class.java).fromJsonValue(answer.results[0])
    check(result?.propertyValues?.get("apiKey") == SECRET) { "the value is what was stored" }
    val failure = Serializer.moshi.adapter(UnresolvedCredential::class.java).fromJsonValue(answer.results[1])
    check(failure?.error?.code == notFound) { "the error code" }

    check(credentials.deleteAppCredential(id).success) { "it is deleted" }
    try {
        credentials.getAppCredential(id)
        error("it is still there")
    } catch (error: ClientException) {
        val body = (error.response as ClientError<*>).body as String
        val problem = Serializer.moshi.adapter(Problem::class.java).fromJson(body)
        check(error.statusCode == 404 && problem?.code == notFound) { "a problem" }
    }
    println("round trip done")
}
