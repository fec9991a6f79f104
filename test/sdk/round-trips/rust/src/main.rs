// A round trip with the Rust client of openapi-generator, using only its functions.
use latchkey::apis::configuration::Configuration;
use latchkey::apis::{access_tokens_api, app_credentials_api, credential_types_api, projects_api, session_api, Error};
use latchkey::models;
use std::collections::HashMap;
use std::env::var;

const SECRET: &str = "staple under glass";

fn client(http: reqwest::Client) -> Configuration {
    Configuration {
        base_path: var("BASE").unwrap(),
        client: http,
        ..Configuration::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The HTTP client stores the session cookie and sends it with later requests.
    let person = client(reqwest::Client::builder().cookie_store(true).build().unwrap());
    let sign_in = models::SignIn::new(var("EMAIL").unwrap(), var("PASSWORD").unwrap());
    let session = session_api::create_session(&person, sign_in).await.unwrap();
    assert_eq!(session.user.email, var("EMAIL").unwrap());

    let field = models::CredentialTypeFieldCreate::new("apiKey".into(), "API key".into(), models::FieldType::Password);
    let kind = models::CredentialTypeCreate::new("Rust".into(), vec![field]);
    credential_types_api::create_credential_type(&person, kind, None).await.unwrap();
    let project = models::ProjectCreate::new("Rust".into());
    let project = projects_api::create_project(&person, project, None).await.unwrap();

    let wanted = models::AppCredentialCreate {
        description: Some(Some("For the round trip".into())),
        credential_type: Some("Rust".into()),
        values: Some(HashMap::from([("apiKey".into(), SECRET.into())])),
        projects: Some(vec!["Rust".into()]),
        ..models::AppCredentialCreate::new("From Rust".into())
    };
    let made = app_credentials_api::create_app_credential(&person, wanted, Some("rust-1")).await.unwrap();
    assert_eq!((made.revision, made.description.as_deref()), (1, Some("For the round trip")));

    let search = Some("from rust");
    let page = app_credentials_api::list_app_credentials(
        &person, None, search, None, None, None, None, None, None, None, None,
    );
    let page = page.await.unwrap();
    assert_eq!((page.total, page.data[0].id), (1, made.id));

    let id = made.id.to_string();
    let change = models::AppCredentialUpdate {
        description: Some(None),
        ..models::AppCredentialUpdate::new()
    };
    let changed = app_credentials_api::update_app_credential(&person, &id, change, None).await.unwrap();
    assert_eq!((changed.revision, changed.description), (2, None));

    let token = models::AccessTokenCreate {
        project_id: Some(project.id),
        ..models::AccessTokenCreate::new("Rust".into(), vec!["credentials:resolve".into()])
    };
    let token = access_tokens_api::create_access_token(&person, token, None).await.unwrap();
    let machine = Configuration {
        bearer_access_token: Some(token.token),
        ..client(reqwest::Client::new())
    };
    let asked = |name: &str| models::AskedCredential {
        name: Some(name.into()),
        ..models::AskedCredential::new()
    };
    let request = models::ResolveRequest::new(vec![asked("From Rust"), asked("No such credential")]);
    let answer = app_credentials_api::resolve_credentials(&machine, &project.id.to_string(), request).await.unwrap();
    let models::ResolveResult::Resolved(resolved) = &answer.results[0] else {
        panic!("{:?}", answer.results[0]);
    };
    assert_eq!(resolved.values["apiKey"], SECRET);
    let models::ResolveResult::Failed(unresolved) = &answer.results[1] else {
        panic!("{:?}", answer.results[1]);
    };
    let not_found = var("NOT_FOUND").unwrap();
    assert_eq!(unresolved.error.code, not_found);

    assert!(app_credentials_api::delete_app_credential(&person, &id, None).await.unwrap().success);
    match app_credentials_api::get_app_credential(&person, &id, None).await {
        Err(Error::ResponseError(answer)) => {
            let problem: models::Problem = serde_json::from_str(&answer.content).unwrap();
            assert_eq!((answer.status.as_u16(), problem.code.as_str()), (404, not_found.as_str()));
        }
        other => panic!("{other:?}"),
    }
    println!("round trip done");
}
