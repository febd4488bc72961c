// Uses the client that openapi-generator's `java` (native) generates from our OpenAPI document.

import gatehouse.ApiClient;
import gatehouse.ApiException;
import gatehouse.ApiResponse;
import gatehouse.api.AnyoneApi;
import gatehouse.api.ChatUserApi;
import gatehouse.api.PanelAdminApi;
import gatehouse.model.AdminCreateUser;
import gatehouse.model.AdminUpdateUser;
import gatehouse.model.Authenticate;
import gatehouse.model.CreateUser;
import gatehouse.model.CreatedUser;
import gatehouse.model.PanelUser;
import gatehouse.model.PanelUserDetail;
import gatehouse.model.Presence;
import gatehouse.model.Problem;
import gatehouse.model.ProblemCode;
import gatehouse.model.SetPresence;
import gatehouse.model.Status;

public final class Journey {
  private static final String PASSWORD = "correct horse battery";

  private interface Call {
    void run() throws ApiException;
  }

  private static void require(boolean holds) {
    if (!holds) {
      throw new IllegalStateException("not as it should be");
    }
  }

  private static ApiClient client(String url, String header, String value) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(url);
    if (header != null) {
      client.setRequestInterceptor(request -> request.header(header, value));
    }
    return client;
  }

  private static ProblemCode problemOf(Call call) throws Exception {
    try {
      call.run();
    } catch (ApiException refused) {
      Problem problem = ApiClient.createDefaultObjectMapper().readValue(refused.getResponseBody(), Problem.class);
      return problem.getCode();
    }
    throw new IllegalStateException("it was not refused");
  }

  private static String signUp(AnyoneApi api, String name) throws Exception {
    CreateUser account = new CreateUser().username(name).password(PASSWORD);
    System.out.println("registered " + api.usersCreate(account, null).getUsername());
    System.out.println("a second time: " + problemOf(() -> api.usersCreate(account, null)).getValue());
    System.out.println("exists: " + api.usersCheckWithHttpInfo(name, null, null).getStatusCode());
    return api.usersAuth(new Authenticate().username(name).password(PASSWORD)).getToken();
  }

  private static void chat(ChatUserApi api) throws Exception {
    require(api.usersSelf().getPresence() == null);
    Presence presence = api.usersPresenceSet(new SetPresence().presence(Presence.ONLINE));
    System.out.println(presence.getValue() + " in " + api.usersGuilds().size() + " guilds");
  }

  private static void administer(PanelAdminApi api, String name) throws Exception {
    boolean isListed = false;
    for (PanelUser user : api.adminUsersList(null, null, null, null, null, null, null, null, null, null).values()) {
      isListed |= user.getUsername().equals("admin") && user.getAdmin() == 1;
    }
    require(isListed);

    AdminCreateUser first = new AdminCreateUser().username(name + "-1").email(name + "-1@example.com").admin(0);
    ApiResponse<CreatedUser> made = api.adminUsersCreateWithHttpInfo(first, null, null);
    require(made.getHeaders().get("location").get(0).startsWith("/users/"));
    System.out.println("created " + first.getUsername() + ": " + made.getStatusCode());

    AdminCreateUser second = new AdminCreateUser().username(name + "-2").email(name + "-2@example.com");
    ApiResponse<CreatedUser> shown = api.adminUsersCreateWithHttpInfo(second, null, "return=representation");
    CreatedUser created = shown.getData();
    require(created.getPassword() != null);
    System.out.println("created " + created.getUsername() + ": " + shown.getStatusCode());

    ApiResponse<PanelUserDetail> found = api.adminUsersGetWithHttpInfo(created.getUuid().toString(), null, null);
    require(found.getData().getServers().isEmpty());
    String etag = found.getHeaders().get("etag").get(0);
    AdminUpdateUser change = new AdminUpdateUser().email(name + "-3@example.com");
    ApiResponse<Void> changed = api.adminUsersUpdateWithHttpInfo(created.getUuid(), change, null, etag);
    System.out.println("changed: " + changed.getStatusCode());
    System.out.println(
        "on the old version: "
            + problemOf(() -> api.adminUsersUpdate(created.getUuid(), change, null, etag)).getValue());

    api.adminUsersDisable(created.getUuid(), null, null);
    PanelUser user =
        api.adminUsersList(null, null, null, null, null, Status.DISABLED, null, null, null, null)
            .get(created.getUuid().toString());
    require(user.getDisabled() == 1 && user.getEmail().equals(name + "-3@example.com"));
    System.out.println("disabled " + user.getUsername());
  }

  public static void main(String[] arguments) throws Exception {
    String url = arguments[0], key = arguments[1], name = arguments[2];
    String token = signUp(new AnyoneApi(client(url, null, null)), name);
    chat(new ChatUserApi(client(url, "Authorization", "Bearer " + token)));
    administer(new PanelAdminApi(client(url, "X-Access-Token", key)), name);
  }
}
