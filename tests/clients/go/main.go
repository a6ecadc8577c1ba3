// One client library, asked for one token as an application would ask. tests/it/clients/mod.rs has the protocol.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// The case, as the test has it.
type given struct {
	Client        string `json:"client"`
	With          string `json:"with"`
	Option        bool   `json:"option"`
	Scope         string `json:"scope"`
	Resource      string `json:"resource"`
	Tenant        string `json:"tenant"`
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	AuthorityHost string `json:"authority_host"`
	Authority     string `json:"authority"`
	TokenURL      string `json:"token_url"`
}

// What came of it.
type answer struct {
	Version   string  `json:"version"`
	Token     string  `json:"token,omitempty"`
	ExpiresOn *int64  `json:"expires_on"`
	Error     *raised `json:"error,omitempty"`
	Waited    float64 `json:"waited"`
	Won       string  `json:"won,omitempty"`
}

type raised struct {
	Class string `json:"class"`
	Text  string `json:"text"`
}

// A token, when it ends, and for a chain of credentials which of them had it.
type found struct {
	token   string
	expires time.Time
	won     string
}

type way func(context.Context, given) (found, error)

func main() {
	var asked given
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	ask, known := ways[asked.Client+" "+asked.With]
	if !known {
		panic("no way to ask " + asked.Client + " " + asked.With)
	}
	said := answer{Version: version(asked.Client)}
	started := time.Now()
	got, err := ask(context.Background(), asked)
	said.Waited = time.Since(started).Seconds()
	if err != nil {
		said.Error = &raised{Class: fmt.Sprintf("%T", err), Text: err.Error()}
	} else {
		said.Token, said.Won = got.token, got.won
		if !got.expires.IsZero() {
			end := got.expires.Unix()
			said.ExpiresOn = &end
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		panic(err)
	}
}

var modules = map[string]string{
	"azidentity":                       "github.com/Azure/azure-sdk-for-go/sdk/azidentity",
	"microsoft-authentication-library": "github.com/AzureAD/microsoft-authentication-library-for-go",
	"go-autorest/adal":                 "github.com/Azure/go-autorest/autorest/adal",
	"golang.org/x/oauth2":              "golang.org/x/oauth2",
}

// As this program was built with it.
func version(client string) string {
	built, _ := debug.ReadBuildInfo()
	for _, module := range built.Deps {
		if module.Path == modules[client] {
			return module.Version[1:]
		}
	}
	panic("not built with " + client)
}

// The ways of both files.
var ways = func() map[string]way {
	all := map[string]way{}
	for _, some := range []map[string]way{identity, ordinary} {
		for name, ask := range some {
			all[name] = ask
		}
	}
	return all
}()
