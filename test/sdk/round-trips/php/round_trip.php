<?php
// A round trip with the PHP client of openapi-generator, using only its functions.

use Latchkey\Api\AccessTokensApi;
use Latchkey\Api\AppCredentialsApi;
use Latchkey\Api\CredentialTypesApi;
use Latchkey\Api\ProjectsApi;
use Latchkey\Api\SessionApi;
use Latchkey\ApiException;
use Latchkey\Configuration;
use Latchkey\Model;

// Replaces Composer's autoloader: loads Debian's Guzzle and the classes of the client.
require 'GuzzleHttp/autoload.php';
spl_autoload_register(function (string $class): void {
    $file = __DIR__ . '/latchkey-php/lib/' . strtr(substr($class, strlen('Latchkey\\')), '\\', '/') . '.php';
    if (str_starts_with($class, 'Latchkey\\') && is_file($file)) {
        require $file;
    }
});
set_error_handler(function (int $level, string $message): never {
    throw new ErrorException($message);
});

const SECRET = 'staple under glass';

function check(bool $holds, string $what): void
{
    if (!$holds) {
        throw new Exception($what);
    }
}

// The HTTP client stores the session cookie and sends it with later requests.
$http = new GuzzleHttp\Client(['cookies' => true]);
$person = (new Configuration())->setHost(getenv('BASE'));
$session = (new SessionApi($http, $person))->createSession(
    new Model\SignIn(['email' => getenv('EMAIL'), 'password' => getenv('PASSWORD')])
);
check($session->getUser()->getEmail() === getenv('EMAIL'), 'signed in');
$credentials = new AppCredentialsApi($http, $person);

$field = new Model\CredentialTypeFieldCreate([
    'field_name' => 'apiKey',
    'field_label' => 'API key',
    'field_type' => Model\FieldType::PASSWORD,
]);
(new CredentialTypesApi($http, $person))->createCredentialType(
    new Model\CredentialTypeCreate(['type_name' => 'PHP', 'fields' => [$field]])
);
$project = (new ProjectsApi($http, $person))->createProject(new Model\ProjectCreate(['name' => 'PHP']));
$made = $credentials->createAppCredential(
    new Model\AppCredentialCreate([
        'credential_name' => 'From PHP',
        'credential_type' => 'PHP',
        'values' => ['apiKey' => SECRET],
        'description' => 'For the round trip',
        'projects' => ['PHP'],
    ]),
    'php-1'
);
check($made->getRevision() === 1 && $made->getDescription() === 'For the round trip', 'a credential');

$page = $credentials->listAppCredentials(search: 'from php');
check($page->getTotal() === 1 && $page->getData()[0]->getId() === $made->getId(), 'it is in the list');

$changed = $credentials->updateAppCredential(
    $made->getId(),
    (new Model\AppCredentialUpdate())->setDescription(null)
);
check($changed->getDescription() === null && $changed->getRevision() === 2, 'the description is cleared');

$token = (new AccessTokensApi($http, $person))->createAccessToken(new Model\AccessTokenCreate([
    'name' => 'PHP',
    'scopes' => ['credentials:resolve'],
    'project_id' => $project->getId(),
]));
$machine = (new Configuration())->setHost(getenv('BASE'))->setAccessToken($token->getToken());
$answer = (new AppCredentialsApi(new GuzzleHttp\Client(), $machine))->resolveCredentials(
    $project->getId(),
    new Model\ResolveRequest(['credentials' => [
        new Model\AskedCredential(['name' => 'From PHP']),
        new Model\AskedCredential(['name' => 'No such credential']),
    ]])
);
[$result, $failure] = $answer->getResults();
check($result->getStatus() === 'resolved', 'resolved');
check($result->getValues()['apiKey'] === SECRET, 'the value is what was stored');
check($failure->getStatus() === 'failed', 'failed');
check($failure->getError()->getCode() === getenv('NOT_FOUND'), 'the error code');

check($credentials->deleteAppCredential($made->getId())->getSuccess() === true, 'it is deleted');
try {
    $credentials->getAppCredential($made->getId());
    throw new Exception('it is still there');
} catch (ApiException $error) {
    check($error->getCode() === 404 && $error->getResponseObject()->getCode() === getenv('NOT_FOUND'), 'a problem');
}
echo "round trip done\n";
