package main

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// azidentity. Without the option nothing but the environment decides, as in most applications.
var identity = map[string]way{
	"azidentity ManagedIdentityCredential": with(func(given) (azcore.TokenCredential, error) {
		return azidentity.NewManagedIdentityCredential(nil)
	}),
	"azidentity DefaultAzureCredential": with(func(asked given) (azcore.TokenCredential, error) {
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			DisableInstanceDiscovery: asked.Option,
		})
	}),
	"azidentity EnvironmentCredential": with(func(asked given) (azcore.TokenCredential, error) {
		return azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{
			DisableInstanceDiscovery: asked.Option,
		})
	}),
	"azidentity WorkloadIdentityCredential": with(func(asked given) (azcore.TokenCredential, error) {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			DisableInstanceDiscovery: asked.Option,
		})
	}),
	"azidentity ClientSecretCredential": with(func(asked given) (azcore.TokenCredential, error) {
		return azidentity.NewClientSecretCredential(asked.Tenant, asked.ClientID, asked.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{
				ClientOptions:            policy.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: asked.AuthorityHost}},
				DisableInstanceDiscovery: asked.Option,
			})
	}),
}

func with(open func(given) (azcore.TokenCredential, error)) way {
	return func(ctx context.Context, asked given) (found, error) {
		won := ""
		azlog.SetListener(func(_ azlog.Event, said string) {
			if chain, one, authenticated := strings.Cut(said, " authenticated with "); authenticated && chain != "" {
				won = strings.TrimSpace(one)
			}
		})
		azlog.SetEvents(azidentity.EventAuthentication)
		credential, err := open(asked)
		if err != nil {
			return found{}, err
		}
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{asked.Scope}})
		return found{token.Token, token.ExpiresOn, won}, err
	}
}
