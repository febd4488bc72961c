<?php

// Uses the client that openapi-generator's `php` generates from our OpenAPI document.

declare(strict_types=1);

use Gatehouse\Api\AnyoneApi;
use Gatehouse\Api\ChatUserApi;
use Gatehouse\Api\PanelAdminApi;
use Gatehouse\ApiException;
use Gatehouse\Configuration;
use Gatehouse\Model\AdminCreateUser;
use Gatehouse\Model\AdminUpdateUser;
use Gatehouse\Model\Authenticate;
use Gatehouse\Model\CreateUser;
use Gatehouse\Model\Presence;
use Gatehouse\Model\Problem;
use Gatehouse\Model\SetPresence;
use Gatehouse\Model\Status;
use GuzzleHttp\Client;

// Composer would write this: Debian's packages have their own files.
require_once 'GuzzleHttp/autoload.php';
spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Gatehouse\\')) {
        require __DIR__ . '/../build/php/lib/' . strtr(substr($class, strlen('Gatehouse\\')), '\\', '/') . '.php';
    }
});
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    throw new ErrorException($message, 0, $level, $file, $line);
});

const PASSWORD = 'correct horse battery';
[, $url, $key, $name] = $argv;

function ensure(bool $holds): void
{
    if (!$holds) {
        throw new RuntimeException('not as it should be');
    }
}

function problemOf(callable $call): string
{
    try {
        $call();
    } catch (ApiException $refused) {
        $problem = $refused->getResponseObject();
        ensure($problem instanceof Problem);
        return (string) $problem->getCode();
    }
    throw new RuntimeException('it was not refused');
}

function signUp(AnyoneApi $api, string $name): string
{
    $account = new CreateUser(['username' => $name, 'password' => PASSWORD]);
    echo "registered {$api->usersCreate($account)->getUsername()}\n";
    echo 'a second time: ', problemOf(fn () => $api->usersCreate($account)), "\n";
    [, $status] = $api->usersCheckWithHttpInfo($name);
    echo "exists: $status\n";
    return $api->usersAuth(new Authenticate(['username' => $name, 'password' => PASSWORD]))->getToken();
}

function chat(ChatUserApi $api): void
{
    ensure($api->usersSelf()->getPresence() === null);
    $presence = $api->usersPresenceSet(new SetPresence(['presence' => Presence::ONLINE]));
    echo "$presence in ", count($api->usersGuilds()), " guilds\n";
}

function administer(PanelAdminApi $api, string $name): void
{
    $admins = array_filter($api->adminUsersList(), fn ($user) => $user->getAdmin() === 1);
    ensure(in_array('admin', array_map(fn ($user) => $user->getUsername(), $admins), true));

    $first = new AdminCreateUser(['username' => "$name-1", 'email' => "$name-1@example.com", 'admin' => 0]);
    try {
        $api->adminUsersCreate($first);
    } catch (ApiException $created) {
        // The generated client looks for a body in each response with a status from 200 to 299.
        ensure($created->getCode() === 204);
        ensure(str_starts_with($created->getResponseHeaders()['location'][0], '/users/'));
        echo "created {$first->getUsername()}: {$created->getCode()}\n";
    }

    $second = new AdminCreateUser(['username' => "$name-2", 'email' => "$name-2@example.com"]);
    [$created, $status] = $api->adminUsersCreateWithHttpInfo($second, null, 'return=representation');
    ensure($created->getPassword() !== null);
    echo "created {$created->getUsername()}: $status\n";

    $uuid = $created->getUuid();
    [$found, , $headers] = $api->adminUsersGetWithHttpInfo($uuid);
    ensure($found->getServers() === []);
    $etag = $headers['etag'][0];
    $change = new AdminUpdateUser(['email' => "$name-3@example.com"]);
    [, $status] = $api->adminUsersUpdateWithHttpInfo($uuid, $change, null, $etag);
    echo "changed: $status\n";
    $late = problemOf(fn () => $api->adminUsersUpdate($uuid, $change, null, $etag));
    echo "on the old version: $late\n";

    $api->adminUsersDisable($uuid);
    $user = $api->adminUsersList(null, null, null, null, null, Status::DISABLED)[$uuid];
    ensure($user->getDisabled() === 1 && $user->getEmail() === "$name-3@example.com");
    echo "disabled {$user->getUsername()}\n";
}

$configured = fn (): Configuration => (new Configuration())->setHost($url);
$http = new Client();
$token = signUp(new AnyoneApi($http, $configured()), $name);
chat(new ChatUserApi($http, $configured()->setAccessToken($token)));
administer(new PanelAdminApi($http, $configured()->setApiKey('X-Access-Token', $key)), $name);
