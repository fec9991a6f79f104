# A round trip with the Ruby client of openapi-generator, using only its functions.
$LOAD_PATH.unshift File.join(__dir__, 'latchkey-ruby/lib')
require 'uri'
require 'latchkey'

SECRET = 'staple under glass'

def check(holds, what)
  raise what unless holds
end

def client
  uri = URI(ENV.fetch('BASE'))
  Latchkey::ApiClient.new(Latchkey::Configuration.new { |it| it.scheme, it.host = uri.scheme, "#{uri.host}:#{uri.port}" })
end

person = client
# Otherwise the client would send an empty token with the cookie.
person.config.define_singleton_method(:auth_settings) { {} }
signed_in, _, headers = Latchkey::SessionApi.new(person).create_session_with_http_info(
  Latchkey::SignIn.new(email: ENV.fetch('EMAIL'), password: ENV.fetch('PASSWORD'))
)
check signed_in.user.email == ENV['EMAIL'], 'signed in'
person.default_headers['Cookie'] = headers['Set-Cookie'].split(';').first
credentials = Latchkey::AppCredentialsApi.new(person)

field = Latchkey::CredentialTypeFieldCreate.new(
  field_name: 'apiKey', field_label: 'API key', field_type: Latchkey::FieldType::PASSWORD
)
Latchkey::CredentialTypesApi.new(person).create_credential_type(
  Latchkey::CredentialTypeCreate.new(type_name: 'Ruby', fields: [field])
)
project = Latchkey::ProjectsApi.new(person).create_project(Latchkey::ProjectCreate.new(name: 'Ruby'))
wanted = Latchkey::AppCredentialCreate.new(
  credential_name: 'From Ruby',
  credential_type: 'Ruby',
  values: { apiKey: SECRET },
  description: 'For the round trip',
  projects: ["Ruby"]
)
made = credentials.create_app_credential(wanted, idempotency_key: 'ruby-1')
check made.revision == 1 && made.description == 'For the round trip', 'a credential'

page = credentials.list_app_credentials(search: 'from ruby')
check page.total == 1 && page.data.map(&:id) == [made.id], 'it is in the list'

changed = credentials.update_app_credential(made.id, Latchkey::AppCredentialUpdate.new(description: nil))
check changed.description.nil? && changed.revision == 2, 'the description is cleared'

token = Latchkey::AccessTokensApi.new(person).create_access_token(
  Latchkey::AccessTokenCreate.new(name: 'Ruby', scopes: ['credentials:resolve'], project_id: project.id)
)
machine = client
machine.config.access_token = token.token
answer = Latchkey::AppCredentialsApi.new(machine).resolve_credentials(
  project.id,
  Latchkey::ResolveRequest.new(
    credentials: ['From Ruby', 'No such credential'].map { |name| Latchkey::AskedCredential.new(name: name) }
  )
)
check answer.results[0].values['apiKey'] == SECRET, 'the value is what was stored'
check answer.results[1].error.code == ENV['NOT_FOUND'], 'the error code'

check credentials.delete_app_credential(made.id).success == true, 'it is deleted'
begin
  credentials.get_app_credential(made.id)
  raise 'it is still there'
rescue Latchkey::ApiError => error
  problem = Latchkey::Problem.build_from_hash(JSON.parse(error.response_body, symbolize_names: true))
  check error.code == 404 && problem.code == ENV['NOT_FOUND'], 'a problem'
end
puts 'round trip done'
