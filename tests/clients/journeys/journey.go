// Uses the client that openapi-generator's `go` generates from our OpenAPI document.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"gatehouse"
)

const password = "correct horse battery"

// It exists in the client's package, which writes each name with a capital.
type problem = gatehouse.Problem

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func problemOf(err error) problem {
	var refused *gatehouse.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic(err)
	}
	return refused.Model().(problem)
}

func signUp(api *gatehouse.AnyoneAPIService, name string) string {
	ctx := context.Background()
	account := *gatehouse.NewCreateUser(name, password)
	user, _, err := api.UsersCreate(ctx).CreateUser(account).Execute()
	check(err)
	fmt.Printf("registered %s\n", user.Username)
	_, _, err = api.UsersCreate(ctx).CreateUser(account).Execute()
	fmt.Printf("a second time: %s\n", problemOf(err).Code)
	response, err := api.UsersCheck(ctx, name).Execute()
	check(err)
	fmt.Printf("exists: %d\n", response.StatusCode)
	login, _, err := api.UsersAuth(ctx).Authenticate(*gatehouse.NewAuthenticate(name, password)).Execute()
	check(err)
	return login.Token
}

func chat(api *gatehouse.ChatUserAPIService, me context.Context) {
	self, _, err := api.UsersSelf(me).Execute()
	check(err)
	if self.Presence.Get() != nil {
		panic("a presence before it is set")
	}
	presence, _, err := api.UsersPresenceSet(me).SetPresence(*gatehouse.NewSetPresence(gatehouse.ONLINE)).Execute()
	check(err)
	guilds, _, err := api.UsersGuilds(me).Execute()
	check(err)
	fmt.Printf("%s in %d guilds\n", *presence, len(guilds))
}

func administer(api *gatehouse.PanelAdminAPIService, admin context.Context, name string) {
	users, _, err := api.AdminUsersList(admin).Execute()
	check(err)
	found := false
	for _, user := range *users {
		found = found || (user.Username == "admin" && user.Admin == 1)
	}
	if !found {
		panic("no admin in the list")
	}

	first := gatehouse.NewAdminCreateUser(name+"-1", address(name+"-1"))
	first.SetAdmin(0)
	_, response, err := api.AdminUsersCreate(admin).AdminCreateUser(*first).Execute()
	check(err)
	if !strings.HasPrefix(response.Header.Get("Location"), "/users/") {
		panic("no location")
	}
	fmt.Printf("created %s: %d\n", first.Username, response.StatusCode)

	second := gatehouse.NewAdminCreateUser(name+"-2", address(name+"-2"))
	created, response, err := api.AdminUsersCreate(admin).AdminCreateUser(*second).
		Prefer("return=representation").Execute()
	check(err)
	if created.GetPassword() == "" {
		panic("no generated password")
	}
	fmt.Printf("created %s: %d\n", created.Username, response.StatusCode)

	detail, response, err := api.AdminUsersGet(admin, created.Uuid).Execute()
	check(err)
	if len(detail.Servers) != 0 {
		panic("servers of a new account")
	}
	etag := response.Header.Get("ETag")
	change := gatehouse.NewAdminUpdateUser()
	change.SetEmail(name + "-3@example.com")
	update := func() (*http.Response, error) {
		return api.AdminUsersUpdate(admin, created.Uuid).AdminUpdateUser(*change).IfMatch(etag).Execute()
	}
	response, err = update()
	check(err)
	fmt.Printf("changed: %d\n", response.StatusCode)
	_, err = update()
	fmt.Printf("on the old version: %s\n", problemOf(err).Code)

	_, err = api.AdminUsersDisable(admin, created.Uuid).Execute()
	check(err)
	disabled, _, err := api.AdminUsersList(admin).Status(gatehouse.DISABLED).Execute()
	check(err)
	user := (*disabled)[created.Uuid]
	if user.GetDisabled() != 1 || *user.Email.Get() != name+"-3@example.com" {
		panic("not disabled, or another e-mail")
	}
	fmt.Printf("disabled %s\n", user.Username)
}

// The address may be null, so a client has a type of its own for it.
func address(name string) gatehouse.NullableString {
	text := name + "@example.com"
	return *gatehouse.NewNullableString(&text)
}

func main() {
	url, key, name := os.Args[1], os.Args[2], os.Args[3]
	configuration := gatehouse.NewConfiguration()
	configuration.Servers = gatehouse.ServerConfigurations{{URL: url}}
	api := gatehouse.NewAPIClient(configuration)

	token := signUp(api.AnyoneAPI, name)
	chat(api.ChatUserAPI, context.WithValue(context.Background(), gatehouse.ContextAccessToken, token))
	keys := map[string]gatehouse.APIKey{"accessToken": {Key: key}}
	administer(api.PanelAdminAPI, context.WithValue(context.Background(), gatehouse.ContextAPIKeys, keys), name)
}
